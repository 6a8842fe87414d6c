//! Columns of lease candidates.

use corten_apimachinery::resource::{Column, TableDefinition};

use crate::show;

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: &[
        Column::NAME,
        Column::text("LeaseName", "The lease that it wants to hold."),
        Column::text("BinaryVersion", "Its version."),
        Column::text("EmulationVersion", "The version that it emulates."),
        Column::AGE,
    ],
    row: |object, cx| {
        vec![
            show::name(object),
            show::text(object, &["spec", "leaseName"]),
            show::text(object, &["spec", "binaryVersion"]),
            show::text(object, &["spec", "emulationVersion"]),
            show::age(object, cx),
        ]
    },
    conditions: None,
    rank: None,
};
