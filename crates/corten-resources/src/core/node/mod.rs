//! Nodes.
//!
//! Upstream: pkg/registry/core/node, pkg/apis/core/validation (v1.35).

mod defaults;
mod old_annotations;
mod strategy;
mod table;
mod validation;

use corten_apimachinery::{
    Str,
    resource::{ResourceDefinition, Scope, SelectableField, Verb, Version},
};

use crate::kind::{custom, standard, status};

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    short_names: &["no"],
    scope: Scope::Cluster,
    subresources: &[
        custom(
            "proxy",
            ("", "", "NodeProxyOptions"),
            &[Verb::Create, Verb::Delete, Verb::Get, Verb::Patch, Verb::Update],
        ),
        status(&strategy::STATUS),
    ],
    // Unset is false: what selects nodes that take pods asks for that.
    selectable_fields: &[SelectableField::new("spec.unschedulable", |node| {
        let is_closed = node.bool_at(&["spec", "unschedulable"]) == Some(true);
        Str::const_new(if is_closed { "true" } else { "false" })
    })],
    // Upstream's oldest name for them stays in the store.
    storage_prefix: "minions",
    ..standard(
        "",
        "Node",
        ("node", "nodes"),
        &[Version::hub("v1", "io.k8s.api.core.v1.Node", defaults::v1)],
        &strategy::Main,
        &table::TABLE,
    )
};

#[cfg(test)]
mod tests;
