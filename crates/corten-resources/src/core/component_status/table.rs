//! Columns of component statuses.

use corten_apimachinery::{
    Value,
    resource::{Column, TableDefinition},
};

use crate::show;

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: &[
        Column::NAME,
        Column::text("Status", "Whether the component works."),
        Column::text("Message", "What the component said."),
        Column::text("Error", "Why the component could not be asked."),
    ],
    row: |status, _cx| {
        let conditions = status.items_at(&["conditions"]);
        let healthy = conditions.iter().find(|condition| condition.str_at(&["type"]) == Some("Healthy"));
        let text = |key: &str| healthy.and_then(|healthy| healthy.str_at(&[key])).unwrap_or_default();
        let word = match healthy.map(|healthy| healthy.str_at(&["status"])) {
            None => "Unknown",
            Some(Some("True")) => "Healthy",
            Some(_) => "Unhealthy",
        };
        vec![show::name(status), word.into(), Value::from(text("message")), Value::from(text("error"))]
    },
    conditions: None,
    rank: None,
};
