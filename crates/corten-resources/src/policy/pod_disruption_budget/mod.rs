//! Pod disruption budgets: how many pods may be sent away at once.
//!
//! Upstream: pkg/registry/policy/poddisruptionbudget, pkg/apis/policy (v1.35).

mod defaults;
mod strategy;
mod table;
mod validation;

use corten_apimachinery::resource::{ResourceDefinition, Version};

use crate::kind::{standard, status};

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    short_names: &["pdb"],
    subresources: &[status(&strategy::STATUS)],
    ..standard(
        "policy",
        "PodDisruptionBudget",
        ("poddisruptionbudget", "poddisruptionbudgets"),
        &[Version::hub("v1", "io.k8s.api.policy.v1.PodDisruptionBudget", defaults::v1)],
        &strategy::Main,
        &table::TABLE,
    )
};

#[cfg(test)]
mod tests;
