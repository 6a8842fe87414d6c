//! Columns of runtime classes.

use corten_apimachinery::resource::{Column, TableDefinition};

use crate::show;

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: &[
        Column::NAME,
        Column::text("Handler", "The configuration of the container runtime that runs its pods."),
        Column::AGE,
    ],
    row: |class, cx| vec![show::name(class), show::text(class, &["handler"]), show::age(class, cx)],
    conditions: None,
    rank: None,
};
