//! Columns of capacities.

use corten_apimachinery::resource::{Column, TableDefinition};

use crate::show;

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: &[
        Column::NAME,
        Column::text("StorageClassName", "The class whose volumes there is room for."),
        Column::text("Capacity", "How much room there is."),
    ],
    row: |capacity, _cx| {
        vec![
            show::name(capacity),
            show::text(capacity, &["storageClassName"]),
            capacity.str_at(&["capacity"]).unwrap_or(show::UNSET).into(),
        ]
    },
    conditions: None,
    rank: None,
};
