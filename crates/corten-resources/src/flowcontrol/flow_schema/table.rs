//! Columns of flow schemas.

use corten_apimachinery::{
    Value,
    resource::{Column, TableDefinition},
};

use crate::show;

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: &[
        Column::NAME,
        Column::text("PriorityLevel", "The priority level of its requests."),
        Column::text("MatchingPrecedence", "Which schema is asked first: the one with the least."),
        Column::text("DistinguisherMethod", "What makes two requests part of one flow."),
        Column::AGE,
        Column::text("MissingPL", "Whether there is no such priority level."),
    ],
    row: |schema, cx| {
        let method = schema.str_at(&["spec", "distinguisherMethod", "type"]);
        let conditions = schema.items_at(&["status", "conditions"]);
        let dangling = conditions.iter().find(|condition| condition.str_at(&["type"]) == Some("Dangling"));
        vec![
            show::name(schema),
            show::text(schema, &["spec", "priorityLevelConfiguration", "name"]),
            show::number(schema, &["spec", "matchingPrecedence"]),
            method.unwrap_or(show::NONE).into(),
            show::age(schema, cx),
            dangling.map_or_else(|| Value::from("?"), |condition| show::text(condition, &["status"])),
        ]
    },
    conditions: None,
    // The first to be asked comes first.
    rank: Some(|schema| schema.i64_at(&["spec", "matchingPrecedence"]).unwrap_or_default()),
};
