//! The objects of a resource at one revision: cheap to take, never changing.

use std::{collections::BTreeMap, fmt, ops::Bound, sync::Arc};

use corten_apimachinery::{stored::Stored, value::Str};
use immutable_chunkmap::map::MapM;

use crate::{kv::Revision, object::CorruptObject};

/// The objects of a resource at one revision, by cache key (`namespace/name`). Cloning is O(1).
#[derive(Clone, Default)]
pub struct Snapshot {
    objects: MapM<Box<str>, Arc<Stored>>,
    revision: Revision,
    /// The last revision that changed an object here: between the two, the state is the same.
    changed: Revision,
    /// The only namespace whose objects are here; empty if those of all are.
    namespace: Str,
    /// How many bytes of entries and objects here are shared with no other state: what was read for this one alone.
    own_bytes: u64,
    /// How long the objects' JSON is together.
    json_bytes: usize,
    /// What is stored here and cannot be decoded, by cache key; mostly nothing.
    corrupt: Option<Arc<BTreeMap<Box<str>, CorruptObject>>>,
}

impl Snapshot {
    /// An empty one, for objects of `namespace` alone, unless that is empty.
    pub(super) fn of(namespace: &str) -> Self {
        Self { namespace: namespace.into(), ..Self::default() }
    }

    pub(super) fn own_bytes(&self) -> u64 {
        self.own_bytes
    }

    pub(super) fn set_own_bytes(&mut self, bytes: u64) {
        self.own_bytes = bytes;
    }

    /// Whether the objects of `namespace`, of all for the empty text, are here, if there are any.
    pub(super) fn shows(&self, namespace: &str) -> bool {
        self.namespace.is_empty() || self.namespace == namespace
    }

    /// Whether `other` shows the same at the same revision.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        (self.revision, &self.namespace) == (other.revision, &other.namespace)
    }

    /// The revision that this shows.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Whether this is also the state at `revision`.
    #[must_use]
    pub fn is_at(&self, revision: Revision) -> bool {
        (self.changed..=self.revision).contains(&revision)
    }

    /// The same state, said to be that at `revision`, at which it is so, too.
    pub(super) fn said_at(self, revision: Revision) -> Self {
        debug_assert!(self.is_at(revision), "{self:?} at {revision}");
        Self { revision, ..self }
    }

    /// How many objects there are in all namespaces.
    #[must_use]
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.objects.len() == 0
    }

    /// One object.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Arc<Stored>> {
        self.objects.get(key)
    }

    /// The objects of `namespace` (all, if it is empty) in key order, from the key `start` on.
    pub fn range<'a>(&'a self, namespace: &str, start: &str) -> impl Iterator<Item = (&'a str, &'a Arc<Stored>)> {
        debug_assert!(self.shows(namespace), "only {} is here, not {namespace}", self.namespace);
        let prefix = if namespace.is_empty() { String::new() } else { format!("{namespace}/") };
        let from = Box::<str>::from(if start > prefix.as_str() { start } else { prefix.as_str() });
        self.objects
            .range((Bound::Included(from), Bound::Unbounded))
            .map(|(key, object)| (&**key, object))
            .take_while(move |(key, _)| key.starts_with(&prefix))
    }

    /// How long the objects' JSON is together, in bytes.
    pub(super) fn json_bytes(&self) -> usize {
        self.json_bytes
    }

    /// What is stored in `namespace` (anywhere, if it is empty) and cannot be decoded, in key order, from the key `start` on.
    pub fn corrupt<'a>(
        &'a self,
        namespace: &'a str,
        start: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a CorruptObject)> {
        // Mostly there is none, and nothing is made to look for it.
        self.corrupt.as_deref().into_iter().flat_map(move |corrupt| {
            let prefix = if namespace.is_empty() { String::new() } else { format!("{namespace}/") };
            let from = Box::<str>::from(if start > prefix.as_str() { start } else { prefix.as_str() });
            let all = corrupt.range((Bound::Included(from), Bound::Unbounded));
            all.map(|(key, corrupt)| (&**key, corrupt)).take_while(move |(key, _)| key.starts_with(&prefix))
        })
    }

    /// Why the object under `key` cannot be decoded, if it is there and cannot.
    #[must_use]
    pub fn corrupt_at(&self, key: &str) -> Option<&CorruptObject> {
        self.corrupt.as_deref()?.get(key)
    }

    pub(super) fn insert_corrupt(&mut self, key: Box<str>, corrupt: CorruptObject) {
        Arc::make_mut(self.corrupt.get_or_insert_default()).insert(key, corrupt);
    }

    pub(super) fn remove_corrupt(&mut self, key: &str) {
        let Some(corrupt) = &mut self.corrupt else { return };
        Arc::make_mut(corrupt).remove(key);
        if corrupt.is_empty() {
            self.corrupt = None;
        }
    }

    pub(super) fn insert(&mut self, key: Box<str>, object: Arc<Stored>) -> Option<Arc<Stored>> {
        self.changed = self.changed.max(object.revision);
        self.json_bytes += object.json.len();
        let replaced = self.objects.insert_cow(key, object);
        self.has_lost(replaced)
    }

    pub(super) fn remove(&mut self, key: &str, revision: Revision) -> Option<Arc<Stored>> {
        self.changed = self.changed.max(revision);
        let removed = self.objects.remove_cow(&Box::<str>::from(key));
        self.has_lost(removed)
    }

    fn has_lost(&mut self, object: Option<Arc<Stored>>) -> Option<Arc<Stored>> {
        self.json_bytes -= object.as_ref().map_or(0, |object| object.json.len());
        object
    }

    /// After a first or new read of everything nobody knows what went before it: only `revision` itself is this state.
    pub(super) fn read_at(&mut self, revision: Revision) {
        self.changed = self.changed.max(revision);
        self.set_revision(revision);
    }

    pub(super) fn set_revision(&mut self, revision: Revision) {
        self.revision = self.revision.max(revision);
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("revision", &self.revision).field("objects", &self.objects.len()).finish()
    }
}
