//! Protobuf: the binary form of built-in types, between wire bytes and trees, driven by the type table.
//!
//! An object travels in an envelope: four magic bytes, then a message with its type and its own bytes. Fields go out in
//! the order of their numbers; values that are no pointers are written even when zero, as upstream's generated code does.
//! Upstream: k8s.io/apimachinery/pkg/runtime/serializer/protobuf and the generated marshallers (v1.35).

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::{Bytes, BytesMut};

use super::{
    DecodeError, FieldValidation, canonical, json,
    objects::{Objects, Place},
};
use crate::{
    duration::GoDuration,
    meta,
    type_table::{Field, FieldType, Presence, Shape, Struct, TypeId, TypeTable},
    value::{Map, Str, Value},
};

/// What an envelope begins with.
const MAGIC: &[u8; 4] = b"k8s\0";

/// The deepest nesting of messages: far more than any type has, far less than the stack bears.
const DEPTH_MAX: usize = 200;

/// Whether `bytes` are an enveloped object.
#[must_use]
pub fn is_envelope(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// Reads an enveloped object of the type `type_id`, in canonical form.
///
/// Errors: bytes that are no envelope, or whose lengths, wire types or nesting are wrong.
pub fn decode(bytes: &[u8], table: &TypeTable, type_id: TypeId) -> Result<Value, DecodeError> {
    decode_bounded(bytes, table, type_id, usize::MAX)
}

/// `decode` of at most `objects_max` objects.
///
/// Errors: `TooManyObjects`, without having read on; as `decode`.
pub fn decode_bounded(
    bytes: &[u8],
    table: &TypeTable,
    type_id: TypeId,
    objects_max: usize,
) -> Result<Value, DecodeError> {
    let body = bytes.strip_prefix(MAGIC).ok_or_else(|| {
        DecodeError::new("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")
    })?;
    let (mut api_version, mut kind, mut raw) = (Str::default(), Str::default(), &[][..]);
    let mut envelope = Reader(body);
    while let Some((number, wire)) = envelope.key()? {
        match (number, wire) {
            (1, Wire::Bytes(type_meta)) => {
                let mut fields = Reader(type_meta);
                while let Some((number, wire)) = fields.key()? {
                    match (number, wire) {
                        (1, Wire::Bytes(text)) => api_version = utf8(text)?,
                        (2, Wire::Bytes(text)) => kind = utf8(text)?,
                        _ => {}
                    }
                }
            }
            (2, Wire::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let mut bounds = Bounds { depth: 0, objects: Objects::at_most(objects_max) };
    let mut object = message(raw, table, type_id, &mut bounds)?;
    if !api_version.is_empty() {
        object.set(&["apiVersion"], api_version);
    }
    if !kind.is_empty() {
        object.set(&["kind"], kind);
    }
    Ok(object)
}

/// Writes an object of the type `type_id` in its envelope.
///
/// Errors: a tree that does not have the type's form.
pub fn encode(object: &Value, table: &TypeTable, type_id: TypeId) -> Result<Bytes, DecodeError> {
    let mut raw = Vec::with_capacity(1024);
    write_message(&mut raw, object, table, type_id)?;
    let mut type_meta = Vec::new();
    put_text(&mut type_meta, 1, object.str_at(&["apiVersion"]).unwrap_or_default());
    put_text(&mut type_meta, 2, object.str_at(&["kind"]).unwrap_or_default());
    let mut out = Vec::with_capacity(raw.len() + type_meta.len() + 16);
    out.extend_from_slice(MAGIC);
    put_bytes(&mut out, 1, &type_meta);
    put_bytes(&mut out, 2, &raw);
    put_bytes(&mut out, 3, b"");
    put_bytes(&mut out, 4, b"");
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

/// One value on the wire.
#[derive(Debug, Clone, Copy)]
enum Wire<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn varint(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0_u64;
        for shift in (0..70).step_by(7) {
            let (&byte, rest) = self.0.split_first().ok_or_else(truncated)?;
            self.0 = rest;
            if shift == 63 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(DecodeError::new("proto: integer overflow"))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self.0.split_at_checked(length).ok_or_else(truncated)?;
        self.0 = rest;
        Ok(head)
    }

    /// The next field, or `None` at the end.
    fn key(&mut self) -> Result<Option<(u32, Wire<'a>)>, DecodeError> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let number = u32::try_from(key >> 3).ok().filter(|&number| number > 0);
        let number = number
            .ok_or_else(|| DecodeError::new(format!("proto: illegal tag {} (wire type {})", key >> 3, key & 7)))?;
        let wire = match key & 7 {
            0 => Wire::Varint(self.varint()?),
            1 => Wire::Fixed64(u64::from_le_bytes(self.take(8)?.try_into().map_err(|_| truncated())?)),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| truncated())?;
                Wire::Bytes(self.take(length)?)
            }
            5 => Wire::Fixed32(u32::from_le_bytes(self.take(4)?.try_into().map_err(|_| truncated())?)),
            other => return Err(DecodeError::new(format!("proto: illegal wireType {other}"))),
        };
        Ok(Some((number, wire)))
    }
}

fn truncated() -> DecodeError {
    DecodeError::new("unexpected EOF")
}

fn wrong_wire(field: &str) -> DecodeError {
    DecodeError::new(format!("proto: wrong wireType for field {field}"))
}

fn utf8(bytes: &[u8]) -> Result<Str, DecodeError> {
    std::str::from_utf8(bytes)
        .map(Str::from)
        .map_err(|_| DecodeError::new("proto: string field contains invalid UTF-8"))
}

/// What is left of what an object may have.
struct Bounds {
    depth: usize,
    objects: Objects,
}

/// A message within another one.
fn inner_message(bytes: &[u8], table: &TypeTable, type_id: TypeId, bounds: &mut Bounds) -> Result<Value, DecodeError> {
    bounds.depth += 1;
    if bounds.depth > DEPTH_MAX {
        return Err(DecodeError::TooDeep("proto: exceeded max depth"));
    }
    let value = message(bytes, table, type_id, bounds)?;
    bounds.depth -= 1;
    Ok(value)
}

fn message(bytes: &[u8], table: &TypeTable, type_id: TypeId, bounds: &mut Bounds) -> Result<Value, DecodeError> {
    match &table.get(type_id).shape {
        Shape::Struct(shape) => {
            // Sets of managed fields are bytes here.
            bounds.objects.count(Place::Elsewhere)?;
            let mut entries = Entries::default();
            read_fields(bytes, table, shape, &mut Vec::new(), &mut entries, bounds)?;
            let mut made = 0;
            let object = canonical::finish_struct(entries.finish(), table, shape, &mut made);
            bounds.objects.count_all(made, Place::Elsewhere)?;
            Ok(Value::Object(object))
        }
        Shape::Alias(target) => match target {
            // A named list is a message of its own: its items are field 1.
            FieldType::List(item) => {
                let mut items = Vec::new();
                let mut reader = Reader(bytes);
                while let Some((number, wire)) = reader.key()? {
                    if number == 1 {
                        items.push(single(wire, table, item, "items", bounds)?);
                    }
                }
                Ok(items.into())
            }
            other => Err(wrong_wire(&format!("{other:?}"))),
        },
        special => special_message(bytes, table, special, bounds),
    }
}

fn special_message(bytes: &[u8], table: &TypeTable, shape: &Shape, bounds: &mut Bounds) -> Result<Value, DecodeError> {
    let (mut numbers, mut texts): ([u64; 4], [Option<&[u8]>; 4]) = ([0; 4], [None; 4]);
    let mut lists: Vec<&[u8]> = Vec::new();
    let mut reader = Reader(bytes);
    while let Some((number, wire)) = reader.key()? {
        let at = number as usize;
        match wire {
            Wire::Varint(value) if at < 4 => numbers[at] = value,
            Wire::Bytes(value) if at < 4 => {
                texts[at] = Some(value);
                if at == 2 {
                    lists.push(value);
                }
            }
            _ => {}
        }
    }
    let text = |at: usize| utf8(texts[at].unwrap_or_default());
    Ok(match shape {
        Shape::Quantity => Value::String(canonical::quantity(&text(1)?).map_err(DecodeError::new)?),
        Shape::IntOrString if numbers[1] == 1 => Value::String(text(3)?),
        Shape::IntOrString => Value::Int(i64::from(numbers[2] as i32)),
        Shape::Time | Shape::MicroTime if bytes.is_empty() => Value::Null,
        Shape::Time | Shape::MicroTime => {
            let time = jiff::Timestamp::new(numbers[1] as i64, numbers[2] as i32)
                .map_err(|_| DecodeError::new("proto: time out of range"))?;
            let write = if *shape == Shape::Time { meta::format_time } else { meta::format_micro_time };
            Value::String(write(time))
        }
        Shape::Duration => Value::from(GoDuration(numbers[1] as i64).to_string()),
        Shape::RawExtension | Shape::FieldsV1 | Shape::Json => match texts[1] {
            None | Some([]) => Value::Null,
            Some(set) if *shape == Shape::FieldsV1 => json::decode(set, None, FieldValidation::Ignore)?.value,
            // What an extension holds may be protobuf itself: then nobody here can show it.
            Some(bytes) => json::decode_within(bytes, &mut bounds.objects)?,
        },
        Shape::JsonSchemaOrBool(id) => match texts[2] {
            Some(schema) => inner_message(schema, table, *id, bounds)?,
            None => Value::Bool(numbers[1] != 0),
        },
        Shape::JsonSchemaOrArray(id) => match texts[1] {
            Some(schema) => inner_message(schema, table, *id, bounds)?,
            None => lists
                .into_iter()
                .map(|schema| inner_message(schema, table, *id, bounds))
                .collect::<Result<Vec<_>, _>>()?
                .into(),
        },
        Shape::JsonSchemaOrStringArray(id) => match texts[1] {
            Some(schema) => inner_message(schema, table, *id, bounds)?,
            None => lists.into_iter().map(|name| utf8(name).map(Value::String)).collect::<Result<Vec<_>, _>>()?.into(),
        },
        Shape::Struct(_) | Shape::Alias(_) => unreachable!("the caller handles these"),
    })
}

/// Entries in the order they are first met, with lists and maps that grow as their items come.
#[derive(Default)]
struct Entries {
    entries: Vec<(Str, Value)>,
    /// What was read of the maps among them, by their place; sorted once all is there.
    maps: Vec<(usize, Vec<(Str, Value)>)>,
}

impl Entries {
    fn place(&mut self, name: &Str) -> usize {
        self.entries.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
            self.entries.push((name.clone(), Value::Null));
            self.entries.len() - 1
        })
    }

    fn slot(&mut self, name: &Str) -> &mut Value {
        let at = self.place(name);
        &mut self.entries[at].1
    }

    fn map(&mut self, name: &Str) -> &mut Vec<(Str, Value)> {
        let place = self.place(name);
        let at = self.maps.iter().position(|(known, _)| *known == place).unwrap_or_else(|| {
            self.maps.push((place, Vec::new()));
            self.maps.len() - 1
        });
        &mut self.maps[at].1
    }

    fn finish(mut self) -> Vec<(Str, Value)> {
        for (place, entries) in self.maps {
            self.entries[place].1 = Value::Object(Map::of_last(entries));
        }
        self.entries
    }
}

/// Reads the fields of a message, and of messages that JSON has inlined into it: `prefix` is the way there.
fn read_fields(
    bytes: &[u8],
    table: &TypeTable,
    shape: &Struct,
    prefix: &mut Vec<u32>,
    entries: &mut Entries,
    bounds: &mut Bounds,
) -> Result<(), DecodeError> {
    let mut reader = Reader(bytes);
    while let Some((number, wire)) = reader.key()? {
        prefix.push(number);
        let found = shape.fields.iter().find(|field| field.numbers.starts_with(prefix));
        match found {
            Some(field) if field.numbers.len() == prefix.len() => read_field(wire, table, field, entries, bounds)?,
            Some(_) => {
                let Wire::Bytes(inner) = wire else { return Err(wrong_wire("inlined message")) };
                read_fields(inner, table, shape, prefix, entries, bounds)?;
            }
            // A newer client's field.
            None => {}
        }
        prefix.pop();
    }
    Ok(())
}

fn read_field(
    wire: Wire<'_>,
    table: &TypeTable,
    field: &Field,
    entries: &mut Entries,
    bounds: &mut Bounds,
) -> Result<(), DecodeError> {
    match resolve(table, &field.ty) {
        FieldType::List(item) if !is_message(table, &field.ty) => {
            let value = single(wire, table, item, &field.name, bounds)?;
            let slot = entries.slot(&field.name);
            if slot.is_null() {
                *slot = Value::array([]);
            }
            slot.as_array_mut().expect("the slot was made an array").push(value);
        }
        FieldType::Map(item) => {
            let Wire::Bytes(entry) = wire else { return Err(wrong_wire(&field.name)) };
            let (mut key, mut value) = (Str::default(), None);
            let mut reader = Reader(entry);
            while let Some((number, wire)) = reader.key()? {
                match (number, wire) {
                    (1, Wire::Bytes(text)) => key = utf8(text)?,
                    (2, wire) => value = Some(single(wire, table, item, &field.name, bounds)?),
                    _ => {}
                }
            }
            let value = match value {
                Some(value) => value,
                None => {
                    let mut made = 0;
                    let zero = canonical::zero(table, item, &mut made);
                    bounds.objects.count_all(made, Place::Elsewhere)?;
                    zero
                }
            };
            let map = entries.map(&field.name);
            if map.is_empty() {
                bounds.objects.count(Place::Elsewhere)?;
            }
            map.push((key, value));
        }
        _ => {
            let value = single(wire, table, &field.ty, &field.name, bounds)?;
            *entries.slot(&field.name) = value;
        }
    }
    Ok(())
}

/// Follows aliases of simple types and maps.
fn resolve<'t>(table: &'t TypeTable, mut ty: &'t FieldType) -> &'t FieldType {
    while let FieldType::Ref(id) = ty
        && let Shape::Alias(target) = &table.get(*id).shape
    {
        ty = target;
    }
    ty
}

/// Whether values of the type are messages on the wire: everything with a name but simple types and maps.
fn is_message(table: &TypeTable, ty: &FieldType) -> bool {
    match ty {
        FieldType::Ref(id) => match &table.get(*id).shape {
            Shape::Alias(FieldType::List(_)) => true,
            Shape::Alias(target) => is_message(table, target),
            _ => true,
        },
        _ => false,
    }
}

fn single(
    wire: Wire<'_>,
    table: &TypeTable,
    ty: &FieldType,
    name: &str,
    bounds: &mut Bounds,
) -> Result<Value, DecodeError> {
    if is_message(table, ty)
        && let (FieldType::Ref(id), Wire::Bytes(bytes)) = (message_type(table, ty), wire)
    {
        return inner_message(bytes, table, *id, bounds);
    }
    match (resolve(table, ty), wire) {
        (FieldType::Bool, Wire::Varint(value)) => Ok(Value::Bool(value != 0)),
        (FieldType::Int32, Wire::Varint(value)) => Ok(Value::Int(i64::from(value as i32))),
        (FieldType::Int64, Wire::Varint(value)) => Ok(Value::Int(value as i64)),
        (FieldType::Double, Wire::Fixed64(bits)) => Ok(number(f64::from_bits(bits))),
        (FieldType::Double, Wire::Fixed32(bits)) => Ok(number(f64::from(f32::from_bits(bits)))),
        (FieldType::String, Wire::Bytes(text)) => Ok(Value::String(utf8(text)?)),
        (FieldType::Bytes, Wire::Bytes(bytes)) => Ok(Value::String(BASE64_STANDARD.encode(bytes).into())),
        _ => Err(wrong_wire(name)),
    }
}

fn number(number: f64) -> Value {
    // JSON has one kind of number; whole ones read as integers there, so they do here.
    let whole = number as i64;
    if whole as f64 == number && whole.unsigned_abs() < (1 << 53) { Value::Int(whole) } else { Value::Float(number) }
}

/// The message type behind aliases of messages.
fn message_type<'t>(table: &'t TypeTable, mut ty: &'t FieldType) -> &'t FieldType {
    while let FieldType::Ref(id) = ty
        && let Shape::Alias(target @ FieldType::Ref(_)) = &table.get(*id).shape
    {
        ty = target;
    }
    ty
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(crate) fn put_number(out: &mut Vec<u8>, number: u32, value: i64) {
    put_varint(out, u64::from(number) << 3);
    put_varint(out, value as u64);
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_varint(out, u64::from(number) << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

pub(crate) fn put_text(out: &mut Vec<u8>, number: u32, text: &str) {
    put_bytes(out, number, text.as_bytes());
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
                write_single(&mut inner, 2, entry, table, item)?;
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
            put_varint(out, u64::from(number) << 3 | 1);
            out.extend_from_slice(&float.to_le_bytes());
        }
        FieldType::String => put_text(out, number, value.as_str().ok_or_else(wrong)?),
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
