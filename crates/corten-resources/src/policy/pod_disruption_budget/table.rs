//! Columns of pod disruption budgets.

use corten_apimachinery::{
    Value,
    resource::{Cell, Column, RowContext, TableDefinition},
};

use crate::show;

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: &[
        Column::NAME,
        Column::text("Min Available", "How many pods have to stay."),
        Column::text("Max Unavailable", "How many pods may be away."),
        Column::integer("Allowed Disruptions", "How many more may go now."),
        Column::AGE,
    ],
    row,
    conditions: None,
    rank: None,
};

fn row(budget: &Value, cx: &RowContext) -> Vec<Cell> {
    let number_or_share = |field: &str| -> Cell {
        match budget.at(&["spec", field]) {
            None | Some(Value::Null) => "N/A".into(),
            Some(Value::Int(number)) => number.to_string().into(),
            Some(other) => other.clone(),
        }
    };
    vec![
        show::name(budget),
        number_or_share("minAvailable"),
        number_or_share("maxUnavailable"),
        show::number(budget, &["status", "disruptionsAllowed"]),
        show::age(budget, cx),
    ]
}
