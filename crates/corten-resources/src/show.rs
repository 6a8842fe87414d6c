//! Cells that the tables of many kinds share.

use corten_apimachinery::{
    Value,
    meta::ObjectMeta,
    resource::{Cell, Column, RowContext, TableDefinition},
};

/// The text of an empty list in a cell.
pub(crate) const NONE: &str = "<none>";
/// The text of a field that is not set in a cell.
pub(crate) const UNSET: &str = "<unset>";

/// The name of the object.
pub(crate) fn name(object: &Value) -> Cell {
    object.name().into()
}

/// The age of the object.
pub(crate) fn age(object: &Value, cx: &RowContext) -> Cell {
    cx.age(object.creation_timestamp()).into()
}

/// The text at a path, empty if there is none.
pub(crate) fn text(object: &Value, path: &[&str]) -> Cell {
    object.str_at(path).unwrap_or_default().into()
}

/// The number at a path, 0 if there is none.
pub(crate) fn number(object: &Value, path: &[&str]) -> Cell {
    object.i64_at(path).unwrap_or_default().into()
}

/// How many entries or items the node at a path has.
pub(crate) fn count(object: &Value, path: &[&str]) -> i64 {
    let count = match object.at(path) {
        Some(Value::Array(items)) => items.len(),
        Some(Value::Object(map)) => map.len(),
        _ => 0,
    };
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A map of labels as `a=b,c=d`, or `<none>`.
pub(crate) fn label_map(map: Option<&Value>) -> String {
    let pairs: Vec<String> = map
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(corten_apimachinery::Map::iter)
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    if pairs.is_empty() { NONE.to_owned() } else { pairs.join(",") }
}

/// A `metav1.LabelSelector` as its text form, or `<none>`.
pub(crate) fn label_selector(selector: Option<&Value>) -> String {
    let Some(selector) = selector else { return NONE.to_owned() };
    let mut parts: Vec<String> = selector
        .at(&["matchLabels"])
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(corten_apimachinery::Map::iter)
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    for expression in selector.items_at(&["matchExpressions"]) {
        let key = expression.str_at(&["key"]).unwrap_or_default();
        let mut values: Vec<&str> = expression.items_at(&["values"]).iter().filter_map(Value::as_str).collect();
        values.sort_unstable();
        parts.push(match expression.str_at(&["operator"]).unwrap_or_default() {
            "In" => format!("{key} in ({})", values.join(",")),
            "NotIn" => format!("{key} notin ({})", values.join(",")),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        });
    }
    // The text form is sorted by key, whatever part of the selector a requirement came from.
    parts.sort_by(|a, b| a.trim_start_matches('!').cmp(b.trim_start_matches('!')));
    if parts.is_empty() { NONE.to_owned() } else { parts.join(",") }
}

/// The names and the images of a pod template's containers, each joined by commas.
pub(crate) fn containers_and_images(template: Option<&Value>) -> (String, String) {
    let containers = template.map(|template| template.items_at(&["spec", "containers"])).unwrap_or_default();
    let join = |field: &str| {
        containers.iter().map(|container| container.str_at(&[field]).unwrap_or_default()).collect::<Vec<_>>().join(",")
    };
    (join("name"), join("image"))
}

/// How many items of a list are shown.
pub(crate) const LIST_SHOWN_MAX: usize = 3;

/// The first three of a list, and how many more there are.
pub(crate) fn first_three(items: &[String]) -> String {
    first_of(items, items.len())
}

/// The first three of a list of `count` items that begins with `items`, and how many more there are.
pub(crate) fn first_of(items: &[String], count: usize) -> String {
    let shown = items[..items.len().min(LIST_SHOWN_MAX)].join(",");
    if count <= LIST_SHOWN_MAX { shown } else { format!("{shown} + {} more...", count - LIST_SHOWN_MAX) }
}

/// The columns of kinds that say no more than when they were made.
pub(crate) static CREATED_AT: TableDefinition = TableDefinition {
    columns: &[Column::NAME, Column::new("Created At", "date", "", "When the object was created.")],
    row: |object, _cx| vec![name(object), text(object, &["metadata", "creationTimestamp"])],
    conditions: None,
    rank: None,
};
