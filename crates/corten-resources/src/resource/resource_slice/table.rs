//! Columns of resource slices.

use corten_apimachinery::{
    Value,
    resource::{Cell, Column, TableDefinition},
};

use crate::show;

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: &[
        Column::NAME,
        Column::text("Node", "Whose devices these are."),
        Column::text("Driver", "Who drives them."),
        Column::text("Pool", "The pool that they belong to."),
        Column::AGE,
    ],
    row: |slice, cx| {
        vec![
            show::name(slice),
            node(slice),
            show::text(slice, &["spec", "driver"]),
            show::text(slice, &["spec", "pool", "name"]),
            show::age(slice, cx),
        ]
    },
    conditions: None,
    rank: None,
};

fn node(slice: &Value) -> Cell {
    slice.str_at(&["spec", "nodeName"]).filter(|name| !name.is_empty()).unwrap_or(UNSET).into()
}

/// The text of devices that are of no single node.
const UNSET: &str = "<unset>";
