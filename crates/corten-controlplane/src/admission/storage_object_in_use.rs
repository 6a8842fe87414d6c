//! New claims and volumes get the finalizer that keeps them while they are used.
//!
//! Upstream: plugin/pkg/admission/storage/storageobjectinuseprotection (v1.35). Controllers remove it again.

use std::sync::Arc;

use async_trait::async_trait;
use corten_apimachinery::{gvk::GroupVersionResource, meta::ObjectMeta as _, status::Status};
use corten_apiserver::admission::{Attributes, Operation, Plugin};

use super::{catalog::Parts, is_create};

const FINALIZERS: [(&str, &str); 2] =
    [("persistentvolumeclaims", "kubernetes.io/pvc-protection"), ("persistentvolumes", "kubernetes.io/pv-protection")];

#[derive(Debug)]
struct StorageObjectInUseProtection;

pub(super) fn build(_parts: &Parts) -> Arc<dyn Plugin> {
    Arc::new(StorageObjectInUseProtection)
}

fn finalizer_of(resource: &GroupVersionResource) -> Option<&'static str> {
    let found = FINALIZERS.iter().find(|(plural, _)| resource.group.is_empty() && resource.resource == *plural);
    found.map(|(_, finalizer)| *finalizer)
}

#[async_trait]
impl Plugin for StorageObjectInUseProtection {
    fn name(&self) -> &'static str {
        "StorageObjectInUseProtection"
    }

    fn handles(&self, operation: Operation, resource: &GroupVersionResource, subresource: &str) -> bool {
        is_create(operation) && finalizer_of(resource).is_some() && subresource.is_empty()
    }

    async fn admit(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        let Some(finalizer) = finalizer_of(attributes.resource) else { return Ok(()) };
        if attributes.object.finalizers().any(|known| known == finalizer) {
            return Ok(());
        }
        let mut finalizers = attributes.object.items_at(&["metadata", "finalizers"]).to_vec();
        finalizers.push(finalizer.into());
        attributes.object.set_meta("finalizers", finalizers);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{Cluster, admin, tree};

    #[tokio::test]
    async fn claims_and_volumes_are_kept_while_they_are_used() {
        let cluster = Cluster::start().await;
        let claim = |name: &str, finalizers: &[&str]| {
            json!({"metadata": {"name": name, "finalizers": finalizers}, "spec": {
                "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}})
        };
        let path = "/api/v1/namespaces/default/persistentvolumeclaims";
        let protection = "kubernetes.io/pvc-protection";
        let both = ["example.com/own", protection];
        for (name, given, want) in
            [("a", &[][..], &both[1..]), ("b", &both[..1], &both[..]), ("c", &both[1..], &both[1..])]
        {
            let made = cluster.post(admin(), path, claim(name, given)).await.unwrap();
            assert_eq!(made.at(&["metadata", "finalizers"]), Some(&tree(json!(want))), "{name}");
        }
        let volume = json!({"metadata": {"name": "v"}, "spec": {"capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/srv"}}});
        let made = cluster.post(admin(), "/api/v1/persistentvolumes", volume).await.unwrap();
        assert_eq!(made.at(&["metadata", "finalizers"]), Some(&tree(json!(["kubernetes.io/pv-protection"]))));
        cluster.stop().await;
    }
}
