//! The object that tells of the ranges which services get their addresses from: `--service-cluster-ip-range`.
//!
//! What it says stays as it is, but for a second family that came: a range that is not the configured one is announced, and
//! somebody has to decide.
//! Upstream: pkg/controlplane/controller/defaultservicecidr (v1.35). Its finalizer is a controller's to set, not the
//! server's: pkg/controller/servicecidrs.

use corten_apimachinery::{
    gvk::GroupVersionResource,
    meta::{ObjectMeta as _, format_time},
    status::Status,
    value::Value,
};
use corten_base::SharedClock;
use corten_client::{Client, Target, WatchOptions};
use futures::StreamExt as _;
use ipnet::IpNet;

use crate::caches::tree;

const NAME: &str = "kubernetes";
const MANAGER: &str = "kubernetes-service-cidr-controller";

fn resource() -> GroupVersionResource {
    GroupVersionResource::new("networking.k8s.io", "v1", "servicecidrs")
}

/// Puts the object right until a watch ends: then it is to be called again. Upstream looks every ten seconds.
///
/// Cancel-safe: every step is repeated at the next call.
pub(super) async fn keep(client: &Client, clock: &SharedClock, ranges: &[IpNet]) -> Result<(), Status> {
    let of_name = WatchOptions { field_selector: format!("metadata.name={NAME}"), ..WatchOptions::default() };
    let mut changes = client.watch(Target::collection(&resource(), ""), &of_name).await?;
    ensure(client, clock, ranges).await?;
    while let Some(change) = changes.next().await {
        change?;
        ensure(client, clock, ranges).await?;
    }
    Ok(())
}

/// Makes the object if it is missing, and says that it is ready.
pub(super) async fn ensure(client: &Client, clock: &SharedClock, ranges: &[IpNet]) -> Result<(), Status> {
    let ranges: Vec<String> = ranges.iter().map(|range| range.trunc().to_string()).collect();
    let client = client.with_field_manager(MANAGER);
    let current = match client.get(Target::object(&resource(), "", NAME)).await {
        Err(status) if status.is_not_found() => match create(&client, &ranges).await? {
            Some(made) => made,
            // Another server was faster; the watch tells what it made.
            None => return Ok(()),
        },
        other => tree(&*other?)?,
    };
    match plan(&current, &ranges) {
        Plan::Nothing => Ok(()),
        Plan::SecondFamily => {
            let mut grown = current;
            grown.set(&["spec", "cidrs"], texts(&ranges));
            client.update(Target::object(&resource(), "", NAME), grown).await.map(drop)
        }
        Plan::Ready => {
            let now = format_time(clock.now());
            client.apply(Target::object(&resource(), "", NAME).subresource("status"), ready(&now), true).await.map(drop)
        }
        Plan::Complain(why) => {
            let configured = ranges.join(",");
            tracing::warn!(servicecidr = NAME, configured, reason = why, "Left the default range of services as it is");
            Ok(())
        }
    }
}

fn texts(ranges: &[String]) -> Value {
    Value::array(ranges.iter().map(|range| range.as_str().into()))
}

async fn create(client: &Client, ranges: &[String]) -> Result<Option<Value>, Status> {
    let object = Value::object_of([
        ("apiVersion", Value::from("networking.k8s.io/v1")),
        ("kind", "ServiceCIDR".into()),
        ("metadata", Value::object_of([("name", Value::from(NAME))])),
        ("spec", Value::object_of([("cidrs", texts(ranges))])),
    ]);
    match client.create(Target::collection(&resource(), ""), object).await {
        Err(status) if status.is_already_exists() => Ok(None),
        made => Ok(Some(tree(&*made?)?)),
    }
}

/// That services get addresses of the range, as a configuration to apply.
fn ready(now: &str) -> Value {
    let condition = Value::object_of([
        ("type", Value::from("Ready")),
        ("status", "True".into()),
        ("message", "Kubernetes default Service CIDR is ready".into()),
        ("lastTransitionTime", now.into()),
    ]);
    Value::object_of([
        ("apiVersion", Value::from("networking.k8s.io/v1")),
        ("kind", "ServiceCIDR".into()),
        ("metadata", Value::object_of([("name", Value::from(NAME))])),
        ("status", Value::object_of([("conditions", Value::array([condition]))])),
    ])
}

