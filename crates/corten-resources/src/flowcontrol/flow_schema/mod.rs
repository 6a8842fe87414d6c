//! Flow schemas: which requests belong to which priority level.
//!
//! Upstream: pkg/registry/flowcontrol/flowschema, pkg/apis/flowcontrol (v1.35).

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
        "FlowSchema",
        ("flowschema", "flowschemas"),
        &[Version::hub("v1", "io.k8s.api.flowcontrol.v1.FlowSchema", defaults::v1)],
        &strategy::Main { validate: validation::schema },
        &table::TABLE,
    )
};

#[cfg(test)]
mod tests;
