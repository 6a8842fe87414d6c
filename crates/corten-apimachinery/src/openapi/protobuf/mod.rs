//! OpenAPI documents as protobuf: what `kubectl` reads to check manifests and to explain fields.
//!
//! The messages are tables from the names in a JSON document to field numbers, and one small writer follows them. What a
//! table does not name, this server's documents do not have. Values of any form (extensions, enums, defaults of v2) travel
//! as YAML text inside the message; defaults of v3 that are neither number, truth nor text get lost, as they do upstream.
//! Upstream: the messages of `openapi.v2` and `openapi.v3` in github.com/google/gnostic-models, which kube-openapi (v1.35)
//! serves.

mod v2;
mod v3;

#[cfg(test)]
mod tests;

use bytes::Bytes;

use crate::{
    codec::{
        protobuf::{put_bytes, put_double, put_number, put_text},
        yaml,
    },
    value::{Map, Value},
};

/// How a value goes into a field.
#[derive(Clone, Copy)]
enum Form {
    Text,
    /// Absent where it is false, as all zeros of simple fields are.
    Flag,
    Whole,
    Number,
    /// Anything, as YAML.
    Any,
    /// A message with a number, a truth or a text, and nothing of anything else.
    Scalar,
    /// A field for each item.
    Each(&'static Form),
    /// A message of which just one field is set: a choice that this server's documents make in one way only, or a list of
    /// which they have one item.
    Within(u32, &'static Form),
    /// A message with either this in its first field, or a truth in its second.
    OrFlag(&'static Form),
    /// A message with either a schema of v3 in its first field, or a reference in its second.
    SchemaOrReference,
    /// A message with a pair of name and value for each entry.
    Entries(u32, &'static Form),
    Message(&'static Message),
    /// A message that depends on what `in` says.
    ByPlace(fn(&str) -> Form),
}

struct Message {
    /// (name in JSON, number, form), by number.
    fields: &'static [(&'static str, u32, Form)],
    /// The field for names that begin with `x-`; 0 if there is none.
    extensions: u32,
}

const TEXTS: Form = Form::Each(&Form::Text);

/// The protobuf form of a whole OpenAPI v2 document, which [`assemble`](super::assemble) makes from pieces.
#[cfg(test)]
pub(super) fn encode_v2(document: &Value) -> Bytes {
    let mut out = Vec::new();
    write_message(&mut out, &v2::DOCUMENT, document);
    out.into()
}

/// The fields of a v2 document by number: their names in JSON, and the numbers.
pub(super) fn v2_fields() -> impl Iterator<Item = (&'static str, u32)> {
    v2::DOCUMENT.fields.iter().map(|&(name, number, _)| (name, number))
}

/// Writes one field of a v2 document. Nothing is written for a name that is none.
pub(super) fn v2_field(out: &mut Vec<u8>, name: &str, value: &Value) {
    if let Some(&(_, number, form)) = v2::DOCUMENT.fields.iter().find(|(known, ..)| *known == name) {
        write_field(out, number, form, value);
    }
}

/// One entry of a field of a v2 document that has entries, as it stands within that field.
pub(super) fn v2_entry(field: &str, name: &str, value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    if let Some(&(_, _, Form::Entries(number, form))) = v2::DOCUMENT.fields.iter().find(|(known, ..)| *known == field) {
        write_pair(&mut out, number, name, *form, value);
    }
    out
}

/// The protobuf form of an OpenAPI v3 document that [`document`](super::document) has made.
///
/// Panics in tests on parts of a document that have no field here; they are left out otherwise.
#[must_use]
pub fn encode_v3(document: &Value) -> Bytes {
    let mut out = Vec::with_capacity(64 << 10);
    write_message(&mut out, &v3::DOCUMENT, document);
    out.into()
}

/// Writes the fields of a message. Only called with documents of our own: they are as deep as a schema can be, of which
/// there is a limit.
fn write_message(out: &mut Vec<u8>, message: &Message, value: &Value) {
    let Some(map) = value.as_object() else { return };
    debug_assert_eq!(unknown(message, map), None, "every part of a document has a field");
    for &(name, number, form) in message.fields {
        if let Some(value) = map.get(name) {
            write_field(out, number, form, value);
        }
    }
    let extensions = map.iter().filter(|(name, _)| message.extensions > 0 && name.starts_with("x-"));
    for (name, value) in extensions {
        write_pair(out, message.extensions, name, Form::Any, value);
    }
}

/// A part that would be left out.
fn unknown<'m>(message: &Message, map: &'m Map) -> Option<&'m str> {
    map.keys().find(|name| !name.starts_with("x-") && message.fields.iter().all(|(known, ..)| known != name))
}

fn write_field(out: &mut Vec<u8>, number: u32, form: Form, value: &Value) {
    match form {
        Form::Text => put_text(out, number, value.as_str().unwrap_or_default()),
        Form::Flag if value.as_bool() == Some(true) => put_number(out, number, 1),
        Form::Whole if value.as_i64() != Some(0) => put_number(out, number, value.as_i64().unwrap_or_default()),
        Form::Number if as_double(value) != 0.0 => put_double(out, number, as_double(value)),
        Form::Flag | Form::Whole | Form::Number => {}
        Form::Each(form) => {
            value.as_array().unwrap_or_default().iter().for_each(|item| write_field(out, number, *form, item));
        }
        form => put_bytes(out, number, &body(form, value)),
    }
}

#[expect(clippy::cast_precision_loss, reason = "the format has doubles for all numbers")]
fn as_double(value: &Value) -> f64 {
    match value {
        Value::Int(number) => *number as f64,
        Value::Float(number) => *number,
        _ => 0.0,
    }
}

/// What is inside a field that is a message.
fn body(form: Form, value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    match form {
        Form::Any => put_bytes(&mut out, 2, &yaml::encode(value)),
        Form::Scalar => match value {
            Value::Int(_) | Value::Float(_) => put_double(&mut out, 1, as_double(value)),
            Value::Bool(truth) => put_number(&mut out, 2, i64::from(*truth)),
            Value::String(text) => put_text(&mut out, 3, text),
            Value::Null | Value::Array(_) | Value::Object(_) | Value::Raw(_) => {}
        },
        Form::Within(number, form) => write_field(&mut out, number, *form, value),
        Form::OrFlag(form) => match value {
            Value::Bool(truth) => put_number(&mut out, 2, i64::from(*truth)),
            value => write_field(&mut out, 1, *form, value),
        },
        Form::SchemaOrReference => match value.get("$ref") {
            Some(_) => write_field(&mut out, 2, Form::Message(&v3::REFERENCE), value),
            None => write_field(&mut out, 1, Form::Message(&v3::SCHEMA), value),
        },
        Form::Entries(number, form) => {
            for (name, value) in value.as_object().into_iter().flat_map(Map::iter) {
                write_pair(&mut out, number, name, *form, value);
            }
        }
        Form::Message(message) => write_message(&mut out, message, value),
        Form::ByPlace(of) => return body(of(value.str_at(&["in"]).unwrap_or_default()), value),
        Form::Text | Form::Flag | Form::Whole | Form::Number | Form::Each(_) => {
            unreachable!("these are no messages: their only caller says so")
        }
    }
    out
}

/// Writes a name with its value, which is how maps travel.
fn write_pair(out: &mut Vec<u8>, number: u32, name: &str, form: Form, value: &Value) {
    let mut pair = Vec::new();
    put_text(&mut pair, 1, name);
    write_field(&mut pair, 2, form, value);
    put_bytes(out, number, &pair);
}
