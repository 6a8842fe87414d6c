//! Slices of a driver's pool of devices.
//!
//! Upstream: pkg/registry/resource/resourceslice, pkg/apis/resource (v1.35).

mod conversion;
mod gates;
mod strategy;
mod table;
mod validation;

use corten_apimachinery::resource::{Deprecation, ResourceDefinition, Scope, Version};

use crate::{
    defaulting,
    kind::{selectable, standard},
};

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    scope: Scope::Cluster,
    selectable_fields: &[
        selectable!("spec.nodeName", "spec", "nodeName"),
        selectable!("spec.driver", "spec", "driver"),
    ],
    ..standard(
        "resource.k8s.io",
        "ResourceSlice",
        ("resourceslice", "resourceslices"),
        &[
            Version::hub("v1", "io.k8s.api.resource.v1.ResourceSlice", defaulting::none),
            Version::like_hub("v1beta2", "io.k8s.api.resource.v1beta2.ResourceSlice", defaulting::none),
            Version::like_hub("v1beta1", "io.k8s.api.resource.v1beta1.ResourceSlice", defaulting::none)
                .converted(conversion::to_hub, conversion::from_hub)
                .deprecated(Deprecation::beta_since(35)),
        ],
        &strategy::Main,
        &table::TABLE,
    )
};

#[cfg(test)]
mod tests;
