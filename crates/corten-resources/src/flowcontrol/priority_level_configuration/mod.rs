//! Priority levels: how many requests of a kind run at once, and how others wait.
//!
//! Upstream: pkg/registry/flowcontrol/prioritylevelconfiguration, pkg/apis/flowcontrol (v1.35).

mod defaults;
mod table;
mod validation;

use corten_apimachinery::resource::{ResourceDefinition, Scope, Version};

use super::{GROUP, strategy};
use crate::kind::{standard, status};

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    scope: Scope::Cluster,
    subresources: &[status(&strategy::Status)],
    ..standard(
        GROUP,
        "PriorityLevelConfiguration",
        ("prioritylevelconfiguration", "prioritylevelconfigurations"),
        &[Version::hub("v1", "io.k8s.api.flowcontrol.v1.PriorityLevelConfiguration", defaults::v1)],
        &strategy::Main { validate: validation::level },
        &table::TABLE,
    )
};

#[cfg(test)]
mod tests;
