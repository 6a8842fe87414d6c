//! Columns of service accounts.

use corten_apimachinery::resource::{Column, TableDefinition};

use crate::show;

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: &[Column::NAME, Column::text("Secrets", "How many secrets it refers to."), Column::AGE],
    row: |object, cx| vec![show::name(object), show::count(object, &["secrets"]).into(), show::age(object, cx)],
    conditions: None,
};
