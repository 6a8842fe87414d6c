//! Ingress classes: which controllers there are for ingresses.
//!
//! Upstream: pkg/registry/networking/ingressclass, pkg/apis/networking (v1.35).

mod defaults;
mod strategy;
mod table;
mod validation;

use corten_apimachinery::resource::{ResourceDefinition, Scope, Version};

use crate::kind::standard;

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    scope: Scope::Cluster,
    ..standard(
        "networking.k8s.io",
        "IngressClass",
        ("ingressclass", "ingressclasses"),
        &[Version::hub("v1", "io.k8s.api.networking.v1.IngressClass", defaults::v1)],
        &strategy::Main,
        &table::TABLE,
    )
};

#[cfg(test)]
mod tests;
