//! Group rbac.authorization.k8s.io. The check that nobody grants more than he has is the control plane's: it needs an authorizer.
//!
//! Upstream: pkg/apis/rbac, pkg/registry/rbac (v1.35).

pub mod cluster_role;
pub mod cluster_role_binding;
pub mod role;
pub mod role_binding;

mod binding;
mod rules;
mod table;

/// The group.
const GROUP: &str = "rbac.authorization.k8s.io";
