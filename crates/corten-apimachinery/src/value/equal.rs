//! Equality as upstream's `apiequality.Semantic`, for trees of built-in kinds in canonical form.
//!
//! Go equates a slice or map that was never made with one that has no items, and nothing else: a pointer that is not set is
//! not a pointer to a struct without fields (a label selector that is absent selects nothing, an empty one everything). In
//! canonical form a map without entries is left out, so an object without entries is a struct that somebody has set.
//! Upstream: third_party/forked/golang/reflect/deep_equal.go in k8s.io/apimachinery (v1.35).

use super::Value;
use crate::stack;

/// Whether two nodes mean the same: absent, null and an empty list are equal, at every depth; an empty object is none of
/// these.
///
/// Both are in canonical form. Who takes entries out of a map before comparing takes the map out with the last of them. It is
/// no equality of custom resources, where Go compares entries one by one: theirs is `==`.
/// Quantities and times compare as text: decoding has brought both to one form.
#[must_use]
pub fn semantically_equal(a: Option<&Value>, b: Option<&Value>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(one), None) | (None, Some(one)) => is_nothing(one),
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            let all = || a.iter().zip(b.iter()).all(|(a, b)| semantically_equal(Some(a), Some(b)));
            a.len() == b.len() && stack::with_room(all)
        }
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let all = || {
                a.iter().all(|(key, value)| semantically_equal(Some(value), b.get(key)))
                    && b.iter().all(|(key, value)| a.contains_key(key) || is_nothing(value))
            };
            a.ptr_eq(b) || stack::with_room(all)
        }
        (Some(a), Some(b)) => a == b || (is_nothing(a) && is_nothing(b)),
    }
}

/// Whether a node is what a pointer, slice or map that was never set is written as, or a slice without items.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}
