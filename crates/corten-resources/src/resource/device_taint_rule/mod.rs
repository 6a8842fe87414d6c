//! Taints that somebody else than its driver gives a device.
//!
//! Upstream: pkg/registry/resource/devicetaintrule, pkg/apis/resource (v1.35).

mod strategy;
mod table;
mod validation;

use corten_apimachinery::resource::{ResourceDefinition, Scope, Version};

use crate::{
    defaulting,
    kind::{standard, status},
};

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    scope: Scope::Cluster,
    subresources: &[status(&strategy::STATUS)],
    ..standard(
        "resource.k8s.io",
        "DeviceTaintRule",
        ("devicetaintrule", "devicetaintrules"),
        &[Version::hub("v1alpha3", "io.k8s.api.resource.v1alpha3.DeviceTaintRule", defaulting::none)
            .gated("DRADeviceTaintRules")],
        &strategy::Main,
        &table::TABLE,
    )
};

#[cfg(test)]
mod tests;
