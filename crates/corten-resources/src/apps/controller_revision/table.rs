//! Columns of controller revisions.

use corten_apimachinery::{
    Value,
    gvk::GroupVersion,
    meta::ObjectMeta,
    resource::{Column, TableDefinition},
};

use crate::show;

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: &[
        Column::NAME,
        Column::text("Controller", "Whose revision it is."),
        Column::text("Revision", "Its number."),
        Column::AGE,
    ],
    row: |revision, cx| {
        vec![
            show::name(revision),
            controller(revision).into(),
            show::number(revision, &["revision"]),
            show::age(revision, cx),
        ]
    },
    conditions: None,
    rank: None,
};

fn controller(revision: &Value) -> String {
    let Some(owner) = revision.controller_owner() else { return show::NONE.to_owned() };
    let text = |field: &str| owner.str_at(&[field]).unwrap_or_default();
    let kind = text("kind").to_lowercase();
    match GroupVersion::parse(text("apiVersion")) {
        Some(version) if !version.group.is_empty() => format!("{kind}.{}/{}", version.group, text("name")),
        _ => format!("{kind}/{}", text("name")),
    }
}
