//! Small steps that defaults are made of. All change a tree in place and touch only what they fill in.

use corten_apimachinery::{Map, Value};

/// Whether a field has no value that its Go type could tell from zero: absent, null, empty text, 0.
pub(crate) fn is_unset(object: &Value, key: &str) -> bool {
    match object.get(key) {
        None | Some(Value::Null | Value::Int(0)) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(_) => false,
    }
}

/// Fills in a field whose zero value means "not set": texts and numbers that are no pointers upstream.
pub(crate) fn fill_zero(object: &mut Value, key: &str, value: impl Into<Value>) {
    if is_unset(object, key) {
        object.set(&[key], value);
    }
}

/// Fills in a field that is a pointer upstream, so that an explicit zero counts as set.
pub(crate) fn fill_absent(object: &mut Value, key: &str, value: impl Into<Value>) {
    if matches!(object.get(key), None | Some(Value::Null)) {
        object.set(&[key], value);
    }
}

/// Runs `change` on the node at `path`, if there is one.
pub(crate) fn within(object: &mut Value, path: &[&str], change: impl FnOnce(&mut Value)) {
    if object.at(path).is_some_and(|node| !node.is_null())
        && let Some(node) = object.at_mut(path)
    {
        change(node);
    }
}

/// Runs `change` on every item of the list at `path`; without items nothing is copied.
pub(crate) fn each(object: &mut Value, path: &[&str], mut change: impl FnMut(&mut Value)) {
    if !object.items_at(path).is_empty()
        && let Some(items) = object.at_mut(path).and_then(Value::as_array_mut)
    {
        items.iter_mut().for_each(&mut change);
    }
}

/// Makes bytes that are null empty ones, in a map of them: upstream's store keeps no difference, and clients that decode every
/// entry cannot read a null.
pub(crate) fn fill_bytes(object: &mut Value, key: &str) {
    let entries = object.get(key).and_then(Value::as_object).into_iter().flat_map(Map::iter);
    if entries.map(|(_, bytes)| bytes).any(Value::is_null)
        && let Some(map) = object.at_mut(&[key]).and_then(Value::as_object_mut)
    {
        map.iter_mut().map(|(_, bytes)| bytes).filter(|bytes| bytes.is_null()).for_each(|bytes| *bytes = "".into());
    }
}

/// Defaults of a kind that has none.
pub(crate) fn none(_object: &mut Value) {}
