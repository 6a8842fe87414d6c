//! Network policies: who may talk to the pods of a namespace, and whom they may talk to.
//!
//! Upstream: pkg/registry/networking/networkpolicy, pkg/apis/networking (v1.35).

mod defaults;
mod strategy;
mod table;
mod validation;

use corten_apimachinery::resource::{ResourceDefinition, Version};

use crate::kind::standard;

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    short_names: &["netpol"],
    ..standard(
        "networking.k8s.io",
        "NetworkPolicy",
        ("networkpolicy", "networkpolicies"),
        &[Version::hub("v1", "io.k8s.api.networking.v1.NetworkPolicy", defaults::v1)],
        &strategy::Main,
        &table::TABLE,
    )
};

#[cfg(test)]
mod tests;
