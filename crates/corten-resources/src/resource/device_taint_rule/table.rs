//! Columns of device taint rules.

use corten_apimachinery::resource::{Column, TableDefinition};

use crate::show;

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: &[
        Column::NAME,
        Column::text("Key", "The key of the taint."),
        Column::text("Value", "The value of the taint."),
        Column::text("Effect", "What the taint does to pods."),
        Column::text("TimeAdded", "Time since the taint was added."),
        Column::AGE,
    ],
    row: |rule, cx| {
        let taint = |field: &str| show::text(rule, &["spec", "taint", field]);
        let added = rule.str_at(&["spec", "taint", "timeAdded"]).map(|added| cx.age(Some(added)));
        vec![
            show::name(rule),
            taint("key"),
            taint("value"),
            taint("effect"),
            added.unwrap_or_default().into(),
            show::age(rule, cx),
        ]
    },
    conditions: None,
    rank: None,
};
