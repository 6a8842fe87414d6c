//! Definitions of custom resources: what a cluster has besides the resources that are built in.
//!
//! Upstream: k8s.io/apiextensions-apiserver/pkg/registry/customresourcedefinition, pkg/apis/apiextensions (v1.35).

mod defaults;
mod strategy;
mod table;
pub mod validation;

use corten_apimachinery::resource::{ResourceDefinition, Scope, Version};

use crate::kind::{standard, status};

/// The finalizer of a definition whose objects have to go before it.
pub const CLEANUP_FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    short_names: &["crd", "crds"],
    categories: &["api-extensions"],
    scope: Scope::Cluster,
    subresources: &[status(&strategy::Status)],
    storage_prefix: "apiextensions.k8s.io/customresourcedefinitions",
    ..standard(
        "apiextensions.k8s.io",
        "CustomResourceDefinition",
        ("customresourcedefinition", "customresourcedefinitions"),
        &[Version::hub(
            "v1",
            "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
            defaults::v1,
        )],
        &strategy::Main,
        &table::TABLE,
    )
};

#[cfg(test)]
mod tests;
