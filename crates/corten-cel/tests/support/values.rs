//! Values and types of the conformance files.

use std::sync::Arc;

use corten_cel::{
    Type, Value,
    types::parse_type,
    value::{Bytes, Duration, Entries, Key, Map, Timestamp},
};

use super::textproto::{Field, Message};

fn number(field: &Field) -> f64 {
    match field {
        Field::Word(word) => word.parse().expect("a number"),
        other => panic!("a number, not {other:?}"),
    }
}

/// The value that `message` (of type `cel.expr.Value`) describes; `None` if it needs message types.
pub(crate) fn value(message: &Message) -> Option<Value<'static>> {
    let (kind, field) = message.0.first()?;
    Some(match (kind.as_str(), field) {
        ("null_value", _) => Value::Null,
        ("bool_value", _) => Value::Bool(message.word(kind)?),
        ("int64_value", _) => Value::Int(message.word(kind)?),
        ("uint64_value", _) => Value::Uint(message.word(kind)?),
        ("double_value", field) => Value::Double(number(field)),
        ("string_value", Field::Text(text)) => Value::string(String::from_utf8(text.clone()).ok()?),
        ("bytes_value", Field::Text(bytes)) => Value::Bytes(bytes.as_slice().into()),
        ("type_value", Field::Text(name)) => Value::Type(parse_type_name(std::str::from_utf8(name).ok()?)?),
        ("list_value", Field::Message(list)) => {
            Value::list(list.messages("values").map(value).collect::<Option<Vec<_>>>()?)
        }
        ("map_value", Field::Message(map)) => {
            let mut entries = Entries::new();
            for entry in map.messages("entries") {
                let key = value(entry.message("key")?)?;
                entries.insert(Key::of(&key)?, (key, value(entry.message("value")?)?));
            }
            Value::Map(Map::of(entries))
        }
        ("object_value", Field::Message(object)) => {
            let (name, field) = object.0.first()?;
            let Field::Message(fields) = field else { return None };
            let part = |name| fields.word::<i64>(name).unwrap_or(0);
            match name.as_str() {
                "type.googleapis.com/google.protobuf.Duration" => {
                    let nanos = part("seconds").checked_mul(1_000_000_000)?.checked_add(part("nanos"))?;
                    Value::Duration(Duration::from_nanos(nanos))
                }
                "type.googleapis.com/google.protobuf.Timestamp" => {
                    Value::Timestamp(Timestamp::new(part("seconds"), part("nanos"))?)
                }
                _ => return None,
            }
        }
        _ => return None,
    })
}

fn parse_type_name(name: &str) -> Option<Type> {
    match name {
        "list" => Some(Type::list(Type::Dyn)),
        "map" => Some(Type::map(Type::Dyn, Type::Dyn)),
        "optional_type" => Some(Type::optional(Type::Dyn)),
        other => parse_type(other),
    }
}

/// The type that `message` (of type `cel.expr.Type`) describes; `None` if it needs message types.
pub(crate) fn type_of(message: &Message) -> Option<Type> {
    let (kind, field) = message.0.first()?;
    Some(match (kind.as_str(), field) {
        ("dyn", _) => Type::Dyn,
        ("null", _) => Type::Null,
        ("primitive", Field::Word(name)) => primitive(name)?,
        ("wrapper", Field::Word(name)) => Type::Nullable(Arc::new(primitive(name)?)),
        ("well_known", Field::Word(name)) => match name.as_str() {
            "TIMESTAMP" => Type::Timestamp,
            "DURATION" => Type::Duration,
            _ => return None,
        },
        ("list_type", Field::Message(list)) => Type::list(list.message("elem_type").map_or(Some(Type::Dyn), type_of)?),
        ("map_type", Field::Message(map)) => {
            Type::map(type_of(map.message("key_type")?)?, type_of(map.message("value_type")?)?)
        }
        ("type", Field::Message(of)) => {
            if of.0.is_empty() {
                Type::Type(None)
            } else {
                Type::of_type(type_of(of)?)
            }
        }
        ("type_param", Field::Text(name)) => Type::Param(std::str::from_utf8(name).ok()?.into()),
        ("message_type", Field::Text(name)) => {
            let name = std::str::from_utf8(name).ok()?;
            parse_type(name).filter(|of| !matches!(of, Type::Opaque(..))).unwrap_or_else(|| Type::object(name))
        }
        ("abstract_type", Field::Message(of)) => {
            let parameters = of.messages("parameter_types").map(type_of).collect::<Option<Vec<_>>>()?;
            Type::Opaque(of.text("name").as_str().into(), parameters.into())
        }
        _ => return None,
    })
}

fn primitive(name: &str) -> Option<Type> {
    Some(match name {
        "BOOL" => Type::Bool,
        "INT64" => Type::Int,
        "UINT64" => Type::Uint,
        "DOUBLE" => Type::Double,
        "STRING" => Type::String,
        "BYTES" => Type::Bytes,
        _ => return None,
    })
}

/// Whether two values are the same, and of one type; not-a-number is the same as itself.
pub(crate) fn same(a: &Value<'_>, b: &Value<'_>) -> bool {
    match (a, b) {
        (Value::Null, Value::Null) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Int(a), Value::Int(b)) => a == b,
        (Value::Uint(a), Value::Uint(b)) => a == b,
        (Value::Double(a), Value::Double(b)) => a == b || (a.is_nan() && b.is_nan()),
        (Value::String(a), Value::String(b)) => a == b,
        (Value::Bytes(Bytes::Decoded(a)), Value::Bytes(Bytes::Decoded(b))) => a == b,
        (Value::Timestamp(a), Value::Timestamp(b)) => a == b,
        (Value::Duration(a), Value::Duration(b)) => a == b,
        (Value::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| same(&a, &b)),
        (Value::Map(a), Value::Map(b)) => {
            a.len() == b.len() && a.iter().zip(b.iter()).all(|((ak, av), (bk, bv))| same(&ak, &bk) && same(&av, &bv))
        }
        (Value::Optional(None), Value::Optional(None)) => true,
        (Value::Optional(Some(a)), Value::Optional(Some(b))) => same(a, b),
        (Value::Type(a), Value::Type(b)) => a.runtime_name() == b.runtime_name(),
        _ => false,
    }
}
