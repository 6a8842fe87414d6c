//! Ingresses: which service answers requests for a host and path from outside.
//!
//! Upstream: pkg/registry/networking/ingress, pkg/apis/networking (v1.35).

mod strategy;
mod table;
mod validation;

use corten_apimachinery::resource::{ResourceDefinition, Version};

pub(in crate::networking) use self::validation::reference;

use crate::{
    defaulting,
    kind::{standard, status},
};

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    short_names: &["ing"],
    subresources: &[status(&strategy::Status)],
    // Where they were kept when they were in group extensions.
    storage_prefix: "ingress",
    ..standard(
        "networking.k8s.io",
        "Ingress",
        ("ingress", "ingresses"),
        &[Version::hub("v1", "io.k8s.api.networking.v1.Ingress", defaulting::none)],
        &strategy::Main,
        &table::TABLE,
    )
};

#[cfg(test)]
mod tests;
