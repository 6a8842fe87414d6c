//! Lists of type `set` have no item twice, and those of type `map` no keys.
//!
//! Upstream: k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype (v1.35).

use std::collections::BTreeMap;

use super::Structural;
use crate::{
    field::{Error, ErrorList, Path},
    value::{Map, Ordered, Str, Value},
};

/// Every list in `value` that is not what its list type says.
#[must_use]
pub fn validate_lists(path: &Path, schema: &Structural, value: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    check(path, schema, value, &mut errors);
    errors
}

fn check(path: &Path, schema: &Structural, value: &Value, errors: &mut ErrorList) {
    match value {
        Value::Object(map) => {
            if schema.properties.is_empty() && schema.additional_properties.is_none() {
                return;
            }
            for (name, child) in map.iter().filter(|(_, child)| is_compound(child)) {
                if let Some(property) = schema.properties.get(name) {
                    check(&path.child(name), property, child, errors);
                } else if let Some(additional) = schema.field(name) {
                    check(&path.key(name), additional, child, errors);
                }
            }
        }
        Value::Array(items) => {
            match schema.extensions.list_type.as_deref() {
                Some("set") => duplicates(items.iter(), |index| {
                    errors.push_with(|| Error::duplicate(&path.index(index), items[index].clone()));
                }),
                Some("map") => map_items(path, &schema.extensions.list_map_keys, items, errors),
                _ => {}
            }
            let Some(item_schema) = &schema.items else { return };
            for (index, item) in items.iter().enumerate().filter(|(_, item)| is_compound(item)) {
                if errors.is_full() {
                    return;
                }
                check(&path.index(index), item_schema, item, errors);
            }
        }
        _ => {}
    }
}

fn is_compound(value: &Value) -> bool {
    matches!(value, Value::Array(_) | Value::Object(_))
}

fn map_items(path: &Path, keys: &[Str], items: &[Value], errors: &mut ErrorList) {
    if let Some((index, item)) =
        items.iter().enumerate().find(|(_, item)| !matches!(item, Value::Object(_) | Value::Null))
    {
        let detail = "must be an object for an array of list-type map";
        errors.push(Error::invalid(&path.index(index), item.clone(), detail));
        return;
    }
    let of_items: Vec<Value> = items.iter().map(|item| keys_of(item, keys)).collect();
    duplicates(of_items.iter(), |index| {
        errors.push_with(|| Error::duplicate(&path.index(index), of_items[index].clone()));
    });
}

/// The fields that identify an item, those that are there.
pub(super) fn keys_of(item: &Value, keys: &[Str]) -> Value {
    let entries = keys.iter().filter_map(|key| Some((key.clone(), item.get(key)?.clone())));
    Value::Object(Map::of_last(entries.collect()))
}

/// Tells the second appearance of each value that appears more than once.
fn duplicates<'v>(values: impl Iterator<Item = &'v Value>, mut tell: impl FnMut(usize)) {
    let mut times: BTreeMap<Ordered<&Value>, u32> = BTreeMap::new();
    for (index, value) in values.enumerate() {
        let times = times.entry(Ordered(value)).or_default();
        *times = times.saturating_add(1);
        if *times == 2 {
            tell(index);
        }
    }
}