/// What is to be done about the object that is there.
#[derive(Debug, PartialEq, Eq)]
enum Plan {
    Nothing,
    /// The cluster has become one of two families.
    SecondFamily,
    /// It is not said yet whether the range is ready.
    Ready,
    /// Somebody else has said something that does not fit, and knows why.
    Complain(&'static str),
}

fn plan(current: &Value, ranges: &[String]) -> Plan {
    let has: Vec<&str> = current.items_at(&["spec", "cidrs"]).iter().filter_map(Value::as_str).collect();
    if let ([first], [wanted, _]) = (&has[..], ranges)
        && first == wanted
    {
        return Plan::SecondFamily;
    }
    if current.deletion_timestamp().is_some() {
        return Plan::Nothing;
    }
    if has != ranges {
        return Plan::Complain("it is another range");
    }
    let conditions = current.items_at(&["status", "conditions"]);
    let ready = conditions.iter().find(|condition| condition.str_at(&["type"]) == Some("Ready"));
    match ready.and_then(|ready| ready.str_at(&["status"])) {
        Some("True") => Plan::Nothing,
        Some("False") => Plan::Complain("it is not ready"),
        _ => Plan::Ready,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{Cluster, admin, tree};

    const PATH: &str = "/apis/networking.k8s.io/v1/servicecidrs/kubernetes";

    #[test]
    fn a_range_stays_as_it_is_but_for_a_second_family() {
        let wanted = |ranges: &[&str]| -> Vec<String> { ranges.iter().map(|&range| range.to_owned()).collect() };
        let (one, two) = (wanted(&["10.0.0.0/24"]), wanted(&["10.0.0.0/24", "fd00::/112"]));
        let object = |ranges: &[String], ready: serde_json::Value| {
            tree(json!({"metadata": {"name": NAME}, "spec": {"cidrs": ranges}, "status": {"conditions": ready}}))
        };
        let ready = |status: &str| json!([{"type": "Ready", "status": status}]);
        let cases = [
            (object(&one, json!([])), &one, Plan::Ready),
            (object(&one, ready("Unknown")), &one, Plan::Ready),
            (object(&one, ready("True")), &one, Plan::Nothing),
            (object(&one, ready("False")), &one, Plan::Complain("it is not ready")),
            (object(&one, ready("True")), &two, Plan::SecondFamily),
            (object(&two, ready("True")), &one, Plan::Complain("it is another range")),
            (object(&wanted(&["10.1.0.0/24"]), json!([])), &two, Plan::Complain("it is another range")),
        ];
        for (current, ranges, want) in cases {
            assert_eq!(plan(&current, ranges), want, "{current:?}");
        }
        let mut going = object(&one, json!([]));
        going.set_meta("deletionTimestamp", "2026-01-01T00:00:00Z");
        assert_eq!(plan(&going, &one), Plan::Nothing);
    }

    #[tokio::test]
    async fn the_default_range_is_there_and_comes_back() {
        let cluster = Cluster::start().await;
        let old = cluster.get(admin(), PATH).await.unwrap();
        assert_eq!(old.items_at(&["spec", "cidrs"]), [Value::from("10.96.0.0/12")]);
        let condition = &old.items_at(&["status", "conditions"])[0];
        assert_eq!(
            (condition.str_at(&["type"]), condition.str_at(&["status"]), condition.str_at(&["message"])),
            (Some("Ready"), Some("True"), Some("Kubernetes default Service CIDR is ready"))
        );
        cluster.keep_bootstrapped();
        cluster.delete(admin(), PATH).await.unwrap();
        let is_back =
            |object: &Value| object.uid() != old.uid() && !object.items_at(&["status", "conditions"]).is_empty();
        while !cluster.get(admin(), PATH).await.is_ok_and(|object| is_back(&object)) {
            // The keeper runs when this task lets it.
            tokio::task::yield_now().await;
        }
        cluster.stop().await;
    }

    #[tokio::test]
    async fn a_second_family_is_added() {
        let cluster = Cluster::start().await;
        let clock: SharedClock = std::sync::Arc::clone(&cluster.clock) as _;
        let ranges: [IpNet; 2] = ["10.96.0.0/12", "fd00::/112"].map(|range| range.parse().unwrap());
        ensure(&cluster.client(admin()), &clock, &ranges).await.unwrap();
        let object = cluster.get(admin(), PATH).await.unwrap();
        assert_eq!(object.items_at(&["spec", "cidrs"]), [Value::from("10.96.0.0/12"), "fd00::/112".into()]);
        // What somebody decides by hand stays.
        ensure(&cluster.client(admin()), &clock, &ranges[..1]).await.unwrap();
        assert_eq!(cluster.get(admin(), PATH).await.unwrap(), object);
        cluster.stop().await;
    }
}
