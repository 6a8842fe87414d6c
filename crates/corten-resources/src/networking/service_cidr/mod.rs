//! The ranges from which services get their addresses.
//!
//! Upstream: pkg/registry/networking/servicecidr, pkg/apis/networking (v1.35).

mod strategy;
mod table;
mod validation;

use corten_apimachinery::resource::{Deprecation, ResourceDefinition, Scope, Version};

use crate::{
    defaulting,
    kind::{standard, status},
};

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    scope: Scope::Cluster,
    subresources: &[status(&strategy::STATUS)],
    ..standard(
        "networking.k8s.io",
        "ServiceCIDR",
        ("servicecidr", "servicecidrs"),
        &[
            Version::hub("v1", "io.k8s.api.networking.v1.ServiceCIDR", defaulting::none),
            Version::like_hub("v1beta1", "io.k8s.api.networking.v1beta1.ServiceCIDR", defaulting::none)
                .deprecated(Deprecation::beta_since(34)),
        ],
        &strategy::MAIN,
        &table::TABLE,
    )
};

#[cfg(test)]
mod tests;
