//! Columns of events, in the form of either group: what both groups show is the same.

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
        Column::NAME.wide(),
    ],
    row,
    conditions: None,
    rank: None,
};

/// (name in the core group, name in `events.k8s.io`) of the fields that columns show.
const NAMES: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

/// The value at a path of the core group's form, wherever this form has it.
fn at<'e>(event: &'e Value, path: &[&str]) -> Option<&'e Value> {
    event.at(path).or_else(|| {
        let (first, rest) = path.split_first()?;
        let (_, newer) = NAMES.iter().find(|(core, _)| core == first)?;
        event.get(newer)?.at(rest)
    })
}

fn row(event: &Value, cx: &RowContext) -> Vec<Cell> {
    let text = |path: &[&str]| at(event, path).and_then(Value::as_str).unwrap_or_default();
    let number = |path: &[&str]| at(event, path).and_then(Value::as_i64).unwrap_or_default();
    let filled = |path: &[&str]| Some(text(path)).filter(|text| !text.is_empty());
    let first = filled(&["firstTimestamp"]).or_else(|| filled(&["eventTime"]));
    let has_series = event.get("series").is_some_and(|series| !series.is_null());
    let (last, count) = if has_series {
        (filled(&["series", "lastObservedTime"]), number(&["series", "count"]))
    } else {
        // An event of the new API that happened once counts nothing.
        (filled(&["lastTimestamp"]).or(first), number(&["count"]).max(1))
    };
    let kind = text(&["involvedObject", "kind"]).to_lowercase();
    let target = match text(&["involvedObject", "name"]) {
        "" => kind,
        name => format!("{kind}/{name}"),
    };
    let source = filled(&["source", "component"]).or_else(|| filled(&["reportingComponent"])).unwrap_or_default();
    let host = filled(&["source", "host"]).or_else(|| filled(&["reportingInstance"]));
    vec![
        cx.age(last).into(),
        text(&["type"]).into(),
        text(&["reason"]).into(),
        target.into(),
        text(&["involvedObject", "fieldPath"]).into(),
        host.map_or_else(|| source.to_owned(), |host| format!("{source}, {host}")).into(),
        text(&["message"]).trim().into(),
        cx.age(first).into(),
        count.into(),
        event.name().into(),
    ]
}
