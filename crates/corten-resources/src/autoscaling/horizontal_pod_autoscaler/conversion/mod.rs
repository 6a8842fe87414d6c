//! Between versions: v1 has one number for CPU, and annotations for all other metrics, behavior, and conditions.
//!
//! Invariant: what is stored has none of these annotations, and what v1 shows has those that this conversion made.
//! Upstream: pkg/apis/autoscaling/v1/conversion.go, pkg/apis/autoscaling/{annotations,helpers}.go (v1.35).

mod annotation;
mod behavior;
mod metrics;

use corten_apimachinery::{Map, Value, meta::ObjectMeta};

use super::defaults;

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const CURRENT_METRICS: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";

/// The fields that both versions have.
const SPEC: [&str; 3] = ["scaleTargetRef", "minReplicas", "maxReplicas"];
const STATUS: [&str; 4] = ["observedGeneration", "lastScaleTime", "currentReplicas", "desiredReplicas"];

pub(super) fn to_hub(autoscaler: &mut Value) {
    let cpu = autoscaler.i64_at(&["spec", "targetCPUUtilizationPercentage"]);
    let current_cpu = autoscaler.i64_at(&["status", "currentCPUUtilizationPercentage"]);
    let text = |key: &str| autoscaler.annotation(key).map(ToOwned::to_owned);
    let mut found = text(METRICS).and_then(|text| metrics::from_annotation(&text)).unwrap_or_default();
    found.extend(cpu.map(defaults::cpu));
    if found.is_empty() {
        found.push(defaults::default_metric());
    }
    let behavior = text(BEHAVIOR).and_then(|text| behavior::from_annotation(&text));
    let current = text(CURRENT_METRICS)
        .and_then(|text| metrics::status_from_annotation(&text))
        .or_else(|| current_cpu.map(|utilization| vec![metrics::cpu_status(utilization)]));
    let conditions = text(CONDITIONS).and_then(|text| annotation::read(&text, metrics::CONDITION));

    let mut spec = shared(autoscaler.get("spec"), &SPEC);
    spec.set(&["metrics"], found);
    if let Some(behavior) = behavior {
        spec.set(&["behavior"], behavior);
    }
    let mut status = shared(autoscaler.get("status"), &STATUS);
    status.set(&["currentMetrics"], current.map_or(Value::Null, Value::from));
    if let Some(conditions) = conditions.filter(|conditions| !conditions.is_empty()) {
        status.set(&["conditions"], conditions);
    }
    replace(autoscaler, (spec, status));
    drop_annotations(autoscaler);
}

pub(super) fn from_hub(autoscaler: &mut Value) {
    drop_annotations(autoscaler);
    let all = autoscaler.items_at(&["spec", "metrics"]);
    let others: Vec<&Value> = all.iter().filter(|metric| metrics::cpu_utilization(metric).is_none()).collect();
    let current = autoscaler.items_at(&["status", "currentMetrics"]);
    let conditions = autoscaler.items_at(&["status", "conditions"]);
    let texts = [
        (METRICS, (!others.is_empty()).then(|| metrics::annotation(&others))),
        (CURRENT_METRICS, (!current.is_empty()).then(|| metrics::status_annotation(current))),
        (BEHAVIOR, autoscaler.at(&["spec", "behavior"]).filter(|it| !it.is_null()).map(behavior::annotation)),
        (
            CONDITIONS,
            (!conditions.is_empty()).then(|| annotation::write(conditions.iter().cloned(), metrics::CONDITION)),
        ),
    ];

    let mut spec = shared(autoscaler.get("spec"), &SPEC);
    if let Some(utilization) = metrics::first_cpu_utilization(all) {
        spec.set(&["targetCPUUtilizationPercentage"], utilization);
    }
    let mut status = shared(autoscaler.get("status"), &STATUS);
    if let Some(utilization) = metrics::last_cpu_status(current) {
        status.set(&["currentCPUUtilizationPercentage"], utilization);
    }
    // Both versions always show these.
    for field in ["currentReplicas", "desiredReplicas"] {
        if status.get(field).is_none() {
            status.set(&[field], 0_i64);
        }
    }
    replace(autoscaler, (spec, status));
    for (key, text) in texts {
        let Some(text) = text else { continue };
        let annotations = autoscaler.at_or_insert(&["metadata", "annotations"]);
        if annotations.is_null() {
            *annotations = Value::object();
        }
        annotations.set(&[key], text);
    }
}

/// The fields of these names.
fn shared(part: Option<&Value>, fields: &[&str]) -> Value {
    Value::object_of(fields.iter().filter_map(|&field| Some((field, part?.get(field)?.clone()))))
}

fn replace(autoscaler: &mut Value, (spec, status): (Value, Value)) {
    autoscaler.set(&["spec"], spec);
    autoscaler.set(&["status"], status);
}

fn drop_annotations(autoscaler: &mut Value) {
    let path = ["metadata", "annotations"];
    for key in [METRICS, CURRENT_METRICS, CONDITIONS, BEHAVIOR] {
        if autoscaler.annotation(key).is_some() {
            autoscaler.unset(&["metadata", "annotations", key]);
        }
    }
    if autoscaler.at(&path).and_then(Value::as_object).is_some_and(Map::is_empty) {
        autoscaler.unset(&path);
    }
}
