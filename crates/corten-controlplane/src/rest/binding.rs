//! Assigns a pod to a node.
//!
//! A change of the server's own, past the rules of pods: one read from the cache and one write.
//! Upstream: pkg/registry/core/pod/storage `BindingREST`, pkg/apis/core/validation `ValidatePodBinding` (v1.35).

use std::sync::Arc;

use async_trait::async_trait;
use corten_apimachinery::{
    field::{self, Error, Path, quote},
    gvk::{GroupResource, GroupVersionKind},
    meta::{ObjectMeta as _, format_time},
    status::{Reason, Status},
    value::Value,
};
use corten_apiserver::{
    Reply, Request, Server,
    conditions::set_condition,
    endpoints::{Custom, Endpoint, WriteRequest, decode_review},
    registry::{Preconditions, Store, WriteContext, settle_namespace},
};

use super::{catalog::Handler, succeeded};

/// The subresource of a pod.
pub(crate) static OF_POD: Handler =
    Handler { group: "", plural: "pods", subresource: "binding", build: |_| Arc::new(Binding) };

/// The older collection of bindings in a namespace.
pub(crate) static COLLECTION: Handler =
    Handler { group: "", plural: "bindings", subresource: "", build: |_| Arc::new(Binding) };

const TYPE: &str = "io.k8s.api.core.v1.Binding";

#[derive(Debug)]
struct Binding;

#[async_trait]
impl Custom for Binding {
    async fn handle(&self, server: &Arc<Server>, endpoint: &Endpoint, mut request: Request) -> Result<Reply, Status> {
        let kind = GroupVersionKind::new("", "v1", "Binding");
        let write = WriteRequest::new(endpoint, &request, "CreateOptions")?;
        let (mut binding, mut warnings) = decode_review(&mut request, server.table(), TYPE, &kind).await?;
        let namespace = request.info.namespace.as_str();
        settle_namespace(&mut binding, Some(namespace))?;
        let routes = server.routes();
        let store = routes.store("", "pods").ok_or_else(|| Status::internal("pods are not served"))?;
        // Plugins see the same in both ways.
        let cx = WriteContext { subresource: "binding", ..write.context(&request) };
        let name = if request.info.name.is_empty() { binding.name() } else { request.info.name.as_str() }.to_owned();
        let (binding, advice) = store.admit_subresource(&cx, &kind, &name, binding).await?;
        warnings.extend(advice);
        let is_of_pod = !request.info.name.is_empty();
        if is_of_pod && binding.name() != request.info.name.as_str() {
            return Err(Status::bad_request("name in URL does not match name in Binding object"));
        }
        let errors = validate(&binding);
        if !errors.is_empty() {
            // Not about an object: upstream hands out the bare list.
            return Err(Status::new(Reason::Unknown, field::aggregate(&errors)));
        }
        let binding = store.validate_subresource(&cx, &kind, &name, binding).await?;
        assign(store, &cx, &binding).await?;
        Ok(succeeded().with_warnings(warnings))
    }
}

fn validate(binding: &Value) -> Vec<Error> {
    let mut errors = Vec::new();
    let target = Path::new("target");
    let kind = binding.str_at(&["target", "kind"]).unwrap_or_default();
    if !kind.is_empty() && kind != "Node" {
        errors.push(Error::not_supported(&target.child("kind"), kind, &["Node", "<empty>"]));
    }
    if binding.str_at(&["target", "name"]).unwrap_or_default().is_empty() {
        errors.push(Error::required(&target.child("name"), ""));
    }
    errors
}

async fn assign(store: &Store, cx: &WriteContext<'_>, binding: &Value) -> Result<(), Status> {
    let name = binding.name();
    let preconditions = Preconditions::of(binding);
    let now = format_time(cx.now);
    let change = |pod: &mut Value| {
        bind(pod, binding, &now).map_err(|why| Status::conflict(&GroupResource::new("", "pods/binding"), name, why))
    };
    store.guaranteed_update(cx, name, preconditions, &change).await.map(drop)
}

