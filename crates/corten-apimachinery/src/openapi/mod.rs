//! OpenAPI documents from the type table: what `/openapi/v2` and `/openapi/v3` tell of types.
//!
//! The same table drives decoding and patching, so the documents cannot promise what the server does not do.
//! Upstream: k8s.io/kube-openapi (v1.35).

mod schema;

pub use schema::{Descriptions, Dialect, NoDescriptions, Options, definition, definitions, references};
