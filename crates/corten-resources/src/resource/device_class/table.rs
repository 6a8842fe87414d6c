//! Columns of device classes.

use corten_apimachinery::resource::{Column, TableDefinition};

use crate::show;

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: &[Column::NAME, Column::AGE],
    row: |class, cx| vec![show::name(class), show::age(class, cx)],
    conditions: None,
    rank: None,
};