/// Writes the node that `binding` names into `pod`, with the labels and annotations that come along.
///
/// Errors: the pod cannot be assigned, in upstream's words.
fn bind(pod: &mut Value, binding: &Value, now: &str) -> Result<(), String> {
    let name = pod.name().to_owned();
    if pod.deletion_timestamp().is_some() {
        return Err(format!("pod {name} is being deleted, cannot be assigned to a host"));
    }
    if let Some(node) = pod.str_at(&["spec", "nodeName"]).filter(|node| !node.is_empty()) {
        return Err(format!("pod {name} is already assigned to node {}", quote(node)));
    }
    if !pod.items_at(&["spec", "schedulingGates"]).is_empty() {
        return Err(format!("pod {name} has non-empty .spec.schedulingGates"));
    }
    pod.set(&["spec", "nodeName"], binding.str_at(&["target", "name"]).unwrap_or_default());
    // A nomination has served its purpose. Upstream: ClearingNominatedNodeNameAfterBinding.
    pod.unset(&["status", "nominatedNodeName"]);
    for (field, entries) in [("annotations", binding.annotations()), ("labels", binding.labels())] {
        for (key, value) in entries.into_iter().flat_map(|entries| entries.iter()) {
            pod.set(&["metadata", field, key], value.clone());
        }
    }
    let generation = pod.generation();
    let mut scheduled = Value::object_of([
        ("type", Value::from("PodScheduled")),
        ("status", "True".into()),
        ("lastProbeTime", Value::Null),
        ("lastTransitionTime", now.into()),
    ]);
    if generation != 0 {
        scheduled.set(&["observedGeneration"], generation);
    }
    set_condition(pod, scheduled);
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{Cluster, admin, tree};

    const PODS: &str = "/api/v1/namespaces/default/pods";

    fn binding(pod: &str, node: &str) -> serde_json::Value {
        json!({"metadata": {"name": pod, "labels": {"zone": "z"}, "annotations": {"note": "n"}},
            "target": {"kind": "Node", "name": node}})
    }

    #[test]
    fn a_pod_that_cannot_run_is_not_assigned() {
        for (pod, want) in [
            (json!({"metadata": {"name": "p"}, "spec": {"nodeName": "a"}}), "pod p is already assigned to node \"a\""),
            (
                json!({"metadata": {"name": "p"}, "spec": {"schedulingGates": [{"name": "g"}]}}),
                "pod p has non-empty .spec.schedulingGates",
            ),
            (
                json!({"metadata": {"name": "p", "deletionTimestamp": "2026-01-01T00:00:00Z"}, "spec": {}}),
                "pod p is being deleted, cannot be assigned to a host",
            ),
        ] {
            assert_eq!(bind(&mut tree(pod), &tree(binding("p", "n")), "now").unwrap_err(), want);
        }
    }

    #[test]
    fn an_earlier_refusal_of_the_scheduler_is_replaced() {
        let mut pod = tree(json!({"metadata": {"name": "p", "generation": 1, "labels": {"zone": "old"}}, "spec": {},
            "status": {"nominatedNodeName": "n", "conditions": [
                {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "m"}]}}));
        bind(&mut pod, &tree(binding("p", "n")), "now").unwrap();
        let condition = json!({"type": "PodScheduled", "status": "True", "lastProbeTime": null,
            "lastTransitionTime": "now", "observedGeneration": 1});
        assert_eq!(
            pod,
            tree(json!({
                "metadata": {"name": "p", "generation": 1, "labels": {"zone": "z"}, "annotations": {"note": "n"}},
                "spec": {"nodeName": "n"}, "status": {"conditions": [condition]}}))
        );
    }

    #[tokio::test]
    async fn a_pod_is_assigned_once() {
        let cluster = Cluster::start().await;
        cluster.make_pod("p").await;
        let path = format!("{PODS}/p/binding");
        let refused = cluster.post(admin(), &path, binding("q", "n")).await.unwrap_err();
        assert_eq!(refused.message, "name in URL does not match name in Binding object");
        let refused = cluster.post(admin(), &path, binding("p", "")).await.unwrap_err();
        assert_eq!(refused.message, "target.name: Required value");
        let done = cluster.post(admin(), &path, binding("p", "n")).await.unwrap();
        assert_eq!((done.str_at(&["status"]), done.i64_at(&["code"])), (Some("Success"), Some(201)));
        let pod = cluster.get(admin(), &format!("{PODS}/p")).await.unwrap();
        assert_eq!(pod.str_at(&["spec", "nodeName"]), Some("n"));
        assert_eq!(pod.label("zone"), Some("z"));
        let refused = cluster.post(admin(), &path, binding("p", "m")).await.unwrap_err();
        assert_eq!(refused.code, 409);
        assert_eq!(
            refused.message,
            "Operation cannot be fulfilled on pods/binding \"p\": pod p is already assigned to node \"n\""
        );
        let missing = cluster.post(admin(), format!("{PODS}/q/binding"), binding("q", "n")).await.unwrap_err();
        assert_eq!(missing.message, "pods \"q\" not found");
        // What else is wrong came first.
        for path in ["pods/p/binding", "bindings"] {
            let path = format!("/api/v1/namespaces/none/{path}");
            let missing = cluster.post(admin(), path, binding("q", "")).await.unwrap_err();
            assert_eq!((missing.code, &*missing.message), (404, "namespaces \"none\" not found"));
        }
        cluster.stop().await;
    }

    #[tokio::test]
    async fn the_collection_of_bindings_assigns_too_and_a_wrong_incarnation_is_refused() {
        let cluster = Cluster::start().await;
        cluster.make_pod("p").await;
        let path = "/api/v1/namespaces/default/bindings";
        let mut other = binding("p", "n");
        other["metadata"]["uid"] = json!("other");
        assert_eq!(cluster.post(admin(), path, other).await.unwrap_err().code, 409);
        cluster.post(admin(), path, binding("p", "n")).await.unwrap();
        let pod = cluster.get(admin(), &format!("{PODS}/p")).await.unwrap();
        assert_eq!(pod.str_at(&["spec", "nodeName"]), Some("n"));
        cluster.stop().await;
    }
}
