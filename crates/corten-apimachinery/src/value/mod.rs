//! The tree form of an object: what decoders make, admission and strategies change, and encoders write.
//!
//! Object entries are kept sorted by key, so that equality, merging and look-up need no hashing; encoders for built-in
//! types walk the type table instead and look fields up. Arrays and objects are shared copy-on-write: cloning an object is
//! O(1), and a changed path copies only the nodes on it. Strings up to 24 bytes, so nearly all keys, need no allocation.

mod equal;
pub mod go_float;
mod go_names;
mod go_text;
mod list;
mod map;
mod order;
mod raw;
mod tags;
mod typed;

use std::fmt;

pub use compact_str::{CompactString as Str, ToCompactString, format_compact as format_str};
pub use equal::semantically_equal;
pub use go_text::go_text;
pub use list::List;
pub use map::{DuplicateKey, Map};
pub use order::Ordered;
pub use raw::Raw;
pub use typed::{FromValueError, from_value};

use crate::{codec::json, stack};

/// One node of an object tree.
#[derive(Clone, Default, PartialEq)]
pub enum Value {
    /// JSON null.
    #[default]
    Null,
    /// A truth value.
    Bool(bool),
    /// A number written without fraction or exponent that fits.
    Int(i64),
    /// Any other number; never NaN or infinite.
    Float(f64),
    /// Text.
    String(Str),
    /// A list, shared copy-on-write.
    Array(List),
    /// An object with sorted keys, shared copy-on-write.
    Object(Map),
    /// An object that is kept as text: the field sets of `metadata.managedFields`.
    Raw(Raw),
}

impl Value {
    /// An empty object.
    #[must_use]
    pub fn object() -> Self {
        Self::Object(Map::new())
    }

