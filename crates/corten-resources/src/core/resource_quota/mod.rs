//! Resource quotas: how much of everything a namespace may have.
//!
//! Upstream: pkg/registry/core/resourcequota, pkg/apis/core (v1.35).

mod defaults;
mod scopes;
mod strategy;
mod table;
mod validation;

use corten_apimachinery::resource::{ResourceDefinition, Version};

use crate::kind::{standard, status};

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    short_names: &["quota"],
    subresources: &[status(&strategy::STATUS)],
    ..standard(
        "",
        "ResourceQuota",
        ("resourcequota", "resourcequotas"),
        &[Version::hub("v1", "io.k8s.api.core.v1.ResourceQuota", defaults::v1)],
        &strategy::Main,
        &table::TABLE,
    )
};

#[cfg(test)]
mod tests;
