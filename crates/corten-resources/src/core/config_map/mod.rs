//! Config maps.
//!
//! Upstream: pkg/registry/core/configmap, pkg/apis/core/validation (v1.35).

mod table;
mod validation;

pub(crate) use validation::{DATA_MAX_BYTES, decoded_len, frozen};

use corten_apimachinery::resource::{ResourceDefinition, Version};

use crate::{as_sent::AsSent, defaulting::fill_bytes, kind::standard};

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    short_names: &["cm"],
    ..standard(
        "",
        "ConfigMap",
        ("configmap", "configmaps"),
        &[Version::hub("v1", "io.k8s.api.core.v1.ConfigMap", |map| fill_bytes(map, "binaryData"))],
        &AsSent { create: validation::create, update: validation::update },
        &table::TABLE,
    )
};

#[cfg(test)]
mod tests;
