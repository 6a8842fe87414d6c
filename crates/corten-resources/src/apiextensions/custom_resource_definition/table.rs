//! Columns of definitions.
//!
//! Upstream: k8s.io/apiserver/pkg/registry/rest NewDefaultTableConvertor (v1.35).

/// The columns.
pub(super) use crate::show::CREATED_AT as TABLE;
