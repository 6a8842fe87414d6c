//! The annotation for how fast to scale. It has the names of fields in upstream's Go code, which never had others there.

use std::fmt::Write as _;

use corten_apimachinery::{Value, codec::json};

use super::annotation::{parse, typed};

const TYPE: &str = "io.k8s.api.autoscaling.v2.HorizontalPodAutoscalerBehavior";

/// (name in the annotation, name in the API), in the order of the annotation.
type Names = [(&'static str, &'static str)];

const DIRECTIONS: &Names = &[("ScaleUp", "scaleUp"), ("ScaleDown", "scaleDown")];
const RULES: &Names = &[
    ("StabilizationWindowSeconds", "stabilizationWindowSeconds"),
    ("SelectPolicy", "selectPolicy"),
    ("Policies", "policies"),
    ("Tolerance", "tolerance"),
];
const POLICY: &Names = &[("Type", "type"), ("Value", "value"), ("PeriodSeconds", "periodSeconds")];

/// The text of a behavior.
pub(super) fn annotation(behavior: &Value) -> String {
    let mut out = String::new();
    object(&mut out, behavior, DIRECTIONS, |out, _, rules| {
        object(out, rules, RULES, |out, field, value| match (field, value) {
            ("policies", Value::Array(policies)) => {
                out.push('[');
                for (index, policy) in policies.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    object(out, policy, POLICY, |out, _, value| leaf(out, value));
                }
                out.push(']');
            }
            _ => leaf(out, value),
        });
    });
    out
}

fn leaf(out: &mut String, value: &Value) {
    out.push_str(&String::from_utf8_lossy(&json::encode(value, None)));
}

/// Writes every field of `names`, `null` for those that are not there.
fn object(out: &mut String, value: &Value, names: &Names, field: impl Fn(&mut String, &str, &Value)) {
    for (index, (name, key)) in names.iter().enumerate() {
        let _ = write!(out, "{}\"{name}\":", if index == 0 { '{' } else { ',' });
        match value.get(key).filter(|value| !value.is_null()) {
            Some(value) => field(out, key, value),
            None => out.push_str("null"),
        }
    }
    out.push('}');
}

/// The behavior in a text; `None` if there is none.
pub(super) fn from_annotation(text: &str) -> Option<Value> {
    let given = parse(text)?;
    let mut behavior = renamed(&given, DIRECTIONS);
    for (_, direction) in DIRECTIONS {
        let Some(rules) = behavior.get(direction) else { continue };
        let mut rules = renamed(rules, RULES);
        if let Some(Value::Array(policies)) = rules.get("policies") {
            let policies = Value::array(policies.iter().map(|policy| renamed(policy, POLICY)));
            rules.set(&["policies"], policies);
        }
        behavior.set(&[direction], rules);
    }
    typed(&behavior, TYPE).filter(|behavior| behavior.as_object().is_some_and(|map| !map.is_empty()))
}

/// The fields of `names`, whose case does not count, under their names in the API. What is no object stays what it is.
fn renamed(value: &Value, names: &Names) -> Value {
    let Value::Object(map) = value else { return value.clone() };
    let field = |(key, value): (&str, &Value)| {
        let (_, name) = names.iter().find(|(name, _)| name.eq_ignore_ascii_case(key))?;
        (!value.is_null()).then(|| (*name, value.clone()))
    };
    Value::object_of(map.iter().filter_map(field))
}
