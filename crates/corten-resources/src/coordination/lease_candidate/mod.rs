//! Lease candidates: who wants to lead, and which versions he has.
//!
//! Upstream: pkg/registry/coordination/leasecandidate, pkg/apis/coordination (v1.35).

mod semver;
mod strategy;
mod table;
mod validation;

use corten_apimachinery::resource::{Deprecation, ResourceDefinition, Version};

use super::coordinated::GATE;
use crate::{defaulting, kind::standard};

/// The resource.
pub static RESOURCE: ResourceDefinition = standard(
    "coordination.k8s.io",
    "LeaseCandidate",
    ("leasecandidate", "leasecandidates"),
    &[
        Version::hub("v1beta1", "io.k8s.api.coordination.v1beta1.LeaseCandidate", defaulting::none).gated(GATE),
        Version::like_hub("v1alpha2", "io.k8s.api.coordination.v1alpha2.LeaseCandidate", defaulting::none)
            .gated(GATE)
            .deprecated(Deprecation::beta_since(35)),
    ],
    &strategy::Main,
    &table::TABLE,
);

#[cfg(test)]
mod tests;
