//! Leases: heartbeats of nodes and locks of elected leaders.
//!
//! Upstream: pkg/registry/coordination/lease, pkg/apis/coordination/validation (v1.35).

mod strategy;
mod table;
mod validation;

use corten_apimachinery::resource::{ResourceDefinition, Version};

use crate::{defaulting, kind::standard};

/// The resource.
pub static RESOURCE: ResourceDefinition = standard(
    "coordination.k8s.io",
    "Lease",
    ("lease", "leases"),
    &[Version::hub("v1", "io.k8s.api.coordination.v1.Lease", defaulting::none)],
    &strategy::Main,
    &table::TABLE,
);

#[cfg(test)]
mod tests;
