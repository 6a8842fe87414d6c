//! Bindings of validating admission policies.
//!
//! Upstream: pkg/registry/admissionregistration/validatingadmissionpolicybinding, pkg/apis/admissionregistration (v1.35).

mod validation;

use corten_apimachinery::resource::{ResourceDefinition, Scope, Version};

use super::{GROUP, binding};
use crate::kind::standard;

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    categories: &["api-extensions"],
    scope: Scope::Cluster,
    ..standard(
        GROUP,
        "ValidatingAdmissionPolicyBinding",
        ("validatingadmissionpolicybinding", "validatingadmissionpolicybindings"),
        &[Version::hub(
            "v1",
            "io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicyBinding",
            binding::defaults,
        )],
        &binding::Main { validate: validation::binding },
        &binding::TABLE,
    )
};

#[cfg(test)]
mod tests;
