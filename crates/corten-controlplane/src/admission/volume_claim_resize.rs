//! A claim asks for more only once it is bound, and only of a class that lets its volumes grow.
//!
//! Upstream: plugin/pkg/admission/storage/persistentvolume/resize (v1.35).

use std::sync::Arc;

use async_trait::async_trait;
use corten_apimachinery::{gvk::GroupVersionResource, quantity::Quantity, status::Status, value::Value};
use corten_apiserver::{
    admission::{Attributes, Operation, Plugin},
    registry::read_failure,
};

use super::{catalog::Parts, default_storage_class::class_of, forbidden};
use crate::caches::{Caches, tree};

#[derive(Debug)]
struct PersistentVolumeClaimResize {
    caches: Arc<Caches>,
}

pub(super) fn build(parts: &Parts) -> Arc<dyn Plugin> {
    Arc::new(PersistentVolumeClaimResize { caches: Arc::clone(&parts.caches) })
}

#[async_trait]
impl Plugin for PersistentVolumeClaimResize {
    fn name(&self) -> &'static str {
        "PersistentVolumeClaimResize"
    }

    fn handles(&self, operation: Operation, resource: &GroupVersionResource, subresource: &str) -> bool {
        let is_claim = resource.group.is_empty() && resource.resource == "persistentvolumeclaims";
        operation == Operation::Update && is_claim && subresource.is_empty()
    }

    async fn validate(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        let (claim, old) = (&attributes.object, &attributes.old_object);
        if size(claim) <= size(old) {
            return Ok(());
        }
        if old.str_at(&["status", "phase"]) != Some("Bound") {
            return Err(forbidden(attributes, "Only bound persistent volume claims can be expanded"));
        }
        let class = class_of(claim).unwrap_or_default();
        if class.is_empty() || class_of(old) != Some(class) || !self.may_grow(class).await? {
            let why = "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must \
                       support resize";
            return Err(forbidden(attributes, why));
        }
        Ok(())
    }
}

impl PersistentVolumeClaimResize {
    /// Whether there is such a class, and it lets its volumes grow.
    async fn may_grow(&self, class: &str) -> Result<bool, Status> {
        let Some(cacher) = self.caches.get("storage.k8s.io", "storageclasses") else { return Ok(false) };
        let snapshot = cacher.consistent().await.map_err(read_failure)?;
        let found = snapshot.range("", "").find(|(_, stored)| stored.name == class);
        let Some((_, stored)) = found else { return Ok(false) };
        Ok(tree(stored)?.bool_at(&["allowVolumeExpansion"]).unwrap_or_default())
    }
}

fn size(claim: &Value) -> Quantity {
    let text = claim.str_at(&["spec", "resources", "requests", "storage"]);
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use corten_client::PatchKind;
    use serde_json::{Value as Json, json};

    use crate::testing::{Cluster, admin};

    const CLAIMS: &str = "/api/v1/namespaces/default/persistentvolumeclaims";

    /// The plugin was missing: every bound claim could ask for more, and nobody gave it.
    #[tokio::test]
    async fn a_claim_grows_if_its_class_says_so() {
        let cluster = Cluster::start().await;
        let classes = "/apis/storage.k8s.io/v1/storageclasses";
        for (name, grows) in [("grows", json!(true)), ("stays", json!(false)), ("silent", Json::Null)] {
            let class = json!({"metadata": {"name": name}, "provisioner": "a.b/c", "allowVolumeExpansion": grows});
            cluster.post(admin(), classes, class).await.unwrap();
        }
        let resized = async |name: &str, class: Json, to: &str| {
            let resources = json!({"requests": {"storage": "5Gi"}});
            let spec = json!({"accessModes": ["ReadWriteOnce"], "resources": resources, "storageClassName": class});
            cluster.post(admin(), CLAIMS, json!({"metadata": {"name": name}, "spec": spec})).await.unwrap();
            let path = &format!("{CLAIMS}/{name}");
            let status = json!({"status": {"phase": "Bound", "capacity": {"storage": "5Gi"}}});
            cluster.patch(admin(), &format!("{path}/status"), PatchKind::Merge, status).await.unwrap();
            let patch = json!({"spec": {"resources": {"requests": {"storage": to}}}});
            cluster.patch(admin(), path, PatchKind::Merge, patch).await.map_err(|status| (status.code, status.message))
        };
        let refused = |name: &str| {
            let why = "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must \
                       support resize";
            (403, format!("persistentvolumeclaims \"{name}\" is forbidden: {why}"))
        };
        resized("a", json!("grows"), "9Gi").await.unwrap();
        resized("b", json!("stays"), "5Gi").await.unwrap();
        for (name, class) in [("c", json!("stays")), ("d", json!("silent")), ("e", json!("none")), ("f", json!(""))] {
            assert_eq!(resized(name, class, "9Gi").await.unwrap_err(), refused(name));
        }
        cluster.stop().await;
    }
}
