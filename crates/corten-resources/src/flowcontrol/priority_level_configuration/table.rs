//! Columns of priority levels.

use corten_apimachinery::{
    Value,
    resource::{Cell, Column, TableDefinition},
};

use crate::{show, tree::present};

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: &[
        Column::NAME,
        Column::text("Type", "Whether it is limited."),
        Column::text("NominalConcurrencyShares", "Its share of the server, against that of other levels."),
        Column::text("Queues", "In how many queues requests wait."),
        Column::text("HandSize", "Among how many queues the requests of a flow are spread."),
        Column::text("QueueLengthLimit", "How many requests wait in a queue."),
        Column::AGE,
    ],
    row: |level, cx| {
        let limited = present(level, &["spec", "limited"]);
        let queuing = limited.and_then(|limited| present(limited, &["limitResponse", "queuing"]));
        let number = |node: Option<&Value>, field: &str| {
            node.map_or_else(|| Cell::from(show::NONE), |node| show::number(node, &[field]))
        };
        vec![
            show::name(level),
            show::text(level, &["spec", "type"]),
            number(limited, "nominalConcurrencyShares"),
            number(queuing, "queues"),
            number(queuing, "handSize"),
            number(queuing, "queueLengthLimit"),
            show::age(level, cx),
        ]
    },
    conditions: None,
    rank: None,
};
