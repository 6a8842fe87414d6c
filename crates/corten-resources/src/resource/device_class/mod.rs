//! Classes of devices: what a request names, with the selectors and the configuration that come with it.
//!
//! Upstream: pkg/registry/resource/deviceclass, pkg/apis/resource (v1.35).

mod strategy;
mod table;
mod validation;

use corten_apimachinery::resource::{Deprecation, ResourceDefinition, Scope, Version};

use crate::{defaulting, kind::standard};

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    scope: Scope::Cluster,
    ..standard(
        "resource.k8s.io",
        "DeviceClass",
        ("deviceclass", "deviceclasses"),
        &[
            Version::hub("v1", "io.k8s.api.resource.v1.DeviceClass", defaulting::none),
            Version::like_hub("v1beta2", "io.k8s.api.resource.v1beta2.DeviceClass", defaulting::none),
            Version::like_hub("v1beta1", "io.k8s.api.resource.v1beta1.DeviceClass", defaulting::none)
                .deprecated(Deprecation::beta_since(35)),
        ],
        &strategy::Main,
        &table::TABLE,
    )
};

#[cfg(test)]
mod tests;
