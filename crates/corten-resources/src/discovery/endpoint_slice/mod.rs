//! Endpoint slices: the addresses behind a service, at most a thousand in one object.
//!
//! Upstream: pkg/registry/discovery/endpointslice, pkg/apis/discovery (v1.35).

mod defaults;
mod strategy;
mod table;
mod validation;

use corten_apimachinery::resource::{ResourceDefinition, Version};

use crate::kind::standard;

/// The resource.
pub static RESOURCE: ResourceDefinition = standard(
    "discovery.k8s.io",
    "EndpointSlice",
    ("endpointslice", "endpointslices"),
    &[Version::hub("v1", "io.k8s.api.discovery.v1.EndpointSlice", defaults::v1)],
    &strategy::Main,
    &table::TABLE,
);

#[cfg(test)]
mod tests;
