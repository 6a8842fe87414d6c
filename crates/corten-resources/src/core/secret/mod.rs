//! Secrets.
//!
//! Upstream: pkg/registry/core/secret, pkg/apis/core/validation (v1.35).

mod defaults;
mod table;
mod validation;

use corten_apimachinery::resource::{ResourceDefinition, Version};

use crate::{
    as_sent::AsSent,
    kind::{selectable, standard},
};

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    selectable_fields: &[selectable!("type", "type")],
    ..standard(
        "",
        "Secret",
        ("secret", "secrets"),
        &[Version::hub("v1", "io.k8s.api.core.v1.Secret", defaults::v1)],
        &AsSent { create: validation::create, update: validation::update },
        &table::TABLE,
    )
};

#[cfg(test)]
mod tests;
