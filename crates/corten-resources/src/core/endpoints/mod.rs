//! Endpoints: the addresses behind a service, in the form before endpoint slices.
//!
//! Upstream: pkg/registry/core/endpoint, pkg/apis/core/validation (v1.35).

mod defaults;
mod repack;
mod strategy;
mod table;
mod validation;

use corten_apimachinery::resource::{Deprecation, ResourceDefinition, Version};

use crate::kind::standard;

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    short_names: &["ep"],
    storage_prefix: "services/endpoints",
    ..standard(
        "",
        "Endpoints",
        ("endpoints", "endpoints"),
        &[Version::hub("v1", "io.k8s.api.core.v1.Endpoints", defaults::v1)
            .deprecated(Deprecation::since(33).replaced_by("discovery.k8s.io/v1 EndpointSlice"))],
        &strategy::Main,
        &table::TABLE,
    )
};

#[cfg(test)]
mod tests;
