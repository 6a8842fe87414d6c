//! Pod templates: kept for others to use, nothing is made of them here.
//!
//! Upstream: pkg/registry/core/podtemplate, pkg/apis/core/validation (v1.35).

mod defaults;
mod strategy;
mod table;
mod validation;

use corten_apimachinery::resource::{ResourceDefinition, Version};

use crate::kind::standard;

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    ..standard(
        "",
        "PodTemplate",
        ("podtemplate", "podtemplates"),
        &[Version::hub("v1", "io.k8s.api.core.v1.PodTemplate", defaults::v1)],
        &strategy::Main,
        &table::TABLE,
    )
};

#[cfg(test)]
mod tests;
