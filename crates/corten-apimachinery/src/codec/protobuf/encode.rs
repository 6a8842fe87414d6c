//! From tree to message.
//!
//! Bytes are collected from the last to the first and turned round at the end: a length is known when it is written, and
//! nothing is measured twice or moved.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;

use super::{DEPTH_MAX, MAGIC, Message};
use crate::{
    codec::{DecodeError, canonical, json},
    duration::GoDuration,
    meta,
    type_table::{Field, FieldType, Presence, Shape, Struct, TypeId, TypeTable},
    value::{Map, Value},
};

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const LENGTH: u32 = 2;

pub(super) fn envelope(
    value: &Value,
    table: &TypeTable,
    type_id: TypeId,
    api_version: &str,
    kind: &str,
) -> Result<Bytes, DecodeError> {
    let mut writer = Writer { out: Vec::with_capacity(4 * 1024), table, depth: 0 };
    // Encoding and content type are never set, and always written.
    writer.text(4, "");
    writer.text(3, "");
    let start = writer.out.len();
    writer.message(value, &FieldType::Ref(type_id))?;
    writer.length(2, start);
    let start = writer.out.len();
    writer.text(2, kind);
    writer.text(1, api_version);
    writer.length(1, start);
    writer.out.extend(MAGIC.iter().rev());
    writer.out.reverse();
    Ok(writer.out.into())
}

struct Writer<'a> {
    out: Vec<u8>,
    table: &'a TypeTable,
    depth: usize,
}

fn misfit(value: &Value, what: &str) -> DecodeError {
    DecodeError::new(format!("cannot write {} as {what} in protobuf", value.type_name()))
}

impl<'a> Writer<'a> {
    fn varint(&mut self, mut number: u64) {
        let mut bytes = [0_u8; 10];
        let mut len = 0;
        loop {
            bytes[len] = number as u8 | 0x80;
            number >>= 7;
            len += 1;
            if number == 0 {
                break;
            }
        }
        bytes[len - 1] &= 0x7f;
        self.out.extend(bytes[..len].iter().rev());
    }

    fn tag(&mut self, number: u32, wire: u32) {
        self.varint(u64::from(number << 3 | wire));
    }

    /// Ends what was written since `start`, as a message, text or bytes.
    fn length(&mut self, number: u32, start: usize) {
        self.varint((self.out.len() - start) as u64);
        self.tag(number, LENGTH);
    }

    fn bytes(&mut self, number: u32, bytes: &[u8]) {
        let start = self.out.len();
        self.out.extend(bytes.iter().rev());
        self.length(number, start);
    }

    fn text(&mut self, number: u32, text: &str) {
        self.bytes(number, text.as_bytes());
    }

    fn integer(&mut self, number: u32, value: i64) {
        // Negative numbers are sign-extended, also those of 32 bits.
        self.varint(value as u64);
        self.tag(number, VARINT);
    }

