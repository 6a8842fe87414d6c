//! YAML, in the dialect that clients of upstream write: YAML 1.1 scalars, merge keys; keys sorted on output.
//!
//! An object is read into a tree and then as JSON is: upstream converts the text, too.
//! Upstream: sigs.k8s.io/yaml with its copy of go-yaml v2 (v1.35).

mod doubled;
mod encode;
mod key;
mod refusal;

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::{DuplicateKeyPolicy, Options};

pub use encode::{around, encode, encode_item};

use self::key::KeySeed;
use super::{
    DecodeError, Decoded, FieldValidation, json,
    objects::{Objects, Place},
};
use crate::{
    stack,
    type_table::{TypeId, TypeTable},
    value::{Map, Value},
};

/// The deepest nesting. Upstream: `max_flow_level` and `max_indents` of go-yaml.
const DEPTH_MAX: usize = 10_000;

/// The most nodes after aliases are followed: what 3 MB, the largest body, can hold without aliases.
const NODES_MAX: usize = 2_000_000;

/// The most nodes that anchors may remember and aliases may repeat, those within others counted again each time. No
/// manifest comes near; a few hundred bytes of nested aliases would keep a core busy for long.
pub const REPEATED_NODES_MAX: usize = 50_000;

/// Reads the first document of a text; with a type, in that type's canonical form.
///
/// Errors: text that is no YAML, is nested too deeply, grows too large through aliases, or does not fit the type.
pub fn decode(
    bytes: &[u8],
    ty: Option<(&TypeTable, TypeId)>,
    validation: FieldValidation,
) -> Result<Decoded, DecodeError> {
    decode_bounded(bytes, ty, validation, usize::MAX)
}

/// `decode` of a text with at most `objects_max` objects.
///
/// Errors: `TooManyObjects`, without having read on; as `decode`.
pub fn decode_bounded(
    bytes: &[u8],
    ty: Option<(&TypeTable, TypeId)>,
    validation: FieldValidation,
    objects_max: usize,
) -> Result<Decoded, DecodeError> {
    let text = text_of(bytes)?;
    let mut objects = Objects::at_most(objects_max);
    if let Some(refusal) = refusal::leading_tab(text) {
        return Err(refusal);
    }
    let value = match first_document(text, DuplicateKeyPolicy::LastWins, &mut objects) {
        Ok(value) => value,
        Err(error) => return Err(refusal::refusal(text, &error, &objects)),
    };
    let mut decoded = match ty {
        None => Decoded::of(value),
        Some(_) => json::decode_bounded(&json::encode(&value, None), ty, validation, objects_max)?,
    };
    if validation != FieldValidation::Ignore
        && let Err(serde_saphyr::Error::DuplicateMappingKey { key, location }) =
            first_document(text, DuplicateKeyPolicy::Error, &mut Objects::at_most(objects_max))
    {
        let mut doubled = doubled::doubled_keys(text);
        if doubled.is_empty() {
            // Of keys that are numbers the library shows only the last.
            let key = key.unwrap_or_default();
            doubled.push(format!("line {}: key {key} already set in map", location.line()));
        }
        decoded.complaints.insert(0, format!("yaml: unmarshal errors:\n  {}", doubled.join("\n  ")));
    }
    Ok(decoded)
}

/// Whether a text may have more than so many levels: each bracket, dash and question mark may begin one, and so may each column
/// of a line's indentation, and a list that stands there.
#[must_use]
pub fn may_be_deeper_than(bytes: &[u8], most: usize) -> bool {
    let brackets = json::containers(bytes);
    bytes.len() > most
        && bytes.split(|&byte| byte == b'\n').any(|line| {
            // Shorter lines have no room for more, and are nearly all.
            2 * line.len() + brackets > most && {
                let indentation = line.iter().take_while(|byte| **byte == b' ').count();
                let begun = line.windows(2).filter(|pair| matches!(pair, [b'-' | b'?' | b':', b' ' | b'\t'])).count();
                2 * indentation + begun + brackets + 1 > most
            }
        })
}

/// Reads all documents of a text (a file of manifests) as trees; empty ones are left out.
///
/// Errors: as `decode`.
pub fn decode_all(bytes: &[u8]) -> Result<Vec<Value>, DecodeError> {
    let text = text_of(bytes)?;
    let documents = serde_saphyr::from_multiple_with_options(text, options(DuplicateKeyPolicy::LastWins));
    let documents: Vec<Document> =
        documents.map_err(|error| refusal::refusal(text, &error, &Objects::at_most(usize::MAX)))?;
    Ok(documents.into_iter().map(|Document(value)| value).filter(|value| !value.is_null()).collect())
}

fn text_of(bytes: &[u8]) -> Result<&str, DecodeError> {
    std::str::from_utf8(bytes).map_err(|_| DecodeError::new("yaml: invalid leading UTF-8 octet"))
}

/// The first document; what comes behind it is not looked at. Its objects are counted in `objects`.
fn first_document(
    text: &str,
    duplicate_keys: DuplicateKeyPolicy,
    objects: &mut Objects,
) -> Result<Value, serde_saphyr::Error> {
    let mut first = Value::Null;
    let read = serde_saphyr::with_deserializer_from_str_with_options(text, options(duplicate_keys), |document| {
        first = Node { objects, place: Place::Root }.deserialize(document)?;
        Ok(())
    });
    match read {
        Ok(()) | Err(serde_saphyr::Error::MultipleDocuments { .. } | serde_saphyr::Error::Eof { .. }) => Ok(first),
        Err(error) => Err(error),
    }
}

fn options(duplicate_keys: DuplicateKeyPolicy) -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEPTH_MAX,
            flow_nesting_limit: DEPTH_MAX,
            max_nodes: NODES_MAX,
            max_events: 2 * NODES_MAX,
            max_recorded_anchor_events: REPEATED_NODES_MAX,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: REPEATED_NODES_MAX },
        duplicate_keys: duplicate_keys,
        legacy_octal_numbers: true,
        with_snippet: false,
    }
}

struct Document(Value);

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let objects = &mut Objects::at_most(usize::MAX);
        Node { objects, place: Place::Root }.deserialize(deserializer).map(Self)
    }
}

/// Reads one node, and counts the objects in it.
struct Node<'a> {
    objects: &'a mut Objects,
    place: Place,
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        // Between two nodes is the library, which calls itself by this alone.
        stack::with_room(|| deserializer.deserialize_any(self))
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that JSON can hold")
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
        Ok(Value::Bool(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Int(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(i64::try_from(number).map_or(Value::Float(number as f64), Value::Int))
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Value, E> {
        match number {
            // Whole numbers have no fraction in JSON, through which upstream goes.
            _ if number.fract() == 0.0 && number.abs() < 9e18 => Ok(Value::Int(number as i64)),
            _ if number.is_finite() => Ok(Value::Float(number)),
            _ => Err(E::custom(format_args!("json: unsupported value: {number}"))),
        }
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.into()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        let place = self.place.item();
        while let Some(item) = access.next_element_seed(Node { objects: self.objects, place })? {
            items.push(item);
        }
        Ok(items.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        self.objects.count(self.place).map_err(serde::de::Error::custom)?;
        let mut entries = Vec::new();
        while let Some(key) = access.next_key_seed(KeySeed)? {
            let key = key.into_text();
            let place = self.place.field(&key);
            let value = access.next_value_seed(Node { objects: self.objects, place })?;
            entries.push((key, value));
        }
        Ok(Value::Object(Map::of_last(entries)))
    }
}

#[cfg(test)]
mod tests;
