//! Columns of leases.

use corten_apimachinery::resource::{Column, TableDefinition};

use crate::show;

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: &[Column::NAME, Column::text("Holder", "Who holds the lease."), Column::AGE],
    row: |object, cx| vec![show::name(object), show::text(object, &["spec", "holderIdentity"]), show::age(object, cx)],
    conditions: None,
    rank: None,
};
