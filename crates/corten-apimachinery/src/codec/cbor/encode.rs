//! Writes a tree as CBOR, deterministically: shortest forms, sorted keys, definite lengths.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;

use super::{ARRAY, BASE64_TAG, BYTES, MAP, NEGATIVE, SELF_DESCRIBED, TAG, UNSIGNED};
use crate::{
    codec::lists::Around,
    stack,
    type_table::{FieldType, Shape, TypeId, TypeTable},
    value::{Map, Str, Value},
};

/// Writes a tree.
#[must_use]
pub fn encode(value: &Value) -> Bytes {
    encode_typed(value, None)
}

/// Writes a tree; with a type, its bytes as bytes. Without one they stay the base64 that they are in trees.
#[must_use]
pub fn encode_typed(value: &Value, ty: Option<(&TypeTable, TypeId)>) -> Bytes {
    let mut out = Vec::with_capacity(4 * 1024);
    out.extend_from_slice(SELF_DESCRIBED);
    put(&mut out, value, ty);
    out.into()
}

/// Writes a tree that stands within another one.
#[must_use]
pub fn encode_item(value: &Value, ty: Option<(&TypeTable, TypeId)>) -> Bytes {
    let mut out = Vec::with_capacity(4 * 1024);
    put(&mut out, value, ty);
    out.into()
}

/// What stands around the `count` items of the list in `field` of `whole`, which has none of them.
#[must_use]
pub fn around(whole: &Value, ty: Option<(&TypeTable, TypeId)>, field: &str, count: usize) -> Around {
    let empty = Map::new();
    let map = whole.as_object().unwrap_or(&empty);
    let root = ty.map(|(_, id)| FieldType::Ref(id));
    let typed = ty.zip(root.as_ref()).map(|((table, _), ty)| Typed { table, ty });
    let (mut before, mut after) = (SELF_DESCRIBED.to_vec(), Vec::new());
    head(&mut before, MAP, map.len() as u64);
    let mut is_behind = false;
    for (key, child) in sorted(map) {
        let out = if is_behind { &mut after } else { &mut before };
        string(out, key);
        if key == field {
            head(out, ARRAY, count as u64);
            is_behind = true;
        } else {
            write(out, child, typed.and_then(|typed| typed.field(key)));
        }
    }
    Around { before: before.into(), between: Bytes::new(), after: after.into() }
}

/// A watch event: two objects, each of which says that it is CBOR. They follow each other without a frame (RFC 8742).
#[must_use]
pub fn watch_frame(event: &str, object: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(object.len() + 32);
    out.extend_from_slice(SELF_DESCRIBED);
    head(&mut out, MAP, 2);
    string(&mut out, "type");
    string(&mut out, event);
    string(&mut out, "object");
    out.extend_from_slice(object);
    out.into()
}

fn put(out: &mut Vec<u8>, value: &Value, ty: Option<(&TypeTable, TypeId)>) {
    let root = ty.map(|(_, id)| FieldType::Ref(id));
    write(out, value, ty.zip(root.as_ref()).map(|((table, _), ty)| Typed { table, ty }));
}

fn head(out: &mut Vec<u8>, major: u8, argument: u64) {
    let major = major << 5;
    match argument {
        0..24 => out.push(major | argument as u8),
        24..0x100 => out.extend([major | 24, argument as u8]),
        0x100..0x1_0000 => {
            out.push(major | 25);
            out.extend((argument as u16).to_be_bytes());
        }
        0x1_0000..0x1_0000_0000 => {
            out.push(major | 26);
            out.extend((argument as u32).to_be_bytes());
        }
        _ => {
            out.push(major | 27);
            out.extend(argument.to_be_bytes());
        }
    }
}

/// What of a value is known beforehand.
#[derive(Clone, Copy)]
struct Typed<'a> {
    table: &'a TypeTable,
    ty: &'a FieldType,
}

impl<'a> Typed<'a> {
    /// The same without the aliases, which say nothing about the form.
    fn resolved(mut self) -> Self {
        while let FieldType::Ref(id) = self.ty
            && let Shape::Alias(target) = &self.table.get(*id).shape
        {
            self.ty = target;
        }
        self
    }

