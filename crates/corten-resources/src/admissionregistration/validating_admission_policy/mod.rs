//! Validating admission policies: expressions that objects have to meet.
//!
//! That who makes one may read its parameters is the control plane's to check: it needs an authorizer.
//! Upstream: pkg/registry/admissionregistration/validatingadmissionpolicy, pkg/apis/admissionregistration (v1.35).

mod strategy;
mod table;
mod validation;

use corten_apimachinery::resource::{ResourceDefinition, Scope, Version};

use super::{GROUP, policy};
use crate::kind::{standard, status};

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    categories: &["api-extensions"],
    scope: Scope::Cluster,
    subresources: &[status(&strategy::STATUS)],
    ..standard(
        GROUP,
        "ValidatingAdmissionPolicy",
        ("validatingadmissionpolicy", "validatingadmissionpolicies"),
        &[Version::hub("v1", "io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicy", policy::defaults)],
        &strategy::Main,
        &table::TABLE,
    )
};

#[cfg(test)]
mod tests;
