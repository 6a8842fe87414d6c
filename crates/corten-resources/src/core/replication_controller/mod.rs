//! Replication controllers.
//!
//! Upstream: pkg/registry/core/replicationcontroller, pkg/apis/core/validation (v1.35).

mod defaults;
mod strategy;
mod table;
mod validation;

use corten_apimachinery::{
    Str,
    resource::{ResourceDefinition, ScalePaths, Version},
};

use crate::kind::{scale, selectable, standard, status};

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    short_names: &["rc"],
    categories: &["all"],
    subresources: &[
        scale(ScalePaths {
            spec_replicas: Str::const_new("spec.replicas"),
            status_replicas: Str::const_new("status.replicas"),
            selector: Str::const_new("spec.selector"),
        }),
        status(&strategy::STATUS),
    ],
    selectable_fields: &[selectable!("status.replicas", "status", "replicas")],
    // Upstream's name for them in the store.
    storage_prefix: "controllers",
    ..standard(
        "",
        "ReplicationController",
        ("replicationcontroller", "replicationcontrollers"),
        &[Version::hub("v1", "io.k8s.api.core.v1.ReplicationController", defaults::v1)],
        &strategy::Main,
        &table::TABLE,
    )
};

#[cfg(test)]
mod tests;
