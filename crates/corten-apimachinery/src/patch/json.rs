//! JSON patch (RFC 6902).
//!
//! Upstream: github.com/evanphx/json-patch v4 and the limits of k8s.io/apiserver/pkg/endpoints/handlers/patch.go (v1.35).

use super::{
    PatchError,
    work::{Work, nodes},
};
use crate::{codec::json, field::quote, value::Value};

/// The most operations of one patch. Upstream: `maxJSONPatchOperations`.
const OPERATIONS_MAX: usize = 10_000;

/// The most bytes of JSON that `copy` operations of one patch may add. Upstream: `JSONPatchMaxCopyBytes`.
const COPIED_BYTES_MAX: usize = 3 << 20;

/// The most work of one patch: nodes that are looked at and entries that are moved to make room. A few operations on a large
/// object, or many on a small one, are far below it; both together would keep a processor busy for many seconds.
const WORK_MAX: usize = 4_000_000;

/// What a patch that costs more is told.
const TOO_MUCH_WORK: &str = "The operations of the JSON patch cost too much on an object of this size";

/// The deepest nesting that operations may build: what a body may have. Whatever walks a tree does so recursively.
const DEPTH_MAX: usize = json::DEPTH_MAX;

/// The object after the operations of `patch`.
///
/// Errors: an operation is none, leads nowhere or is a test that fails; or they cost too much on this object, or nest it
/// too deep.
pub fn apply(object: &Value, patch: &Value) -> Result<Value, PatchError> {
    let operations = patch.as_array().ok_or_else(|| {
        PatchError::Invalid(
            "error decoding patch: json: cannot unmarshal object into Go value of type jsonpatch.Patch".to_owned(),
        )
    })?;
    if operations.len() > OPERATIONS_MAX {
        return Err(PatchError::TooLarge(format!(
            "The allowed maximum operations in a JSON patch is {OPERATIONS_MAX}, got {}",
            operations.len()
        )));
    }
    let mut result = object.clone();
    // Paths lead into everything.
    result.expand_raw();
    let mut work = Work::new(WORK_MAX, TOO_MUCH_WORK);
    let mut copied = 0;
    let go_kind = |operation: &Value| match operation {
        Value::Object(_) | Value::Raw(_) | Value::Null => None,
        Value::Array(_) => Some("array"),
        Value::String(_) => Some("string"),
        Value::Bool(_) => Some("bool"),
        Value::Int(_) | Value::Float(_) => Some("number"),
    };
    if let Some(kind) = operations.iter().find_map(go_kind) {
        return Err(PatchError::Invalid(format!(
            "error decoding patch: json: cannot unmarshal {kind} into Go value of type jsonpatch.Operation"
        )));
    }
    for operation in operations {
        step(&mut result, operation, &mut work, &mut copied)?;
    }
    Ok(result)
}

fn step(object: &mut Value, operation: &Value, work: &mut Work, copied: &mut usize) -> Result<(), PatchError> {
    let kind = operation.str_at(&["op"]).unwrap_or_default();
    let path = pointer(operation, "path", kind)?;
    let value = || {
        let value = operation.get("value").cloned();
        value.ok_or_else(|| PatchError::Inapplicable(format!("{kind} operation requires a value: missing value")))
    };
    match kind {
        "add" => add(object, &path, value()?, kind, work),
        "remove" => remove(object, &path, kind, work).map(drop),
        "replace" => {
            let value = value()?;
            refuse_depth(&path, &value, work)?;
            let slot = find_mut(object, &path).ok_or_else(|| {
                PatchError::Inapplicable(format!(
                    "replace operation does not apply: doc is missing key: {}: missing value",
                    text(&path)
                ))
            })?;
            *slot = value;
            Ok(())
        }
        "move" => {
            let from = pointer(operation, "from", kind)?;
            let value = remove(object, &from, kind, work)?;
            add(object, &path, value, kind, work)
        }
        "copy" => {
            let from = pointer(operation, "from", kind)?;
            let value = find(object, &from).cloned().ok_or_else(|| {
                PatchError::Inapplicable(format!(
                    "copy operation does not apply: doc is missing from path: {}: missing value",
                    text(&from)
                ))
            })?;
            work.spend(nodes(&value))?;
            // Copies share their texts here, but what reads or stores the object does not: each doubles it.
            *copied += json::encode(&value, None).len();
            if *copied > COPIED_BYTES_MAX {
                return Err(PatchError::Inapplicable(format!(
                    "Unable to complete the copy, the accumulated size increase of copy is {copied}, exceeding the limit \
                     {COPIED_BYTES_MAX}"
                )));
            }
            add(object, &path, value, kind, work)
        }
        "test" => {
            let wanted = operation.get("value").unwrap_or(&Value::Null);
            let actual = find(object, &path).unwrap_or(&Value::Null);
            if actual == wanted {
                Ok(())
            } else {
                Err(PatchError::Inapplicable(format!("testing value {} failed: test failed", text(&path))))
            }
        }
        other => Err(PatchError::Inapplicable(format!("Unexpected kind: {other}"))),
    }
}

