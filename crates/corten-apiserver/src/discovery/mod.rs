//! Discovery: which groups, versions and resources are served. The documents of a group are made when its resources
//! change.
//!
//! Upstream: k8s.io/apiserver/pkg/endpoints/discovery and discovery/aggregated (v1.35).

mod document;
mod handler;

pub(crate) use document::by_preference;
pub use document::{Group, GroupVersion, documents};
pub use handler::Discovery;
