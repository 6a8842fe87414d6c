//! Objects as trees: read from what an informer keeps, changed in place, and sent back whole, so that no field is lost.

use corten_apimachinery::{
    codec::{FieldValidation, json},
    meta::parse_time,
    status::Status,
    stored::Stored,
    value::Value,
};
use jiff::Timestamp;

/// The object as a tree.
///
/// Errors: `InternalError` if it is no JSON, which no server sends.
pub fn tree(object: &Stored) -> Result<Value, Status> {
    json::decode(&object.json, None, FieldValidation::Ignore).map(|decoded| decoded.value).map_err(Status::internal)
}

/// A 32-bit number in a tree, 0 if absent.
#[must_use]
pub fn i32_at(tree: &Value, path: &[&str]) -> i32 {
    let number = tree.i64_at(path).unwrap_or_default();
    i32::try_from(number).unwrap_or(if number < 0 { i32::MIN } else { i32::MAX })
}

/// A time in a tree.
#[must_use]
pub fn time_at(tree: &Value, path: &[&str]) -> Option<Timestamp> {
    tree.str_at(path).and_then(parse_time)
}
