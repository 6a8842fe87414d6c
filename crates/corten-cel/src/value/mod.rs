//! Values at evaluation.
//!
//! Objects of the API are not copied: their lists, maps and strings are views into the tree, for as long as the evaluation
//! lasts. What expressions make is shared by reference counts.
//!
//! Upstream: cel-go common/types (v0.26.0).

mod bytes;
mod compare;
mod key;
mod list;
mod map;
mod opaque;
mod shape;
mod text;
mod time;

use std::sync::Arc;

use corten_apimachinery::value as tree;

pub use bytes::Bytes;
pub(crate) use bytes::decode;
pub(crate) use compare::{compare, double_to_int, equal, is_zero, merge_lists};
pub use key::Key;
pub use list::List;
pub(crate) use map::map_entries;
pub use map::{Entries, Map};
pub use opaque::Opaque;
pub use shape::{Field, ListEquality, Shape};
pub use text::Text;
pub use time::{Duration, Timestamp};

use crate::types::Type;

/// A value.
#[derive(Debug, Clone)]
pub enum Value<'a> {
    /// `null`
    Null,
    /// Truth value.
    Bool(bool),
    /// 64 bits with sign.
    Int(i64),
    /// 64 bits without sign.
    Uint(u64),
    /// 64 bits of floating point.
    Double(f64),
    /// Text.
    String(Text<'a>),
    /// Bytes.
    Bytes(Bytes<'a>),
    /// A point in time.
    Timestamp(Timestamp),
    /// A span of time.
    Duration(Duration),
    /// A list.
    List(List<'a>),
    /// A map or an object.
    Map(Map<'a>),
    /// A value that may be absent.
    Optional(Option<Arc<Value<'a>>>),
    /// A type.
    Type(Type),
    /// A value that functions alone know what to do with.
    Opaque(Arc<dyn Opaque>),
}

impl<'a> Value<'a> {
    /// The text `text`.
    #[must_use]
    pub fn string(text: impl Into<Text<'a>>) -> Self {
        Self::String(text.into())
    }

    /// A list of `items`.
    #[must_use]
    pub fn list(items: Vec<Value<'a>>) -> Self {
        Self::List(List::of(items))
    }

    /// An optional that has `value`.
    #[must_use]
    pub fn some(value: Value<'a>) -> Self {
        Self::Optional(Some(Arc::new(value)))
    }

    /// A view of `node` as `shape` says.
    #[must_use]
    pub fn of_tree(node: &'a tree::Value, shape: &'a Shape) -> Self {
        shape.view(node)
    }

    /// A view of `node` without anything known of it.
    #[must_use]
    pub fn of_dynamic(node: &'a tree::Value) -> Self {
        Shape::DYNAMIC.view(node)
    }

    /// The text, if it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// Its type, without parameters.
    #[must_use]
    pub fn runtime_type(&self) -> Type {
        match self {
            Self::Null => Type::Null,
            Self::Bool(_) => Type::Bool,
            Self::Int(_) => Type::Int,
            Self::Uint(_) => Type::Uint,
            Self::Double(_) => Type::Double,
            Self::String(_) => Type::String,
            Self::Bytes(_) => Type::Bytes,
            Self::Timestamp(_) => Type::Timestamp,
            Self::Duration(_) => Type::Duration,
            Self::List(_) => Type::list(Type::Dyn),
            Self::Map(map) => map.runtime_type(),
            Self::Optional(_) => Type::optional(Type::Dyn),
            Self::Type(_) => Type::Type(None),
            Self::Opaque(opaque) => Type::Opaque(opaque.type_name().into(), [].into()),
        }
    }

    /// What `size` gives, for what has a size; 1 for everything else.
    #[must_use]
    pub fn size(&self) -> u64 {
        let size = match self {
            Self::String(text) => text.chars().count(),
            Self::Bytes(bytes) => bytes.len(),
            Self::List(list) => list.len(),
            Self::Map(map) => map.len(),
            Self::Opaque(opaque) => return opaque.size().unwrap_or(1),
            _ => 1,
        };
        size as u64
    }
}