    /// The content of the message of a value of type `ty`.
    fn message(&mut self, value: &Value, ty: &FieldType) -> Result<(), DecodeError> {
        let FieldType::Ref(id) = ty else { return Err(misfit(value, "a message")) };
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(DecodeError::new("exceeded max depth"));
        }
        let described = self.table.get(*id);
        match (&described.shape, value) {
            (Shape::Struct(fields), Value::Object(map)) => {
                let has_number = fields.fields.iter().any(|field| !field.numbers.is_empty());
                if !has_number
                    && fields.fields.iter().any(|field| !matches!(field.name.as_str(), "kind" | "apiVersion"))
                {
                    return Err(DecodeError::new(format!("{} has no binary form", described.name)));
                }
                self.structure(map, Message { fields, prefix: &[] })?;
            }
            (Shape::Struct(fields), Value::Null) => self.structure(&Map::new(), Message { fields, prefix: &[] })?,
            (Shape::Alias(FieldType::List(item)), Value::Array(items)) => self.list(1, items, item)?,
            (Shape::Alias(_), Value::Null) => {}
            (Shape::Quantity, Value::String(text)) => self.text(1, text),
            (Shape::Quantity, Value::Null) => self.text(1, "0"),
            (Shape::IntOrString, Value::Int(number)) => {
                self.text(3, "");
                self.integer(2, *number);
                self.integer(1, 0);
            }
            (Shape::IntOrString, Value::String(text)) => {
                self.text(3, text);
                self.integer(2, 0);
                self.integer(1, 1);
            }
            (Shape::IntOrString, Value::Null) => {
                self.text(3, "");
                self.integer(2, 0);
                self.integer(1, 0);
            }
            // The zero time.
            (Shape::Time | Shape::MicroTime, Value::Null) => {}
            (Shape::Time | Shape::MicroTime, Value::String(text)) => {
                let time = meta::parse_time(text).ok_or_else(|| misfit(value, "a time"))?;
                let has_micros = described.shape == Shape::MicroTime;
                // Seconds are counted downwards before 1970, parts of a second always upwards.
                let nanos = time.as_nanosecond().rem_euclid(1_000_000_000) as i64;
                self.integer(2, if has_micros { nanos / 1_000 * 1_000 } else { 0 });
                self.integer(1, time.as_nanosecond().div_euclid(1_000_000_000) as i64);
            }
            (Shape::Duration, Value::String(text)) => {
                let duration: GoDuration = text.parse().map_err(|_| misfit(value, "a duration"))?;
                self.integer(1, duration.0);
            }
            (Shape::Duration, Value::Null) => self.integer(1, 0),
            (Shape::RawExtension | Shape::FieldsV1 | Shape::Json, value) => {
                if !value.is_null() || described.shape == Shape::Json {
                    self.bytes(1, &json::encode(value, None));
                }
            }
            (Shape::JsonSchemaOrBool(id), value) => {
                if let Value::Object(_) = value {
                    let start = self.out.len();
                    self.message(value, &FieldType::Ref(*id))?;
                    self.length(2, start);
                }
                self.integer(1, i64::from(value.as_bool().unwrap_or(!value.is_null())));
            }
            (Shape::JsonSchemaOrArray(id), Value::Array(items)) => self.list(2, items, &FieldType::Ref(*id))?,
            (Shape::JsonSchemaOrStringArray(_), Value::Array(items)) => self.list(2, items, &FieldType::String)?,
            (Shape::JsonSchemaOrArray(id) | Shape::JsonSchemaOrStringArray(id), Value::Object(_)) => {
                let start = self.out.len();
                self.message(value, &FieldType::Ref(*id))?;
                self.length(1, start);
            }
            _ => return Err(misfit(value, &described.name)),
        }
        self.depth -= 1;
        Ok(())
    }

    /// The fields of one message, the last first.
    fn structure(&mut self, map: &Map, message: Message<'_>) -> Result<(), DecodeError> {
        let level = message.prefix.len();
        let fields: &Struct = message.fields;
        let mut order: smallvec::SmallVec<[(u32, u32); 64]> = fields
            .fields
            .iter()
            .enumerate()
            .filter(|(_, field)| message.has(field))
            .map(|(index, field)| (field.numbers[level], index as u32))
            .collect();
        order.sort_unstable();
        let mut rest = order.as_slice();
        while let Some(&(number, index)) = rest.last() {
            let field = &fields.fields[index as usize];
            if field.numbers.len() == level + 1 {
                rest = &rest[..rest.len() - 1];
                self.field(number, field, map.get(&field.name))?;
                continue;
            }
            // Fields of an inlined struct, which is a message of its own here and always there.
            rest = &rest[..rest.iter().position(|&(other, _)| other == number).unwrap_or_default()];
            let start = self.out.len();
            let prefix = &field.numbers[..=level];
            self.structure(map, Message { fields, prefix })?;
            self.length(number, start);
        }
        Ok(())
    }

    fn field(&mut self, number: u32, field: &Field, value: Option<&Value>) -> Result<(), DecodeError> {
        let value = value.filter(|value| !value.is_null());
        let is_pointer = matches!(field.presence, Presence::Pointer | Presence::PointerAlways);
        match (&field.ty, value) {
            (_, None) if is_pointer => Ok(()),
            (FieldType::List(_) | FieldType::Map(_) | FieldType::Bytes | FieldType::Any, None) => Ok(()),
            (FieldType::Ref(id), None) if matches!(self.table.get(*id).shape, Shape::Alias(_)) => Ok(()),
            (ty, None) => {
                let zero = canonical::zero(self.table, ty);
                self.one(number, &zero, ty)
            }
            (FieldType::List(item), Some(value)) => {
                self.list(number, value.as_array().ok_or_else(|| misfit(value, "a list"))?, item)
            }
            (FieldType::Map(item), Some(value)) => {
                let map = value.as_object().ok_or_else(|| misfit(value, "a map"))?;
                for (key, child) in map.iter().rev() {
                    let start = self.out.len();
                    if !(child.is_null() && **item == FieldType::Bytes) {
                        self.one(2, child, item)?;
                    }
                    self.text(1, key);
                    self.length(number, start);
                }
                Ok(())
            }
            (ty, Some(value)) => self.one(number, value, ty),
        }
    }

    fn list(&mut self, number: u32, items: &[Value], item: &FieldType) -> Result<(), DecodeError> {
        items.iter().rev().try_for_each(|value| self.one(number, value, item))
    }

    /// One value with its tag.
    fn one(&mut self, number: u32, value: &Value, ty: &FieldType) -> Result<(), DecodeError> {
        match (ty, value) {
            (FieldType::Bool, Value::Bool(truth)) => self.integer(number, i64::from(*truth)),
            (FieldType::Int32 | FieldType::Int64, Value::Int(value)) => self.integer(number, *value),
            (FieldType::Double, Value::Int(_) | Value::Float(_)) => {
                let float = if let Value::Float(float) = value { *float } else { value.as_i64().unwrap_or(0) as f64 };
                self.out.extend(float.to_le_bytes().iter().rev());
                self.tag(number, FIXED64);
            }
            (FieldType::String, Value::String(text)) => self.text(number, text),
            (FieldType::Bytes, Value::String(text)) => {
                let bytes = BASE64_STANDARD.decode(text.as_str()).map_err(|_| misfit(value, "bytes"))?;
                self.bytes(number, &bytes);
            }
            (FieldType::Bytes, Value::Null) => self.bytes(number, &[]),
            (FieldType::Ref(_), value) => {
                let start = self.out.len();
                self.message(value, ty)?;
                self.length(number, start);
            }
            (FieldType::Bool, Value::Null) => self.integer(number, 0),
            (FieldType::Int32 | FieldType::Int64, Value::Null) => self.integer(number, 0),
            (FieldType::String, Value::Null) => self.text(number, ""),
            _ => return Err(misfit(value, &format!("{ty:?}"))),
        }
        Ok(())
    }
}
