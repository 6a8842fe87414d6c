//! Roles: what may be done in a namespace.
//!
//! Upstream: pkg/registry/rbac/role, pkg/apis/rbac (v1.35).

mod validation;

use corten_apimachinery::resource::{ResourceDefinition, Scope, Version};

use super::{GROUP, rules};
use crate::{defaulting, kind::standard, show};

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    scope: Scope::Namespaced,
    ..standard(
        GROUP,
        "Role",
        ("role", "roles"),
        &[Version::hub("v1", "io.k8s.api.rbac.v1.Role", defaulting::none)],
        &rules::Main { validate: validation::role },
        &show::CREATED_AT,
    )
};

#[cfg(test)]
mod tests;
