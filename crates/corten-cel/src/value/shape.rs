//! How a tree is read: the part of a schema that evaluation needs.
//!
//! JSON has fewer types than the language: a string may be a point in time, an integer a double, a field's name may be one that
//! the language cannot spell. Whoever declares the type of a variable gives the shape that agrees with it.
//!
//! Upstream: k8s.io/apiserver/pkg/cel/common/values.go (v1.35).

use std::{collections::BTreeMap, sync::Arc};

use corten_apimachinery::value::{self as tree, Str};

use super::{Bytes, Duration, Key, List, Map, Text, Timestamp, Value};

/// The longest text that is read as a point or a span of time: it is read anew each time that it is selected, for the one unit
/// that this costs. Formats allow any number of decimals; nine mean something.
const TIME_BYTES_MAX: usize = 1_024;

/// When two lists are equal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ListEquality {
    /// Same elements in the same order.
    #[default]
    Atomic,
    /// Same elements (`x-kubernetes-list-type: set`).
    Set,
    /// Same elements for the same keys (`x-kubernetes-list-type: map`).
    Map(Vec<Str>),
}

/// A field of an object.
#[derive(Debug, Clone)]
pub struct Field {
    /// Its name in JSON.
    pub json: Str,
    /// How it is read.
    pub shape: Shape,
}

/// How a node of a tree is read.
#[derive(Debug, Clone, Default)]
pub enum Shape {
    /// As it stands.
    #[default]
    Dynamic,
    /// A number, also where it was written without fraction.
    Double,
    /// Base64 text.
    Bytes,
    /// RFC 3339 text; a date alone is its midnight.
    Timestamp,
    /// Text such as `1h5m`.
    Duration,
    /// A list.
    List(Arc<Shape>, ListEquality),
    /// A map.
    Map(Arc<Shape>),
    /// An object: its type's name, and its fields by the names that expressions use.
    Object(Arc<str>, Arc<BTreeMap<Str, Field>>),
}

/// A field set of managed fields: maps of maps, which is all that the server writes there.
fn field_set<'a>(node: &tree::Value) -> Value<'a> {
    let entries = node.as_object().into_iter().flat_map(tree::Map::iter).filter_map(|(name, below)| {
        let key = Value::String(Text::Shared(name.into()));
        Some((Key::of(&key)?, (key, field_set(below))))
    });
    Value::Map(Map::of(entries.collect()))
}

impl Shape {
    /// Nothing known.
    pub const DYNAMIC: &'static Self = &Self::Dynamic;

    pub(super) fn view<'a>(&'a self, node: &'a tree::Value) -> Value<'a> {
        match (self, node) {
            (_, tree::Value::Null) => Value::Null,
            (_, tree::Value::Bool(truth)) => Value::Bool(*truth),
            (Self::Double, tree::Value::Int(number)) => Value::Double(*number as f64),
            (_, tree::Value::Int(number)) => Value::Int(*number),
            (_, tree::Value::Float(number)) => Value::Double(*number),
            (_, tree::Value::String(text)) => self.view_text(text),
            (_, tree::Value::Array(items)) => Value::List(List::Tree(items, self)),
            (_, tree::Value::Object(entries)) => Value::Map(Map::Tree(entries, self)),
            (_, tree::Value::Raw(raw)) => field_set(&raw.tree()),
        }
    }

    /// Text that is no time though its shape says so stays text: validation of the schema comes first, and refuses it.
    fn view_text<'a>(&self, text: &'a str) -> Value<'a> {
        let special = match self {
            Self::Bytes => Some(Value::Bytes(Bytes::Encoded(text))),
            Self::Timestamp | Self::Duration if text.len() > TIME_BYTES_MAX => None,
            Self::Timestamp => {
                Timestamp::parse(text).or_else(|| Timestamp::parse(&format!("{text}T00:00:00Z"))).map(Value::Timestamp)
            }
            Self::Duration => Duration::parse_format(text).map(Value::Duration),
            _ => None,
        };
        special.unwrap_or(Value::string(text))
    }

    /// Whether there is a list in it that is a set or has keys. Schemas bound how deep shapes are.
    pub(crate) fn merges(&self) -> bool {
        match self {
            Self::List(items, equality) => *equality != ListEquality::Atomic || items.merges(),
            Self::Map(values) => values.merges(),
            Self::Object(_, fields) => fields.values().any(|field| field.shape.merges()),
            _ => false,
        }
    }

    pub(super) fn items(&self) -> &Self {
        match self {
            Self::List(items, _) => items,
            _ => Self::DYNAMIC,
        }
    }
}
