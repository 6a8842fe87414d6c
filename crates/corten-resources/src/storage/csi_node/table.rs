//! Columns of CSI nodes.

use corten_apimachinery::resource::{Column, TableDefinition};

use crate::show;

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: &[Column::NAME, Column::integer("Drivers", "How many drivers the node has."), Column::AGE],
    row: |node, cx| vec![show::name(node), show::count(node, &["spec", "drivers"]).into(), show::age(node, cx)],
    conditions: None,
    rank: None,
};
