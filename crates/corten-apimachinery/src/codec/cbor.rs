//! CBOR: the compact form of any object, deterministic, with the tag that says what it is.
//!
//! Texts are written as byte strings and read from either kind, as upstream does: Go strings may hold any bytes.
//! Upstream: k8s.io/apimachinery/pkg/runtime/serializer/cbor (v1.35), RFC 8949 section 4.2.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;

use super::{
    DecodeError, Decoded, FieldValidation, json,
    objects::{Objects, Place},
};
use crate::{
    type_table::{TypeId, TypeTable},
    value::{Map, Str, Value},
};

/// Tag 55799, which stands for nothing but "this is CBOR".
const SELF_DESCRIBED: &[u8; 3] = &[0xd9, 0xd9, 0xf7];

/// The deepest nesting. Upstream: `maxNestedLevels` 64.
const DEPTH_MAX: usize = 64;

const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;

/// Writes a tree.
#[must_use]
pub fn encode(value: &Value) -> Bytes {
    let mut out = Vec::with_capacity(4 * 1024);
    out.extend_from_slice(SELF_DESCRIBED);
    write(&mut out, value);
    out.into()
}

/// Reads one object; with a type, in that type's canonical form.
///
/// Errors: bytes that are no CBOR, a form that has no meaning in JSON, or what does not fit the type.
pub fn decode(
    bytes: &[u8],
    ty: Option<(&TypeTable, TypeId)>,
    validation: FieldValidation,
) -> Result<Decoded, DecodeError> {
    decode_bounded(bytes, ty, validation, usize::MAX)
}

/// `decode` of at most `objects_max` objects.
///
/// Errors: `TooManyObjects`, without having read on; as `decode`.
pub fn decode_bounded(
    bytes: &[u8],
    ty: Option<(&TypeTable, TypeId)>,
    validation: FieldValidation,
    objects_max: usize,
) -> Result<Decoded, DecodeError> {
    let rest = bytes.strip_prefix(SELF_DESCRIBED).unwrap_or(bytes);
    let mut reader = Reader { rest, objects: Objects::at_most(objects_max) };
    let value = reader.value(0, Place::Root)?;
    if !reader.rest.is_empty() {
        return Err(DecodeError::new(format!(
            "cbor: {} bytes of extraneous data starting at index",
            reader.rest.len()
        )));
    }
    match ty {
        None => Ok(Decoded::of(value)),
        // Checks and canonical form are those of JSON.
        Some(_) => json::decode_bounded(&json::encode(&value, None), ty, validation, objects_max),
    }
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

fn write(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.push(0xf6),
        Value::Bool(false) => out.push(0xf4),
        Value::Bool(true) => out.push(0xf5),
        Value::Int(number) if *number < 0 => head(out, NEGATIVE, !(*number as u64)),
        Value::Int(number) => head(out, UNSIGNED, *number as u64),
        Value::Float(number) => float(out, *number),
        Value::String(text) => string(out, text),
        Value::Array(items) => {
            head(out, ARRAY, items.len() as u64);
            for item in items.iter() {
                write(out, item);
            }
        }
        Value::Object(map) => {
            head(out, MAP, map.len() as u64);
            // By their bytes, with the length in front: shorter keys come first.
            let mut entries: Vec<_> = map.entries().iter().collect();
            entries.sort_by(|(a, _), (b, _)| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
            for (key, child) in entries {
                string(out, key);
                write(out, child);
            }
        }
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

fn from_half(bits: u16) -> f64 {
    let exponent = i32::from(bits >> 10 & 0x1f);
    let fraction = f64::from(bits & 0x3ff);
    let magnitude = match exponent {
        0 => fraction * 2_f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1024.0 + fraction) * 2_f64.powi(exponent - 25),
    };
    if bits & 0x8000 == 0 { magnitude } else { -magnitude }
}

struct Reader<'a> {
    rest: &'a [u8],
    objects: Objects,
}

fn cut_short() -> DecodeError {
    DecodeError::new("unexpected EOF")
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: u64) -> Result<&'a [u8], DecodeError> {
        let len = usize::try_from(len).map_err(|_| cut_short())?;
        let (taken, rest) = self.rest.split_at_checked(len).ok_or_else(cut_short)?;
        self.rest = rest;
        Ok(taken)
    }

    /// The major type, the small argument, and the argument.
    fn head(&mut self) -> Result<(u8, u8, u64), DecodeError> {
        let first = self.take(1)?[0];
        let (major, info) = (first >> 5, first & 0x1f);
        let argument = match info {
            0..24 => u64::from(info),
            24..28 => self.take(1 << (info - 24))?.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)),
            _ => return Err(DecodeError::new("cbor: indefinite-length items are not allowed")),
        };
        Ok((major, info, argument))
    }

    fn value(&mut self, depth: usize, place: Place) -> Result<Value, DecodeError> {
        if depth > DEPTH_MAX {
            return Err(DecodeError::new(format!("cbor: exceeded max nested level {DEPTH_MAX}")));
        }
        let (major, info, argument) = self.head()?;
        match major {
            UNSIGNED => i64::try_from(argument).map(Value::Int).map_err(|_| too_large()),
            NEGATIVE => i64::try_from(argument).map(|number| Value::Int(!number)).map_err(|_| too_large()),
            BYTES | TEXT => self.text(major, argument).map(Value::String),
            ARRAY => {
                // The number of items is a claim: each takes at least a byte, so no more than those are prepared for.
                let mut items = Vec::with_capacity(argument.min(self.rest.len() as u64) as usize);
                for _ in 0..argument {
                    items.push(self.value(depth + 1, place.item())?);
                }
                Ok(items.into())
            }
            MAP => {
                self.objects.count(place)?;
                let mut entries: Vec<(Str, Value)> =
                    Vec::with_capacity(argument.min(self.rest.len() as u64 / 2) as usize);
                for _ in 0..argument {
                    let (major, _, len) = self.head()?;
                    if !matches!(major, BYTES | TEXT) {
                        return Err(DecodeError::new("cbor: keys of maps have to be strings"));
                    }
                    let key = self.text(major, len)?;
                    let value = self.value(depth + 1, place.field(&key))?;
                    entries.push((key, value));
                }
                let map = Map::from_entries(entries);
                map.map(Value::Object).map_err(|twice| {
                    DecodeError::new(format!(
                        "cbor: found duplicate map key {:?} at map element index",
                        twice.0.as_str()
                    ))
                })
            }
            TAG if argument == 22 => {
                // Bytes that are base64 wherever they are text.
                let (major, _, len) = self.head()?;
                if major != BYTES {
                    return Err(DecodeError::new("cbor: tag 22 stands before bytes"));
                }
                Ok(Value::String(BASE64_STANDARD.encode(self.take(len)?).into()))
            }
            TAG if argument == 0 || argument == 55_799 => self.value(depth + 1, place),
            TAG => Err(DecodeError::new(format!("cbor: tag {argument} has no meaning here"))),
            _ => match info {
                20 => Ok(Value::Bool(false)),
                21 => Ok(Value::Bool(true)),
                22 => Ok(Value::Null),
                25 => finite(from_half(argument as u16)),
                26 => finite(f64::from(f32::from_bits(argument as u32))),
                27 => finite(f64::from_bits(argument)),
                _ => Err(DecodeError::new(format!("cbor: simple value {argument} has no meaning here"))),
            },
        }
    }

    fn text(&mut self, major: u8, len: u64) -> Result<Str, DecodeError> {
        let bytes = self.take(len)?;
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.into()),
            Err(_) if major == BYTES => Ok(Str::from_utf8_lossy(bytes)),
            Err(_) => Err(DecodeError::new("cbor: invalid UTF-8 string")),
        }
    }
}