    fn item(self) -> Option<Self> {
        match self.ty {
            FieldType::List(item) | FieldType::Map(item) => Some(Self { ty: item, ..self }),
            _ => None,
        }
    }

    fn field(self, name: &str) -> Option<Self> {
        let Some(fields) = self.table.as_struct(self.ty) else { return self.item() };
        fields.field(name).map(|field| Self { ty: &field.ty, ..self })
    }
}

fn write(out: &mut Vec<u8>, value: &Value, typed: Option<Typed<'_>>) {
    match value {
        Value::Array(_) | Value::Object(_) => stack::with_room(|| write_here(out, value, typed)),
        _ => write_here(out, value, typed),
    }
}

fn write_here(out: &mut Vec<u8>, value: &Value, typed: Option<Typed<'_>>) {
    let typed = typed.map(Typed::resolved);
    match value {
        Value::Null => out.push(0xf6),
        Value::Bool(false) => out.push(0xf4),
        Value::Bool(true) => out.push(0xf5),
        Value::Int(number) if *number < 0 => head(out, NEGATIVE, !(*number as u64)),
        Value::Int(number) => head(out, UNSIGNED, *number as u64),
        Value::Float(number) => float(out, *number),
        Value::String(text) if typed.is_some_and(|typed| *typed.ty == FieldType::Bytes) => bytes(out, text),
        Value::String(text) => string(out, text),
        Value::Array(items) => {
            head(out, ARRAY, items.len() as u64);
            for item in items.iter() {
                write(out, item, typed.and_then(Typed::item));
            }
        }
        Value::Raw(raw) => write(out, &raw.tree(), None),
        Value::Object(map) => {
            head(out, MAP, map.len() as u64);
            for (key, child) in sorted(map) {
                string(out, key);
                write(out, child, typed.and_then(|typed| typed.field(key)));
            }
        }
    }
}

/// By their bytes, with the length in front: shorter keys come first.
fn sorted(map: &Map) -> Vec<&(Str, Value)> {
    let mut entries: Vec<_> = map.entries().iter().collect();
    entries.sort_by(|(a, _), (b, _)| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
    entries
}

/// Bytes, marked as what is base64 wherever it is text.
fn bytes(out: &mut Vec<u8>, base64: &str) {
    match BASE64_STANDARD.decode(base64) {
        Ok(decoded) => {
            head(out, TAG, BASE64_TAG);
            head(out, BYTES, decoded.len() as u64);
            out.extend_from_slice(&decoded);
        }
        Err(_) => string(out, base64),
    }
}

fn string(out: &mut Vec<u8>, text: &str) {
    head(out, BYTES, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// The shortest of three sizes that keeps the number.
fn float(out: &mut Vec<u8>, number: f64) {
    let single = number as f32;
    if f64::from(single) != number {
        out.push(0xfb);
        out.extend(number.to_bits().to_be_bytes());
    } else if let Some(half) = half_of(single) {
        out.push(0xf9);
        out.extend(half.to_be_bytes());
    } else {
        out.push(0xfa);
        out.extend(single.to_bits().to_be_bytes());
    }
}

/// The bits of the 16-bit float that is the same number, if there is one.
fn half_of(single: f32) -> Option<u16> {
    let bits = single.to_bits();
    let sign = (bits >> 16) as u16 & 0x8000;
    let exponent = (bits >> 23 & 0xff) as i32 - 127;
    let fraction = bits & 0x7f_ffff;
    let half = match exponent {
        _ if bits << 1 == 0 => 0,
        -14..=15 if fraction & 0x1fff == 0 => ((exponent + 15) as u16) << 10 | (fraction >> 13) as u16,
        // Numbers below the normal range lose a leading digit for each step.
        -24..=-15 => {
            let shift = (-14 - exponent) as u32 + 13;
            let digits = fraction | 0x80_0000;
            if digits & ((1 << shift) - 1) != 0 {
                return None;
            }
            (digits >> shift) as u16
        }
        _ => return None,
    };
    Some(sign | half)
}
