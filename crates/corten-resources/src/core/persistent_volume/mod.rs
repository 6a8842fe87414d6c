//! Persistent volumes.
//!
//! Upstream: pkg/registry/core/persistentvolume, pkg/apis/core/validation (v1.35).

mod defaults;
mod strategy;
mod table;
mod validation;

use corten_apimachinery::resource::{ResourceDefinition, Scope, Version};

pub(crate) use self::{defaults::source as source_defaults, validation::inline as validate_inline};
use crate::kind::{standard, status};

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    short_names: &["pv"],
    scope: Scope::Cluster,
    subresources: &[status(&strategy::STATUS)],
    ..standard(
        "",
        "PersistentVolume",
        ("persistentvolume", "persistentvolumes"),
        &[Version::hub("v1", "io.k8s.api.core.v1.PersistentVolume", defaults::v1)],
        &strategy::Main,
        &table::TABLE,
    )
};

#[cfg(test)]
mod tests;
