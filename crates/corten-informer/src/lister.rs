//! Reads an informer's objects; nothing can be changed through it.

use std::sync::Arc;

use corten_apimachinery::{selector::label::Selector, stored::Stored};

use crate::{key::Key, store::Store};

/// Read access to a store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Lister(Arc<Store>);

impl Lister {
    pub(crate) fn new(store: Arc<Store>) -> Self {
        Self(store)
    }

    /// One object.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<Arc<Stored>> {
        self.0.get(&key.namespace, &key.name)
    }

    /// All objects, by namespace and name.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<Stored>> {
        self.0.list()
    }

    /// The objects of a namespace, by name.
    #[must_use]
    pub fn in_namespace(&self, namespace: &str) -> Vec<Arc<Stored>> {
        self.0.list_where(namespace, |_| true)
    }

    /// The objects that match a label selector in a namespace, or in all if it is empty.
    #[must_use]
    pub fn select(&self, namespace: &str, selector: &Selector) -> Vec<Arc<Stored>> {
        self.0.list_where(namespace, |object| selector.matches(&object.facts.labels))
    }

    /// The objects found under `value` in an index that was added to the informer.
    ///
    /// Panics if it was not.
    #[must_use]
    pub fn by_index(&self, index: &str, value: &str) -> Vec<Arc<Stored>> {
        self.0.by_index(index, value)
    }

    /// Like `by_index`, in one namespace.
    #[must_use]
    pub fn by_index_in(&self, index: &str, value: &str, namespace: &str) -> Vec<Arc<Stored>> {
        self.0.by_index_in(index, value, namespace)
    }

    /// How many objects there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
