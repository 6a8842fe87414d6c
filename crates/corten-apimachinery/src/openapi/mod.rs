//! OpenAPI documents from the type table and resource definitions: what `/openapi/v2` and `/openapi/v3` tell of types, and
//! of resources the paths.
//!
//! The same table drives decoding and patching, so the documents cannot promise what the server does not do.
//! Upstream: k8s.io/kube-openapi (v1.35).

mod document;
mod operation;
mod paths;
mod pieces;
mod protobuf;
mod schema;
mod server_paths;

pub use document::{About, document, head, referred};
pub use operation::PathOptions;
pub use paths::paths;
pub use pieces::{Encoding, Entries, assemble};
pub use protobuf::encode_v3;
pub use schema::{Descriptions, Dialect, NoDescriptions, Options, definition, definitions, references};
pub use server_paths::{ServerPath, server_path};

#[cfg(test)]
mod tests;