/// The decoded segments of a JSON pointer.
fn pointer(operation: &Value, field: &str, kind: &str) -> Result<Vec<String>, PatchError> {
    let text = operation
        .str_at(&[field])
        .ok_or_else(|| PatchError::Inapplicable(format!("{kind} operation failed to decode {field}: missing value")))?;
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let rest = text.strip_prefix('/').ok_or_else(|| {
        PatchError::Inapplicable(format!(
            "{kind} operation does not apply: doc is missing path: {}: missing value",
            quote(text)
        ))
    })?;
    Ok(rest.split('/').map(|segment| segment.replace("~1", "/").replace("~0", "~")).collect())
}

fn text(path: &[String]) -> String {
    path.iter().map(|segment| format!("/{}", segment.replace('~', "~0").replace('/', "~1"))).collect()
}

/// An index into `length` items: plain digits without leading zeros, or counted from the end with a minus sign.
fn index(segment: &str, length: usize) -> Option<usize> {
    let (digits, from_end) = match segment.strip_prefix('-') {
        Some(digits) => (digits, true),
        None => (segment, false),
    };
    let plain = digits == "0" || (!digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit()));
    let number = digits.parse::<usize>().ok().filter(|_| plain)?;
    let at = if from_end { length.checked_sub(number)? } else { number };
    (at < length).then_some(at)
}

fn find<'a>(object: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(object, |node, segment| match node {
        Value::Object(map) => map.get(segment),
        Value::Array(items) => items.get(index(segment, items.len())?),
        _ => None,
    })
}

fn find_mut<'a>(object: &'a mut Value, path: &[String]) -> Option<&'a mut Value> {
    path.iter().try_fold(object, |node, segment| match node {
        Value::Object(map) => map.get_mut(segment),
        Value::Array(items) => {
            let at = index(segment, items.len())?;
            items.make_mut().get_mut(at)
        }
        _ => None,
    })
}

fn add(object: &mut Value, path: &[String], value: Value, kind: &str, work: &mut Work) -> Result<(), PatchError> {
    refuse_depth(path, &value, work)?;
    let Some((last, parents)) = path.split_last() else {
        *object = value;
        return Ok(());
    };
    let missing = || {
        PatchError::Inapplicable(format!(
            "{kind} operation does not apply: doc is missing path: {}: missing value",
            quote(&text(path))
        ))
    };
    match find_mut(object, parents).ok_or_else(missing)? {
        Value::Object(map) => {
            // Its entries are sorted: about half of them have to make room.
            work.shift(map.len())?;
            map.insert(last.as_str(), value);
            Ok(())
        }
        Value::Array(items) => {
            let items = items.make_mut();
            let at = if last == "-" { Some(items.len()) } else { index(last, items.len() + 1) };
            let at = at.ok_or_else(|| {
                PatchError::Inapplicable(format!(
                    "{kind} operation does not apply: Unable to access invalid index: {last}: invalid index referenced"
                ))
            })?;
            work.shift(items.len() - at)?;
            items.insert(at, value);
            Ok(())
        }
        _ => Err(missing()),
    }
}

