//! Storage version migrations: all objects of a resource are written once more, in the form of today.
//!
//! Upstream: pkg/registry/storagemigration/storagemigration, pkg/apis/storagemigration (v1.35).

mod strategy;
mod table;
mod validation;

use corten_apimachinery::resource::{ResourceDefinition, Scope, Version};

use crate::{
    defaulting,
    kind::{standard, status},
};

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    scope: Scope::Cluster,
    subresources: &[status(&strategy::STATUS)],
    ..standard(
        "storagemigration.k8s.io",
        "StorageVersionMigration",
        ("storageversionmigration", "storageversionmigrations"),
        &[Version::hub("v1beta1", "io.k8s.api.storagemigration.v1beta1.StorageVersionMigration", defaulting::none)
            .gated("StorageVersionMigrator")],
        &strategy::Main,
        &table::TABLE,
    )
};

#[cfg(test)]
mod tests;
