//! Reads CBOR as a tree.

use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};

use super::{ARRAY, BASE64_TAG, BYTES, MAP, NEGATIVE, SELF_DESCRIBED, TAG, TEXT, UNSIGNED};
use crate::{
    codec::{
        DecodeError, Decoded, FieldValidation, json,
        objects::{Objects, Place},
    },
    meta,
    type_table::{TypeId, TypeTable},
    value::{Map, Str, Value},
};

/// The deepest nesting. Upstream: `MaxNestedLevels`.
const DEPTH_MAX: usize = 64;

/// Says that a length is not known: a break stands at the end.
const INDEFINITE: u8 = 31;
const BREAK: u8 = 0xff;

/// A text in the form of RFC 3339.
const DATE_TAG: u64 = 0;
/// Seconds since 1970.
const EPOCH_TAG: u64 = 1;
/// Integers of any length, which JSON's readers do not keep.
const BIG_TAGS: std::ops::RangeInclusive<u64> = 2..=3;
/// Bytes that are base64url, and base16, wherever they are text.
const BASE64URL_TAG: u64 = 21;
const BASE16_TAG: u64 = 23;

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
        let (left, at) = (reader.rest.len(), bytes.len() - reader.rest.len());
        return Err(DecodeError::new(format!("cbor: {left} bytes of extraneous data starting at index {at}")));
    }
    match ty {
        None => Ok(Decoded::of(value)),
        // Checks and canonical form are those of JSON.
        Some(_) => json::decode_bounded(&json::encode(&value, None), ty, validation, objects_max),
    }
}

struct Reader<'a> {
    rest: &'a [u8],
    objects: Objects,
}

/// What an item begins with.
struct Head {
    major: u8,
    info: u8,
    argument: u64,
}

impl Head {
    /// The length, unless it is not known.
    fn length(&self) -> Option<u64> {
        (self.info != INDEFINITE).then_some(self.argument)
    }
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

