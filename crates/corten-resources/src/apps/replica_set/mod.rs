//! Replica sets.
//!
//! Upstream: pkg/registry/apps/replicaset, pkg/apis/apps (v1.35).

mod strategy;
pub(crate) mod table;
mod validation;

use corten_apimachinery::resource::{ResourceDefinition, Version};

use super::SCALE;
use crate::{
    core::pod_spec::workload,
    kind::{scale, selectable, standard, status},
};

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    short_names: &["rs"],
    categories: &["all"],
    subresources: &[scale(SCALE), status(&strategy::STATUS)],
    selectable_fields: &[selectable!("status.replicas", "status", "replicas")],
    ..standard(
        "apps",
        "ReplicaSet",
        ("replicaset", "replicasets"),
        &[Version::hub("v1", "io.k8s.api.apps.v1.ReplicaSet", workload::defaults)],
        &strategy::Main,
        &table::TABLE,
    )
};

#[cfg(test)]
mod tests;
