//! OpenAPI v2 documents as protobuf: what `kubectl` reads to check manifests and to explain fields.
//!
//! The messages are tables from the names in a JSON document to field numbers, and one small writer follows them. What a
//! table does not name, this server's documents do not have. Values of any form (extensions, enums, defaults) travel as
//! YAML text inside the message.
//! Upstream: the messages of `openapi.v2` in github.com/google/gnostic-models, which kube-openapi (v1.35) serves.

use bytes::Bytes;

use crate::{
    codec::{
        protobuf::{put_bytes, put_number, put_text},
        yaml,
    },
    value::{Map, Value},
};

/// How a value goes into a field.
#[derive(Clone, Copy)]
enum Form {
    Text,
    Flag,
    /// Anything, as YAML.
    Any,
    /// A field for each item.
    Each(&'static Form),
    /// A message of which just one field is set: a choice that this server's documents make in one way only, or a list of
    /// which they have one item.
    Within(u32, &'static Form),
    /// A message with a pair of name and value for each entry.
    Entries(u32, &'static Form),
    Message(&'static Message),
    /// A parameter: which message it is depends on the place that it is in.
    Parameter,
}

struct Message {
    /// (name in JSON, number, form), by number.
    fields: &'static [(&'static str, u32, Form)],
    /// The field for names that begin with `x-`; 0 if there is none.
    extensions: u32,
}

const TEXTS: Form = Form::Each(&Form::Text);

static DOCUMENT: Message = Message {
    fields: &[
        ("swagger", 1, Form::Text),
        ("info", 2, Form::Message(&INFO)),
        ("paths", 8, Form::Entries(2, &Form::Message(&PATH_ITEM))),
        ("definitions", 9, Form::Entries(1, &Form::Message(&SCHEMA))),
        ("security", 12, Form::Each(&Form::Entries(1, &Form::Within(1, &TEXTS)))),
        ("securityDefinitions", 13, Form::Entries(1, &Form::Within(2, &Form::Message(&API_KEY)))),
    ],
    extensions: 16,
};

static INFO: Message = Message {
    fields: &[("title", 1, Form::Text), ("version", 2, Form::Text), ("description", 3, Form::Text)],
    extensions: 7,
};

static API_KEY: Message = Message {
    fields: &[("type", 1, Form::Text), ("name", 2, Form::Text), ("in", 3, Form::Text), ("description", 4, Form::Text)],
    extensions: 5,
};

static PATH_ITEM: Message = Message {
    fields: &[
        ("$ref", 1, Form::Text),
        ("get", 2, Form::Message(&OPERATION)),
        ("put", 3, Form::Message(&OPERATION)),
        ("post", 4, Form::Message(&OPERATION)),
        ("delete", 5, Form::Message(&OPERATION)),
        ("options", 6, Form::Message(&OPERATION)),
        ("head", 7, Form::Message(&OPERATION)),
        ("patch", 8, Form::Message(&OPERATION)),
        ("parameters", 9, PARAMETERS),
    ],
    extensions: 10,
};

const PARAMETERS: Form = Form::Each(&Form::Within(1, &Form::Parameter));

static OPERATION: Message = Message {
    fields: &[
        ("tags", 1, TEXTS),
        ("summary", 2, Form::Text),
        ("description", 3, Form::Text),
        ("operationId", 5, Form::Text),
        ("produces", 6, TEXTS),
        ("consumes", 7, TEXTS),
        ("parameters", 8, PARAMETERS),
        ("responses", 9, Form::Entries(1, &Form::Within(1, &Form::Message(&RESPONSE)))),
        ("schemes", 10, TEXTS),
        ("deprecated", 11, Form::Flag),
    ],
    extensions: 13,
};

static RESPONSE: Message = Message {
    fields: &[("description", 1, Form::Text), ("schema", 2, Form::Within(1, &Form::Message(&SCHEMA)))],
    extensions: 5,
};

static BODY_PARAMETER: Message = Message {
    fields: &[
        ("description", 1, Form::Text),
        ("name", 2, Form::Text),
        ("in", 3, Form::Text),
        ("required", 4, Form::Flag),
        ("schema", 5, Form::Message(&SCHEMA)),
    ],
    extensions: 6,
};

/// In a path or a header.
static PATH_PARAMETER: Message = Message {
    fields: &[
        ("required", 1, Form::Flag),
        ("in", 2, Form::Text),
        ("description", 3, Form::Text),
        ("name", 4, Form::Text),
        ("type", 5, Form::Text),
        ("format", 6, Form::Text),
        ("uniqueItems", 19, Form::Flag),
    ],
    extensions: 22,
};

static QUERY_PARAMETER: Message = Message {
    fields: &[
        ("required", 1, Form::Flag),
        ("in", 2, Form::Text),
        ("description", 3, Form::Text),
        ("name", 4, Form::Text),
        ("allowEmptyValue", 5, Form::Flag),
        ("type", 6, Form::Text),
        ("format", 7, Form::Text),
        ("uniqueItems", 20, Form::Flag),
    ],
    extensions: 23,
};

static SCHEMA: Message = Message {
    fields: &[
        ("$ref", 1, Form::Text),
        ("format", 2, Form::Text),
        ("title", 3, Form::Text),
        ("description", 4, Form::Text),
        ("default", 5, Form::Any),
        ("pattern", 13, Form::Text),
        ("uniqueItems", 16, Form::Flag),
        ("required", 19, TEXTS),
        ("enum", 20, Form::Each(&Form::Any)),
        ("additionalProperties", 21, Form::Within(1, &Form::Message(&SCHEMA))),
        ("type", 22, Form::Within(1, &Form::Text)),
        ("items", 23, Form::Within(1, &Form::Message(&SCHEMA))),
        ("allOf", 24, Form::Each(&Form::Message(&SCHEMA))),
        ("properties", 25, Form::Entries(1, &Form::Message(&SCHEMA))),
    ],
    extensions: 31,
};

/// The protobuf form of an OpenAPI v2 document that [`document`](super::document) has made.
///
/// Panics in tests on parts of a document that have no field here; they are left out otherwise.
#[must_use]
pub fn encode_v2(document: &Value) -> Bytes {
    let mut out = Vec::with_capacity(4 << 20);
    write_message(&mut out, &DOCUMENT, document);
    out.into()
}

/// Writes the fields of a message. Only called with documents of our own, whose depth is fixed.
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
        Form::Flag => put_number(out, number, value.as_bool().unwrap_or_default().into()),
        Form::Each(form) => {
            value.as_array().unwrap_or_default().iter().for_each(|item| write_field(out, number, *form, item));
        }
        Form::Any | Form::Within(..) | Form::Entries(..) | Form::Message(_) | Form::Parameter => {
            put_bytes(out, number, &body(form, value));
        }
    }
}

