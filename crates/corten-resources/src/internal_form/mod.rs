//! Objects in the form in which upstream holds them inside, which is what its errors show.
//!
//! Rules upstream are about structs of no version. Where an error shows one, it is that struct as Go's `encoding/json` writes
//! it: fields by their Go names, in declared order, absent pointers, lists and maps as null, all else with its zero value. Types
//! of `meta/v1` have no other form, so they are shown as clients write them.
//!
//! Upstream: k8s.io/apimachinery/pkg/util/validation/field/errors.go, pkg/util/diff, pkg/apis/*/types.go (v1.35).

mod diff;
mod layout;
mod writer;

use std::sync::Arc;

use corten_api::types::table;
use corten_apimachinery::{
    Value,
    codec::{self, FieldValidation},
    type_table::{FieldType, Shape},
};
use serde::Serialize;

use crate::difference;
use writer::Writer;

/// How much of a value is written: an error that shows more is read by nobody.
const MAX_BYTES: usize = 1024 * 1024;

/// Where the types of the core group are.
const CORE: &str = "io.k8s.api.core.v1.";

/// A value of a type of the core group, on one line.
pub(crate) fn core(kind: &str, value: &Value) -> String {
    of_type(&format!("{CORE}{kind}"), value)
}

/// A list of values of a type of the core group, on one line.
pub(crate) fn core_list(kind: &str, items: &[Value]) -> String {
    let items: Vec<String> = items.iter().map(|item| core(kind, item)).collect();
    format!("[{}]", items.join(","))
}

/// A value of a type by its full name, on one line; "null" of a type that there is not. What is too long is cut.
pub(crate) fn of_type(name: &str, value: &Value) -> String {
    pointer(name, Some(value))
}

/// `of_type`, or null.
pub(crate) fn pointer(name: &str, value: Option<&Value>) -> String {
    let Some(id) = table().find(name) else {
        debug_assert!(false, "there is no type {name}");
        return "null".to_owned();
    };
    let mut writer = Writer::compact();
    writer.value(&FieldType::Ref(id), value, true);
    writer.into_text()
}

/// A typed view of the core group, on one line.
pub(crate) fn core_view(kind: &str, view: &impl Serialize) -> String {
    let json = serde_json::to_vec(view).unwrap_or_default();
    let tree = codec::json::decode(&json, None, FieldValidation::Ignore);
    core(kind, &tree.map(|decoded| decoded.value).unwrap_or_default())
}

/// What is different between two values of a type of the core group, line by line, as upstream shows it; where they are too
/// large for that, in short.
pub(crate) fn core_difference(kind: &str, old: Option<&Value>, new: Option<&Value>) -> String {
    difference_of(&format!("{CORE}{kind}"), old, new)
}

/// What is different between two values of a type, or two lists of it, like `core_difference`.
pub(crate) fn difference_of(name: &str, old: Option<&Value>, new: Option<&Value>) -> String {
    let Some(id) = table().find(name) else { return String::new() };
    let is_list = [old, new].into_iter().flatten().any(|value| value.as_array().is_some());
    let ty = FieldType::Ref(id);
    let ty = if is_list { FieldType::List(Arc::new(ty)) } else { ty };
    compare(old, new, |writer, value| writer.value(&ty, value, false))
}

/// What is different between the sources of two persistent volumes, given their specs, like `core_difference`.
pub(crate) fn volume_source_difference(old: &Value, new: &Value) -> String {
    let spec = table().find(&format!("{CORE}PersistentVolumeSpec"));
    let Some(Shape::Struct(of)) = spec.map(|id| &table().get(id).shape) else { return String::new() };
    compare(Some(old), Some(new), |writer, value| writer.own("PersistentVolumeSource", of, value))
}

fn compare(old: Option<&Value>, new: Option<&Value>, write: impl Fn(&mut Writer, Option<&Value>)) -> String {
    let text = |value: Option<&Value>| {
        let mut writer = Writer::pretty();
        write(&mut writer, value);
        writer.is_whole().then(|| writer.into_text())
    };
    match (text(old), text(new)) {
        (Some(old_text), Some(new_text)) => diff::unified(&old_text, &new_text),
        _ => difference::show(old, new),
    }
}

#[cfg(test)]
mod tests;
