//! The entries of an object, sorted by key, shared copy-on-write.

use std::{fmt, sync::Arc};

use super::{
    Str, Value,
    tags::{TAGGED, Tags},
};
use crate::stack;

/// The entries of an object in bytewise order of their keys, without duplicates.
#[derive(Clone, Default)]
pub struct Map(Arc<Entries>);

#[derive(Clone, Default)]
struct Entries {
    entries: Vec<(Str, Value)>,
    /// Of the first keys, for look-up.
    tags: Tags,
}

/// An object has the same key twice.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("duplicate key {0:?}")]
pub struct DuplicateKey(pub Str);

impl Map {
    /// No entries.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Entries in any order.
    ///
    /// Errors: the first key that is there twice.
    pub fn from_entries(mut entries: Vec<(Str, Value)>) -> Result<Self, DuplicateKey> {
        let sorted = entries.is_sorted_by(|a, b| a.0 < b.0);
        if !sorted {
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            if let Some(pair) = entries.windows(2).find(|pair| pair[0].0 == pair[1].0) {
                return Err(DuplicateKey(pair[0].0.clone()));
            }
        }
        Ok(Self::of_sorted(entries))
    }

    /// Entries in any order; of those with one key the last stays. Costs one sort, however the entries come: inserting them
    /// one by one costs the square of their number where a client sends them backwards.
    #[must_use]
    pub fn of_last(mut entries: Vec<(Str, Value)>) -> Self {
        if !entries.is_sorted_by(|a, b| a.0 < b.0) {
            // Stable, so that the last of one key comes first when it is turned around.
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            entries.reverse();
            entries.dedup_by(|later, kept| later.0 == kept.0);
            entries.reverse();
        }
        Self::of_sorted(entries)
    }

    /// Entries in order, without duplicates.
    fn of_sorted(entries: Vec<(Str, Value)>) -> Self {
        let tags = Tags::of(&entries);
        Self(Arc::new(Entries { entries, tags }))
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.entries.is_empty()
    }

    /// Where `key` belongs, or is.
    fn place(&self, key: &str) -> usize {
        self.0.entries.partition_point(|(candidate, _)| candidate.as_str() < key)
    }

    /// Where `key` is.
    #[inline]
    fn find(&self, key: &str) -> Option<usize> {
        let entries = &self.0.entries;
        self.0.tags.find(key, entries).or_else(|| {
            let rest = entries.get(TAGGED..)?;
            rest.binary_search_by(|(candidate, _)| candidate.as_str().cmp(key)).ok().map(|index| TAGGED + index)
        })
    }

    /// The value of `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.find(key).map(|index| &self.0.entries[index].1)
    }

    /// Whether `key` has an entry.
    #[must_use]
    pub fn contains_key(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    /// The value of `key` for change.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        let index = self.find(key)?;
        Some(&mut Arc::make_mut(&mut self.0).entries[index].1)
    }

    /// The value of `key` for change; a missing one is made null.
    pub fn entry_or_null(&mut self, key: &str) -> &mut Value {
        let index = self.find(key).unwrap_or_else(|| self.put_in(key.into(), Value::Null));
        &mut Arc::make_mut(&mut self.0).entries[index].1
    }

    /// Puts in a key that is not there, and says where it is.
    fn put_in(&mut self, key: Str, value: Value) -> usize {
        let index = self.place(&key);
        let object = Arc::make_mut(&mut self.0);
        object.tags.insert(index, &key);
        object.entries.insert(index, (key, value));
        index
    }

    /// Sets `key` and returns what it was.
    pub fn insert(&mut self, key: impl Into<Str>, value: impl Into<Value>) -> Option<Value> {
        let (key, value) = (key.into(), value.into());
        match self.find(&key) {
            Some(index) => Some(std::mem::replace(&mut Arc::make_mut(&mut self.0).entries[index].1, value)),
            None => {
                self.put_in(key, value);
                None
            }
        }
    }

    /// Takes `key` away and returns what it was.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let index = self.find(key)?;
        let object = Arc::make_mut(&mut self.0);
        let (_, value) = object.entries.remove(index);
        object.tags = Tags::of(&object.entries);
        Some(value)
    }

    /// The object after `changes`, which come in the order of their keys, each key once: `change` is given a key, what the
    /// object has there and what is to happen to it, and says what the object has there then.
    ///
    /// One pass over both, however many keys come and go: setting or taking them away one by one moves all that stand behind,
    /// for each of them.
    ///
    /// Errors: the first of `change`.
    pub fn edit<C, E>(
        self,
        changes: impl ExactSizeIterator<Item = (Str, C)>,
        mut change: impl FnMut(&Str, Option<Value>, C) -> Result<Option<Value>, E>,
    ) -> Result<Self, E> {
        if changes.len() == 0 {
            return Ok(self);
        }
        let mut edited: Vec<(Str, Value)> = Vec::with_capacity(self.len().max(changes.len()));
        let mut entries = self.into_entries().into_iter().peekable();
        for (key, what) in changes {
            while let Some(before) = entries.next_if(|(other, _)| *other < key) {
                edited.push(before);
            }
            debug_assert!(edited.last().is_none_or(|(last, _)| *last < key), "changes come in the order of their keys");
            let old = entries.next_if(|(other, _)| *other == key).map(|(_, value)| value);
            if let Some(value) = change(&key, old, what)? {
                edited.push((key, value));
            }
        }
        edited.extend(entries);
        Ok(Self::of_sorted(edited))
    }

    /// Keeps the entries for which `keep` holds.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &mut Value) -> bool) {
        let object = Arc::make_mut(&mut self.0);
        object.entries.retain_mut(|(key, value)| keep(key, value));
        object.tags = Tags::of(&object.entries);
    }

    /// The entries in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> + DoubleEndedIterator {
        self.0.entries.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// The entries in order, as they are stored.
    #[must_use]
    pub fn entries(&self) -> &[(Str, Value)] {
        &self.0.entries
    }

    /// The entries in order, values for change.
    pub fn iter_mut(&mut self) -> impl ExactSizeIterator<Item = (&str, &mut Value)> {
        Arc::make_mut(&mut self.0).entries.iter_mut().map(|(key, value)| (key.as_str(), value))
    }

    /// The keys in order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.entries.iter().map(|(key, _)| key.as_str())
    }

    /// Whether both are the same allocation, so certainly equal.
    #[must_use]
    pub fn ptr_eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The entries by value; copies only if the map is shared.
    #[must_use]
    pub fn into_entries(mut self) -> Vec<(Str, Value)> {
        match Arc::get_mut(&mut self.0) {
            Some(object) => std::mem::take(&mut object.entries),
            None => self.0.entries.clone(),
        }
    }
}

impl FromIterator<(Str, Value)> for Map {
    /// Panics on duplicate keys: entries from outside go through `from_entries`.
    fn from_iter<I: IntoIterator<Item = (Str, Value)>>(entries: I) -> Self {
        Self::from_entries(entries.into_iter().collect()).expect("keys of a literal object are distinct")
    }
}

impl PartialEq for Map {
    fn eq(&self, other: &Self) -> bool {
        self.ptr_eq(other) || stack::with_room(|| self.0.entries == other.0.entries)
    }
}

impl Drop for Map {
    /// Each level is within the drop of the one above it.
    fn drop(&mut self) {
        if stack::is_low()
            && let Some(object) = Arc::get_mut(&mut self.0)
        {
            let entries = std::mem::take(&mut object.entries);
            stack::with_room(move || drop(entries));
        }
    }
}

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
