//! Stateful sets.
//!
//! Upstream: pkg/registry/apps/statefulset, pkg/apis/apps (v1.35).

mod defaults;
mod strategy;
mod table;
mod validation;

use corten_apimachinery::resource::{ResourceDefinition, Version};

use super::SCALE;
use crate::kind::{scale, standard, status};

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    short_names: &["sts"],
    categories: &["all"],
    subresources: &[scale(SCALE), status(&strategy::STATUS)],
    ..standard(
        "apps",
        "StatefulSet",
        ("statefulset", "statefulsets"),
        &[Version::hub("v1", "io.k8s.api.apps.v1.StatefulSet", defaults::v1)],
        &strategy::Main,
        &table::TABLE,
    )
};

#[cfg(test)]
mod tests;