    fn head(&mut self) -> Result<Head, DecodeError> {
        let first = self.take(1)?[0];
        let (major, info) = (first >> 5, first & 0x1f);
        let argument = match info {
            0..24 => u64::from(info),
            24..28 => self.take(1 << (info - 24))?.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)),
            INDEFINITE if matches!(major, BYTES | TEXT | ARRAY | MAP) => 0,
            _ => return Err(DecodeError::new(format!("cbor: invalid additional information {info} for type {major}"))),
        };
        Ok(Head { major, info, argument })
    }

    /// Whether there is another item of what has `length`, of which `read` are there.
    fn goes_on(&mut self, length: Option<u64>, read: usize) -> Result<bool, DecodeError> {
        if let Some(length) = length {
            return Ok((read as u64) < length);
        }
        let is_end = *self.rest.first().ok_or_else(cut_short)? == BREAK;
        if is_end {
            self.rest = &self.rest[1..];
        }
        Ok(!is_end)
    }

    fn value(&mut self, depth: usize, place: Place) -> Result<Value, DecodeError> {
        if depth > DEPTH_MAX {
            return Err(DecodeError::new(format!("cbor: exceeded max nested level {DEPTH_MAX}")));
        }
        let head = self.head()?;
        match head.major {
            UNSIGNED => i64::try_from(head.argument).map(Value::Int).map_err(|_| too_large()),
            NEGATIVE => i64::try_from(head.argument).map(|number| Value::Int(!number)).map_err(|_| too_large()),
            BYTES | TEXT => self.text(&head).map(Value::String),
            ARRAY => {
                let length = head.length();
                let mut items = Vec::with_capacity(self.room(length, 1));
                while self.goes_on(length, items.len())? {
                    items.push(self.value(depth + 1, place.item())?);
                }
                Ok(items.into())
            }
            MAP => {
                self.objects.count(place)?;
                let length = head.length();
                let mut entries: Vec<(Str, Value)> = Vec::with_capacity(self.room(length, 2));
                while self.goes_on(length, entries.len())? {
                    let key = self.head()?;
                    if !matches!(key.major, BYTES | TEXT) {
                        return Err(DecodeError::new("cbor: keys of maps have to be strings"));
                    }
                    let key = self.text(&key)?;
                    let value = self.value(depth + 1, place.field(&key))?;
                    entries.push((key, value));
                }
                let map = Map::from_entries(entries);
                map.map(Value::Object)
                    .map_err(|twice| DecodeError::new(format!("cbor: found duplicate map key {:?}", twice.0.as_str())))
            }
            TAG => self.tagged(head.argument, depth, place),
            _ => match head.info {
                20 => Ok(Value::Bool(false)),
                21 => Ok(Value::Bool(true)),
                22 => Ok(Value::Null),
                25 => finite(from_half(head.argument as u16)),
                26 => finite(f64::from(f32::from_bits(head.argument as u32))),
                27 => finite(f64::from_bits(head.argument)),
                _ => Err(DecodeError::new(format!("cbor: simple value {} has no meaning here", head.argument))),
            },
        }
    }

    /// Room for items of at least `size` bytes. Their number is a claim: no more than those that there can be.
    fn room(&self, length: Option<u64>, size: usize) -> usize {
        let max = self.rest.len() / size;
        length.map_or(0, |length| usize::try_from(length).unwrap_or(max).min(max))
    }

    /// Tags that say nothing of what JSON knows are passed over.
    fn tagged(&mut self, tag: u64, depth: usize, place: Place) -> Result<Value, DecodeError> {
        match tag {
            BASE64_TAG | BASE64URL_TAG | BASE16_TAG => {
                let head = self.head()?;
                if head.major != BYTES {
                    return Err(DecodeError::new(format!("cbor: tag {tag} stands before bytes")));
                }
                let bytes = self.bytes(&head)?;
                Ok(Value::String(match tag {
                    BASE64_TAG => BASE64_STANDARD.encode(bytes).into(),
                    BASE64URL_TAG => BASE64_URL_SAFE_NO_PAD.encode(bytes).into(),
                    _ => bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into(),
                }))
            }
            DATE_TAG => match self.value(depth + 1, place)? {
                Value::String(text) if meta::parse_time(&text).is_some() => Ok(Value::String(text)),
                _ => Err(DecodeError::new("cbor: tag 0 stands before a time of RFC 3339")),
            },
            EPOCH_TAG => {
                let seconds = match self.value(depth + 1, place)? {
                    Value::Int(seconds) => jiff::Timestamp::from_second(seconds).ok(),
                    Value::Float(seconds) => jiff::SignedDuration::try_from_secs_f64(seconds)
                        .ok()
                        .and_then(|since| jiff::Timestamp::from_duration(since).ok()),
                    _ => None,
                };
                let time = seconds.ok_or_else(|| DecodeError::new("cbor: tag 1 stands before a time in seconds"))?;
                Ok(Value::from(time.to_string()))
            }
            tag if BIG_TAGS.contains(&tag) => Err(DecodeError::new("cbor: big numbers are not taken")),
            _ => self.value(depth + 1, place),
        }
    }

    /// The bytes of a string, put together if they come in parts.
    fn bytes(&mut self, head: &Head) -> Result<Vec<u8>, DecodeError> {
        if let Some(length) = head.length() {
            return self.take(length).map(<[u8]>::to_vec);
        }
        let mut whole = Vec::new();
        while self.goes_on(None, 0)? {
            let part = self.head()?;
            let length = part.length().filter(|_| part.major == head.major);
            let length = length.ok_or_else(|| DecodeError::new("cbor: a string is made of strings of its own kind"))?;
            whole.extend_from_slice(self.take(length)?);
        }
        Ok(whole)
    }

    fn text(&mut self, head: &Head) -> Result<Str, DecodeError> {
        let owned;
        let bytes = match head.length() {
            Some(length) => self.take(length)?,
            None => {
                owned = self.bytes(head)?;
                &owned
            }
        };
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.into()),
            // Strings of Go may hold any bytes; those that say to be text may not.
            Err(_) if head.major == BYTES => Ok(Str::from_utf8_lossy(bytes)),
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
