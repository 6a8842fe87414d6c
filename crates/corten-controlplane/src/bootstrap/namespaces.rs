//! The namespaces that every cluster has.
//!
//! Upstream: pkg/controlplane/controller/systemnamespaces (v1.35), and `default` by the kubernetes service controller.

use corten_apimachinery::{gvk::GroupVersionResource, status::Status, value::Value};
use corten_client::{Client, Target};

const NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

/// Makes those that are missing.
pub(super) async fn ensure(client: &Client) -> Result<(), Status> {
    let resource = GroupVersionResource::new("", "v1", "namespaces");
    for name in NAMESPACES {
        let object = Value::object_of([
            ("apiVersion", Value::from("v1")),
            ("kind", "Namespace".into()),
            ("metadata", Value::object_of([("name", Value::from(name))])),
        ]);
        match client.get(Target::object(&resource, "", name)).await {
            Err(status) if status.is_not_found() => {
                match client.create(Target::collection(&resource, ""), object).await {
                    // Another server was faster.
                    Err(status) if status.is_already_exists() => {}
                    other => drop(other?),
                }
            }
            other => drop(other?),
        }
    }
    Ok(())
}
