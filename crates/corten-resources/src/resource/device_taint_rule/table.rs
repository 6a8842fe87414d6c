//! Columns of device taint rules.

use corten_apimachinery::resource::{Column, TableDefinition};

use crate::show;

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: &[Column::NAME, Column::AGE],
    row: |rule, cx| vec![show::name(rule), show::age(rule, cx)],
    conditions: None,
};
