//! Metrics in the form of v1, which only its annotations have, and in the hub's.

use corten_apimachinery::{Value, quantity::Quantity};

use super::annotation::{read, write};

const SPEC: &str = "io.k8s.api.autoscaling.v1.MetricSpec";
const STATUS: &str = "io.k8s.api.autoscaling.v1.MetricStatus";
/// Conditions are the same in both versions.
pub(super) const CONDITION: &str = "io.k8s.api.autoscaling.v1.HorizontalPodAutoscalerCondition";

/// One kind of metric: where each field of the form of v1 is in the hub's.
struct Source {
    name: &'static str,
    fields: &'static [(&'static str, &'static [&'static str])],
    /// The amount that the form of v1 always has.
    always: Option<&'static str>,
}

const SOURCES: &[Source] = &[
    Source {
        name: "object",
        fields: &[
            ("target", &["describedObject"]),
            ("metricName", &["metric", "name"]),
            ("targetValue", &["target", "value"]),
            ("selector", &["metric", "selector"]),
            ("averageValue", &["target", "averageValue"]),
        ],
        always: Some("targetValue"),
    },
    Source {
        name: "pods",
        fields: &[
            ("metricName", &["metric", "name"]),
            ("targetAverageValue", &["target", "averageValue"]),
            ("selector", &["metric", "selector"]),
        ],
        always: Some("targetAverageValue"),
    },
    Source {
        name: "resource",
        fields: &[
            ("name", &["name"]),
            ("targetAverageUtilization", &["target", "averageUtilization"]),
            ("targetAverageValue", &["target", "averageValue"]),
        ],
        always: None,
    },
    Source {
        name: "containerResource",
        fields: &[
            ("name", &["name"]),
            ("targetAverageUtilization", &["target", "averageUtilization"]),
            ("targetAverageValue", &["target", "averageValue"]),
            ("container", &["container"]),
        ],
        always: None,
    },
    Source {
        name: "external",
        fields: &[
            ("metricName", &["metric", "name"]),
            ("metricSelector", &["metric", "selector"]),
            ("targetValue", &["target", "value"]),
            ("targetAverageValue", &["target", "averageValue"]),
        ],
        always: None,
    },
];

const STATUS_SOURCES: &[Source] = &[
    Source {
        name: "object",
        fields: &[
            ("target", &["describedObject"]),
            ("metricName", &["metric", "name"]),
            ("currentValue", &["current", "value"]),
            ("selector", &["metric", "selector"]),
            ("averageValue", &["current", "averageValue"]),
        ],
        always: Some("currentValue"),
    },
    Source {
        name: "pods",
        fields: &[
            ("metricName", &["metric", "name"]),
            ("currentAverageValue", &["current", "averageValue"]),
            ("selector", &["metric", "selector"]),
        ],
        always: Some("currentAverageValue"),
    },
    Source {
        name: "resource",
        fields: &[
            ("name", &["name"]),
            ("currentAverageUtilization", &["current", "averageUtilization"]),
            ("currentAverageValue", &["current", "averageValue"]),
        ],
        always: Some("currentAverageValue"),
    },
    Source {
        name: "containerResource",
        fields: &[
            ("name", &["name"]),
            ("currentAverageUtilization", &["current", "averageUtilization"]),
            ("currentAverageValue", &["current", "averageValue"]),
            ("container", &["container"]),
        ],
        always: Some("currentAverageValue"),
    },
    Source {
        name: "external",
        fields: &[
            ("metricName", &["metric", "name"]),
            ("metricSelector", &["metric", "selector"]),
            ("currentValue", &["current", "value"]),
            ("currentAverageValue", &["current", "averageValue"]),
        ],
        always: Some("currentValue"),
    },
];

/// The text of metrics to aim at.
pub(super) fn annotation(metrics: &[&Value]) -> String {
    write(metrics.iter().map(|metric| to_v1(metric, SOURCES)), SPEC)
}

/// The text of metrics as they are.
pub(super) fn status_annotation(metrics: &[Value]) -> String {
    write(metrics.iter().map(|metric| to_v1(metric, STATUS_SOURCES)), STATUS)
}

/// The metrics to aim at in a text; `None` if it is none.
pub(super) fn from_annotation(text: &str) -> Option<Vec<Value>> {
    let metrics = read(text, SPEC)?;
    Some(metrics.iter().map(|metric| from_v1(metric, SOURCES, true)).collect())
}

