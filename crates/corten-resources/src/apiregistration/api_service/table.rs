//! Columns of API services.

use corten_apimachinery::{
    Value,
    resource::{Column, TableDefinition},
};

use crate::{
    show,
    tree::{present, text_at},
};

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: &[
        Column::NAME,
        Column::text("Service", "The service that leads to the server, if it is another one."),
        Column::text("Available", "Whether it answers."),
        Column::AGE,
    ],
    row: |object, cx| {
        let service = present(object, &["spec", "service"])
            .map(|service| format!("{}/{}", text_at(service, &["namespace"]), text_at(service, &["name"])));
        vec![
            show::name(object),
            service.unwrap_or_else(|| "Local".to_owned()).into(),
            available(object).into(),
            show::age(object, cx),
        ]
    },
    conditions: None,
    rank: None,
};

fn available(object: &Value) -> String {
    let conditions = object.items_at(&["status", "conditions"]);
    let Some(condition) = conditions.iter().find(|condition| condition.str_at(&["type"]) == Some("Available")) else {
        return "Unknown".to_owned();
    };
    match (text_at(condition, &["status"]), text_at(condition, &["reason"])) {
        (status @ "True", _) | (status, "") => status.to_owned(),
        (status, reason) => format!("{status} ({reason})"),
    }
}
