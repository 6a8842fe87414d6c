//! The entries of an object, sorted by key, shared copy-on-write.

use std::{fmt, sync::Arc};

use super::{Str, Value};
use crate::stack;

/// Objects up to this size are searched from the front: shorter than the jumps of a binary search. Most keys differ in their
/// lengths, so that one that is there costs about as much as the comparison of its own text.
const LINEAR_SEARCH_MAX: usize = 32;

/// The entries of an object in bytewise order of their keys, without duplicates.
#[derive(Clone, Default)]
pub struct Map(Arc<Vec<(Str, Value)>>);

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
        Ok(Self(Arc::new(entries)))
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
        Self(Arc::new(entries))
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where `key` is, or belongs.
    fn search(&self, key: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(candidate, _)| candidate.as_str().cmp(key))
    }

    /// Where `key` is.
    fn find(&self, key: &str) -> Option<usize> {
        if self.0.len() <= LINEAR_SEARCH_MAX {
            // The length is at hand before the text is.
            return self.0.iter().position(|(candidate, _)| candidate.len() == key.len() && candidate.as_str() == key);
        }
        self.search(key).ok()
    }

    /// The value of `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.find(key).map(|index| &self.0[index].1)
    }

    /// Whether `key` has an entry.
    #[must_use]
    pub fn contains_key(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    /// The value of `key` for change.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        let index = self.find(key)?;
        Some(&mut Arc::make_mut(&mut self.0)[index].1)
    }

    /// The value of `key` for change; a missing one is made null.
    pub fn entry_or_null(&mut self, key: &str) -> &mut Value {
        let found = self.search(key);
        let entries = Arc::make_mut(&mut self.0);
        let index = found.unwrap_or_else(|index| {
            entries.insert(index, (key.into(), Value::Null));
            index
        });
        &mut entries[index].1
    }

    /// Sets `key` and returns what it was.
    pub fn insert(&mut self, key: impl Into<Str>, value: impl Into<Value>) -> Option<Value> {
        let (key, value) = (key.into(), value.into());
        match self.search(&key) {
            Ok(index) => Some(std::mem::replace(&mut Arc::make_mut(&mut self.0)[index].1, value)),
            Err(index) => {
                Arc::make_mut(&mut self.0).insert(index, (key, value));
                None
            }
        }
    }

    /// Takes `key` away and returns what it was.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let index = self.find(key)?;
        Some(Arc::make_mut(&mut self.0).remove(index).1)
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
        Ok(Self(Arc::new(edited)))
    }

    /// Keeps the entries for which `keep` holds.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &mut Value) -> bool) {
        Arc::make_mut(&mut self.0).retain_mut(|(key, value)| keep(key, value));
    }

    /// The entries in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> + DoubleEndedIterator {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// The entries in order, as they are stored.
    #[must_use]
    pub fn entries(&self) -> &[(Str, Value)] {
        &self.0
    }

    /// The entries in order, values for change.
    pub fn iter_mut(&mut self) -> impl ExactSizeIterator<Item = (&str, &mut Value)> {
        Arc::make_mut(&mut self.0).iter_mut().map(|(key, value)| (key.as_str(), value))
    }

    /// The keys in order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(|(key, _)| key.as_str())
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
            Some(entries) => std::mem::take(entries),
            None => self.0.to_vec(),
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
        self.ptr_eq(other) || stack::with_room(|| self.0 == other.0)
    }
}

impl Drop for Map {
    /// Each level is within the drop of the one above it.
    fn drop(&mut self) {
        if stack::is_low()
            && let Some(entries) = Arc::get_mut(&mut self.0)
        {
            let entries = std::mem::take(entries);
            stack::with_room(move || drop(entries));
        }
    }
}

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
