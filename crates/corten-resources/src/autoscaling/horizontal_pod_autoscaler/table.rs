//! Columns of autoscalers.

use corten_apimachinery::{
    Value,
    resource::{Cell, Column, RowContext, TableDefinition},
};

use crate::show;

/// How many metrics are shown.
const METRICS_SHOWN_MAX: usize = 2;

/// What is shown of an amount that nobody has measured yet.
const UNKNOWN: &str = "<unknown>";

/// The columns.
pub(super) static TABLE: TableDefinition = TableDefinition {
    columns: &[
        Column::NAME,
        Column::text("Reference", "What is scaled."),
        Column::text("Targets", "Each metric as it is and as it should be."),
        Column::text("MinPods", "The least number of pods."),
        Column::text("MaxPods", "The greatest number of pods."),
        Column::text("Replicas", "How many pods there are."),
        Column::AGE,
    ],
    row,
    conditions: None,
    rank: None,
};

fn row(autoscaler: &Value, cx: &RowContext) -> Vec<Cell> {
    let text = |field: &str| autoscaler.str_at(&["spec", "scaleTargetRef", field]).unwrap_or_default();
    let min = autoscaler.i64_at(&["spec", "minReplicas"]);
    vec![
        show::name(autoscaler),
        format!("{}/{}", text("kind"), text("name")).into(),
        targets(autoscaler).into(),
        min.map_or_else(|| "<unset>".to_owned(), |min| min.to_string()).into(),
        show::number(autoscaler, &["spec", "maxReplicas"]),
        show::number(autoscaler, &["status", "currentReplicas"]),
        show::age(autoscaler, cx),
    ]
}

fn targets(autoscaler: &Value) -> String {
    let metrics = autoscaler.items_at(&["spec", "metrics"]);
    if metrics.is_empty() {
        return show::NONE.to_owned();
    }
    // The status has the metrics in the order of the spec.
    let current = autoscaler.items_at(&["status", "currentMetrics"]);
    let shown: Vec<String> = metrics
        .iter()
        .enumerate()
        .take(METRICS_SHOWN_MAX)
        .map(|(index, metric)| target(metric, current.get(index)))
        .collect();
    let shown = shown.join(", ");
    match metrics.len().saturating_sub(METRICS_SHOWN_MAX) {
        0 => shown,
        more => format!("{shown} + {more} more..."),
    }
}

/// `current/target` of one metric.
fn target(metric: &Value, status: Option<&Value>) -> String {
    let source = match metric.str_at(&["type"]).unwrap_or_default() {
        "External" => "external",
        "Pods" => "pods",
        "Object" => "object",
        "Resource" => "resource",
        "ContainerResource" => "containerResource",
        _ => return "<unknown type>".to_owned(),
    };
    let aim = |field: &str| amount(metric, &[source, "target", field]);
    let is_measured = status.is_some_and(|status| status.get(source).is_some_and(|source| !source.is_null()));
    let measured = |field: &str| amount(status?, &[source, "current", field]);
    // A status without the amount that it is about shows as Go shows a pointer to nothing.
    let or_nothing = |text: Option<String>| match text {
        Some(text) => text,
        None if is_measured => "<nil>".to_owned(),
        None => UNKNOWN.to_owned(),
    };
    let or_unknown = |text: Option<String>| text.unwrap_or_else(|| UNKNOWN.to_owned());
    let or_nil = |text: Option<String>| text.unwrap_or_else(|| "<nil>".to_owned());
    match (source, aim("averageValue")) {
        ("external" | "object", Some(aim)) => format!("{}/{aim} (avg)", or_unknown(measured("averageValue"))),
        ("external" | "object", None) => format!("{}/{}", or_nothing(measured("value")), or_nil(aim("value"))),
        ("pods", aim) => format!("{}/{}", or_nothing(measured("averageValue")), or_nil(aim)),
        (_, average) => {
            let name = metric.str_at(&[source, "name"]).unwrap_or_default();
            let share = |text: String| format!("{text}%");
            match average {
                Some(aim) => format!("{name}: {}/{aim}", or_nothing(measured("averageValue"))),
                None => {
                    let aim = aim("averageUtilization").map_or_else(|| "<auto>".to_owned(), share);
                    format!("{name}: {}/{aim}", or_unknown(measured("averageUtilization").map(share)))
                }
            }
        }
    }
}

/// A quantity or a number as text.
fn amount(value: &Value, path: &[&str]) -> Option<String> {
    match value.at(path)? {
        Value::String(text) => Some(text.to_string()),
        Value::Int(number) => Some(number.to_string()),
        _ => None,
    }
}
