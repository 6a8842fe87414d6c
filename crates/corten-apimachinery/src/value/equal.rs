//! Equality as upstream's `apiequality.Semantic`: what is absent, null or empty is the same.

use super::Value;
use crate::stack;

/// Whether two nodes mean the same: absent, null, an empty list and an empty object are equal, at every depth.
///
/// Quantities and times compare as text: decoding has brought both to one form.
#[must_use]
pub fn semantically_equal(a: Option<&Value>, b: Option<&Value>) -> bool {
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => stack::with_room(|| map.iter().all(|(_, value)| semantically_equal(Some(value), None))),
        _ => false,
    };
    match (a, b) {
        (None, None) => true,
        (Some(one), None) | (None, Some(one)) => is_empty(one),
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            let all = || a.iter().zip(b.iter()).all(|(a, b)| semantically_equal(Some(a), Some(b)));
            a.len() == b.len() && stack::with_room(all)
        }
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let all = || {
                a.iter().all(|(key, value)| semantically_equal(Some(value), b.get(key)))
                    && b.iter().all(|(key, value)| a.contains_key(key) || is_empty(value))
            };
            a.ptr_eq(b) || stack::with_room(all)
        }
        (Some(a), Some(b)) => a == b || (is_empty(a) && is_empty(b)),
    }
}
