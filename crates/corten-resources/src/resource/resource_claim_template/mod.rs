//! Templates that claims of pods are made from.
//!
//! Upstream: pkg/registry/resource/resourceclaimtemplate, pkg/apis/resource (v1.35).

mod conversion;
mod defaults;
mod strategy;
mod table;
mod validation;

use corten_apimachinery::resource::{Deprecation, ResourceDefinition, Version};

use crate::kind::standard;

/// The resource.
pub static RESOURCE: ResourceDefinition = standard(
    "resource.k8s.io",
    "ResourceClaimTemplate",
    ("resourceclaimtemplate", "resourceclaimtemplates"),
    &[
        Version::hub("v1", "io.k8s.api.resource.v1.ResourceClaimTemplate", defaults::v1),
        Version::like_hub("v1beta2", "io.k8s.api.resource.v1beta2.ResourceClaimTemplate", defaults::v1),
        Version::like_hub("v1beta1", "io.k8s.api.resource.v1beta1.ResourceClaimTemplate", defaults::v1beta1)
            .converted(conversion::to_hub, conversion::from_hub)
            .deprecated(Deprecation::beta_since(35)),
    ],
    &strategy::Main,
    &table::TABLE,
);

#[cfg(test)]
mod tests;
