//! Rules of config maps: keys, size, and immutability. What secrets share with them is here too.

use base64::Engine as _;
use corten_apimachinery::{
    Map, Value,
    field::{Error, ErrorList, Path},
    validation::is_config_map_key,
    value::semantically_equal,
};

use crate::report::Report;

/// All values of a config map or secret together: 1 MiB.
pub(crate) const DATA_MAX_BYTES: usize = 1_024 * 1_024;

pub(super) fn create(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let map = |field: &str| object.get(field).and_then(Value::as_object).cloned().unwrap_or_default();
    let (data, binary) = (map("data"), map("binaryData"));
    let mut size_bytes = 0;
    let mut check = |field: &str, map: &Map, other_field: &str, other: &Map, size: fn(&str) -> usize| {
        for (key, value) in map.iter() {
            let path = Path::new(field).key(key);
            errors.invalids(&path, key, is_config_map_key(key));
            if other.contains_key(key) {
                errors.invalid(&path, key, format!("duplicate of key present in {other_field}"));
            }
            size_bytes += size(value.as_str().unwrap_or_default());
        }
    };
    check("data", &data, "binaryData", &binary, str::len);
    check("binaryData", &binary, "data", &data, decoded_len);
    if size_bytes > DATA_MAX_BYTES {
        // Upstream reports against a path with one empty element, which prints like this.
        errors.push(Error::too_long(&Path::new("[]"), DATA_MAX_BYTES));
    }
    errors
}

pub(super) fn update(object: &Value, old: &Value) -> ErrorList {
    let mut errors = frozen(object, old, &["data", "binaryData"]);
    errors.extend(create(object));
    errors
}

/// What `immutable: true` of the old object forbids.
pub(crate) fn frozen(object: &Value, old: &Value, fields: &[&str]) -> ErrorList {
    let mut errors = ErrorList::new();
    if old.bool_at(&["immutable"]) != Some(true) {
        return errors;
    }
    let detail = "field is immutable when `immutable` is set";
    if object.bool_at(&["immutable"]) != Some(true) {
        errors.forbidden(&Path::new("immutable"), detail);
    }
    for field in fields {
        if !semantically_equal(object.get(field), old.get(field)) {
            errors.forbidden(&Path::new(field), detail);
        }
    }
    errors
}

/// How many bytes a base64 text stands for.
pub(crate) fn decoded_len(text: &str) -> usize {
    base64::engine::general_purpose::STANDARD.decode(text).map_or(text.len(), |bytes| bytes.len())
}
