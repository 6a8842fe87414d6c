//! Writes trees as messages.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::{Bytes, BytesMut};

use super::{
    MAGIC, is_message, message_type, resolve,
    wire::{put_bytes, put_double, put_number, put_text, put_varint},
};
use crate::{
    codec::{DecodeError, canonical, json, lists::Around},
    duration::GoDuration,
    meta,
    type_table::{Field, FieldType, Presence, Shape, TypeId, TypeTable},
    value::{Map, Value},
};

/// Writes an object of the type `type_id` in its envelope.
///
/// Errors: a tree that does not have the type's form.
pub fn encode(object: &Value, table: &TypeTable, type_id: TypeId) -> Result<Bytes, DecodeError> {
    let mut raw = Vec::with_capacity(1024);
    write_message(&mut raw, object, table, type_id)?;
    let mut out = Vec::with_capacity(raw.len() + 128);
    begin_envelope(&mut out, object);
    put_bytes(&mut out, 2, &raw);
    end_envelope(&mut out);
    Ok(out.into())
}

/// The frame of a watch event: its length, and a `WatchEvent` around the enveloped `object`.
#[must_use]
pub fn watch_frame(event: &str, object: &Bytes) -> Bytes {
    let mut raw_extension = Vec::with_capacity(object.len() + 8);
    put_bytes(&mut raw_extension, 1, object);
    let mut body = Vec::with_capacity(object.len() + 32);
    put_text(&mut body, 1, event);
    put_bytes(&mut body, 2, &raw_extension);
    let mut frame = BytesMut::with_capacity(body.len() + 4);
    frame.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes());
    frame.extend_from_slice(&body);
    frame.freeze()
}

/// Writes an object that stands in a list: without an envelope, as the field `number` of the list.
///
/// Errors: as `encode`.
pub fn encode_item(item: &Value, table: &TypeTable, type_id: TypeId, number: u32) -> Result<Bytes, DecodeError> {
    let mut message = Vec::with_capacity(1024);
    write_message(&mut message, item, table, type_id)?;
    let mut out = Vec::with_capacity(message.len() + 8);
    put_bytes(&mut out, number, &message);
    Ok(out.into())
}

/// What stands around items of `items_len` bytes in all, which are the field `number` of the list `whole` of the type `type_id`.
///
/// Errors: as `encode`.
pub fn around(
    whole: &Value,
    table: &TypeTable,
    type_id: TypeId,
    number: u32,
    items_len: usize,
) -> Result<Around, DecodeError> {
    let Shape::Struct(shape) = &table.get(type_id).shape else {
        return Err(DecodeError::new("only a message can have a list of messages"));
    };
    let empty = Map::new();
    let map = whole.as_object().unwrap_or(&empty);
    let mut fields: Vec<&Field> = shape.fields.iter().filter(|field| !field.numbers.is_empty()).collect();
    fields.sort_by(|a, b| a.numbers.cmp(&b.numbers));
    let (mut first, mut last) = (Vec::new(), Vec::new());
    let split = fields.partition_point(|field| field.numbers[0] < number);
    let (before, after) = fields.split_at(split);
    let after = if after.first().is_some_and(|field| field.numbers[0] == number) { &after[1..] } else { after };
    write_fields(&mut first, map, table, before, 0)?;
    write_fields(&mut last, map, table, after, 0)?;
    let mut out = Vec::with_capacity(first.len() + 64);
    begin_envelope(&mut out, whole);
    put_varint(&mut out, 2 << 3 | 2);
    put_varint(&mut out, (first.len() + items_len + last.len()) as u64);
    out.extend_from_slice(&first);
    end_envelope(&mut last);
    Ok(Around { before: out.into(), between: Bytes::new(), after: last.into() })
}

fn begin_envelope(out: &mut Vec<u8>, object: &Value) {
    let mut type_meta = Vec::new();
    put_text(&mut type_meta, 1, object.str_at(&["apiVersion"]).unwrap_or_default());
    put_text(&mut type_meta, 2, object.str_at(&["kind"]).unwrap_or_default());
    out.extend_from_slice(MAGIC);
    put_bytes(out, 1, &type_meta);
}

/// The content's encoding and type, which nobody sets.
fn end_envelope(out: &mut Vec<u8>) {
    put_bytes(out, 3, b"");
    put_bytes(out, 4, b"");
}

fn write_message(out: &mut Vec<u8>, value: &Value, table: &TypeTable, type_id: TypeId) -> Result<(), DecodeError> {
    match &table.get(type_id).shape {
        Shape::Struct(shape) => {
            let mut fields: Vec<&Field> = shape.fields.iter().filter(|field| !field.numbers.is_empty()).collect();
            fields.sort_by(|a, b| a.numbers.cmp(&b.numbers));
            let empty = Map::new();
            write_fields(out, value.as_object().unwrap_or(&empty), table, &fields, 0)
        }
        Shape::Alias(FieldType::List(item)) => {
            for entry in value.as_array().unwrap_or_default() {
                write_single(out, 1, entry, table, item)?;
            }
            Ok(())
        }
        special => write_special(out, value, table, special),
    }
}

/// Writes fields that are sorted by number and share their first `level` numbers.
fn write_fields(
    out: &mut Vec<u8>,
    map: &Map,
    table: &TypeTable,
    fields: &[&Field],
    level: usize,
) -> Result<(), DecodeError> {
    let mut rest = fields;
    while let Some(first) = rest.first() {
        let number = first.numbers[level];
        let count = rest.iter().take_while(|field| field.numbers[level] == number).count();
        let (group, after) = rest.split_at(count);
        rest = after;
        if first.numbers.len() > level + 1 {
            let mut inner = Vec::new();
            write_fields(&mut inner, map, table, group, level + 1)?;
            put_bytes(out, number, &inner);
            continue;
        }
        write_field(out, number, map.get(&first.name), table, first)?;
    }
    Ok(())
}

