//! Priority classes.
//!
//! Upstream: pkg/registry/scheduling/priorityclass, pkg/apis/scheduling (v1.35).

mod defaults;
mod strategy;
mod table;
mod validation;

use corten_apimachinery::resource::{ResourceDefinition, Scope, Version};

use crate::kind::standard;

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    short_names: &["pc"],
    scope: Scope::Cluster,
    ..standard(
        "scheduling.k8s.io",
        "PriorityClass",
        ("priorityclass", "priorityclasses"),
        &[Version::hub("v1", "io.k8s.api.scheduling.v1.PriorityClass", defaults::v1)],
        &strategy::Main,
        &table::TABLE,
    )
};

#[cfg(test)]
mod tests;
