//! The priorities of pods that a node or the cluster cannot do without.
//!
//! Upstream: pkg/registry/scheduling/rest/storage_scheduling.go and pkg/apis/scheduling/helpers.go (v1.35).

use corten_apimachinery::{gvk::GroupVersionResource, status::Status, value::Value};
use corten_client::{Client, Target};

use super::served;

/// Above what users can give: pods that the cluster cannot do without.
const CLUSTER_CRITICAL: i64 = 2_000_000_000;

const CLASSES: [(&str, i64, &str); 2] = [
    (
        "system-node-critical",
        CLUSTER_CRITICAL + 1_000,
        "Used for system critical pods that must not be moved from their current node.",
    ),
    (
        "system-cluster-critical",
        CLUSTER_CRITICAL,
        "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
    ),
];

/// Makes those that are missing; none if the kind is switched off.
pub(super) async fn ensure(client: &Client) -> Result<(), Status> {
    let resource = GroupVersionResource::new("scheduling.k8s.io", "v1", "priorityclasses");
    if !served::has(client, &resource).await? {
        return Ok(());
    }
    for (name, value, description) in CLASSES {
        match client.get(Target::object(&resource, "", name)).await {
            Err(status) if status.is_not_found() => {}
            other => {
                other?;
                continue;
            }
        }
        let class = Value::object_of([
            ("apiVersion", Value::from("scheduling.k8s.io/v1")),
            ("kind", "PriorityClass".into()),
            ("metadata", Value::object_of([("name", Value::from(name))])),
            ("value", Value::Int(value)),
            ("description", description.into()),
        ]);
        match client.create(Target::collection(&resource, ""), class).await {
            // Another server was faster.
            Err(status) if status.is_already_exists() => {}
            other => drop(other?),
        }
    }
    Ok(())
}
