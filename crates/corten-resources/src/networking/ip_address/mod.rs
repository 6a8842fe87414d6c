//! IP addresses that something in the cluster has: each is named by the address itself.
//!
//! Upstream: pkg/registry/networking/ipaddress, pkg/apis/networking (v1.35).

mod strategy;
mod table;
mod validation;

use corten_apimachinery::resource::{Deprecation, ResourceDefinition, Scope, Version};

use crate::{defaulting, kind::standard};

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    short_names: &["ip"],
    scope: Scope::Cluster,
    ..standard(
        "networking.k8s.io",
        "IPAddress",
        ("ipaddress", "ipaddresses"),
        &[
            Version::hub("v1", "io.k8s.api.networking.v1.IPAddress", defaulting::none),
            Version::like_hub("v1beta1", "io.k8s.api.networking.v1beta1.IPAddress", defaulting::none)
                .deprecated(Deprecation::beta_since(34)),
        ],
        &strategy::Main,
        &table::TABLE,
    )
};

#[cfg(test)]
mod tests;
