//! API services: which server answers for a version of a group.
//!
//! Upstream: k8s.io/kube-aggregator/pkg/registry/apiservice, pkg/apis/apiregistration (v1.35).

mod defaults;
mod strategy;
mod table;
mod validation;

use corten_apimachinery::resource::{ResourceDefinition, Scope, Version};

use crate::kind::{standard, status};

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    categories: &["api-extensions"],
    scope: Scope::Cluster,
    subresources: &[status(&strategy::STATUS)],
    storage_prefix: "apiregistration.k8s.io/apiservices",
    ..standard(
        "apiregistration.k8s.io",
        "APIService",
        ("apiservice", "apiservices"),
        &[Version::hub("v1", "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIService", defaults::v1)],
        &strategy::Main,
        &table::TABLE,
    )
};

#[cfg(test)]
mod tests;
