//! Columns of service ranges.

use corten_apimachinery::{
    Value,
    resource::{Column, TableDefinition},
};

use crate::show;

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: &[Column::NAME, Column::text("CIDRs", "The ranges, one of a family."), Column::AGE],
    row: |range, cx| {
        let ranges: Vec<&str> = range.items_at(&["spec", "cidrs"]).iter().filter_map(Value::as_str).collect();
        vec![show::name(range), ranges.join(",").into(), show::age(range, cx)]
    },
    conditions: None,
    rank: None,
};
