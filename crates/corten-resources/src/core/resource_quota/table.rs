//! Columns of resource quotas.

use corten_apimachinery::{
    Value,
    resource::{Cell, Column, RowContext, TableDefinition},
};

use crate::show;

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: &[
        Column::NAME,
        Column::text("Request", "What is used of what may be requested and made."),
        Column::text("Limit", "What is used of what limits may allow."),
        Column::AGE,
    ],
    row,
    conditions: None,
    rank: None,
};

fn row(quota: &Value, cx: &RowContext) -> Vec<Cell> {
    let (mut requests, mut limits) = (Vec::new(), Vec::new());
    for (name, hard) in quota.at(&["status", "hard"]).and_then(Value::as_object).into_iter().flat_map(|map| map.iter())
    {
        let used = quota.str_at(&["status", "used", name]).unwrap_or("0");
        let column = if name.starts_with("limits.") { &mut limits } else { &mut requests };
        column.push((name, format!("{name}: {used}/{}", hard.as_str().unwrap_or("0"))));
    }
    let cell = |mut column: Vec<(&str, String)>| -> Cell {
        column.sort_unstable();
        column.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(", ").into()
    };
    vec![show::name(quota), cell(requests), cell(limits), show::age(quota, cx)]
}
