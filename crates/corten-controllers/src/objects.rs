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
