//! Keys of YAML, which may be anything there and are texts in JSON.

use std::fmt::{self, Write as _};

use serde::{
    Deserializer,
    de::{
        DeserializeSeed, Error, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer,
        value::SeqAccessDeserializer,
    },
};

use super::Node;
use crate::{
    codec::objects::{Objects, Place},
    field::quote,
    value::{Str, Value, format_str, go_text},
};

const REFUSAL: &str = "invalid map key: ";

/// How much of a key is shown that is none.
const SHOWN_BYTES_MAX: usize = 4 * 1024;

/// A key as it was written.
pub(super) enum Key {
    Text(Str),
    Bool(bool),
    Int(i64),
    Large(u64),
    Float(f64),
    Null,
}

impl Key {
    /// The text that it is in JSON.
    pub(super) fn into_text(self) -> Str {
        match self {
            Self::Text(text) => text,
            Self::Bool(truth) => format_str!("{truth}"),
            Self::Int(number) => format_str!("{number}"),
            Self::Large(number) => format_str!("{number}"),
            Self::Float(number) => format_str!("{number}"),
            Self::Null => Str::const_new("null"),
        }
    }

    /// What Go's `%#v` makes of it, by which keys are told apart.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Text(text) => quote(text),
            Self::Bool(truth) => truth.to_string(),
            Self::Int(number) => number.to_string(),
            Self::Large(number) => format!("{number:#x}"),
            Self::Float(number) => go_text(&Value::Float(*number)),
            Self::Null => "<nil>".to_owned(),
        }
    }
}

/// The words of go-yaml within `shown`, if it refuses a key that is a list or map.
pub(super) fn refusal_in(shown: &str) -> Option<&str> {
    let at = shown.find(REFUSAL)?;
    let refusal = &shown[at..];
    // What follows tells where it stands.
    let end = refusal.rfind('}').map_or(refusal.len(), |end| end + 1);
    Some(&refusal[..end])
}

/// Reads a key.
pub(super) struct KeySeed;

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for KeySeed {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key that JSON can hold")
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Key, E> {
        Ok(Key::Bool(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Key, E> {
        Ok(Key::Int(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Key, E> {
        Ok(i64::try_from(number).map_or(Key::Large(number), Key::Int))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Key, E> {
        Ok(Key::Float(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Key, E> {
        Ok(Key::Text(text.into()))
    }

    fn visit_unit<E>(self) -> Result<Key, E> {
        Ok(Key::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<Key, A::Error> {
        Err(refused(SeqAccessDeserializer::new(access)))
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<Key, A::Error> {
        Err(refused(MapAccessDeserializer::new(access)))
    }
}

fn refused<'de, D: Deserializer<'de>>(deserializer: D) -> D::Error {
    let objects = &mut Objects::at_most(usize::MAX);
    match (Node { objects, place: Place::Root }).deserialize(deserializer) {
        Ok(value) => {
            let mut shown = REFUSAL.to_owned();
            write_syntax(&mut shown, &value);
            D::Error::custom(shown)
        }
        Err(error) => error,
    }
}

/// What Go's `%#v` makes of a tree as go-yaml keeps it.
fn write_syntax(out: &mut String, value: &Value) {
    if out.len() > SHOWN_BYTES_MAX {
        out.push_str("...");
        return;
    }
    match value {
        Value::Null => out.push_str("interface {}(nil)"),
        Value::String(text) => out.push_str(&quote(text)),
        Value::Array(items) => {
            out.push_str("[]interface {}{");
            for (index, item) in items.iter().enumerate().take_while(|(index, _)| *index < SHOWN_BYTES_MAX) {
                out.push_str(if index > 0 { ", " } else { "" });
                write_syntax(out, item);
            }
            out.push('}');
        }
        Value::Object(map) => {
            out.push_str("map[interface {}]interface {}{");
            for (index, (key, item)) in map.iter().enumerate().take_while(|(index, _)| *index < SHOWN_BYTES_MAX) {
                let _ = write!(out, "{}{}:", if index > 0 { ", " } else { "" }, quote(key));
                write_syntax(out, item);
            }
            out.push('}');
        }
        other => out.push_str(&go_text(other)),
    }
}
