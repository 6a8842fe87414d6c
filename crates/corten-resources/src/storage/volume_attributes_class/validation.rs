//! Rules of classes of attributes.

use corten_apimachinery::{
    Map, Value,
    field::{ErrorList, Path},
    value::semantically_equal,
};

use crate::{
    report::Report,
    storage::class::{parameters, provisioner},
};

pub(super) fn create(class: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    provisioner(class.str_at(&["driverName"]).unwrap_or_default(), &Path::new("driverName"), &mut errors);
    let (map, path) = (class.get("parameters").and_then(Value::as_object), Path::new("parameters"));
    parameters(map, &path, &mut errors);
    if map.is_none_or(Map::is_empty) {
        errors.required(&path, "must contain at least one key/value pair");
    }
    errors
}

pub(super) fn update(class: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    for field in ["driverName", "parameters"] {
        if !semantically_equal(class.get(field), old.get(field)) {
            errors.forbidden(&Path::new(field), format!("updates to {field} are forbidden."));
        }
    }
    errors.extend(create(class));
    errors
}
