//! Which drivers for storage a node has.
//!
//! Upstream: pkg/registry/storage/csinode, pkg/apis/storage (v1.35).

mod strategy;
mod table;
mod validation;

use corten_apimachinery::resource::{ResourceDefinition, Scope, Version};

use crate::{defaulting, kind::standard};

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    scope: Scope::Cluster,
    ..standard(
        "storage.k8s.io",
        "CSINode",
        ("csinode", "csinodes"),
        &[Version::hub("v1", "io.k8s.api.storage.v1.CSINode", defaulting::none)],
        &strategy::Main,
        &table::TABLE,
    )
};

#[cfg(test)]
mod tests;