fn too_large() -> DecodeError {
    DecodeError::new("cbor: integer does not fit into 64 bits with sign")
}

fn finite(number: f64) -> Result<Value, DecodeError> {
    if number.is_finite() { Ok(Value::Float(number)) } else { Err(DecodeError::new("cbor: not a finite number")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, want: &[u8]) {
        let value = json::decode(json.as_bytes(), None, FieldValidation::Ignore).unwrap().value;
        let bytes = encode(&value);
        assert_eq!(&bytes[3..], want, "{json}");
        assert_eq!(decode(&bytes, None, FieldValidation::Ignore).unwrap().value, value);
    }

    #[test]
    fn values_take_their_shortest_form() {
        check("0", &[0x00]);
        check("23", &[0x17]);
        check("24", &[0x18, 24]);
        check("256", &[0x19, 1, 0]);
        check("-1", &[0x20]);
        check("-9223372036854775808", &[0x3b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        check("1.5", &[0xf9, 0x3e, 0x00]);
        check("100000.5", &[0xfa, 0x47, 0xc3, 0x50, 0x40]);
        check("1.1", &[0xfb, 0x3f, 0xf1, 0x99, 0x99, 0x99, 0x99, 0x99, 0x9a]);
        check("5.960464477539063e-8", &[0xf9, 0x00, 0x01]);
        check(r#"{"bb":null,"c":[true,"x"]}"#, b"\xa2\x41c\x82\xf5\x41x\x42bb\xf6");
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for bytes in [
            &b"\xff"[..],
            b"\x5f\x41a\xff",
            b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\xa2\x41a\x00\x41a\x00",
            b"\xa1\x00\x00",
            b"\xf9\x7c\x00",
            b"\x61\xff",
            b"\x00\x00",
            &[0x81; 100_000],
        ] {
            assert!(decode(bytes, None, FieldValidation::Ignore).is_err(), "{bytes:x?}");
        }
    }

    #[test]
    fn tagged_bytes_are_base64() {
        assert_eq!(decode(b"\xd6\x43abc", None, FieldValidation::Ignore).unwrap().value, "YWJj".into());
    }
}
