//! The copy of a resource's objects, with its indexes.
//!
//! Invariant: indexes and objects change together under one lock, so no reader sees one without the other.
//! Capacity: as many objects as the API server lets the selection match; nothing is dropped, since a lister that forgets
//! would make controllers act on a state that never was.

use std::{collections::BTreeMap, sync::Arc};

use corten_apimachinery::{stored::Stored, value::Str};
use parking_lot::RwLock;

use crate::{indexer::Indexer, keyed_set::KeyedSet};

/// Objects by namespace and name, and by index. Shared by reference; reading takes a short lock.
#[derive(Debug, Default)]
pub struct Store {
    state: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    objects: KeyedSet<Stored>,
    indexes: Vec<Index>,
}

#[derive(Debug)]
struct Index {
    indexer: Indexer,
    by_value: BTreeMap<Str, KeyedSet<Stored>>,
}

/// What replacing the whole content changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Replaced {
    /// Objects that are new.
    pub added: Vec<Arc<Stored>>,
    /// Objects that were there in another version: the old one and the new one.
    pub updated: Vec<(Arc<Stored>, Arc<Stored>)>,
    /// The last known state of objects that are gone.
    pub deleted: Vec<Arc<Stored>>,
}

impl Store {
    /// Adds an index over what is there and what will be. A second indexer of the same name changes nothing.
    pub fn add_index(&self, indexer: Indexer) {
        let mut state = self.state.write();
        if state.indexes.iter().any(|index| index.indexer.name() == indexer.name()) {
            return;
        }
        let mut index = Index { indexer, by_value: BTreeMap::new() };
        for object in state.objects.iter() {
            index.insert(object);
        }
        state.indexes.push(index);
    }

    /// How many objects there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state.read().objects.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One object.
    #[must_use]
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<Stored>> {
        self.state.read().objects.get(namespace, name).cloned()
    }

    /// All objects, by namespace and name.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<Stored>> {
        self.state.read().objects.iter().cloned().collect()
    }

    /// The objects for which `keep` holds, by namespace and name; an empty namespace means all. `keep` runs under the
    /// lock.
    pub fn list_where(&self, namespace: &str, keep: impl Fn(&Stored) -> bool) -> Vec<Arc<Stored>> {
        let state = self.state.read();
        if namespace.is_empty() {
            state.objects.iter().filter(|object| keep(object)).cloned().collect()
        } else {
            state.objects.in_namespace(namespace).filter(|object| keep(object)).cloned().collect()
        }
    }

    /// The objects found under `value` in the index `index`, by namespace and name.
    ///
    /// Panics if there is no such index: asking for one that nobody made is a mistake in the program.
    #[must_use]
    pub fn by_index(&self, index: &str, value: &str) -> Vec<Arc<Stored>> {
        let state = self.state.read();
        state.index(index).by_value.get(value).map(|set| set.iter().cloned().collect()).unwrap_or_default()
    }

    /// Like `by_index`, in one namespace.
    #[must_use]
    pub fn by_index_in(&self, index: &str, value: &str, namespace: &str) -> Vec<Arc<Stored>> {
        let state = self.state.read();
        let found = state.index(index).by_value.get(value);
        found.map(|set| set.in_namespace(namespace).cloned().collect()).unwrap_or_default()
    }

    /// The values under which an index has objects, in order.
    ///
    /// Panics like `by_index`.
    #[must_use]
    pub fn index_values(&self, index: &str) -> Vec<Str> {
        self.state.read().index(index).by_value.keys().cloned().collect()
    }

    /// Puts `object` in and gives the one that was there.
    pub(crate) fn insert(&self, object: &Arc<Stored>) -> Option<Arc<Stored>> {
        let mut state = self.state.write();
        let old = state.objects.replace(Arc::clone(object));
        for index in &mut state.indexes {
            match &old {
                Some(old) => index.replace(old, object),
                None => index.insert(object),
            }
        }
        old
    }

    /// Takes an object out.
    pub(crate) fn remove(&self, namespace: &str, name: &str) -> Option<Arc<Stored>> {
        let mut state = self.state.write();
        let old = state.objects.take(namespace, name)?;
        for index in &mut state.indexes {
            index.remove(&old);
        }
        Some(old)
    }

    /// Replaces everything at once and says what that changed, each part by namespace and name. Objects that are there
    /// in the same version are no change.
    pub(crate) fn replace(&self, objects: Vec<Arc<Stored>>) -> Replaced {
        let objects: KeyedSet<Stored> = objects.into_iter().collect();
        let mut state = self.state.write();
        let mut replaced = Replaced::default();
        for object in objects.iter() {
            match state.objects.get(&object.namespace, &object.name) {
                None => replaced.added.push(Arc::clone(object)),
                Some(old) if old.uid == object.uid && old.revision == object.revision => {}
                Some(old) => replaced.updated.push((Arc::clone(old), Arc::clone(object))),
            }
        }
        for old in state.objects.iter() {
            if objects.get(&old.namespace, &old.name).is_none() {
                replaced.deleted.push(Arc::clone(old));
            }
        }
        for index in &mut state.indexes {
            index.by_value.clear();
            for object in objects.iter() {
                index.insert(object);
            }
        }
        state.objects = objects;
        replaced
    }
}

