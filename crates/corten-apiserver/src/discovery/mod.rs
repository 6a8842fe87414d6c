//! Discovery: which groups, versions and resources are served. Documents are made once per set of routes.
//!
//! Upstream: k8s.io/apiserver/pkg/endpoints/discovery and discovery/aggregated (v1.35).

mod document;
mod handler;

pub(crate) use document::by_preference;
pub use document::{Group, GroupVersion, documents};
pub use handler::install;