/// What is inside a field that is a message.
fn body(form: Form, value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    match form {
        Form::Any => put_bytes(&mut out, 2, &yaml::encode(value)),
        Form::Within(number, form) => write_field(&mut out, number, *form, value),
        Form::Entries(number, form) => {
            for (name, value) in value.as_object().into_iter().flat_map(Map::iter) {
                write_pair(&mut out, number, name, *form, value);
            }
        }
        Form::Message(message) => write_message(&mut out, message, value),
        Form::Parameter => {
            const PATH: Form = Form::Message(&PATH_PARAMETER);
            const QUERY: Form = Form::Message(&QUERY_PARAMETER);
            match value.str_at(&["in"]) {
                Some("body") => write_field(&mut out, 1, Form::Message(&BODY_PARAMETER), value),
                Some("header") => write_field(&mut out, 2, Form::Within(1, &PATH), value),
                Some("path") => write_field(&mut out, 2, Form::Within(4, &PATH), value),
                _ => write_field(&mut out, 2, Form::Within(3, &QUERY), value),
            }
        }
        Form::Text | Form::Flag | Form::Each(_) => unreachable!("these are no messages: their only caller says so"),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{FieldValidation, json};

    /// The fields of `bytes` in order: numbers, and inside parentheses what they hold.
    fn shown(mut bytes: &[u8]) -> Option<String> {
        let mut parts = Vec::new();
        let varint = |bytes: &mut &[u8]| -> Option<u64> {
            let mut number = 0;
            for shift in (0..64).step_by(7) {
                let (&first, rest) = bytes.split_first()?;
                *bytes = rest;
                number |= u64::from(first & 0x7f) << shift;
                if first < 0x80 {
                    return Some(number);
                }
            }
            None
        };
        while !bytes.is_empty() {
            let key = varint(&mut bytes)?;
            match (key >> 3, key & 7) {
                (1..=31, 0) => parts.push(format!("{}={}", key >> 3, varint(&mut bytes)?)),
                (1..=31, 2) => {
                    let length = usize::try_from(varint(&mut bytes)?).ok()?;
                    let (inner, rest) = bytes.split_at_checked(length)?;
                    bytes = rest;
                    let is_text =
                        inner.len() > 1 && inner.iter().all(|&byte| byte == b'\n' || (32..127).contains(&byte));
                    let text = || format!("{:?}", String::from_utf8_lossy(inner));
                    let inner = if is_text { text() } else { shown(inner).map_or_else(text, |s| format!("({s})")) };
                    parts.push(format!("{}{inner}", key >> 3));
                }
                _ => return None,
            }
        }
        Some(parts.join(" "))
    }

    #[track_caller]
    fn check(document: &str, want: &str) {
        let document = json::decode(document.as_bytes(), None, FieldValidation::Ignore).unwrap().value;
        assert_eq!(shown(&encode_v2(&document)).as_deref(), Some(want));
    }

    #[test]
    fn a_definition_keeps_types_references_and_extensions() {
        check(
            r##"{"swagger": "2.0", "info": {"title": "Kubernetes", "version": "v1"}, "definitions": {"io.A": {
                "type": "object", "description": "An A.", "required": ["bb"], "x-kubernetes-map-type": "atomic",
                "properties": {
                    "bb": {"$ref": "#/definitions/B", "description": "The B."},
                    "cc": {"type": "array", "items": {"type": "string", "enum": ["X1"]}},
                    "dd": {"type": "object", "additionalProperties": {"type": "integer", "format": "int32"}}}}}}"##,
            concat!(
                r#"1"2.0" 2(1"Kubernetes" 2"v1") 9(1(1"io.A" 2(4"An A." 19"bb" 22(1"object") "#,
                r##"25(1(1"bb" 2(1"#/definitions/B" 4"The B.")) "##,
                r#"1(1"cc" 2(22(1"array") 23(1(20(2"X1\n") 22(1"string"))))) "#,
                r#"1(1"dd" 2(21(1(2"int32" 22(1"integer"))) 22(1"object")))) "#,
                r#"31(1"x-kubernetes-map-type" 2(2"atomic\n")))))"#,
            ),
        );
    }

    #[test]
    fn a_parameter_is_of_the_message_of_its_place() {
        check(
            r##"{"paths": {"/api": {"parameters": [
                {"in": "path", "name": "name", "required": true, "type": "string", "uniqueItems": true},
                {"in": "query", "name": "pretty", "type": "string", "uniqueItems": true},
                {"in": "body", "name": "body", "schema": {"$ref": "#/definitions/B"}}]}}}"##,
            concat!(
                r#"8(2(1"/api" 2(9(1(2(4(1=1 2"path" 4"name" 5"string" 19=1)))) "#,
                r#"9(1(2(3(2"query" 4"pretty" 6"string" 20=1)))) "#,
                r##"9(1(1(2"body" 3"body" 5(1"#/definitions/B")))))))"##,
            ),
        );
    }

    #[test]
    fn operations_answers_and_security_find_their_fields() {
        check(
            r##"{"paths": {"/api": {"get": {"tags": ["core"], "operationId": "getAPI", "responses": {
                    "200": {"description": "OK", "schema": {"type": "string"}}}}}},
                "security": [{"BearerToken": []}],
                "securityDefinitions": {"BearerToken": {"type": "apiKey", "name": "authorization", "in": "header"}}}"##,
            concat!(
                r#"8(2(1"/api" 2(2(1"core" 5"getAPI" 9(1(1"200" 2(1(1"OK" 2(1(22(1"string"))))))))))) "#,
                r#"12(1(1"BearerToken" 2())) "#,
                r#"13(1(1"BearerToken" 2(2(1"apiKey" 2"authorization" 3"header"))))"#,
            ),
        );
    }
}
