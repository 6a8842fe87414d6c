//! Columns of claim templates.

use corten_apimachinery::resource::{Column, TableDefinition};

use crate::show;

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: &[Column::NAME, Column::AGE],
    row: |template, cx| vec![show::name(template), show::age(template, cx)],
    conditions: None,
    rank: None,
};
