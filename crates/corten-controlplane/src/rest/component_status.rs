//! Whether the parts of the control plane work, found out when somebody asks.
//!
//! Upstream: pkg/registry/core/componentstatus, pkg/registry/core/rest/storage_core.go (v1.35), which asks health ports. Here a
//! component is healthy that runs in this process, because a failure of one of them ends the process; or that runs
//! elsewhere and keeps the lease of its leader.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use corten_apimachinery::{
    labels::Labels,
    meta::{ObjectMeta as _, parse_time},
    selector::{field, label},
    status::{Reason, Status},
    value::Value,
};
use corten_apiserver::{
    Reply, Request, Response, Server,
    endpoints::{Custom, Endpoint, RoutesBuilder},
    response::MadeObjects,
};
use corten_resources::core::component_status::RESOURCE;
use corten_storage::kv::KvEngine;
use jiff::Timestamp;
use parking_lot::Mutex;

use crate::{
    caches::{Caches, tree},
    health::store_works,
};

/// (name of the status, name of the component and of its leader's lease).
const COMPONENTS: [(&str, &str); 2] =
    [("controller-manager", "kube-controller-manager"), ("scheduler", "kube-scheduler")];
const STORE: &str = "etcd-0";
const LEASES: &str = "kube-system";

/// Which components of the control plane run in this process. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Components(Arc<Mutex<BTreeSet<&'static str>>>);

impl Components {
    /// Notes that `component` (`kube-scheduler`, `kube-controller-manager`) runs from now on until the process ends.
    pub fn run_here(&self, component: &'static str) {
        self.0.lock().insert(component);
    }

    fn has(&self, component: &str) -> bool {
        self.0.lock().contains(component)
    }
}

pub(crate) fn install(
    routes: &mut RoutesBuilder,
    engine: &Arc<dyn KvEngine>,
    caches: &Arc<Caches>,
    components: &Components,
) {
    let handler =
        ComponentStatuses { engine: Arc::clone(engine), caches: Arc::clone(caches), components: components.clone() };
    routes.custom(RESOURCE.group, RESOURCE.plural, "", Arc::new(handler));
}

#[derive(Debug)]
struct ComponentStatuses {
    engine: Arc<dyn KvEngine>,
    caches: Arc<Caches>,
    components: Components,
}

#[async_trait]
impl Custom for ComponentStatuses {
    async fn handle(&self, _server: &Arc<Server>, endpoint: &Endpoint, request: Request) -> Result<Reply, Status> {
        let is_list = request.info.verb == "list";
        let mut objects = if is_list {
            self.all(&request).await?
        } else {
            let name = request.info.name.as_str();
            let found = self.status(name, request.received).await?;
            vec![found.ok_or_else(|| Status::new(Reason::Unknown, format!("Component not found: {name}")))?]
        };
        for object in &mut objects {
            object.set(&["apiVersion"], endpoint.api_version.clone());
            object.set(&["kind"], endpoint.resource.kind.clone());
        }
        Ok(Reply::new(Response::Made(MadeObjects {
            objects,
            is_list,
            resource: Arc::clone(&endpoint.resource),
            version: endpoint.version.name.clone(),
        })))
    }
}

impl ComponentStatuses {
    async fn all(&self, request: &Request) -> Result<Vec<Value>, Status> {
        let bad = |error: &dyn std::fmt::Display| Status::bad_request(error.to_string());
        let fields = field::Selector::parse(request.query.get("fieldSelector")).map_err(|error| bad(&error))?;
        let labels = label::Selector::parse(request.query.get("labelSelector")).map_err(|error| bad(&error))?;
        if let Some(name) = fields.fields().find(|name| *name != "metadata.name") {
            return Err(Status::bad_request(format!("field label not supported: {name}")));
        }
        let mut objects = Vec::new();
        // They have no labels.
        for name in [COMPONENTS[0].0, STORE, COMPONENTS[1].0] {
            if labels.matches(Labels::none()) && fields.matches(|_| name) {
                objects.extend(self.status(name, request.received).await?);
            }
        }
        Ok(objects)
    }

    async fn status(&self, name: &str, now: Timestamp) -> Result<Option<Value>, Status> {
        let found = if name == STORE {
            store_works(&*self.engine).await
        } else if let Some((_, component)) = COMPONENTS.iter().find(|(known, _)| *known == name) {
            self.component(component, now).await?
        } else {
            return Ok(None);
        };
        Ok(Some(show(name, found)))
    }

    /// Whether a component works.
    async fn component(&self, component: &str, now: Timestamp) -> Result<Result<(), String>, Status> {
        if self.components.has(component) {
            return Ok(Ok(()));
        }
        let lease = self.caches.find("coordination.k8s.io", "leases", LEASES, component).await?;
        let lease = lease.map(|lease| tree(&lease)).transpose()?;
        if lease.is_some_and(|lease| is_held(&lease, now)) {
            return Ok(Ok(()));
        }
        Ok(Err(format!("no {component} holds the lease {LEASES}/{component}")))
    }
}

