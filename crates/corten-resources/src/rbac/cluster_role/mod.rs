//! Cluster roles: what may be done in the cluster, or in any namespace.
//!
//! Upstream: pkg/registry/rbac/clusterrole, pkg/apis/rbac (v1.35).

mod validation;

use corten_apimachinery::resource::{ResourceDefinition, Scope, Version};

use super::{GROUP, rules};
use crate::{defaulting, kind::standard, show};

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    scope: Scope::Cluster,
    ..standard(
        GROUP,
        "ClusterRole",
        ("clusterrole", "clusterroles"),
        &[Version::hub("v1", "io.k8s.api.rbac.v1.ClusterRole", defaulting::none)],
        &rules::Main { validate: validation::role },
        &show::CREATED_AT,
    )
};

#[cfg(test)]
mod tests;