fn write_field(
    out: &mut Vec<u8>,
    number: u32,
    value: Option<&Value>,
    table: &TypeTable,
    field: &Field,
) -> Result<(), DecodeError> {
    let value = value.filter(|value| !value.is_null());
    match resolve(table, &field.ty) {
        FieldType::List(item) if !is_message(table, &field.ty) => {
            for entry in value.and_then(Value::as_array).unwrap_or_default() {
                write_single(out, number, entry, table, item)?;
            }
            Ok(())
        }
        FieldType::Map(item) => {
            for (key, entry) in value.and_then(Value::as_object).into_iter().flat_map(Map::iter) {
                let mut inner = Vec::new();
                put_text(&mut inner, 1, key);
                // Bytes that are null, and not merely none, are left out.
                if !(entry.is_null() && *resolve(table, item) == FieldType::Bytes) {
                    write_single(&mut inner, 2, entry, table, item)?;
                }
                put_bytes(out, number, &inner);
            }
            Ok(())
        }
        FieldType::Bytes if value.is_none() => Ok(()),
        _ => match value {
            Some(value) => write_single(out, number, value, table, &field.ty),
            // A named list that is absent is a nil slice, which upstream does not write either.
            None if matches!(field.presence, Presence::Pointer | Presence::PointerAlways)
                || is_list(table, &field.ty) =>
            {
                Ok(())
            }
            None => write_single(out, number, &canonical::zero(table, &field.ty, &mut 0), table, &field.ty),
        },
    }
}

fn is_list(table: &TypeTable, ty: &FieldType) -> bool {
    matches!(resolve(table, ty), FieldType::List(_))
}

fn write_single(
    out: &mut Vec<u8>,
    number: u32,
    value: &Value,
    table: &TypeTable,
    ty: &FieldType,
) -> Result<(), DecodeError> {
    if is_message(table, ty)
        && let FieldType::Ref(id) = message_type(table, ty)
    {
        let mut inner = Vec::new();
        write_message(&mut inner, value, table, *id)?;
        put_bytes(out, number, &inner);
        return Ok(());
    }
    let wrong = || DecodeError::new(format!("cannot write {} as {ty:?}", value.type_name()));
    match resolve(table, ty) {
        FieldType::Bool => put_number(out, number, i64::from(value.as_bool().ok_or_else(wrong)?)),
        FieldType::Int32 | FieldType::Int64 => put_number(out, number, value.as_i64().ok_or_else(wrong)?),
        FieldType::Double => {
            let float = match value {
                Value::Float(float) => *float,
                other => other.as_i64().ok_or_else(wrong)? as f64,
            };
            put_double(out, number, float);
        }
        FieldType::String => put_text(out, number, value.as_str().ok_or_else(wrong)?),
        FieldType::Bytes if value.is_null() => put_bytes(out, number, b""),
        FieldType::Bytes => {
            let bytes = BASE64_STANDARD.decode(value.as_str().ok_or_else(wrong)?).map_err(|_| wrong())?;
            put_bytes(out, number, &bytes);
        }
        _ => return Err(wrong()),
    }
    Ok(())
}

fn write_special(out: &mut Vec<u8>, value: &Value, table: &TypeTable, shape: &Shape) -> Result<(), DecodeError> {
    let wrong = || DecodeError::new(format!("cannot write {} as {shape:?}", value.type_name()));
    match shape {
        Shape::Quantity => put_text(out, 1, value.as_str().ok_or_else(wrong)?),
        Shape::IntOrString => {
            let (kind, number, text) = match value {
                Value::Int(number) => (0, *number, ""),
                Value::String(text) => (1, 0, text.as_str()),
                _ => return Err(wrong()),
            };
            put_number(out, 1, kind);
            put_number(out, 2, number);
            put_text(out, 3, text);
        }
        Shape::Time | Shape::MicroTime => {
            if let Some(text) = value.as_str() {
                let time = meta::parse_time(text).ok_or_else(wrong)?;
                put_number(out, 1, time.as_second());
                put_number(out, 2, if *shape == Shape::Time { 0 } else { i64::from(time.subsec_nanosecond()) });
            }
        }
        Shape::Duration => put_number(
            out,
            1,
            value
                .as_str()
                .ok_or_else(wrong)?
                .parse::<GoDuration>()
                .map_err(|error| DecodeError::new(error.to_string()))?
                .0,
        ),
        Shape::RawExtension | Shape::FieldsV1 | Shape::Json => {
            if !value.is_null() {
                put_bytes(out, 1, &json::encode(value, None));
            }
        }
        Shape::JsonSchemaOrBool(id) => {
            put_number(out, 1, i64::from(value.as_bool().unwrap_or(true)));
            if value.as_object().is_some() {
                let mut inner = Vec::new();
                write_message(&mut inner, value, table, *id)?;
                put_bytes(out, 2, &inner);
            }
        }
        Shape::JsonSchemaOrArray(id) | Shape::JsonSchemaOrStringArray(id) => match value {
            Value::Array(items) => {
                for item in items.iter() {
                    match item.as_str() {
                        Some(text) => put_text(out, 2, text),
                        None => {
                            let mut inner = Vec::new();
                            write_message(&mut inner, item, table, *id)?;
                            put_bytes(out, 2, &inner);
                        }
                    }
                }
            }
            schema => {
                let mut inner = Vec::new();
                write_message(&mut inner, schema, table, *id)?;
                put_bytes(out, 1, &inner);
            }
        },
        Shape::Struct(_) | Shape::Alias(_) => unreachable!("the caller handles these"),
    }
    Ok(())
}
