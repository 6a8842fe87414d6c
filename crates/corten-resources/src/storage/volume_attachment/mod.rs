//! The wish to have a volume at a node, and whether it is there.
//!
//! Upstream: pkg/registry/storage/volumeattachment, pkg/apis/storage (v1.35).

mod defaults;
mod strategy;
mod table;
mod validation;

use corten_apimachinery::resource::{ResourceDefinition, Scope, Version};

use crate::kind::{standard, status};

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    scope: Scope::Cluster,
    subresources: &[status(&strategy::STATUS)],
    ..standard(
        "storage.k8s.io",
        "VolumeAttachment",
        ("volumeattachment", "volumeattachments"),
        &[Version::hub("v1", "io.k8s.api.storage.v1.VolumeAttachment", defaults::v1)],
        &strategy::Main,
        &table::TABLE,
    )
};

#[cfg(test)]
mod tests;
