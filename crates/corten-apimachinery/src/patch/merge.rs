//! JSON merge patch (RFC 7386), but that nulls go also from objects within the lists of a patch.
//!
//! Upstream: github.com/evanphx/json-patch v4, merge.go.

use std::convert::Infallible;

use crate::{
    stack,
    value::{Map, Value},
};

/// The object after `patch`: objects merge, null removes, everything else replaces.
#[must_use]
pub fn apply(object: &Value, patch: &Value) -> Value {
    let Value::Object(changes) = patch else { return patch.clone() };
    let before = object.as_object().cloned().unwrap_or_else(Map::new);
    let changes = changes.entries().iter().map(|(key, change)| (key.clone(), change));
    let Ok(merged) = before.edit(changes, |_, old, change| {
        Ok::<_, Infallible>(match change {
            Value::Null => None,
            Value::Object(_) => Some(stack::with_room(|| apply(&old.unwrap_or_default(), change))),
            // Upstream's library has it so: a list in the place of an object stays as it was written.
            Value::Array(_) if !matches!(old, Some(Value::Object(_))) => Some(without_nulls(change)),
            other => Some(other.clone()),
        })
    });
    Value::Object(merged)
}

/// A list of a patch with its objects merged into nothing. Its own nulls stay.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Array(items) => Value::array(items.iter().map(|item| stack::with_room(|| without_nulls(item)))),
        Value::Object(_) => apply(&Value::Null, value),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{FieldValidation, json};

    #[track_caller]
    fn check(object: &str, patch: &str, want: &str) {
        let read = |text: &str| json::decode(text.as_bytes(), None, FieldValidation::Ignore).unwrap().value;
        assert_eq!(apply(&read(object), &read(patch)), read(want), "{object} + {patch}");
    }

    #[test]
    fn the_cases_of_the_rfc_hold() {
        check(r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#);
        check(r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#);
        check(r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#);
        check(r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#);
        check(r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#);
        check(r#"{"a":"foo"}"#, r#"null"#, r#"null"#);
        check(r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#);
        check(r#"[1,2]"#, r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#);
        check(r#"{}"#, r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#);
    }

    #[test]
    fn nulls_go_from_objects_within_lists_as_upstream() {
        let patch = r#"{"a":[{"b":null,"c":[{"d":null}],"e":{"f":null}},null]}"#;
        for object in [r#"{}"#, r#"{"a":null}"#, r#"{"a":[1]}"#, r#"{"a":1}"#] {
            check(object, patch, r#"{"a":[{"c":[{}],"e":{}},null]}"#);
        }
        check(r#"{"a":{}}"#, patch, patch);
        check(r#"{}"#, r#"{"x":{"a":[{"b":null}]}}"#, r#"{"x":{"a":[{}]}}"#);
    }

    /// Each key was inserted and removed by itself, which moved all behind it: minutes for a body of 3 MB.
    #[test]
    fn many_keys_come_and_go_in_one_pass() {
        const KEYS: usize = 200_000;
        let object = |keys: std::ops::Range<usize>, value: &Value| {
            Value::object_of(keys.map(|number| (format!("{number:06}"), value.clone())))
        };
        let one = Value::Int(1);
        let merged = apply(&object(KEYS..2 * KEYS, &one), &object(0..KEYS, &one));
        assert_eq!(merged, object(0..2 * KEYS, &one));
        assert_eq!(apply(&merged, &object(0..KEYS, &Value::Null)), object(KEYS..2 * KEYS, &one));
    }
}
