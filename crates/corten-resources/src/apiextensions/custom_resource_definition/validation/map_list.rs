//! What the items of lists with a type must be like.

use std::collections::BTreeSet;

use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path},
};

use crate::report::Report;

/// The schema of a list's items, if it is one and not a list of them.
pub(super) fn item_schema(schema: &Value) -> Option<&Value> {
    schema.get("items").filter(|items| matches!(items, Value::Object(_)))
}

fn text<'s>(schema: &'s Value, key: &str) -> &'s str {
    schema.str_at(&[key]).unwrap_or_default()
}

fn optional<'s>(schema: &'s Value, key: &str) -> Option<&'s str> {
    schema.str_at(&[key])
}

/// Rules of `x-kubernetes-map-type`, `-list-type` and `-list-map-keys`.
pub(super) fn check(schema: &Value, needs_atomic_set_items: bool, path: &Path, errors: &mut ErrorList) {
    let (ty, type_path) = (text(schema, "type"), path.child("type"));
    let mut needs_type = |wanted: &str, key: &str| {
        let detail = format!("must be {wanted} if {key} is specified");
        match ty {
            "" => errors.required(&type_path, &detail),
            ty => errors.invalid(&type_path, ty, detail),
        }
    };
    let (map_type, list_type) = (optional(schema, "x-kubernetes-map-type"), optional(schema, "x-kubernetes-list-type"));
    if map_type.is_some() && ty != "object" {
        needs_type("object", "x-kubernetes-map-type");
    }
    if let Some(map_type) = map_type {
        errors.one_of(&path.child("x-kubernetes-map-type"), map_type, &["atomic", "granular"]);
    }
    if list_type.is_some() && ty != "array" {
        let detail = "must be array if x-kubernetes-list-type is specified";
        match ty {
            "" => errors.required(&type_path, detail),
            ty => errors.invalid(&type_path, ty, detail),
        }
    } else if needs_atomic_set_items && has_loose_set_items(schema) {
        let items = item_schema(schema).unwrap_or(schema);
        let key = if text(items, "type") == "array" { "x-kubernetes-list-type" } else { "x-kubernetes-map-type" };
        let detail = "must be atomic as item of a list with x-kubernetes-list-type=set";
        let value = optional(items, "x-kubernetes-list-type").map_or(Value::Null, Value::from);
        errors.invalid(&path.child("items").child(key), value, detail);
    }
    let list_path = path.child("x-kubernetes-list-type");
    if let Some(list_type) = list_type {
        errors.one_of(&list_path, list_type, &["atomic", "set", "map"]);
    }
    if !schema.items_at(&["x-kubernetes-list-map-keys"]).is_empty() {
        let detail = "must be map if x-kubernetes-list-map-keys is non-empty";
        match list_type {
            None => errors.required(&list_path, detail),
            Some("map") => {}
            Some(other) => errors.invalid(&list_path, other, detail),
        }
    }
    if list_type == Some("map") {
        keys(schema, path, errors);
    }
}

/// Rules of the keys of a list of type `map`.
fn keys(schema: &Value, path: &Path, errors: &mut ErrorList) {
    let keys = schema.items_at(&["x-kubernetes-list-map-keys"]);
    let (keys_path, items_path) = (path.child("x-kubernetes-list-map-keys"), path.child("items"));
    if keys.is_empty() {
        errors.required(&keys_path, "must not be empty if x-kubernetes-list-type is map");
    }
    let items = match schema.get("items").filter(|items| !items.is_null()) {
        None => return errors.required(&items_path, "must have a schema if x-kubernetes-list-type is map"),
        Some(Value::Array(schemas)) => {
            let detail = "must only have a single schema if x-kubernetes-list-type is map";
            return errors.invalid(&items_path, Value::array(schemas.iter().cloned()), detail);
        }
        Some(items) => items,
    };
    let ty = text(items, "type");
    if ty != "object" {
        let detail = "must be object if parent array's x-kubernetes-list-type is map";
        return errors.invalid(&items_path.child("type"), ty, detail);
    }
    let all = || Value::array(keys.iter().cloned());
    let mut seen = BTreeSet::new();
    for key in keys.iter().filter_map(Value::as_str) {
        match items.at(&["properties", key]) {
            None => {
                errors.push_with(|| Error::invalid(&keys_path, all(), "entries must all be names of item properties"));
            }
            Some(property) if matches!(text(property, "type"), "array" | "object") => {
                let detail = "must be a scalar type if parent array's x-kubernetes-list-type is map";
                errors.invalid(&items_path.child("properties").key(key).child("type"), ty, detail);
            }
            Some(_) => {}
        }
        if !seen.insert(key) {
            errors.push_with(|| Error::invalid(&keys_path, all(), "must not contain duplicate entries"));
        }
    }
}

/// Whether the items of a set are not wholes.
pub(super) fn has_loose_set_items(schema: &Value) -> bool {
    let Some(items) = item_schema(schema).filter(|_| optional(schema, "x-kubernetes-list-type") == Some("set")) else {
        return false;
    };
    match text(items, "type") {
        // Lists are wholes if nothing is said, objects are not.
        "array" => optional(items, "x-kubernetes-list-type").is_some_and(|list_type| list_type != "atomic"),
        "object" => optional(items, "x-kubernetes-map-type") != Some("atomic"),
        _ => false,
    }
}

/// Whether `check_items` finds something.
pub(super) fn has_loose_items(schema: &Value) -> bool {
    let mut errors = ErrorList::new();
    check_items(schema, &Path::root(), &mut errors);
    !errors.is_empty()
}

/// Items of sets and maps are not nullable, and the keys of maps always have a value.
pub(super) fn check_items(schema: &Value, path: &Path, errors: &mut ErrorList) {
    let Some(items) = item_schema(schema) else { return };
    let Some(list_type @ ("set" | "map")) = optional(schema, "x-kubernetes-list-type") else { return };
    let is_nullable = |schema: &Value| schema.bool_at(&["nullable"]) == Some(true);
    let at = path.child("items");
    if is_nullable(items) {
        let detail = format!("cannot be nullable when x-kubernetes-list-type is {list_type}");
        errors.forbidden(&at.child("nullable"), detail);
    }
    if list_type == "set" {
        return;
    }
    let required: BTreeSet<&str> = items.items_at(&["required"]).iter().filter_map(Value::as_str).collect();
    for key in schema.items_at(&["x-kubernetes-list-map-keys"]).iter().filter_map(Value::as_str) {
        let Some(property) = items.at(&["properties", key]) else { continue };
        let at = at.child("properties").key(key);
        if !required.contains(key) && property.get("default").is_none_or(Value::is_null) {
            let detail =
                "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
            errors.required(&at.child("default"), detail);
        }
        if is_nullable(property) {
            let detail = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
            errors.forbidden(&at.child("nullable"), detail);
        }
    }
}
