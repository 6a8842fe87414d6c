//! Daemon sets.
//!
//! Upstream: pkg/registry/apps/daemonset, pkg/apis/apps (v1.35).

mod defaults;
mod generation;
mod strategy;
mod table;
mod validation;

use corten_apimachinery::resource::{ResourceDefinition, Version};

use crate::kind::{standard, status};

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    short_names: &["ds"],
    categories: &["all"],
    subresources: &[status(&strategy::STATUS)],
    ..standard(
        "apps",
        "DaemonSet",
        ("daemonset", "daemonsets"),
        &[Version::hub("v1", "io.k8s.api.apps.v1.DaemonSet", defaults::v1).misfitting(generation::misfit)],
        &strategy::Main,
        &table::TABLE,
    )
};

#[cfg(test)]
mod tests;
