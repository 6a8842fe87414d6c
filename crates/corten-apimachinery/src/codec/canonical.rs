//! The canonical form: what upstream would write after reading the same object.
//!
//! Zero values with `omitempty` go, values without it appear, nulls of typed fields are absences.

use base64::{DecodeError, Engine as _, prelude::BASE64_STANDARD};

use super::go_time::Layout;
use crate::{
    duration::GoDuration,
    type_table::{Field, FieldType, Presence, Shape, Struct, TypeId, TypeTable},
    value::{Map, Str, Value, format_str},
};

/// Brings `value`, which has the type's shape, to canonical form in place. What does not fit the type stays as it is.
pub fn canonicalize(value: &mut Value, table: &TypeTable, type_id: TypeId) {
    canonicalize_as(value, table, &FieldType::Ref(type_id));
}

/// The canonical form of an object of this type in which nothing is set.
#[must_use]
pub fn empty(table: &TypeTable, type_id: TypeId) -> Value {
    match zero(table, &FieldType::Ref(type_id), &mut 0) {
        Value::Object(empty) => Value::Object(empty),
        _ => Value::object(),
    }
}

fn canonicalize_as(value: &mut Value, table: &TypeTable, ty: &FieldType) {
    match ty {
        FieldType::Ref(id) => match &table.get(*id).shape {
            Shape::Alias(target) => canonicalize_as(value, table, target),
            Shape::Struct(shape) => {
                if let Value::Object(map) = value {
                    let mut entries = std::mem::take(map).into_entries();
                    for (key, child) in &mut entries {
                        if let Some(field) = shape.field(key) {
                            canonicalize_as(child, table, &field.ty);
                        }
                    }
                    *map = finish_struct(entries, table, shape, &mut 0);
                }
            }
            Shape::JsonSchemaOrBool(target)
            | Shape::JsonSchemaOrArray(target)
            | Shape::JsonSchemaOrStringArray(target) => match value {
                Value::Object(_) => canonicalize(value, table, *target),
                Value::Array(items) => {
                    for item in items.make_mut() {
                        canonicalize(item, table, *target);
                    }
                }
                _ => {}
            },
            _ => {}
        },
        FieldType::List(item_type) => {
            if let Some(items) = value.as_array_mut() {
                for item in items {
                    canonicalize_item(item, table, item_type);
                }
            }
        }
        FieldType::Map(item_type) => {
            if let Some(map) = value.as_object_mut() {
                for (_, item) in map.iter_mut() {
                    canonicalize_item(item, table, item_type);
                }
            }
        }
        _ => {}
    }
}

/// An item of a list or map is there, so a null says that nothing of it was set.
fn canonicalize_item(item: &mut Value, table: &TypeTable, ty: &FieldType) {
    if item.is_null() {
        *item = zero(table, ty, &mut 0);
    } else {
        canonicalize_as(item, table, ty);
    }
}

/// The object of a struct's entries: without those that upstream leaves out, with those that it always writes.
/// Keys of `entries` are distinct. The objects among what was added are counted in `made`.
pub(super) fn finish_struct(
    mut entries: Vec<(Str, Value)>,
    table: &TypeTable,
    shape: &Struct,
    made: &mut usize,
) -> Map {
    drop_unwritten(&mut entries, shape);
    with_always(entries, table, shape, made)
}

/// Takes out the entries that upstream leaves out.
pub(super) fn drop_unwritten(entries: &mut Vec<(Str, Value)>, shape: &Struct) {
    entries.retain(|(key, value)| shape.field(key).is_none_or(|field| is_written(field, value)));
}

/// The object of a struct's entries with those that upstream always writes; as `finish_struct`.
pub(super) fn with_always(mut entries: Vec<(Str, Value)>, table: &TypeTable, shape: &Struct, made: &mut usize) -> Map {
    for field in
        shape.fields.iter().filter(|field| matches!(field.presence, Presence::Always | Presence::PointerAlways))
    {
        if !entries.iter().any(|(key, _)| *key == field.name) {
            let zero =
                if field.presence == Presence::PointerAlways { Value::Null } else { zero(table, &field.ty, made) };
            entries.push((field.name.clone(), zero));
        }
    }
    Map::from_entries(entries).expect("the caller found duplicates, and only missing keys were added")
}

