//! The type table of the built-in groups: every message of Kubernetes v1.35, also of versions that are served no more.
//!
//! `types.table` beside this module holds the facts, made by `cargo xtask codegen api`; [`table`] reads it once.

mod reader;

use std::sync::LazyLock;

use corten_apimachinery::type_table::{Type, TypeId, TypeTable};

/// The types of the built-in groups.
///
/// The first call reads the table, which takes 2 to 4 ms; later calls are free.
#[must_use]
pub fn table() -> &'static TypeTable {
    static TABLE: LazyLock<TypeTable> =
        LazyLock::new(|| reader::read(include_str!("../types.table")).expect("a test reads the committed table"));
    &TABLE
}

/// The type that is this kind, also of versions that are served no more; `group` is empty for the core group.
#[must_use]
pub fn find_kind(group: &str, version: &str, kind: &str) -> Option<(TypeId, &'static Type)> {
    let id = table().find_kind(group, version, kind)?;
    Some((id, table().get(id)))
}

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;
