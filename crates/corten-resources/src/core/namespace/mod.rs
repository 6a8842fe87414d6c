//! Namespaces. Deletion goes in steps: the object becomes `Terminating`, the namespace controller empties it and takes the
//! finalizers out of `spec` through `finalize`, and then the object goes.
//!
//! Upstream: pkg/registry/core/namespace, pkg/apis/core/validation (v1.35).

mod defaults;
mod deletion;
mod strategy;
mod table;
mod validation;

use corten_apimachinery::resource::{ResourceDefinition, Scope, Verb, Version};

use crate::kind::{object, selectable, standard, status};

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    short_names: &["ns"],
    scope: Scope::Cluster,
    // Upstream serves no deletion of many namespaces at once.
    verbs: &[Verb::Create, Verb::Delete, Verb::Get, Verb::List, Verb::Patch, Verb::Update, Verb::Watch],
    subresources: &[object("finalize", &strategy::Finalize, &[Verb::Update]), status(&strategy::Status)],
    selectable_fields: &[selectable!("status.phase", "status", "phase")],
    ..standard(
        "",
        "Namespace",
        ("namespace", "namespaces"),
        &[Version::hub("v1", "io.k8s.api.core.v1.Namespace", defaults::v1)],
        &strategy::Main,
        &table::TABLE,
    )
};

#[cfg(test)]
mod tests;
