//! Reads messages as trees.

use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::{
    MAGIC, is_message, message_type, resolve,
    wire::{Reader, Wire, text_of, wrong_wire},
};
use crate::{
    codec::{
        DecodeError, canonical, json,
        objects::{Objects, Place},
    },
    duration::GoDuration,
    meta,
    type_table::{Field, FieldType, Shape, Struct, TypeId, TypeTable},
    value::{Map, Str, Value},
};

/// The deepest nesting of messages: far more than any type has, far less than the stack bears.
const DEPTH_MAX: usize = 200;

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
    let Envelope { api_version, kind, raw } = Envelope::of(bytes)?;
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

/// An object as it is sent: what it is, and its message.
struct Envelope<'a> {
    api_version: Str,
    kind: Str,
    raw: &'a [u8],
}

impl<'a> Envelope<'a> {
    fn of(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let body = match bytes.strip_prefix(MAGIC) {
            None if bytes.is_empty() => return Err(DecodeError::new("empty data")),
            None => {
                let why = "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]";
                return Err(DecodeError::new(why));
            }
            Some([]) => return Err(DecodeError::new("empty body")),
            Some(body) => body,
        };
        let (mut api_version, mut kind, mut raw) = (Str::default(), Str::default(), &[][..]);
        let mut envelope = Reader(body);
        while let Some((number, wire)) = envelope.key()? {
            match (number, wire) {
                (1, Wire::Bytes(type_meta)) => {
                    let mut fields = Reader(type_meta);
                    while let Some((number, wire)) = fields.key()? {
                        match (number, wire) {
                            (1, Wire::Bytes(text)) => api_version = text_of(text),
                            (2, Wire::Bytes(text)) => kind = text_of(text),
                            _ => {}
                        }
                    }
                }
                (2, Wire::Bytes(bytes)) => raw = bytes,
                _ => {}
            }
        }
        Ok(Self { api_version, kind, raw })
    }
}

/// Whether `bytes` are a whole envelope: it says what is in it, which is not looked at.
#[must_use]
pub fn is_whole_envelope(bytes: &[u8]) -> bool {
    Envelope::of(bytes).is_ok()
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
    let text = |at: usize| text_of(texts[at].unwrap_or_default());
    Ok(match shape {
        Shape::Quantity => Value::String(canonical::quantity(&text(1)).map_err(DecodeError::new)?),
        Shape::IntOrString if numbers[1] == 1 => Value::String(text(3)),
        Shape::IntOrString => Value::Int(i64::from(numbers[2] as i32)),
        Shape::Time | Shape::MicroTime if bytes.is_empty() => Value::Null,
        Shape::Time | Shape::MicroTime => {
            let time = jiff::Timestamp::new(numbers[1] as i64, numbers[2] as i32)
                .map_err(|_| DecodeError::new("proto: time out of range"))?;
            let write = if *shape == Shape::Time { meta::format_time } else { meta::format_micro_time };
            canonical::time_or_null(write(time))
        }
        Shape::Duration => Value::from(GoDuration(numbers[1] as i64).to_string()),
        Shape::RawExtension | Shape::FieldsV1 | Shape::Json => match texts[1] {
            None | Some([]) => Value::Null,
            Some(set) if *shape == Shape::FieldsV1 => json::decode_field_set(set)?,
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
            None => Value::array(lists.into_iter().map(|name| Value::String(text_of(name)))),
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
            let read = match (wire, resolve(table, item)) {
                (Wire::Bytes(packed), FieldType::Bool | FieldType::Int32 | FieldType::Int64 | FieldType::Double) => {
                    numbers(packed, table, item, &field.name, bounds)?
                }
                _ => vec![single(wire, table, item, &field.name, bounds)?],
            };
            let slot = entries.slot(&field.name);
            if slot.is_null() {
                *slot = Value::array([]);
            }
            slot.as_array_mut().expect("the slot was made an array").extend(read);
        }
        FieldType::Map(item) => {
            let Wire::Bytes(entry) = wire else { return Err(wrong_wire(&field.name)) };
            let (mut key, mut value) = (Str::default(), None);
            let mut reader = Reader(entry);
            while let Some((number, wire)) = reader.key()? {
                match (number, wire) {
                    (1, Wire::Bytes(text)) => key = text_of(text),
                    (2, wire) => value = Some(single(wire, table, item, &field.name, bounds)?),
                    _ => {}
                }
            }
            let value = match value {
                Some(value) => value,
                None if *resolve(table, item) == FieldType::Bytes => Value::String(Str::default()),
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

/// Numbers that follow each other without their field's: nobody here writes them so, but newer programs do.
fn numbers(
    packed: &[u8],
    table: &TypeTable,
    item: &FieldType,
    name: &str,
    bounds: &mut Bounds,
) -> Result<Vec<Value>, DecodeError> {
    let is_double = *resolve(table, item) == FieldType::Double;
    let mut reader = Reader(packed);
    let mut numbers = Vec::new();
    while !reader.0.is_empty() {
        let wire = if is_double { Wire::Fixed64(reader.fixed64()?) } else { Wire::Varint(reader.varint()?) };
        numbers.push(single(wire, table, item, name, bounds)?);
    }
    Ok(numbers)
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
        (FieldType::String, Wire::Bytes(text)) => Ok(Value::String(text_of(text))),
        (FieldType::Bytes, Wire::Bytes(bytes)) => Ok(Value::String(BASE64_STANDARD.encode(bytes).into())),
        _ => Err(wrong_wire(name)),
    }
}

fn number(number: f64) -> Value {
    // JSON has one kind of number; whole ones read as integers there, so they do here.
    let whole = number as i64;
    if whole as f64 == number && whole.unsigned_abs() < (1 << 53) { Value::Int(whole) } else { Value::Float(number) }
}