impl State {
    fn index(&self, name: &str) -> &Index {
        let found = self.indexes.iter().find(|index| index.indexer.name() == name);
        found.unwrap_or_else(|| panic!("index {name} was never added to this store"))
    }
}

impl Index {
    fn insert(&mut self, object: &Arc<Stored>) {
        for value in self.indexer.values(object) {
            self.by_value.entry(value).or_default().replace(Arc::clone(object));
        }
    }

    fn replace(&mut self, old: &Stored, object: &Arc<Stored>) {
        // Nearly all changes leave an object where it is found: its place is looked for once.
        if self.indexer.values(old) != self.indexer.values(object) {
            self.remove(old);
        }
        self.insert(object);
    }

    fn remove(&mut self, object: &Stored) {
        for value in self.indexer.values(object) {
            if let Some(set) = self.by_value.get_mut(&value) {
                set.take(&object.namespace, &object.name);
                if set.is_empty() {
                    self.by_value.remove(&value);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{indexer::CONTROLLER, testutil::object};

    fn names(objects: &[Arc<Stored>]) -> Vec<String> {
        objects.iter().map(|object| crate::Key::of(object).to_string()).collect()
    }

    #[test]
    fn objects_come_by_namespace_and_name() {
        let store = Store::default();
        for key in ["b/x", "a-b/z", "a/y", "a/x"] {
            store.insert(&object(key, 1).build());
        }
        assert_eq!(names(&store.list()), ["a/x", "a/y", "a-b/z", "b/x"]);
        assert_eq!(names(&store.list_where("a", |_| true)), ["a/x", "a/y"]);
        assert_eq!(store.list_where("", |o| o.name == "x").len(), 2);
    }

    #[test]
    fn indexes_follow_every_change() {
        let store = Store::default();
        store.insert(&object("a/x", 1).controller("u1").build());
        store.add_index(Indexer::by_controller());
        store.add_index(Indexer::by_label("app"));
        assert_eq!(names(&store.by_index(CONTROLLER, "u1")), ["a/x"]);
        store.insert(&object("a/x", 2).controller("u2").label("app", "web").build());
        store.insert(&object("b/y", 3).controller("u2").build());
        assert!(store.by_index(CONTROLLER, "u1").is_empty());
        assert_eq!(names(&store.by_index(CONTROLLER, "u2")), ["a/x", "b/y"]);
        assert_eq!(names(&store.by_index_in(CONTROLLER, "u2", "b")), ["b/y"]);
        assert_eq!(names(&store.by_index("label:app", "web")), ["a/x"]);
        store.remove("a", "x");
        assert_eq!(store.index_values(CONTROLLER), ["u2"]);
        store.replace(vec![object("c/z", 9).build()]);
        assert_eq!(store.index_values(CONTROLLER), [""]);
    }

    #[test]
    fn replacing_tells_what_changed() {
        let store = Store::default();
        let objects = |list: &[(&str, u64)]| list.iter().map(|(key, rv)| object(key, *rv).build()).collect::<Vec<_>>();
        store.replace(objects(&[("a/same", 1), ("a/new-version", 2), ("a/gone", 3)]));
        let replaced = store.replace(objects(&[("a/same", 1), ("a/new-version", 5), ("a/new", 6)]));
        assert_eq!(names(&replaced.added), ["a/new"]);
        assert_eq!(names(&replaced.deleted), ["a/gone"]);
        assert_eq!(replaced.updated.iter().map(|(o, n)| (o.revision, n.revision)).collect::<Vec<_>>(), [(2, 5)]);
    }
}
