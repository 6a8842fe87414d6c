//! Component statuses: whether the parts of a control plane work, asked at the moment of the request. Answered and not stored.
//!
//! Upstream: pkg/registry/core/componentstatus (v1.35).

mod table;

use corten_apimachinery::resource::{Deprecation, ResourceDefinition, Scope, Verb, Version};

use crate::{defaulting, kind::standard, review};

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    short_names: &["cs"],
    scope: Scope::Cluster,
    verbs: &[Verb::Get, Verb::List],
    ..standard(
        "",
        "ComponentStatus",
        ("componentstatus", "componentstatuses"),
        &[Version::hub("v1", "io.k8s.api.core.v1.ComponentStatus", defaulting::none)
            .deprecated(Deprecation::since(19))],
        &review::Unchecked,
        &table::TABLE,
    )
};

#[cfg(test)]
mod tests;
