//! The namespaces that every cluster has. Not all of them are kept from being deleted: what is gone comes back empty.
//!
//! Upstream: pkg/controlplane/controller/systemnamespaces (v1.35), and `default` by the kubernetes service controller.

use corten_apimachinery::{gvk::GroupVersionResource, status::Status, value::Value};
use corten_client::{Client, Target, WatchEvent, WatchOptions};
use futures::{StreamExt as _, future};

use super::served;

const NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

fn namespaces() -> GroupVersionResource {
    GroupVersionResource::new("", "v1", "namespaces")
}

/// Makes those that are missing until a watch ends: then it is to be called again. Upstream looks each minute.
///
/// Cancel-safe: every step is repeated at the next call.
pub(super) async fn keep(client: &Client) -> Result<(), Status> {
    if !served::has(client, &namespaces()).await? {
        return future::pending().await;
    }
    let mut changes = client.watch(Target::collection(&namespaces(), ""), &WatchOptions::default()).await?;
    ensure(client).await?;
    while let Some(change) = changes.next().await {
        if let WatchEvent::Deleted(namespace) = change?
            && NAMESPACES.contains(&&*namespace.name)
        {
            ensure(client).await?;
        }
    }
    Ok(())
}

/// Makes those that are missing; none if the kind is switched off.
pub(super) async fn ensure(client: &Client) -> Result<(), Status> {
    let resource = namespaces();
    if !served::has(client, &resource).await? {
        return Ok(());
    }
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

#[cfg(test)]
mod tests {
    use corten_apimachinery::meta::ObjectMeta as _;
    use serde_json::json;

    use crate::testing::{Cluster, admin};

    /// Without it every node's lease fails, and healthy nodes count as lost.
    #[tokio::test]
    async fn a_deleted_namespace_of_the_system_comes_back() {
        const PATH: &str = "/api/v1/namespaces/kube-node-lease";
        let cluster = Cluster::start().await;
        let old = cluster.get(admin(), PATH).await.unwrap();
        cluster.keep_bootstrapped();
        cluster.delete(admin(), PATH).await.unwrap();
        let emptied = json!({"metadata": {"name": "kube-node-lease"}, "spec": {"finalizers": []}});
        cluster.put(admin(), &format!("{PATH}/finalize"), emptied).await.unwrap();
        while cluster.get(admin(), PATH).await.map_or(true, |object| object.uid() == old.uid()) {
            // The keeper runs when this task lets it.
            tokio::task::yield_now().await;
        }
        cluster.stop().await;
    }
}
