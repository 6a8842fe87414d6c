//! YAML, in the dialect that clients of upstream write: YAML 1.1 scalars, merge keys; keys sorted on output.
//!
//! An object is read into a tree and then as JSON is: upstream converts the text, too.
//! Upstream: sigs.k8s.io/yaml with its copy of go-yaml v2 (v1.35).

mod encode;

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::{DuplicateKeyPolicy, Options};

pub use encode::encode;

use super::{DecodeError, Decoded, FieldValidation, json};
use crate::{
    field::quote,
    type_table::{TypeId, TypeTable},
    value::{Map, Str, Value, format_str},
};

/// The deepest nesting: three times what types other than recursive schemas have.
const DEPTH_MAX: usize = 100;

/// The most nodes after aliases are followed: what 3 MB, the largest body, can hold without aliases.
const NODES_MAX: usize = 2_000_000;

/// The most nodes that anchors may remember and aliases may repeat, those within others counted again each time. No
/// manifest comes near; a few hundred bytes of nested aliases would keep a core busy for long.
const REPEATED_NODES_MAX: usize = 50_000;

/// Reads the first document of a text; with a type, in that type's canonical form.
///
/// Errors: text that is no YAML, is nested too deeply, grows too large through aliases, or does not fit the type.
pub fn decode(
    bytes: &[u8],
    ty: Option<(&TypeTable, TypeId)>,
    validation: FieldValidation,
) -> Result<Decoded, DecodeError> {
    let text = text_of(bytes)?;
    let value = documents_of(text, DuplicateKeyPolicy::LastWins)
        .map_err(|error| syntax_error(&error))?
        .into_iter()
        .next()
        .unwrap_or_default();
    let mut decoded = match ty {
        None => Decoded::of(value),
        Some(_) => json::decode(&json::encode(&value, None), ty, validation)?,
    };
    if validation != FieldValidation::Ignore
        && let Err(serde_saphyr::Error::DuplicateMappingKey { key, location }) =
            documents_of(text, DuplicateKeyPolicy::Error).map_err(bare)
    {
        let key = quote(&key.unwrap_or_default());
        let line = location.line();
        decoded.complaints.insert(0, format!("yaml: unmarshal errors:\n  line {line}: key {key} already set in map"));
    }
    Ok(decoded)
}

/// Reads all documents of a text (a file of manifests) as trees; empty ones are left out.
///
/// Errors: as `decode`.
pub fn decode_all(bytes: &[u8]) -> Result<Vec<Value>, DecodeError> {
    let documents = documents_of(text_of(bytes)?, DuplicateKeyPolicy::LastWins);
    let documents = documents.map_err(|error| syntax_error(&error))?;
    Ok(documents.into_iter().filter(|document| !document.is_null()).collect())
}

fn text_of(bytes: &[u8]) -> Result<&str, DecodeError> {
    std::str::from_utf8(bytes).map_err(|_| DecodeError::new("yaml: invalid leading UTF-8 octet"))
}

fn documents_of(text: &str, duplicate_keys: DuplicateKeyPolicy) -> Result<Vec<Value>, serde_saphyr::Error> {
    let documents: Vec<Document> = serde_saphyr::from_multiple_with_options(text, options(duplicate_keys))?;
    Ok(documents.into_iter().map(|document| document.0).collect())
}

fn options(duplicate_keys: DuplicateKeyPolicy) -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEPTH_MAX,
            max_nodes: NODES_MAX,
            max_events: 2 * NODES_MAX,
            max_recorded_anchor_events: REPEATED_NODES_MAX,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: REPEATED_NODES_MAX },
        duplicate_keys: duplicate_keys,
        legacy_octal_numbers: true,
    }
}

/// The error itself, without the lines of input that it shows.
fn bare(error: serde_saphyr::Error) -> serde_saphyr::Error {
    match error {
        serde_saphyr::Error::WithSnippet { error, .. } => *error,
        error => error,
    }
}

/// Whether the text repeats so much that it is meant to harm. Upstream's words for it are go-yaml's.
fn is_bomb(error: &serde_saphyr::Error) -> bool {
    use serde_saphyr::{Error, budget::BudgetBreach};
    match error {
        Error::WithSnippet { error, .. } => is_bomb(error),
        Error::AliasReplayCounterOverflow { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::Budget {
            breach: BudgetBreach::RecordedAnchorEvents { .. } | BudgetBreach::AliasAnchorRatio { .. },
            ..
        } => true,
        _ => false,
    }
}

fn syntax_error(error: &serde_saphyr::Error) -> DecodeError {
    if is_bomb(error) {
        return DecodeError::new("yaml: document contains excessive aliasing");
    }
    // The text may show several lines of input; upstream says what is wrong on one.
    let text = error.to_string();
    let what = text.lines().next().unwrap_or_default();
    match error.location() {
        Some(location) => DecodeError::new(format!("yaml: line {}: {what}", location.line())),
        None => DecodeError::new(format!("yaml: {what}")),
    }
}

struct Document(Value);

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Node.deserialize(deserializer).map(Self)
    }
}

/// Reads one node.
#[derive(Clone, Copy)]
struct Node;

impl<'de> DeserializeSeed<'de> for Node {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node {
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
        while let Some(item) = access.next_element_seed(self)? {
            items.push(item);
        }
        Ok(items.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = access.next_key_seed(Key)? {
            entries.push((key, access.next_value_seed(self)?));
        }
        Ok(Value::Object(Map::of_last(entries)))
    }
}

/// Reads a key: numbers and truth values are taken as their text.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Str;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Str, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for Key {
    type Value = Str;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key that JSON can hold")
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Str, E> {
        Ok(format_str!("{truth}"))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Str, E> {
        Ok(format_str!("{number}"))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Str, E> {
        Ok(format_str!("{number}"))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Str, E> {
        Ok(format_str!("{number}"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Str, E> {
        Ok(text.into())
    }

    fn visit_unit<E>(self) -> Result<Str, E> {
        Ok(Str::const_new("null"))
    }
}

#[cfg(test)]
mod tests;
