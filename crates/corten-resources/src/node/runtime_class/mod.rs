//! Runtime classes: which handler of the container runtime runs a pod, what that costs, and where it is to be found.
//!
//! Upstream: pkg/registry/node/runtimeclass, pkg/apis/node (v1.35).

mod defaults;
mod strategy;
mod table;
mod validation;

use corten_apimachinery::resource::{ResourceDefinition, Scope, Version};

use crate::kind::standard;

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    scope: Scope::Cluster,
    ..standard(
        "node.k8s.io",
        "RuntimeClass",
        ("runtimeclass", "runtimeclasses"),
        &[Version::hub("v1", "io.k8s.api.node.v1.RuntimeClass", defaults::v1)],
        &strategy::Main,
        &table::TABLE,
    )
};

#[cfg(test)]
mod tests;
