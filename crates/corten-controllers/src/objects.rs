//! What controllers do with served objects: read them as trees, make trees, tell refusals apart.

use corten_apimachinery::{
    codec::{FieldValidation, json},
    meta::parse_time,
    status::Status,
    stored::Stored,
    value::Value,
};
use corten_client::api;
use jiff::Timestamp;

/// The object as a tree, to be changed and written back with everything that no struct knows.
///
/// Errors: `InternalError` if the object is no JSON, which no server sends.
pub(crate) fn tree(object: &Stored) -> Result<Value, Status> {
    let decoded = json::decode(&object.json, None, FieldValidation::Ignore);
    decoded.map(|decoded| decoded.value).map_err(Status::internal)
}

/// Of the object only these fields, by their paths, as a tree: for handlers, which hear of every version and must not read all
/// of it. What is no JSON, which no server sends, is not there.
pub(crate) fn part(object: &Stored, paths: &[&[&str]]) -> Value {
    let mut part = Value::object();
    for path in paths {
        let Some((name, parents)) = path.split_last() else { continue };
        let [field] = object.json.fields(parents, [*name]);
        let field = field.and_then(|text| json::decode(text, None, FieldValidation::Ignore).ok());
        if let Some(field) = field {
            part.set(path, field.value);
        }
    }
    part
}

/// Whether two versions of an object have these fields as the same text, by their paths.
pub(crate) fn has_same(old: &Stored, new: &Stored, paths: &[&[&str]]) -> bool {
    paths.iter().all(|path| {
        let Some((name, parents)) = path.split_last() else { return old.json == new.json };
        old.json.fields(parents, [*name]) == new.json.fields(parents, [*name])
    })
}

/// A 32-bit number in a tree, 0 if absent.
pub(crate) fn i32_at(tree: &Value, path: &[&str]) -> i32 {
    let number = tree.i64_at(path).unwrap_or_default();
    i32::try_from(number).unwrap_or(if number < 0 { i32::MIN } else { i32::MAX })
}

/// A time in a tree.
pub(crate) fn time_at(tree: &Value, path: &[&str]) -> Option<Timestamp> {
    tree.str_at(path).and_then(parse_time)
}

/// JSON that was written in the code as a tree.
pub(crate) fn from_json(json: &serde_json::Value) -> Value {
    api::encode(json).expect("a tree of JSON is a tree")
}

/// Whether the server refused because the namespace is being deleted: trying again is of no use.
pub(crate) fn is_namespace_terminating(status: &Status) -> bool {
    let causes = status.details.as_ref().map(|details| details.causes.as_slice()).unwrap_or_default();
    causes.iter().any(|cause| cause.reason == "NamespaceTerminating")
}

/// What a delete came to: an object that is gone already was to be gone.
pub(crate) fn gone_is_fine(outcome: Result<(), Status>) -> Result<(), Status> {
    match outcome {
        Err(status) if status.is_not_found() => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use corten_informer::testutil::object;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_part_has_the_fields_that_are_there_and_no_others() {
        let node = object("n", 1).json(r#"{"metadata":{"name":"n"},"spec":{"taints":[{"key":"k"}],"x":1},"status":3}"#);
        let got = part(&node.build(), &[&["spec", "taints"], &["spec", "y"], &["status", "conditions"], &["metadata"]]);
        assert_eq!(got, from_json(&json!({"metadata": {"name": "n"}, "spec": {"taints": [{"key": "k"}]}})));
        assert_eq!(part(&object("n", 1).json("{").build(), &[&["spec"]]), Value::object());
    }

    #[test]
    fn versions_are_compared_by_the_fields_asked_for() {
        let node = |json: &str| object("n", 1).json(json).build();
        let (old, new) = (node(r#"{"spec":{"a":1,"b":2},"status":1}"#), node(r#"{"spec":{"a":1,"b":3},"status":1}"#));
        assert!(has_same(&old, &new, &[&["spec", "a"], &["status"], &["spec", "c"]]));
        assert!(!has_same(&old, &new, &[&["spec", "a"], &["spec", "b"]]));
        assert!(!has_same(&old, &new, &[&["spec"]]));
    }
}
