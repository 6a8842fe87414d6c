//! Bindings of mutating admission policies.
//!
//! Upstream: pkg/registry/admissionregistration/mutatingadmissionpolicybinding, pkg/apis/admissionregistration (v1.35).

mod defaults;
mod validation;

use corten_apimachinery::resource::{Deprecation, ResourceDefinition, Scope, Version};

use super::{GROUP, MUTATING_POLICY_GATE, binding};
use crate::kind::standard;

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    categories: &["api-extensions"],
    scope: Scope::Cluster,
    ..standard(
        GROUP,
        "MutatingAdmissionPolicyBinding",
        ("mutatingadmissionpolicybinding", "mutatingadmissionpolicybindings"),
        &[
            Version::hub(
                "v1beta1",
                "io.k8s.api.admissionregistration.v1beta1.MutatingAdmissionPolicyBinding",
                binding::defaults,
            )
            .gated(MUTATING_POLICY_GATE),
            Version::like_hub(
                "v1alpha1",
                "io.k8s.api.admissionregistration.v1alpha1.MutatingAdmissionPolicyBinding",
                defaults::v1alpha1,
            )
            .gated(MUTATING_POLICY_GATE)
            .deprecated(Deprecation::beta_since(35)),
        ],
        &binding::Main { validate: validation::binding },
        &binding::TABLE,
    )
};

#[cfg(test)]
mod tests;