    /// An object of `entries`, whose keys must be distinct.
    #[must_use]
    pub fn object_of<K: Into<Str>>(entries: impl IntoIterator<Item = (K, Value)>) -> Self {
        Self::Object(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
    }

    /// An array of `items`.
    #[must_use]
    pub fn array(items: impl IntoIterator<Item = Value>) -> Self {
        Self::Array(items.into_iter().collect::<Vec<_>>().into())
    }

    /// The text, if this is a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if this is an integer.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// The truth value, if this is one.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(truth) => Some(*truth),
            _ => None,
        }
    }

    /// The items, if this is an array.
    #[must_use]
    pub fn as_array(&self) -> Option<&[Value]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The items for change, if this is an array; copies it first if it is shared.
    pub fn as_array_mut(&mut self) -> Option<&mut Vec<Value>> {
        match self {
            Self::Array(items) => Some(items.make_mut()),
            _ => None,
        }
    }

    /// The entries, if this is an object.
    #[must_use]
    pub fn as_object(&self) -> Option<&Map> {
        match self {
            Self::Object(map) => Some(map),
            _ => None,
        }
    }

    /// The entries for change, if this is an object.
    pub fn as_object_mut(&mut self) -> Option<&mut Map> {
        match self {
            Self::Object(map) => Some(map),
            _ => None,
        }
    }

    /// Whether it has more than so many levels of arrays and objects, its own included.
    #[must_use]
    pub fn is_deeper_than(&self, levels: usize) -> bool {
        // What is still to be looked at, with the number of levels around it: a walk that does not call itself.
        let mut rest = vec![(self, 0)];
        while let Some((value, around)) = rest.pop() {
            if value.is_nested() && around >= levels {
                return true;
            }
            match value {
                Self::Raw(raw) if json::is_deeper_than(raw.text().as_bytes(), levels - around) => return true,
                Self::Array(items) => {
                    rest.extend(items.iter().filter(|item| item.is_nested()).map(|item| (item, around + 1)));
                }
                Self::Object(map) => {
                    rest.extend(
                        map.iter().filter(|(_, value)| value.is_nested()).map(|(_, value)| (value, around + 1)),
                    );
                }
                _ => {}
            }
        }
        false
    }

    fn is_nested(&self) -> bool {
        matches!(self, Self::Array(_) | Self::Object(_) | Self::Raw(_))
    }

    /// Whether this is null.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The word for this node's JSON type, as error messages use it.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Int(_) => "integer",
            Self::Float(_) => "number",
            Self::String(_) => "string",
            Self::Array(_) => "array",
            Self::Object(_) | Self::Raw(_) => "object",
        }
    }

    /// The entry `key` of an object; `None` for anything else.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.as_object()?.get(key)
    }

    /// The node at a path of object keys. Does not allocate.
    #[must_use]
    pub fn at(&self, path: &[&str]) -> Option<&Value> {
        path.iter().try_fold(self, |node, key| node.get(key))
    }

    /// The text at a path of object keys, if there is text.
    #[must_use]
    pub fn str_at(&self, path: &[&str]) -> Option<&str> {
        self.at(path)?.as_str()
    }

    /// The integer at a path of object keys, if there is one.
    #[must_use]
    pub fn i64_at(&self, path: &[&str]) -> Option<i64> {
        self.at(path)?.as_i64()
    }

    /// The truth value at a path of object keys, if there is one.
    #[must_use]
    pub fn bool_at(&self, path: &[&str]) -> Option<bool> {
        self.at(path)?.as_bool()
    }

    /// The items at a path of object keys; none if there is no array.
    #[must_use]
    pub fn items_at(&self, path: &[&str]) -> &[Value] {
        self.at(path).and_then(Self::as_array).unwrap_or_default()
    }

    /// The node at a path of object keys for change, if it exists. Copies what is shared on the way.
    pub fn at_mut(&mut self, path: &[&str]) -> Option<&mut Value> {
        path.iter().try_fold(self, |node, key| node.as_object_mut()?.get_mut(key))
    }

    /// The node at a path of object keys for change; missing objects on the way, and a null at the end, are made.
    ///
    /// Panics if a node on the way exists and is not an object: the caller has decoded against a type that says it is.
    pub fn at_or_insert(&mut self, path: &[&str]) -> &mut Value {
        path.iter().fold(self, |node, key| {
            if node.is_null() {
                *node = Self::object();
            }
            let map = node.as_object_mut().expect("nodes on a typed path are objects");
            map.entry_or_null(key)
        })
    }

    /// Puts `value` at a path of object keys, making the objects on the way.
    ///
    /// Panics like `at_or_insert`.
    pub fn set(&mut self, path: &[&str], value: impl Into<Value>) {
        *self.at_or_insert(path) = value.into();
    }

    /// Turns what is kept as text into trees. What is shared is copied only where something changes.
    pub fn expand_raw(&mut self) {
        if let Some(expanded) = self.expanded() {
            *self = expanded;
        }
    }

    /// The value with trees for texts; `None` if it has none of them.
    fn expanded(&self) -> Option<Self> {
        match self {
            Self::Raw(raw) => Some(raw.tree()),
            Self::Array(items) => stack::with_room(|| {
                let changed = |(at, item): (usize, &Self)| Some((at, item.expanded()?));
                let changed: Vec<_> = items.iter().enumerate().filter_map(changed).collect();
                let mut items = (!changed.is_empty()).then(|| items.clone())?;
                changed.into_iter().for_each(|(at, item)| items.make_mut()[at] = item);
                Some(Self::Array(items))
            }),
            Self::Object(map) => stack::with_room(|| {
                let changed = |(key, value): (&str, &Self)| Some((Str::from(key), value.expanded()?));
                let changed: Vec<_> = map.iter().filter_map(changed).collect();
                let mut map = (!changed.is_empty()).then(|| map.clone())?;
                changed.into_iter().for_each(|(key, value)| drop(map.insert(key, value)));
                Some(Self::Object(map))
            }),
            _ => None,
        }
    }

    /// Takes away the entry at a path of object keys and returns it; objects on the way stay.
    pub fn unset(&mut self, path: &[&str]) -> Option<Value> {
        let (last, parents) = path.split_last()?;
        self.at(path)?;
        self.at_mut(parents)?.as_object_mut()?.remove(last)
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(truth) => truth.fmt(f),
            Self::Int(number) => number.fmt(f),
            Self::Float(number) => number.fmt(f),
            Self::String(text) => fmt::Debug::fmt(text.as_str(), f),
            Self::Array(items) => stack::with_room(|| items.fmt(f)),
            Self::Object(map) => stack::with_room(|| map.fmt(f)),
            Self::Raw(raw) => raw.fmt(f),
        }
    }
}

macro_rules! value_from {
    ($($from:ty => $make:expr),* $(,)?) => {
        $(impl From<$from> for Value {
            fn from(from: $from) -> Self {
                let make: fn($from) -> Self = $make;
                make(from)
            }
        })*
    };
}

value_from! {
    bool => Self::Bool,
    i32 => |number| Self::Int(number.into()),
    u32 => |number| Self::Int(number.into()),
    i64 => Self::Int,
    &str => |text| Self::String(text.into()),
    String => |text| Self::String(text.into()),
    Str => Self::String,
    Map => Self::Object,
    Vec<Value> => |items| Self::Array(items.into()),
}

#[cfg(test)]
mod tests;
