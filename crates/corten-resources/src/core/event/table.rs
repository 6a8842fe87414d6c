//! Columns of events.

use corten_apimachinery::{
    Value,
    meta::ObjectMeta,
    resource::{Cell, Column, RowContext, TableDefinition},
};

/// The columns; the only kind whose first one is not the name.
pub(crate) static TABLE: TableDefinition = TableDefinition {
    columns: &[
        Column::text("Last Seen", "Time since it was last observed."),
        Column::text("Type", "Normal or Warning."),
        Column::text("Reason", "Why, in one word."),
        Column::text("Object", "What the event is about."),
        Column::text("Subobject", "The part of the object it is about.").wide(),
        Column::text("Source", "Who reported it.").wide(),
        Column::text("Message", "What happened."),
        Column::text("First Seen", "Time since it was first observed.").wide(),
        Column::text("Count", "How often it was observed.").wide(),
        Column { format: "name", ..Column::text("Name", "Name of the object.").wide() },
    ],
    row,
};

fn row(event: &Value, cx: &RowContext) -> Vec<Cell> {
    let text = |path: &[&str]| event.str_at(path).unwrap_or_default();
    let time = |path: &[&str]| event.str_at(path).filter(|time| !time.is_empty());
    let first = time(&["firstTimestamp"]).or_else(|| time(&["eventTime"]));
    let has_series = event.get("series").is_some_and(|series| !series.is_null());
    let (last, count) = if has_series {
        (time(&["series", "lastObservedTime"]), event.i64_at(&["series", "count"]).unwrap_or_default())
    } else {
        // An event of the new API that happened once counts nothing.
        (time(&["lastTimestamp"]).or(first), event.i64_at(&["count"]).unwrap_or_default().max(1))
    };
    let kind = text(&["involvedObject", "kind"]).to_lowercase();
    let target = match text(&["involvedObject", "name"]) {
        "" => kind,
        name => format!("{kind}/{name}"),
    };
    let host = [text(&["source", "host"]), text(&["reportingInstance"])].into_iter().find(|host| !host.is_empty());
    let source = super::source(event);
    vec![
        cx.age(last).into(),
        text(&["type"]).into(),
        text(&["reason"]).into(),
        target.into(),
        text(&["involvedObject", "fieldPath"]).into(),
        host.map_or_else(|| source.to_string(), |host| format!("{source}, {host}")).into(),
        text(&["message"]).trim().into(),
        cx.age(first).into(),
        count.into(),
        event.name().into(),
    ]
}
