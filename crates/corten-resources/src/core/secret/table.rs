//! Columns of secrets.

use corten_apimachinery::resource::{Column, TableDefinition};

use crate::show;

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: &[
        Column::NAME,
        Column::text("Type", "What the secret is for."),
        Column::text("Data", "How many keys there are."),
        Column::AGE,
    ],
    row: |object, cx| {
        vec![
            show::name(object),
            show::text(object, &["type"]),
            show::count(object, &["data"]).into(),
            show::age(object, cx),
        ]
    },
    conditions: None,
    rank: None,
};
