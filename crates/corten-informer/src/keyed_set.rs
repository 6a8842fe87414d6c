//! A set of shared objects ordered by namespace and name, which are read from the objects themselves.
//!
//! A map with its own keys would store every name twice; with 150,000 pods that is tens of megabytes. Namespaces are few, and
//! are compared once for all objects in them.

use std::{borrow::Borrow, cmp::Ordering, collections::BTreeSet, sync::Arc};

use corten_apimachinery::{stored::Stored, value::Str};
use smallvec::SmallVec;

/// Something with a namespace and a name.
pub(crate) trait Named {
    /// The namespace.
    fn namespace(&self) -> &Str;
    /// The name.
    fn name(&self) -> &Str;
}

impl Named for Stored {
    fn namespace(&self) -> &Str {
        &self.namespace
    }

    fn name(&self) -> &Str {
        &self.name
    }
}

/// An object that compares by its name.
#[derive(Debug)]
struct ByName<T>(Arc<T>);

impl<T: Named> PartialEq for ByName<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0.name() == other.0.name()
    }
}

impl<T: Named> Eq for ByName<T> {}

impl<T: Named> PartialOrd for ByName<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Named> Ord for ByName<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.name().as_str().cmp(other.0.name().as_str())
    }
}

impl<T: Named> Borrow<str> for ByName<T> {
    fn borrow(&self) -> &str {
        self.0.name()
    }
}

/// Objects by namespace and name.
#[derive(Debug)]
pub(crate) struct KeyedSet<T> {
    /// By namespace; no set is empty. Nearly all sets behind an index are of one namespace, and there are as many as owners.
    namespaces: SmallVec<[(Str, BTreeSet<ByName<T>>); 1]>,
    len: usize,
}

impl<T: Named> Default for KeyedSet<T> {
    fn default() -> Self {
        Self { namespaces: SmallVec::new(), len: 0 }
    }
}

impl<T: Named> KeyedSet<T> {
    /// Where the namespace is, or where it would be.
    fn place(&self, namespace: &str) -> Result<usize, usize> {
        self.namespaces.binary_search_by(|(known, _)| known.as_str().cmp(namespace))
    }

    fn names(&self, namespace: &str) -> Option<&BTreeSet<ByName<T>>> {
        self.place(namespace).ok().map(|at| &self.namespaces[at].1)
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn get(&self, namespace: &str, name: &str) -> Option<&Arc<T>> {
        self.names(namespace)?.get(name).map(|entry| &entry.0)
    }

    /// Puts `object` in and gives the one that was there.
    pub(crate) fn replace(&mut self, object: Arc<T>) -> Option<Arc<T>> {
        let old = match self.place(object.namespace()) {
            Ok(at) => self.namespaces[at].1.replace(ByName(object)),
            Err(at) => {
                let namespace = object.namespace().clone();
                self.namespaces.insert(at, (namespace, [ByName(object)].into()));
                None
            }
        };
        self.len += usize::from(old.is_none());
        old.map(|entry| entry.0)
    }

    pub(crate) fn take(&mut self, namespace: &str, name: &str) -> Option<Arc<T>> {
        let at = self.place(namespace).ok()?;
        let names = &mut self.namespaces[at].1;
        let taken = names.take(name)?;
        if names.is_empty() {
            self.namespaces.remove(at);
        }
        self.len -= 1;
        Some(taken.0)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<T>> {
        self.namespaces.iter().flat_map(|(_, names)| names).map(|entry| &entry.0)
    }

    /// The objects of one namespace, by name.
    pub(crate) fn in_namespace(&self, namespace: &str) -> impl Iterator<Item = &Arc<T>> {
        self.names(namespace).into_iter().flatten().map(|entry| &entry.0)
    }
}

impl<T: Named> FromIterator<Arc<T>> for KeyedSet<T> {
    /// Of several objects of one name the last stays.
    fn from_iter<I: IntoIterator<Item = Arc<T>>>(objects: I) -> Self {
        let mut set = Self::default();
        for object in objects {
            set.replace(object);
        }
        set
    }
}
