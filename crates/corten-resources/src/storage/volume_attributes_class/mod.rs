//! Classes of what can be changed of a volume while it is used.
//!
//! Upstream: pkg/registry/storage/volumeattributesclass, pkg/apis/storage (v1.35).

mod strategy;
mod table;
mod validation;

use corten_apimachinery::resource::{Deprecation, ResourceDefinition, Scope, Version};

use crate::{defaulting, kind::standard};

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    short_names: &["vac"],
    scope: Scope::Cluster,
    ..standard(
        "storage.k8s.io",
        "VolumeAttributesClass",
        ("volumeattributesclass", "volumeattributesclasses"),
        &[
            Version::hub("v1", "io.k8s.api.storage.v1.VolumeAttributesClass", defaulting::none),
            Version::like_hub("v1beta1", "io.k8s.api.storage.v1beta1.VolumeAttributesClass", defaulting::none)
                .deprecated(Deprecation::beta_since(34).replaced_by("storage.k8s.io/v1 VolumeAttributesClass")),
        ],
        &strategy::Main,
        &table::TABLE,
    )
};

#[cfg(test)]
mod tests;
