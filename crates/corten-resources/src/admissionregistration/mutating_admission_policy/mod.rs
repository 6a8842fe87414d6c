//! Mutating admission policies: expressions that change objects on their way into the store.
//!
//! Upstream: pkg/registry/admissionregistration/mutatingadmissionpolicy, pkg/apis/admissionregistration (v1.35).

mod strategy;
mod table;
mod validation;

use corten_apimachinery::resource::{Deprecation, ResourceDefinition, Scope, Version};

use super::{GROUP, MUTATING_POLICY_GATE, policy};
use crate::kind::standard;

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    categories: &["api-extensions"],
    scope: Scope::Cluster,
    ..standard(
        GROUP,
        "MutatingAdmissionPolicy",
        ("mutatingadmissionpolicy", "mutatingadmissionpolicies"),
        &[
            Version::hub(
                "v1beta1",
                "io.k8s.api.admissionregistration.v1beta1.MutatingAdmissionPolicy",
                policy::defaults,
            )
            .gated(MUTATING_POLICY_GATE),
            Version::like_hub(
                "v1alpha1",
                "io.k8s.api.admissionregistration.v1alpha1.MutatingAdmissionPolicy",
                policy::defaults,
            )
            .gated(MUTATING_POLICY_GATE)
            .deprecated(Deprecation::beta_since(35)),
        ],
        &strategy::Main,
        &table::TABLE,
    )
};

#[cfg(test)]
mod tests;
