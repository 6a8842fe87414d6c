//! JSON merge patch (RFC 7386).

use crate::value::{Map, Value};

/// The object after `patch`: objects merge, null removes, everything else replaces.
#[must_use]
pub fn apply(object: &Value, patch: &Value) -> Value {
    let Value::Object(changes) = patch else { return patch.clone() };
    let mut merged = object.as_object().cloned().unwrap_or_else(Map::new);
    for (key, change) in changes.iter() {
        match change {
            Value::Null => drop(merged.remove(key)),
            Value::Object(_) => {
                let slot = merged.entry_or_null(key);
                *slot = apply(slot, change);
            }
            other => drop(merged.insert(key, other.clone())),
        }
    }
    Value::Object(merged)
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
}
