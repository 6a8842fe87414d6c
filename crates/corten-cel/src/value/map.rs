//! Maps and objects: a part of an object, or made.

use std::{collections::BTreeMap, sync::Arc};

use corten_apimachinery::value as tree;

use super::{Field, Key, Shape, Text, Value};
use crate::{error::EvalError, rules::is_reserved, types::Type};

/// The entries of a map that was made: the key as it was written, and the value.
pub type Entries<'a> = BTreeMap<Key<'a>, (Value<'a>, Value<'a>)>;

/// A map.
#[derive(Debug, Clone)]
pub enum Map<'a> {
    /// Of an object.
    Tree(&'a tree::Map, &'a Shape),
    /// Made of values.
    Entries(Arc<Entries<'a>>),
}

impl<'a> Map<'a> {
    /// Of `entries`.
    #[must_use]
    pub fn of(entries: Entries<'a>) -> Self {
        Self::Entries(Arc::new(entries))
    }

    /// How many entries it has.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Tree(map, _) => map.len(),
            Self::Entries(entries) => entries.len(),
        }
    }

    /// Whether it has no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of `key`.
    #[must_use]
    pub fn get(&self, key: &Value<'a>) -> Option<Value<'a>> {
        match (self, key) {
            (Self::Tree(..), Value::String(name)) => self.tree_field(name),
            (Self::Tree(..), _) => None,
            (Self::Entries(entries), _) => entries.get(&Key::sought(key)?).map(|(_, value)| value.clone()),
        }
    }

    /// The value of the key or field `name`.
    #[must_use]
    pub fn field(&self, name: &'a str) -> Option<Value<'a>> {
        match self {
            Self::Tree(..) => self.tree_field(name),
            Self::Entries(entries) => entries.get(&Key::String(Text::Borrowed(name))).map(|(_, value)| value.clone()),
        }
    }

    fn tree_field(&self, name: &str) -> Option<Value<'a>> {
        match self {
            Self::Tree(map, Shape::Object(_, fields)) => {
                // A word of the language may stand behind a dot as it is.
                let escaped = || fields.get(format!("__{name}__").as_str()).filter(|_| is_reserved(name));
                let field = fields.get(name).or_else(escaped)?;
                present(map, field)
            }
            Self::Tree(map, Shape::Map(values)) => map.get(name).map(|node| values.view(node)),
            Self::Tree(map, _) => map.get(name).map(|node| Shape::DYNAMIC.view(node)),
            Self::Entries(_) => None,
        }
    }

    /// Its keys and values, in the order of the keys.
    pub fn iter(&self) -> Box<dyn Iterator<Item = (Value<'a>, Value<'a>)> + '_> {
        match self {
            Self::Tree(map, Shape::Object(_, fields)) => Box::new(
                fields
                    .iter()
                    .filter_map(|(name, field)| present(map, field).map(|value| (Value::string(name.as_str()), value))),
            ),
            Self::Tree(map, shape) => {
                let values = match shape {
                    Shape::Map(values) => &**values,
                    _ => Shape::DYNAMIC,
                };
                Box::new(map.iter().map(move |(key, node)| (Value::string(key), values.view(node))))
            }
            Self::Entries(entries) => Box::new(entries.values().cloned()),
        }
    }

    /// Its keys, in order.
    #[must_use]
    pub fn keys(&self) -> Vec<Value<'a>> {
        match self {
            Self::Tree(map, shape) if !matches!(shape, Shape::Object(..)) => map.keys().map(Value::string).collect(),
            _ => self.iter().map(|(key, _)| key).collect(),
        }
    }

    /// This map with more entries: of one map, or of a key and a value. Changed in place if nobody else has it.
    ///
    /// Errors: a key is there already, or cannot be one.
    pub(crate) fn with(self, added: &[Value<'a>]) -> Result<Self, EvalError> {
        let added: Vec<(Value<'a>, Value<'a>)> = match added {
            [Value::Map(added)] => added.iter().collect(),
            [key, value] => vec![(key.clone(), value.clone())],
            _ => return Err(EvalError::no_such_overload()),
        };
        let mut entries = match self {
            Self::Entries(entries) => entries,
            tree @ Self::Tree(..) => Arc::new(map_entries(tree.iter().collect())?),
        };
        let changed = Arc::make_mut(&mut entries);
        for (key, value) in added {
            let found = Key::of(&key).ok_or_else(|| unsupported_key(&key))?;
            if changed.insert(found, (key, value)).is_some() {
                return Err(EvalError::failed("insert failed: key already exists"));
            }
        }
        Ok(Self::Entries(entries))
    }

    pub(super) fn runtime_type(&self) -> Type {
        match self {
            Self::Tree(_, Shape::Object(name, _)) => Type::Object(name.clone()),
            _ => Type::map(Type::Dyn, Type::Dyn),
        }
    }
}

/// The value of a field of an object. One that is null is not there.
fn present<'a>(map: &'a tree::Map, field: &'a Field) -> Option<Value<'a>> {
    map.get(&field.json).filter(|node| !node.is_null()).map(|node| field.shape.view(node))
}

/// The entries of a map of `pairs`.
///
/// Errors: a key twice, or one that cannot be a key.
pub(crate) fn map_entries<'a>(pairs: Vec<(Value<'a>, Value<'a>)>) -> Result<Entries<'a>, EvalError> {
    let mut entries = Entries::new();
    for (key, value) in pairs {
        let found = Key::of(&key).ok_or_else(|| unsupported_key(&key))?;
        if entries.contains_key(&found) {
            return Err(EvalError::failed(match &found {
                Key::Bool(key) => format!("failed with repeated key: {key}"),
                Key::Int(key) => format!("failed with repeated key: {key}"),
                Key::Uint(key) => format!("failed with repeated key: {key}"),
                Key::String(key) => format!("failed with repeated key: {}", &**key),
            }));
        }
        entries.insert(found, (key, value));
    }
    Ok(entries)
}

fn unsupported_key(key: &Value<'_>) -> EvalError {
    EvalError::failed(format!("unsupported key type: {}", key.runtime_type().runtime_name()))
}
