//! Columns of namespaces.

use corten_apimachinery::resource::{Column, TableDefinition};

use crate::show;

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: &[Column::NAME, Column::text("Status", "Whether the namespace is in use or going away."), Column::AGE],
    row: |object, cx| vec![show::name(object), show::text(object, &["status", "phase"]), show::age(object, cx)],
    conditions: None,
    rank: None,
};
