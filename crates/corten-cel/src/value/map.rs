//! Maps and objects: a part of an object, or made.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use corten_apimachinery::value as tree;

use super::{Field, Key, Shape, Text, Value};
use crate::{error::EvalError, eval::Context, rules::is_reserved, types::Type};

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

    /// Its keys and values, in the order of the keys. Nothing is copied beforehand, however many they are.
    pub fn iter(&self) -> Box<dyn Iterator<Item = (Value<'a>, Value<'a>)> + 'a> {
        match *self {
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
            Self::Entries(ref entries) => {
                let entries = entries.clone();
                let mut last: Option<Key<'a>> = None;
                Box::new(std::iter::from_fn(move || {
                    let from = last.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
                    let (key, entry) = entries.range((from, Bound::Unbounded)).next()?;
                    let (key, entry) = (key.clone(), entry.clone());
                    last = Some(key);
                    Some(entry)
                }))
            }
        }
    }

    /// Its keys, in order.
    pub fn keys(&self) -> Box<dyn Iterator<Item = Value<'a>> + 'a> {
        match *self {
            Self::Tree(map, shape) if !matches!(shape, Shape::Object(..)) => Box::new(map.keys().map(Value::string)),
            _ => Box::new(self.iter().map(|(key, _)| key)),
        }
    }

    /// This map with more entries: of one map, or of a key and a value. Changed in place if nobody else has it.
    ///
    /// Errors: a key is there already, or cannot be one; or more is copied than the evaluation may.
    pub(crate) fn with(self, context: &mut Context<'_>, added: &[Value<'a>]) -> Result<Self, EvalError> {
        let added: Box<dyn Iterator<Item = (Value<'a>, Value<'a>)> + 'a> = match added {
            [Value::Map(added)] => added.iter(),
            [key, value] => Box::new(std::iter::once((key.clone(), value.clone()))),
            _ => return Err(EvalError::no_such_overload()),
        };
        let mut entries = match self {
            Self::Entries(mut entries) => {
                if Arc::get_mut(&mut entries).is_none() {
                    context.make_entries(entries.len())?;
                }
                entries
            }
            tree @ Self::Tree(..) => {
                context.make_entries(tree.len())?;
                Arc::new(map_entries(tree.iter())?)
            }
        };
        let changed = Arc::make_mut(&mut entries);
        for (key, value) in added {
            context.make_entries(1)?;
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
pub(crate) fn map_entries<'a>(
    pairs: impl IntoIterator<Item = (Value<'a>, Value<'a>)>,
) -> Result<Entries<'a>, EvalError> {
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
