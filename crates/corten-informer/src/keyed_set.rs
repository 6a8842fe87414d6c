//! A set of shared objects ordered by namespace and name, which are read from the objects themselves.
//!
//! A map with its own keys would store every name twice; with 150,000 pods that is tens of megabytes.

use std::{borrow::Borrow, cmp::Ordering, collections::BTreeSet, ops::Bound, sync::Arc};

use corten_apimachinery::stored::Stored;

/// Something with a namespace and a name.
pub(crate) trait Named {
    /// The namespace and the name.
    fn id(&self) -> (&str, &str);
}

impl Named for Stored {
    fn id(&self) -> (&str, &str) {
        (&self.namespace, &self.name)
    }
}

impl Named for (&str, &str) {
    fn id(&self) -> (&str, &str) {
        *self
    }
}

/// An object that compares by its id.
#[derive(Debug)]
struct ById<T>(Arc<T>);

impl<T: Named> Named for ById<T> {
    fn id(&self) -> (&str, &str) {
        self.0.id()
    }
}

impl<T: Named> PartialEq for ById<T> {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl<T: Named> Eq for ById<T> {}

impl<T: Named> PartialOrd for ById<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Named> Ord for ById<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.id().cmp(&other.id())
    }
}

impl PartialEq for dyn Named + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for dyn Named + '_ {}

impl PartialOrd for dyn Named + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for dyn Named + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        self.id().cmp(&other.id())
    }
}

impl<'a, T: Named + 'a> Borrow<dyn Named + 'a> for ById<T> {
    fn borrow(&self) -> &(dyn Named + 'a) {
        self
    }
}

/// Objects by namespace and name.
#[derive(Debug)]
pub(crate) struct KeyedSet<T>(BTreeSet<ById<T>>);

impl<T: Named> Default for KeyedSet<T> {
    fn default() -> Self {
        Self(BTreeSet::new())
    }
}

impl<T: Named + 'static> KeyedSet<T> {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn get(&self, namespace: &str, name: &str) -> Option<&Arc<T>> {
        self.0.get(&(namespace, name) as &dyn Named).map(|entry| &entry.0)
    }

    /// Puts `object` in and gives the one that was there.
    pub(crate) fn replace(&mut self, object: Arc<T>) -> Option<Arc<T>> {
        self.0.replace(ById(object)).map(|entry| entry.0)
    }

    pub(crate) fn take(&mut self, namespace: &str, name: &str) -> Option<Arc<T>> {
        self.0.take(&(namespace, name) as &dyn Named).map(|entry| entry.0)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<T>> {
        self.0.iter().map(|entry| &entry.0)
    }

    /// The objects of one namespace, by name.
    pub(crate) fn in_namespace<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a Arc<T>> {
        let first = (namespace, "");
        let range = (Bound::Included(&first as &dyn Named), Bound::Unbounded);
        self.0.range::<dyn Named, _>(range).map(|entry| &entry.0).take_while(move |object| object.id().0 == namespace)
    }
}

impl<T: Named> FromIterator<Arc<T>> for KeyedSet<T> {
    fn from_iter<I: IntoIterator<Item = Arc<T>>>(objects: I) -> Self {
        Self(objects.into_iter().map(ById).collect())
    }
}
