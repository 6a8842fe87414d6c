//! Deployments.
//!
//! Upstream: pkg/registry/apps/deployment, pkg/apis/apps (v1.35).

mod defaults;
mod strategy;
mod table;
mod validation;

use corten_apimachinery::resource::{ResourceDefinition, Version};

use super::SCALE;
use crate::kind::{scale, standard, status};

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    short_names: &["deploy"],
    categories: &["all"],
    subresources: &[scale(SCALE), status(&strategy::STATUS)],
    ..standard(
        "apps",
        "Deployment",
        ("deployment", "deployments"),
        &[Version::hub("v1", "io.k8s.api.apps.v1.Deployment", defaults::v1)],
        &strategy::Main,
        &table::TABLE,
    )
};

#[cfg(test)]
mod tests;