/// Whether upstream writes this value of a field.
pub(super) fn is_written(field: &Field, value: &Value) -> bool {
    match field.presence {
        Presence::Always => !value.is_null() || zero_is_null(&field.ty),
        Presence::PointerAlways => true,
        Presence::Pointer => !value.is_null(),
        Presence::OmitZero => !value.is_null() && !is_zero_struct(value),
        Presence::OmitEmpty => !is_empty(value, &field.ty) || (field.tells_empty && !value.is_null()),
    }
}

/// Whether Go's `encoding/json` calls the value empty. A struct never is.
fn is_empty(value: &Value, ty: &FieldType) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(truth) => !truth,
        Value::Int(number) => *number == 0 && !matches!(ty, FieldType::Any),
        Value::Float(number) => *number == 0.0,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty() && matches!(ty, FieldType::Map(_)),
        Value::Raw(_) => false,
    }
}

fn is_zero_struct(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.iter().all(|(_, value)| is_zero_struct(value)),
        Value::Raw(_) => false,
        Value::Null => true,
        Value::Bool(truth) => !truth,
        Value::Int(number) => *number == 0,
        Value::Float(number) => *number == 0.0,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
    }
}

fn zero_is_null(ty: &FieldType) -> bool {
    matches!(ty, FieldType::List(_) | FieldType::Map(_) | FieldType::Bytes | FieldType::Any)
}

/// What upstream writes for a value that was never set. The objects in it are counted in `made`.
pub(super) fn zero(table: &TypeTable, ty: &FieldType, made: &mut usize) -> Value {
    match ty {
        FieldType::Bool => Value::Bool(false),
        FieldType::Int32 | FieldType::Int64 | FieldType::Double => Value::Int(0),
        FieldType::String => Value::String(Str::default()),
        FieldType::Ref(id) => match &table.get(*id).shape {
            Shape::Alias(target) => zero(table, target, made),
            Shape::Struct(shape) => {
                let (zero, objects) = table.zero(*id, || {
                    let mut made = 1;
                    let zero = finish_struct(Vec::new(), table, shape, &mut made);
                    (Value::Object(zero), made)
                });
                *made += objects;
                zero.clone()
            }
            Shape::Quantity => Value::String(Str::const_new("0")),
            Shape::IntOrString => Value::Int(0),
            Shape::Duration => Value::String(Str::const_new("0s")),
            _ => Value::Null,
        },
        _ => Value::Null,
    }
}

/// A time in its canonical text. Go's zero time, the start of the year 1, is null.
pub(super) fn time_or_null(text: Str) -> Value {
    if matches!(text.as_str(), "0001-01-01T00:00:00Z" | "0001-01-01T00:00:00.000000Z") {
        return Value::Null;
    }
    Value::String(text)
}

/// The canonical text of a time: UTC, whole seconds.
///
/// Errors: it is none, in Go's words.
pub fn time(text: &str) -> Result<Str, String> {
    Layout::Seconds.parse(text).map(|time| format_str!("{time:.0}Z"))
}

/// The canonical text of a time with microseconds.
pub(super) fn micro_time(text: &str) -> Result<Str, String> {
    Layout::Micros.parse(text).map(|time| format_str!("{time:.6}Z"))
}

/// Whether the text is base64, as bytes are written.
pub(super) fn base64(text: &str) -> Result<(), String> {
    BASE64_STANDARD.decode(text).map(drop).map_err(|error| {
        let at = match error {
            DecodeError::InvalidByte(at, _) | DecodeError::InvalidLastSymbol(at, _) => at,
            _ => text.len(),
        };
        format!("illegal base64 data at input byte {at}")
    })
}

/// The canonical text of a quantity.
pub(super) fn quantity(text: &str) -> Result<Str, String> {
    crate::quantity::canonical_text(text).map_err(|error| error.to_string())
}

/// The canonical text of a duration.
pub(super) fn duration(text: &str) -> Result<Str, String> {
    text.parse::<GoDuration>()
        .map(|duration| crate::value::format_str!("{duration}"))
        .map_err(|error| error.to_string())
}
