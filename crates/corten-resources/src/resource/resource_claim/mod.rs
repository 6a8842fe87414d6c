//! Claims to devices: who wants which, which they got, and who uses them.
//!
//! That a namespace allows admin access is not looked at here, because rules see no other objects: the control plane's
//! admission does. Upstream: pkg/registry/resource/resourceclaim, pkg/apis/resource (v1.35).

mod conversion;
mod defaults;
mod gates;
mod strategy;
mod table;
mod validation;

use corten_apimachinery::resource::{Deprecation, ResourceDefinition, Version};

use crate::kind::{standard, status};

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    subresources: &[status(&strategy::STATUS)],
    ..standard(
        "resource.k8s.io",
        "ResourceClaim",
        ("resourceclaim", "resourceclaims"),
        &[
            Version::hub("v1", "io.k8s.api.resource.v1.ResourceClaim", defaults::v1),
            Version::like_hub("v1beta2", "io.k8s.api.resource.v1beta2.ResourceClaim", defaults::v1),
            Version::like_hub("v1beta1", "io.k8s.api.resource.v1beta1.ResourceClaim", defaults::v1beta1)
                .converted(conversion::to_hub, conversion::from_hub)
                .deprecated(Deprecation::beta_since(35)),
        ],
        &strategy::Main,
        &table::TABLE,
    )
};

#[cfg(test)]
mod tests;
