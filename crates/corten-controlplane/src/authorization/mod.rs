//! Whether a user may: the authorizers of a cluster.

pub mod node;
pub mod rbac;
