//! Services. Cluster IPs and node ports are allocated by the control plane, between `allocation::normalize` and the rules here.
//!
//! Upstream: pkg/registry/core/service, pkg/apis/core/validation (v1.35).

pub mod allocation;

mod defaults;
mod strategy;
mod table;
mod update;
mod validation;

use corten_apimachinery::resource::{ResourceDefinition, Verb, Version};

pub(crate) use validation::non_special_ip;

use crate::kind::{custom, selectable, standard, status};

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    short_names: &["svc"],
    categories: &["all"],
    subresources: &[
        custom(
            "proxy",
            ("", "", "ServiceProxyOptions"),
            &[Verb::Create, Verb::Delete, Verb::Get, Verb::Patch, Verb::Update],
        ),
        status(&strategy::STATUS),
    ],
    selectable_fields: &[selectable!("spec.clusterIP", "spec", "clusterIP"), selectable!("spec.type", "spec", "type")],
    // Upstream keeps endpoints next to them.
    storage_prefix: "services/specs",
    // Upstream serves the deletion of many services at once since v1.23.
    ..standard(
        "",
        "Service",
        ("service", "services"),
        &[Version::hub("v1", "io.k8s.api.core.v1.Service", defaults::v1)],
        &strategy::Main,
        &table::TABLE,
    )
};

#[cfg(test)]
mod tests;
