//! Columns of storage version migrations.

use corten_apimachinery::resource::{Column, TableDefinition};

use crate::{show, tree::text_at};

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: &[
        // Upstream's is a plain text.
        Column::text("Name", "Name of the object."),
        Column::text("Resource", "What is to be migrated."),
    ],
    row: |object, _cx| {
        let text = |field: &str| text_at(object, &["spec", "resource", field]);
        let (group, resource) = (text("group"), text("resource"));
        let shown = if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") };
        vec![show::name(object), shown.into()]
    },
    conditions: None,
    rank: None,
};
