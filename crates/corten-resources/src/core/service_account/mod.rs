//! Service accounts. `token` is answered by the control plane.
//!
//! Upstream: pkg/registry/core/serviceaccount (v1.35).

mod strategy;
mod table;

use corten_apimachinery::resource::{ResourceDefinition, Verb, Version};

use crate::{
    defaulting,
    kind::{custom, standard},
};

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    short_names: &["sa"],
    subresources: &[custom("token", ("authentication.k8s.io", "v1", "TokenRequest"), Verb::CREATE_ONLY)],
    ..standard(
        "",
        "ServiceAccount",
        ("serviceaccount", "serviceaccounts"),
        &[Version::hub("v1", "io.k8s.api.core.v1.ServiceAccount", defaulting::none)],
        &strategy::Main,
        &table::TABLE,
    )
};

#[cfg(test)]
mod tests;
