//! Mutating webhook configurations.
//!
//! Upstream: pkg/registry/admissionregistration/mutatingwebhookconfiguration, pkg/apis/admissionregistration (v1.35).

mod defaults;

use corten_apimachinery::resource::{ResourceDefinition, Scope, Version};

use super::{GROUP, webhooks};
use crate::kind::standard;

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    categories: &["api-extensions"],
    scope: Scope::Cluster,
    ..standard(
        GROUP,
        "MutatingWebhookConfiguration",
        ("mutatingwebhookconfiguration", "mutatingwebhookconfigurations"),
        &[Version::hub("v1", "io.k8s.api.admissionregistration.v1.MutatingWebhookConfiguration", defaults::v1)],
        &webhooks::Main { is_mutating: true },
        &webhooks::TABLE,
    )
};

#[cfg(test)]
mod tests;
