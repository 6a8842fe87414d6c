//! Storage versions: in which form each of several API servers stores the objects of a resource.
//!
//! Upstream: pkg/registry/apiserverinternal/storageversion, pkg/apis/apiserverinternal (v1.35).

mod strategy;
mod table;
mod validation;

use corten_apimachinery::resource::{ResourceDefinition, Scope, Version};

use crate::{
    defaulting,
    kind::{standard, status},
};

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    scope: Scope::Cluster,
    subresources: &[status(&strategy::STATUS)],
    ..standard(
        "internal.apiserver.k8s.io",
        "StorageVersion",
        ("storageversion", "storageversions"),
        &[Version::hub("v1alpha1", "io.k8s.api.apiserverinternal.v1alpha1.StorageVersion", defaulting::none)
            .gated("StorageVersionAPI")],
        &strategy::Main,
        &table::TABLE,
    )
};

#[cfg(test)]
mod tests;
