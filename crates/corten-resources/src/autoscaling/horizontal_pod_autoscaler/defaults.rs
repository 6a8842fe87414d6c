//! Defaults of autoscalers.

use corten_apimachinery::Value;

use crate::defaulting::{fill_absent, within};

/// How much of what a pod asks for it is to use.
const CPU_UTILIZATION: i64 = 80;

pub(super) fn v2(autoscaler: &mut Value) {
    within(autoscaler, &["spec"], |spec| {
        fill_absent(spec, "minReplicas", 1_i64);
        if spec.items_at(&["metrics"]).is_empty() {
            spec.set(&["metrics"], Value::array([cpu(CPU_UTILIZATION)]));
        }
        within(spec, &["behavior"], behavior);
    });
}

/// What to aim at is filled in by the conversion, which sees the annotations.
pub(super) fn v1(autoscaler: &mut Value) {
    within(autoscaler, &["spec"], |spec| fill_absent(spec, "minReplicas", 1_i64));
}

/// The default metric.
pub(super) fn default_metric() -> Value {
    cpu(CPU_UTILIZATION)
}

/// A metric that aims at a share of the CPU that pods ask for.
pub(super) fn cpu(utilization: i64) -> Value {
    let target = Value::object_of([("type", "Utilization".into()), ("averageUtilization", Value::Int(utilization))]);
    let resource = Value::object_of([("name", "cpu".into()), ("target", target)]);
    Value::object_of([("type", "Resource".into()), ("resource", resource)])
}

fn policy(ty: &str, value: i64) -> Value {
    Value::object_of([("type", ty.into()), ("value", Value::Int(value)), ("periodSeconds", Value::Int(15))])
}

/// One direction that is described describes both.
fn behavior(behavior: &mut Value) {
    let up = rules(behavior, "scaleUp");
    fill_absent(up, "stabilizationWindowSeconds", 0_i64);
    fill_absent(up, "policies", Value::array([policy("Pods", 4), policy("Percent", 100)]));
    // How long to wait before going down is an option of the controller.
    let down = rules(behavior, "scaleDown");
    fill_absent(down, "policies", Value::array([policy("Percent", 100)]));
}

fn rules<'b>(behavior: &'b mut Value, direction: &str) -> &'b mut Value {
    let rules = behavior.at_or_insert(&[direction]);
    if rules.is_null() {
        *rules = Value::object();
    }
    fill_absent(rules, "selectPolicy", "Max");
    rules
}