/// Each operation is shallow enough by itself, but one can put its value below what the last one added.
fn refuse_depth(path: &[String], value: &Value, work: &mut Work) -> Result<(), PatchError> {
    if path.len() + depth(value, work)? > DEPTH_MAX {
        return Err(PatchError::TooLarge(format!(
            "The allowed maximum depth of an object in a JSON patch is {DEPTH_MAX}"
        )));
    }
    Ok(())
}

fn depth(value: &Value, work: &mut Work) -> Result<usize, PatchError> {
    work.spend(1)?;
    let mut deepest = 0;
    match value {
        Value::Array(items) => {
            for item in items.iter() {
                deepest = deepest.max(1 + depth(item, work)?);
            }
            Ok(deepest.max(1))
        }
        Value::Object(map) => {
            for (_, value) in map.iter() {
                deepest = deepest.max(1 + depth(value, work)?);
            }
            Ok(deepest.max(1))
        }
        _ => Ok(0),
    }
}

fn remove(object: &mut Value, path: &[String], kind: &str, work: &mut Work) -> Result<Value, PatchError> {
    let missing = || {
        PatchError::Inapplicable(format!(
            "{kind} operation does not apply: Unable to remove nonexistent key: {}: missing value",
            path.last().map_or("", String::as_str)
        ))
    };
    let (last, parents) = path.split_last().ok_or_else(missing)?;
    match find_mut(object, parents).ok_or_else(missing)? {
        Value::Object(map) => {
            work.shift(map.len())?;
            map.remove(last).ok_or_else(missing)
        }
        Value::Array(items) => {
            let items = items.make_mut();
            let at = index(last, items.len()).ok_or_else(missing)?;
            work.shift(items.len() - at)?;
            Ok(items.remove(at))
        }
        _ => Err(missing()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::FieldValidation;

    fn read(text: &str) -> Value {
        json::decode(text.as_bytes(), None, FieldValidation::Ignore).unwrap().value
    }

    #[track_caller]
    fn check(object: &str, patch: &str, want: &str) {
        assert_eq!(apply(&read(object), &read(patch)).unwrap(), read(want), "{object} + {patch}");
    }

    /// The answer was that of an operation that does not fit the object.
    #[test]
    fn what_is_no_operation_makes_it_no_patch() {
        for (patch, kind) in [("[1]", "number"), ("[[]]", "array"), (r#"["a"]"#, "string"), ("[null, true]", "bool")] {
            let error = apply(&read("{}"), &read(patch)).unwrap_err();
            let why = format!(
                "error decoding patch: json: cannot unmarshal {kind} into Go value of type jsonpatch.Operation"
            );
            assert_eq!(error, PatchError::Invalid(why));
        }
        let error = apply(&read("{}"), &read(r#"[{"op":1,"path":"/a"}]"#)).unwrap_err();
        assert!(matches!(error, PatchError::Inapplicable(_)), "Go reads each field when it is needed: {error}");
    }

    #[test]
    fn operations_apply_in_order() {
        check(
            r#"{"a":1}"#,
            r#"[{"op":"add","path":"/b","value":[1]},{"op":"add","path":"/b/-","value":2}]"#,
            r#"{"a":1,"b":[1,2]}"#,
        );
        check(r#"{"a":[1,2,3]}"#, r#"[{"op":"remove","path":"/a/1"}]"#, r#"{"a":[1,3]}"#);
        check(r#"{"a/b":{"~":1}}"#, r#"[{"op":"replace","path":"/a~1b/~0","value":2}]"#, r#"{"a/b":{"~":2}}"#);
        check(
            r#"{"a":{"x":1}}"#,
            r#"[{"op":"move","from":"/a/x","path":"/b"},{"op":"copy","from":"/b","path":"/a/y"}]"#,
            r#"{"a":{"y":1},"b":1}"#,
        );
        check(r#"{"a":1}"#, r#"[{"op":"test","path":"/a","value":1}]"#, r#"{"a":1}"#);
    }

    #[test]
    fn operations_that_do_not_fit_are_refused() {
        for patch in [
            r#"[{"op":"remove","path":"/x"}]"#,
            r#"[{"op":"replace","path":"/x","value":1}]"#,
            r#"[{"op":"test","path":"/a","value":2}]"#,
            r#"[{"op":"add","path":"/a/b","value":1}]"#,
            r#"[{"op":"add","path":"/l/01","value":1}]"#,
            r#"[{"op":"jump","path":"/a"}]"#,
            r#"{"op":"add"}"#,
        ] {
            assert!(apply(&read(r#"{"a":1,"l":[0,1]}"#), &read(patch)).is_err(), "{patch}");
        }
    }

    #[test]
    fn operations_cannot_build_deeper_than_a_body_may_be() {
        // Each adds 6,000 levels below the last: the second is one too many.
        let deep = format!("{}0{}", r#"{"a":"#.repeat(6_000), "}".repeat(6_000));
        for op in ["add", "replace"] {
            let below = "/a".repeat(6_000);
            let patch = format!(
                r#"[{{"op":"add","path":"/x","value":{deep}}},{{"op":"{op}","path":"/x{below}","value":{deep}}}]"#
            );
            assert!(matches!(apply(&read("{}"), &read(&patch)), Err(PatchError::TooLarge(_))), "{op}");
        }
        for op in ["copy", "move"] {
            let below = "/a".repeat(5_999);
            let patch = format!(
                r#"[{{"op":"add","path":"/x","value":{deep}}},{{"op":"add","path":"/y","value":{deep}}},{{"op":"{op}","from":"/y","path":"/x{below}/b"}}]"#
            );
            assert!(matches!(apply(&read("{}"), &read(&patch)), Err(PatchError::TooLarge(_))), "{op}");
        }
    }

    #[test]
    fn copies_cannot_grow_without_bound() {
        let copies: Vec<String> = (0..60).map(|_| r#"{"op":"copy","from":"","path":"/x/-"}"#.to_owned()).collect();
        let patch = read(&format!("[{}]", copies.join(",")));
        assert!(matches!(apply(&read(r#"{"x":[]}"#), &patch), Err(PatchError::Inapplicable(_))));
        // Few nodes, but long ones: bytes count.
        let long = read(&format!(r#"{{"data":{{"k":"{}"}}}}"#, "x".repeat(1 << 20)));
        let copy = |n: usize| (0..n).map(|at| format!(r#"{{"op":"copy","from":"/data/k","path":"/data/k{at}"}}"#));
        let patch = |n: usize| read(&format!("[{}]", copy(n).collect::<Vec<_>>().join(",")));
        assert!(apply(&long, &patch(2)).is_ok());
        assert_eq!(
            apply(&long, &patch(3)).unwrap_err().to_string(),
            "Unable to complete the copy, the accumulated size increase of copy is 3145734, exceeding the limit 3145728"
        );
    }

    /// Ten thousand operations on a large object kept a thread busy for tens of seconds, again for every conflict.
    #[test]
    fn many_operations_on_a_large_object_are_refused() {
        let large = read(&format!(r#"{{"x":[{}],"y":{{}}}}"#, vec!["0"; 100_000].join(",")));
        let check = |operation: &str, times: usize, fits: bool| {
            let patch = read(&format!("[{}]", vec![operation; times].join(",")));
            let result = apply(&large, &patch);
            assert_eq!(result.is_ok(), fits, "{operation} {times} times: {:?}", result.err());
            assert!(result.is_ok() || matches!(result, Err(PatchError::TooLarge(_))));
        };
        for (operation, fits_often) in [
            (r#"{"op":"add","path":"/x/0","value":1}"#, false),
            (r#"{"op":"remove","path":"/x/0"}"#, false),
            (r#"{"op":"move","from":"/x","path":"/x"}"#, false),
            (r#"{"op":"add","path":"/x/-","value":1}"#, true),
            (r#"{"op":"replace","path":"/x/7","value":1}"#, true),
        ] {
            check(operation, 20, true);
            check(operation, 9_000, fits_often);
        }
    }
}
