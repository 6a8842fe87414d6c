//! What a driver for storage wants of the cluster.
//!
//! Upstream: pkg/registry/storage/csidriver, pkg/apis/storage (v1.35).

mod defaults;
mod strategy;
mod table;
mod validation;

use corten_apimachinery::resource::{ResourceDefinition, Scope, Version};

use crate::kind::standard;

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    scope: Scope::Cluster,
    ..standard(
        "storage.k8s.io",
        "CSIDriver",
        ("csidriver", "csidrivers"),
        &[Version::hub("v1", "io.k8s.api.storage.v1.CSIDriver", defaults::v1)],
        &strategy::Main,
        &table::TABLE,
    )
};

#[cfg(test)]
mod tests;
