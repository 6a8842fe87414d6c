//! Conditions of a status, as trees: found, set and removed by their type.

use corten_apimachinery::{meta::format_time, value::Value};
use jiff::Timestamp;

/// The condition of this type.
#[must_use]
pub fn find<'a>(conditions: &'a [Value], kind: &str) -> Option<&'a Value> {
    conditions.iter().find(|condition| condition.str_at(&["type"]) == Some(kind))
}

/// Removes the condition of this type.
pub fn remove(conditions: &mut Vec<Value>, kind: &str) {
    conditions.retain(|condition| condition.str_at(&["type"]) != Some(kind));
}

/// A condition that changes now. `status` is `True`, `False` or `Unknown`.
#[must_use]
pub fn condition(kind: &str, status: &str, reason: &str, message: &str, now: Timestamp) -> Value {
    let mut condition = Value::object_of([
        ("type", Value::from(kind)),
        ("status", status.into()),
        ("lastTransitionTime", Value::String(format_time(now))),
    ]);
    for (key, text) in [("reason", reason), ("message", message)] {
        if !text.is_empty() {
            condition.set(&[key], text);
        }
    }
    condition
}
