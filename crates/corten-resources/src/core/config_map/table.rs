//! Columns of config maps.

use corten_apimachinery::resource::{Column, TableDefinition};

use crate::show;

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: &[Column::NAME, Column::text("Data", "How many keys there are."), Column::AGE],
    row: |object, cx| {
        let keys = show::count(object, &["data"]) + show::count(object, &["binaryData"]);
        vec![show::name(object), keys.into(), show::age(object, cx)]
    },
    conditions: None,
    rank: None,
};
