//! Fields of custom resources that a definition names by their path: `.spec.size`.
//!
//! Upstream: `NestedInt64`, `NestedString` in k8s.io/apimachinery/pkg/apis/meta/v1/unstructured/helpers.go (v1.35).

use corten_apimachinery::{Value, value::go_text};

/// The whole number at `path`; `None` if nothing is there.
///
/// Errors: something else is there, or above it, in upstream's words.
pub(crate) fn nested_int(object: &Value, path: &str) -> Result<Option<i64>, String> {
    match nested(object, path)? {
        None => Ok(None),
        Some(Value::Int(number)) => Ok(Some(*number)),
        Some(other) => Err(wrong(&steps(path), other, "int64")),
    }
}

/// The text at `path`; `None` if nothing is there.
///
/// Errors: something else is there, or above it, in upstream's words.
pub(crate) fn nested_text<'v>(object: &'v Value, path: &str) -> Result<Option<&'v str>, String> {
    match nested(object, path)? {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(wrong(&steps(path), other, "string")),
    }
}

fn steps(path: &str) -> Vec<&str> {
    path.strip_prefix('.').unwrap_or(path).split('.').collect()
}

fn nested<'v>(object: &'v Value, path: &str) -> Result<Option<&'v Value>, String> {
    let steps = steps(path);
    let mut at = object;
    for (index, step) in steps.iter().enumerate() {
        let next = match at {
            Value::Null => None,
            Value::Object(map) => map.get(step),
            other => return Err(wrong(&steps[..=index], other, "map[string]interface{}")),
        };
        let Some(next) = next else { return Ok(None) };
        at = next;
    }
    Ok(Some(at))
}

fn wrong(steps: &[&str], value: &Value, want: &str) -> String {
    let is = value.go_type();
    format!(".{} accessor error: {} is of the type {is}, expected {want}", steps.join("."), go_text(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_the_way_is_told_with_its_type() {
        let object = Value::object_of([
            (
                "spec",
                Value::object_of([("size", Value::from("three")), ("count", 3_i64.into()), ("none", Value::Null)]),
            ),
            ("status", 1_i64.into()),
        ]);
        assert_eq!(nested_int(&object, ".spec.count"), Ok(Some(3)));
        assert_eq!(nested_int(&object, ".spec.absent.deep"), Ok(None));
        assert_eq!(nested_int(&object, ".spec.none.deep"), Ok(None));
        assert_eq!(nested_text(&object, ".spec.size"), Ok(Some("three")));
        let errors = [
            (".spec.size", ".spec.size accessor error: three is of the type string, expected int64"),
            (".spec.none", ".spec.none accessor error: <nil> is of the type <nil>, expected int64"),
            (".status.size", ".status.size accessor error: 1 is of the type int64, expected map[string]interface{}"),
        ];
        for (path, want) in errors {
            assert_eq!(nested_int(&object, path), Err(want.to_owned()));
        }
        let want = ".spec.count accessor error: 3 is of the type int64, expected string";
        assert_eq!(nested_text(&object, ".spec.count"), Err(want.to_owned()));
    }
}
