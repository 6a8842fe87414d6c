//! Claims for volumes.
//!
//! Upstream: pkg/registry/core/persistentvolumeclaim, pkg/apis/core/validation (v1.35).

mod defaults;
mod strategy;
mod table;
mod validation;

use corten_apimachinery::resource::{ResourceDefinition, Version};

pub(crate) use defaults::v1 as set_defaults;
pub(crate) use strategy::spec_warnings;
pub(crate) use table::access_modes;
pub(crate) use validation::{VOLUME_MODES, access_modes as validate_access_modes, spec as validate_spec};

use crate::kind::{standard, status};

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    short_names: &["pvc"],
    subresources: &[status(&strategy::STATUS)],

    ..standard(
        "",
        "PersistentVolumeClaim",
        ("persistentvolumeclaim", "persistentvolumeclaims"),
        &[Version::hub("v1", "io.k8s.api.core.v1.PersistentVolumeClaim", defaults::v1)],
        &strategy::Main,
        &table::TABLE,
    )
};

#[cfg(test)]
mod tests;
