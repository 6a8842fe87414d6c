//! Storage classes.
//!
//! Upstream: pkg/registry/storage/storageclass, pkg/apis/storage (v1.35).

mod defaults;
mod strategy;
mod table;
mod validation;

use corten_apimachinery::resource::{ResourceDefinition, Scope, Version};

use crate::kind::standard;

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    short_names: &["sc"],
    scope: Scope::Cluster,
    ..standard(
        "storage.k8s.io",
        "StorageClass",
        ("storageclass", "storageclasses"),
        &[Version::hub("v1", "io.k8s.api.storage.v1.StorageClass", defaults::v1)],
        &strategy::Main,
        &table::TABLE,
    )
};

#[cfg(test)]
mod tests;