/// The metrics as they are in a text; `None` if it is none.
pub(super) fn status_from_annotation(text: &str) -> Option<Vec<Value>> {
    let metrics = read(text, STATUS)?;
    Some(metrics.iter().map(|metric| from_v1(metric, STATUS_SOURCES, false)).collect())
}

fn is_set(value: Option<&Value>) -> bool {
    value.is_some_and(|value| !value.is_null())
}

fn to_v1(metric: &Value, sources: &[Source]) -> Value {
    let mut out = Value::object_of([("type", metric.get("type").cloned().unwrap_or_else(|| "".into()))]);
    for source in sources {
        let Some(from) = metric.get(source.name).filter(|from| !from.is_null()) else { continue };
        let mut to = Value::object();
        for (field, path) in source.fields {
            if let Some(value) = from.at(path) {
                to.set(&[field], value.clone());
            }
        }
        if let Some(field) = source.always.filter(|field| !is_set(to.get(field))) {
            to.set(&[field], "0");
        }
        out.set(&[source.name], to);
    }
    out
}

fn from_v1(metric: &Value, sources: &[Source], is_spec: bool) -> Value {
    let mut out = Value::object_of([("type", metric.get("type").cloned().unwrap_or_else(|| "".into()))]);
    for source in sources {
        let Some(from) = metric.get(source.name).filter(|from| !from.is_null()) else { continue };
        let mut to = Value::object();
        for (field, path) in source.fields {
            if let Some(value) = from.get(field) {
                to.set(path, value.clone());
            }
        }
        if is_spec && has_filler(source.name, from) {
            to.unset(&["target", "value"]);
        }
        if is_spec {
            to.set(&["target", "type"], target_type(source.name, from));
        } else {
            to.at_or_insert(&["current"]);
        }
        if is_set(from.get("metricName")) || source.fields.iter().any(|(field, _)| *field == "metricName") {
            let name = from.str_at(&["metricName"]).unwrap_or_default().to_owned();
            to.set(&["metric", "name"], name);
        }
        out.set(&[source.name], to);
    }
    out
}

/// Whether the value that v1 cannot leave out stands beside the average that a metric of an object aims at, and says nothing:
/// both together are refused.
fn has_filler(source: &str, from: &Value) -> bool {
    let is_zero = Quantity::from_value(from.get("targetValue")).is_ok_and(|value| value.is_zero());
    source == "object" && is_set(from.get("averageValue")) && is_zero
}

/// What kind of amount a metric aims at, which v1 does not say.
fn target_type(source: &str, from: &Value) -> &'static str {
    match source {
        "object" if !is_set(from.get("averageValue")) => "Value",
        "external" if is_set(from.get("targetValue")) => "Value",
        "resource" | "containerResource" if is_set(from.get("targetAverageUtilization")) => "Utilization",
        _ => "AverageValue",
    }
}

fn is_cpu(metric: &Value) -> bool {
    metric.str_at(&["type"]) == Some("Resource") && metric.str_at(&["resource", "name"]) == Some("cpu")
}

/// The share of CPU that a metric aims at, if it is such a metric.
pub(super) fn cpu_utilization(metric: &Value) -> Option<i64> {
    metric.i64_at(&["resource", "target", "averageUtilization"]).filter(|_| is_cpu(metric))
}

/// The share of CPU that the first metric of CPU aims at, if it aims at one.
pub(super) fn first_cpu_utilization(metrics: &[Value]) -> Option<i64> {
    cpu_utilization(metrics.iter().find(|metric| is_cpu(metric))?)
}

/// The share of CPU that the last metric that knows one has.
pub(super) fn last_cpu_status(metrics: &[Value]) -> Option<i64> {
    let utilization = |metric: &Value| metric.i64_at(&["resource", "current", "averageUtilization"]);
    metrics.iter().rev().filter(|metric| is_cpu(metric)).find_map(utilization)
}

/// The share of CPU that is used.
pub(super) fn cpu_status(utilization: i64) -> Value {
    let current = Value::object_of([("averageUtilization", Value::Int(utilization))]);
    let resource = Value::object_of([("name", "cpu".into()), ("current", current)]);
    Value::object_of([("type", "Resource".into()), ("resource", resource)])
}
