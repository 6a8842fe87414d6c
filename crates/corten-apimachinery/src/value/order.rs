//! A total order of nodes that agrees with their equality, for looking nodes up instead of comparing each with each.
//!
//! It is an order for sets and indexes; nothing that clients see is sorted by it.

use std::{borrow::Borrow, cmp::Ordering};

use super::Value;
use crate::stack;

/// A node, owned or borrowed, as a key of a set or index.
#[derive(Debug, Clone, Copy)]
pub struct Ordered<V>(pub V);

impl<V: Borrow<Value>> PartialEq for Ordered<V> {
    fn eq(&self, other: &Self) -> bool {
        self.0.borrow() == other.0.borrow()
    }
}

impl<V: Borrow<Value>> Eq for Ordered<V> {}

impl<V: Borrow<Value>> PartialOrd for Ordered<V> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<V: Borrow<Value>> Ord for Ordered<V> {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(self.0.borrow(), other.0.borrow())
    }
}

/// Costs at most as much as the smaller node is large.
fn compare(a: &Value, b: &Value) -> Ordering {
    fn rank(value: &Value) -> u8 {
        match value {
            Value::Null => 0,
            Value::Bool(_) => 1,
            Value::Int(_) => 2,
            Value::Float(_) => 3,
            Value::String(_) => 4,
            Value::Array(_) => 5,
            Value::Object(_) => 6,
            Value::Raw(_) => 7,
        }
    }
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Int(a), Value::Int(b)) => a.cmp(b),
        // Zeros of both signs are equal, as nodes are; there is no NaN.
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b).unwrap_or_else(|| a.total_cmp(b)),
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Raw(a), Value::Raw(b)) => a.cmp(b),
        (Value::Array(_), Value::Array(_)) | (Value::Object(_), Value::Object(_)) => {
            stack::with_room(|| compare_nested(a, b))
        }
        _ => rank(a).cmp(&rank(b)),
    }
}

fn compare_nested(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => a
            .iter()
            .zip(b.iter())
            .map(|(a, b)| compare(a, b))
            .find(|order| order.is_ne())
            .unwrap_or_else(|| a.len().cmp(&b.len())),
        (Value::Object(a), Value::Object(b)) => a
            .iter()
            .zip(b.iter())
            .map(|((a_key, a), (b_key, b))| a_key.cmp(b_key).then_with(|| compare(a, b)))
            .find(|order| order.is_ne())
            .unwrap_or_else(|| a.len().cmp(&b.len())),
        _ => Ordering::Equal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_total_and_agrees_with_equality() {
        let object = |entries: &[(&'static str, i64)]| {
            Value::object_of(entries.iter().map(|(key, number)| (*key, Value::Int(*number))))
        };
        // Each is above all before it.
        let ascending = [
            Value::Null,
            false.into(),
            true.into(),
            Value::Int(-1),
            Value::Int(1),
            Value::Float(-1.5),
            Value::Float(0.0),
            Value::Float(1.0),
            "".into(),
            "a".into(),
            "b".into(),
            Value::array([]),
            Value::array([Value::Int(1)]),
            Value::array([Value::Int(1), Value::Null]),
            Value::array([Value::Int(2)]),
            Value::object(),
            object(&[("a", 1)]),
            object(&[("a", 1), ("b", 0)]),
            object(&[("a", 2)]),
            object(&[("b", 0)]),
        ];
        for (i, a) in ascending.iter().enumerate() {
            for (j, b) in ascending.iter().enumerate() {
                assert_eq!(Ordered(a).cmp(&Ordered(b)), i.cmp(&j), "{a:?} {b:?}");
                assert_eq!(a == b, i == j, "{a:?} {b:?}");
            }
        }
        assert_eq!(Ordered(Value::Float(0.0)).cmp(&Ordered(Value::Float(-0.0))), Ordering::Equal);
    }
}
