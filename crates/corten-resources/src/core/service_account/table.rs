//! Columns of service accounts.

use corten_apimachinery::resource::{Column, TableDefinition};

use crate::show;

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: &[Column::NAME, Column::AGE],
    row: |object, cx| vec![show::name(object), show::age(object, cx)],
    conditions: None,
    rank: None,
};
