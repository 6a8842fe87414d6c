//! Which part of the old object a part of the new one is: fields by name, items of lists of type `map` by their keys.
//!
//! Other lists are wholes. Rules that compare with what was before, and those that forgive what has not changed, go by this.
//! Upstream: k8s.io/apiserver/pkg/cel/common CorrelatedObject, MapList (v1.35).

use std::{collections::BTreeMap, ptr};

use super::{Structural, list_type::keys_of};
use crate::value::{Ordered, Str, Value};

/// A value, what it was before, and its schema.
#[derive(Debug, Clone, Copy)]
pub struct Correlation<'v> {
    value: &'v Value,
    old: Option<&'v Value>,
    schema: &'v Structural,
}

impl<'v> Correlation<'v> {
    /// The correlation of two whole objects; without `old` nothing is correlated.
    #[must_use]
    pub fn new(value: &'v Value, old: Option<&'v Value>, schema: &'v Structural) -> Self {
        Self { value, old: old.filter(|old| !old.is_null()), schema }
    }

    /// What is now.
    #[must_use]
    pub fn value(self) -> &'v Value {
        self.value
    }

    /// What was, if there was something.
    #[must_use]
    pub fn old(self) -> Option<&'v Value> {
        self.old
    }

    /// What the schema says of both.
    #[must_use]
    pub fn schema(self) -> &'v Structural {
        self.schema
    }

    /// What tells this correlation from others while the objects stay where they are.
    pub(super) fn addresses(self) -> [usize; 3] {
        let old = self.old.map_or(0, |old| ptr::from_ref(old).addr());
        [ptr::from_ref(self.value).addr(), old, ptr::from_ref(self.schema).addr()]
    }

    /// The correlation of a field that both have and the schema knows.
    #[must_use]
    pub fn field(self, name: &str) -> Option<Self> {
        let (value, old) = (self.value.get(name)?, self.old?.get(name)?);
        Some(Self::new(value, Some(old), self.schema.field(name)?))
    }

    /// What correlates the items of a list of type `map`; `None` for every other value.
    #[must_use]
    pub fn old_items(self) -> Option<OldItems<'v>> {
        let (Some(Value::Array(old)), Value::Array(_)) = (self.old, self.value) else { return None };
        if self.schema.extensions.list_type.as_deref() != Some("map") {
            return None;
        }
        let keys = &self.schema.extensions.list_map_keys;
        let mut by_keys = BTreeMap::new();
        for item in old.iter() {
            by_keys.entry(Ordered(keys_of(item, keys))).or_insert(item);
        }
        Some(OldItems { by_keys, keys, schema: self.schema.items.as_deref()? })
    }

    /// Whether the value is what it was; the items of lists of type `map` in whatever order.
    #[must_use]
    pub fn is_unchanged(self) -> bool {
        let Some(old) = self.old else { return self.value.is_null() };
        match (self.value, old) {
            (Value::Array(now), Value::Array(before)) => {
                if now.len() != before.len() {
                    return false;
                }
                match self.old_items() {
                    None => now == before,
                    Some(items) => now.iter().all(|item| items.of(item).is_some_and(Self::is_unchanged)),
                }
            }
            (Value::Object(now), Value::Object(before)) => {
                now.ptr_eq(before)
                    || (now.len() == before.len()
                        && now.iter().all(|(name, value)| {
                            let Some(before) = before.get(name) else { return false };
                            match self.schema.field(name) {
                                Some(schema) => Self::new(value, Some(before), schema).is_unchanged(),
                                // What has no schema is not correlated; upstream counts it as changed.
                                None => false,
                            }
                        }))
            }
            (now, before) => now == before,
        }
    }
}

/// The items that a list of type `map` had, by their keys.
#[derive(Debug)]
pub struct OldItems<'v> {
    by_keys: BTreeMap<Ordered<Value>, &'v Value>,
    keys: &'v [Str],
    schema: &'v Structural,
}

impl<'v> OldItems<'v> {
    /// The correlation of `item`, if there was one with its keys.
    #[must_use]
    pub fn of(&self, item: &'v Value) -> Option<Correlation<'v>> {
        let old = *self.by_keys.get(&Ordered(keys_of(item, self.keys)))?;
        Some(Correlation::new(item, Some(old), self.schema))
    }
}
