//! A claim that names no class gets the cluster's default one.
//!
//! Upstream: plugin/pkg/admission/storage/storageclass/setdefault, pkg/volume/util/storageclass.go (v1.35).

use std::sync::Arc;

use async_trait::async_trait;
use corten_apimachinery::{gvk::GroupVersionResource, meta::ObjectMeta as _, status::Status, value::Value};
use corten_apiserver::{
    admission::{Attributes, Operation, Plugin},
    registry::read_failure,
};

use super::{catalog::Parts, is_create, newest_by_name};
use crate::caches::{Caches, tree};

/// How a class says that it is the default; the second one is of old.
const IS_DEFAULT: [&str; 2] =
    ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];

/// How a claim of old names its class.
const CLASS_OF_OLD: &str = "volume.beta.kubernetes.io/storage-class";

#[derive(Debug)]
struct DefaultStorageClass {
    caches: Arc<Caches>,
}

pub(super) fn build(parts: &Parts) -> Arc<dyn Plugin> {
    Arc::new(DefaultStorageClass { caches: Arc::clone(&parts.caches) })
}

#[async_trait]
impl Plugin for DefaultStorageClass {
    fn name(&self) -> &'static str {
        "DefaultStorageClass"
    }

    fn handles(&self, operation: Operation, resource: &GroupVersionResource, subresource: &str) -> bool {
        let is_claim = resource.group.is_empty() && resource.resource == "persistentvolumeclaims";
        is_create(operation) && is_claim && subresource.is_empty()
    }

    async fn admit(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        if has_class(&attributes.object) {
            return Ok(());
        }
        let Some(cacher) = self.caches.get("storage.k8s.io", "storageclasses") else { return Ok(()) };
        let snapshot = cacher.consistent().await.map_err(read_failure)?;
        let classes = snapshot.range("", "").map(|(_, class)| tree(class)).collect::<Result<Vec<Value>, Status>>()?;
        if let Some(name) = default_of(&classes) {
            attributes.object.set(&["spec", "storageClassName"], name);
        }
        Ok(())
    }
}

/// Whether a claim says which class it wants: an empty name says that it wants none.
pub(super) fn has_class(claim: &Value) -> bool {
    claim.at(&["metadata", "annotations", CLASS_OF_OLD]).is_some() || claim.at(&["spec", "storageClassName"]).is_some()
}

/// The class that a claim names.
pub(super) fn class_of(claim: &Value) -> Option<&str> {
    claim.annotation(CLASS_OF_OLD).or_else(|| claim.str_at(&["spec", "storageClassName"]))
}

/// The default class: the newest of those that say they are it, and of those the first by name.
pub(super) fn default_of(classes: &[Value]) -> Option<&str> {
    let is_default =
        |class: &&Value| IS_DEFAULT.iter().any(|key| class.str_at(&["metadata", "annotations", key]) == Some("true"));
    newest_by_name(classes.iter().filter(is_default)).map(|class| class.name())
}
