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

pub use encode::{around, encode, encode_item};

use super::{
    DecodeError, Decoded, FieldValidation, json,
    objects::{Objects, Place},
};
use crate::{
    field::quote,
    stack,
    type_table::{TypeId, TypeTable},
    value::{Map, Str, Value, format_str},
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
    let value = match first_document(text, DuplicateKeyPolicy::LastWins, &mut objects) {
        Ok(value) => value,
        Err(error) => return Err(refusal(&error, &objects)),
    };
    let mut decoded = match ty {
        None => Decoded::of(value),
        Some(_) => json::decode_bounded(&json::encode(&value, None), ty, validation, objects_max)?,
    };
    if validation != FieldValidation::Ignore
        && let Err(serde_saphyr::Error::DuplicateMappingKey { key, location }) =
            first_document(text, DuplicateKeyPolicy::Error, &mut Objects::at_most(objects_max))
    {
        let key = quote(&key.unwrap_or_default());
        let line = location.line();
        decoded.complaints.insert(0, format!("yaml: unmarshal errors:\n  line {line}: key {key} already set in map"));
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
    let documents = serde_saphyr::from_multiple_with_options(text_of(bytes)?, options(DuplicateKeyPolicy::LastWins));
    let documents: Vec<Document> = documents.map_err(|error| refusal(&error, &Objects::at_most(usize::MAX)))?;
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

/// The error itself, and not that of the alias through which it was met.
fn bare(error: &serde_saphyr::Error) -> &serde_saphyr::Error {
    match error {
        serde_saphyr::Error::WithSnippet { error, .. } | serde_saphyr::Error::AliasError { error, .. } => bare(error),
        error => error,
    }
}

/// What is wrong with a text, in the words of go-yaml.
fn refusal(error: &serde_saphyr::Error, objects: &Objects) -> DecodeError {
    use serde_saphyr::{Error, budget::BudgetBreach as Breach};
    // The library keeps the error of a visitor as a text, but what is counted knows that there were too many.
    if let Some(too_many) = objects.refusal() {
        return too_many;
    }
    let excessive = || DecodeError::new("yaml: document contains excessive aliasing");
    let what = match bare(error) {
        Error::AliasReplayCounterOverflow { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => return excessive(),
        Error::Budget { breach, .. } => match breach {
            Breach::Depth { .. } => too_deep(),
            Breach::Aliases { .. }
            | Breach::Anchors { .. }
            | Breach::AliasAnchorRatio { .. }
            | Breach::MergeKeys { .. }
            | Breach::RecordedAnchorEvents { .. }
            | Breach::RecordedAnchorBytes { .. } => return excessive(),
            _ => "document is too large".to_owned(),
        },
        Error::UnknownAnchor { .. } => "unknown anchor referenced".to_owned(),
        Error::RecursiveReferencesRequireWeakTypes { .. } => "anchor value contains itself".to_owned(),
        Error::MergeValueNotMapOrSeqOfMaps { .. } => {
            "map merge requires map or sequence of maps as the value".to_owned()
        }
        Error::NonFiniteFloat { value, .. } => return DecodeError::new(format!("json: unsupported value: {value}")),
        Error::SerdeInvalidType { .. } => "invalid map key".to_owned(),
        other => words(&other.to_string()),
    };
    match error.location() {
        Some(location) => DecodeError::new(format!("yaml: line {}: {what}", location.line())),
        None => DecodeError::new(format!("yaml: {what}")),
    }
}

fn too_deep() -> String {
    format!("exceeded max depth of {DEPTH_MAX}")
}

/// What the scanner and parser say, without the place and what they were doing, where go-yaml says it differently.
fn words(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let what = line.rsplit_once(" at line ").map_or(line, |(what, _)| what);
    let what = if what.starts_with("while ") { what.split_once(", ").map_or(what, |(_, what)| what) } else { what };
    match what {
        "unclosed bracket '['" => "did not find expected ',' or ']'".to_owned(),
        "unclosed bracket '{'" => "did not find expected ',' or '}'".to_owned(),
        "misplaced bracket" => "did not find expected node content".to_owned(),
        "unclosed quote" => "found unexpected end of stream".to_owned(),
        "recursion limit exceeded" => too_deep(),
        _ if what.starts_with("unexpected character") => "found character that cannot start any token".to_owned(),
        _ => what.to_owned(),
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
        while let Some(key) = access.next_key_seed(Key)? {
            let place = self.place.field(&key);
            let value = access.next_value_seed(Node { objects: self.objects, place })?;
            entries.push((key, value));
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
