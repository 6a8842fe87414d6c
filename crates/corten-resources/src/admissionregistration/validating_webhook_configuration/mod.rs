//! Validating webhook configurations.
//!
//! Upstream: pkg/registry/admissionregistration/validatingwebhookconfiguration, pkg/apis/admissionregistration (v1.35).

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
        "ValidatingWebhookConfiguration",
        ("validatingwebhookconfiguration", "validatingwebhookconfigurations"),
        &[Version::hub("v1", "io.k8s.api.admissionregistration.v1.ValidatingWebhookConfiguration", defaults::v1)],
        &webhooks::Main { is_mutating: false },
        &webhooks::TABLE,
    )
};

#[cfg(test)]
mod tests;
