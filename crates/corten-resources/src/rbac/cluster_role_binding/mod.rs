//! Cluster role bindings: who has a role in the cluster.
//!
//! Upstream: pkg/registry/rbac/clusterrolebinding, pkg/apis/rbac (v1.35).

mod validation;

use corten_apimachinery::resource::{ResourceDefinition, Scope, Version};

use super::{GROUP, binding, table};
use crate::kind::standard;

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    scope: Scope::Cluster,
    ..standard(
        GROUP,
        "ClusterRoleBinding",
        ("clusterrolebinding", "clusterrolebindings"),
        &[Version::hub("v1", "io.k8s.api.rbac.v1.ClusterRoleBinding", binding::defaults)],
        &binding::Main { validate: validation::binding },
        &table::BINDING,
    )
};

#[cfg(test)]
mod tests;