fn is_held(lease: &Value, now: Timestamp) -> bool {
    let spec = |key: &'static str| ["spec", key];
    let holder = lease.str_at(&spec("holderIdentity")).unwrap_or_default();
    let renewed = lease.str_at(&spec("renewTime")).and_then(parse_time);
    let seconds = lease.i64_at(&spec("leaseDurationSeconds")).and_then(|seconds| u64::try_from(seconds).ok());
    // An end that no time can say is later than now.
    let is_over = |(renewed, seconds): (Timestamp, u64)| {
        renewed.checked_add(Duration::from_secs(seconds)).is_ok_and(|ends| ends < now)
    };
    !holder.is_empty() && renewed.zip(seconds).is_some_and(|lease| !is_over(lease))
}

fn show(name: &str, found: Result<(), String>) -> Value {
    let mut condition = Value::object_of([("type", Value::from("Healthy"))]);
    match found {
        Ok(()) => {
            condition.set(&["status"], "True");
            condition.set(&["message"], "ok");
        }
        Err(why) => {
            condition.set(&["status"], "False");
            condition.set(&["message"], why);
        }
    }
    let mut status = Value::object();
    status.set_meta("name", name);
    status.set(&["conditions"], Value::array([condition]));
    status
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{Cluster, admin};

    /// Whoever could write the lease made every list of component statuses a panic.
    #[test]
    fn a_lease_beyond_the_last_year_is_held() {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let check = |renewed: &str, seconds: i64, want: bool| {
            let spec = json!({"holderIdentity": "a", "renewTime": renewed, "leaseDurationSeconds": seconds});
            assert_eq!(is_held(&crate::testing::tree(json!({"spec": spec})), now), want, "{renewed}");
        };
        check("9999-12-30T00:00:00.000000Z", 2_000_000_000, true);
        check("2026-01-01T00:00:00.000000Z", i64::MAX, true);
        check("2025-12-31T23:59:50.000000Z", 10, true);
        check("2025-12-31T23:59:50.000000Z", 9, false);
    }

    #[tokio::test]
    async fn a_component_is_healthy_that_runs_here_or_holds_its_lease() {
        let cluster = Cluster::start().await;
        let path = "/api/v1/componentstatuses";
        let health = async |name: &str| {
            let status = cluster.get(admin(), &format!("{path}/{name}")).await.unwrap();
            assert_eq!((status.kind(), status.api_version(), status.name()), ("ComponentStatus", "v1", name));
            let condition = &status.items_at(&["conditions"])[0];
            (condition.str_at(&["status"]).unwrap().to_owned(), condition.str_at(&["message"]).unwrap().to_owned())
        };
        let well = || ("True".to_owned(), "ok".to_owned());
        assert_eq!(health("etcd-0").await, well());
        let nobody = "no kube-scheduler holds the lease kube-system/kube-scheduler";
        assert_eq!(health("scheduler").await, ("False".to_owned(), nobody.to_owned()));
        let lease = json!({"metadata": {"name": "kube-scheduler"}, "spec": {"holderIdentity": "a",
            "leaseDurationSeconds": 15, "renewTime": "2026-01-01T00:00:00.000000Z"}});
        let leases = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases";
        cluster.post(admin(), leases, lease).await.unwrap();
        assert_eq!(health("scheduler").await, well());
        cluster.clock.advance(Duration::from_secs(16));
        assert_eq!(health("scheduler").await.0, "False");
        cluster.components.run_here("kube-controller-manager");
        assert_eq!(health("controller-manager").await, well());

        let list = cluster.get(admin(), path).await.unwrap();
        assert_eq!((list.kind(), list.api_version()), ("ComponentStatusList", "v1"));
        let names: Vec<&str> = list.items_at(&["items"]).iter().map(|item| item.name()).collect();
        assert_eq!(names, ["controller-manager", "etcd-0", "scheduler"]);
        let one = cluster.get(admin(), &format!("{path}?fieldSelector=metadata.name=etcd-0")).await.unwrap();
        assert_eq!(one.items_at(&["items"]).len(), 1);
        assert_eq!(cluster.warnings(admin(), path).await, ["v1 ComponentStatus is deprecated in v1.19+"]);
        let unknown = cluster.get(admin(), &format!("{path}/x")).await.unwrap_err();
        assert_eq!((unknown.code, unknown.message.as_str()), (500, "Component not found: x"));
        let refused = cluster.post(admin(), path, json!({"metadata": {"name": "x"}})).await.unwrap_err();
        assert_eq!(refused.code, 405);
        cluster.stop().await;
    }
}
