//! Limit ranges: what pods and claims of a namespace may ask for, and what they get that ask for nothing.
//!
//! Upstream: pkg/registry/core/limitrange, pkg/apis/core (v1.35).

mod defaults;
mod strategy;
mod validation;

use corten_apimachinery::resource::{ResourceDefinition, Version};

use crate::{kind::standard, show};

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    short_names: &["limits"],
    ..standard(
        "",
        "LimitRange",
        ("limitrange", "limitranges"),
        &[Version::hub("v1", "io.k8s.api.core.v1.LimitRange", defaults::v1)],
        &strategy::Main,
        &show::CREATED_AT,
    )
};

#[cfg(test)]
mod tests;
