//! Columns of priority classes.

use corten_apimachinery::resource::{Column, TableDefinition};

use crate::show;

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: &[
        Column::NAME,
        Column::integer("Value", "The priority that pods of this class get."),
        Column::new("Global-Default", "boolean", "", "Whether pods without a class get this one."),
        Column::AGE,
        Column::text("PreemptionPolicy", "Whether its pods may push out others."),
    ],
    row: |object, cx| {
        vec![
            show::name(object),
            show::number(object, &["value"]),
            object.bool_at(&["globalDefault"]).unwrap_or_default().into(),
            show::age(object, cx),
            show::text(object, &["preemptionPolicy"]),
        ]
    },
    conditions: None,
    rank: None,
};
