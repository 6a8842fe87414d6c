//! JSON within fields and annotations, refused in the words of Go's `encoding/json`.
//!
//! Go reads a null as whatever type it is asked for, and finds fields by name without regard to case.
//! Upstream: `json.Unmarshal` where rules read such texts (pkg/apis/core/validation and pkg/apis/core/helper, v1.35).

use corten_apimachinery::{
    Value,
    codec::{FieldValidation, json},
    value::{List, Map},
};

/// The object that a text says, to be read as the Go type `ty`; an empty one for null.
///
/// Errors: what is no JSON, or no object.
pub(crate) fn object(text: &[u8], ty: &str) -> Result<Map, String> {
    match read(text)? {
        Value::Object(map) => Ok(map),
        Value::Null => Ok(Map::new()),
        other => Err(mismatch(&other, "value", ty)),
    }
}

/// The items of the list that a text says, to be read as the Go type `ty`; none for null.
///
/// Errors: what is no JSON, or no list.
pub(crate) fn list(text: &[u8], ty: &str) -> Result<List, String> {
    match read(text)? {
        Value::Array(items) => Ok(items),
        Value::Null => Ok(List::default()),
        other => Err(mismatch(&other, "value", ty)),
    }
}

/// The field `name` of an object; `None` also for null.
pub(crate) fn field<'m>(map: &'m Map, name: &str) -> Option<&'m Value> {
    let mut found = map.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    found.next_back().filter(|value| !value.is_null())
}

/// The text of a field, empty if it is not there; `place` is how Go names the field.
///
/// Errors: a field that is no text.
pub(crate) fn text<'m>(map: &'m Map, name: &str, (place, ty): (&str, &str)) -> Result<&'m str, String> {
    match field(map, name) {
        None => Ok(""),
        Some(Value::String(text)) => Ok(text),
        Some(other) => Err(mismatch(other, &format!("struct field {place}"), ty)),
    }
}

/// A value is not of the type that it was to be read as.
pub(crate) fn mismatch(value: &Value, place: &str, ty: &str) -> String {
    let what = value.go_json_type();
    format!("json: cannot unmarshal {what} into Go {place} of type {ty}")
}

fn read(text: &[u8]) -> Result<Value, String> {
    let read = json::decode_lossy(text, None, FieldValidation::Ignore, usize::MAX);
    read.map(|decoded| decoded.value).map_err(|error| error.to_string())
}
