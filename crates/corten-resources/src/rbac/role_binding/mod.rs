//! Role bindings: who has a role in a namespace.
//!
//! Upstream: pkg/registry/rbac/rolebinding, pkg/apis/rbac (v1.35).

mod validation;

use corten_apimachinery::resource::{ResourceDefinition, Scope, Version};

use super::{GROUP, binding, table};
use crate::kind::standard;

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    scope: Scope::Namespaced,
    ..standard(
        GROUP,
        "RoleBinding",
        ("rolebinding", "rolebindings"),
        &[Version::hub("v1", "io.k8s.api.rbac.v1.RoleBinding", binding::defaults)],
        &binding::Main { validate: validation::binding },
        &table::BINDING,
    )
};

#[cfg(test)]
mod tests;
