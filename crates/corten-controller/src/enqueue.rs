//! From informer events to keys in a queue: the object itself, its controlling owner, or whatever a function says.

use std::{fmt, sync::Arc};

use corten_apimachinery::stored::Stored;
use corten_informer::{Handler, Key, Lister, indexer};

use crate::{
    predicate::{Change, Predicate},
    workqueue::WorkQueue,
};

type Map = dyn Fn(&Stored, &mut dyn FnMut(Key)) + Send + Sync;

/// An informer handler that puts keys into a queue.
pub struct Enqueue {
    queue: Arc<WorkQueue<Key>>,
    predicate: Predicate,
    map: Box<Map>,
}

impl Enqueue {
    /// Every changed object itself.
    #[must_use]
    pub fn object(queue: &Arc<WorkQueue<Key>>) -> Self {
        Self::mapped(queue, |object, add| add(Key::of(object)))
    }

    /// The controlling owner of every changed object, found in `owners` by its UID; if an update changes the owner, the
    /// one before too. An owner that `owners` does not show yet is reconciled when it comes into view.
    ///
    /// The informer behind `owners` must have the index `Indexer::by_uid`.
    #[must_use]
    pub fn controller(queue: &Arc<WorkQueue<Key>>, owners: Lister) -> Self {
        Self::mapped(queue, move |object, add| {
            if !object.facts.controller_uid.is_empty() {
                for owner in owners.by_index_in(indexer::UID, &object.facts.controller_uid, &object.namespace) {
                    add(Key::of(&owner));
                }
                // Owners may be cluster-scoped while their objects are not.
                for owner in owners.by_index_in(indexer::UID, &object.facts.controller_uid, "") {
                    add(Key::of(&owner));
                }
            }
        })
    }

    /// The keys that `map` gives for every state of a changed object: on an update, for the old state and the new.
    pub fn mapped(
        queue: &Arc<WorkQueue<Key>>,
        map: impl Fn(&Stored, &mut dyn FnMut(Key)) + Send + Sync + 'static,
    ) -> Self {
        Self { queue: Arc::clone(queue), predicate: Predicate::any(), map: Box::new(map) }
    }

    /// Only changes for which `predicate` holds.
    #[must_use]
    pub fn when(mut self, predicate: Predicate) -> Self {
        self.predicate = predicate;
        self
    }

    /// As a handler for `SharedInformer::add_handler`.
    #[must_use]
    pub fn handler(self) -> Arc<dyn Handler> {
        Arc::new(self)
    }

    fn enqueue(&self, change: Change<'_>) {
        if !self.predicate.holds(change) {
            return;
        }
        let mut add = |key| self.queue.add(key);
        if let Change::Updated(old, _) = change {
            (self.map)(old, &mut add);
        }
        (self.map)(change.object(), &mut add);
    }
}

impl Handler for Enqueue {
    fn on_add(&self, object: &Arc<Stored>) {
        self.enqueue(Change::Added(object));
    }

    fn on_update(&self, old: &Arc<Stored>, new: &Arc<Stored>) {
        self.enqueue(Change::Updated(old, new));
    }

    fn on_delete(&self, object: &Arc<Stored>, _final_state_unknown: bool) {
        self.enqueue(Change::Deleted(object));
    }
}

impl fmt::Debug for Enqueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Enqueue").field("queue", &self.queue).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use corten_base::SimClock;
    use corten_informer::{Indexer, SharedInformer, Sink as _, testutil::object};

    use super::*;
    use crate::workqueue::RateLimit;

    #[test]
    fn owners_old_and_new_are_reconciled_when_an_object_changes_hands() {
        let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
        let queue = Arc::new(WorkQueue::new("test", RateLimit::per_key(), clock));
        let owners = SharedInformer::new("replicasets");
        owners.add_index(Indexer::by_uid());
        owners.replace(vec![object("ns/a", 1).build(), object("ns/b", 2).build(), object("other/c", 3).build()], 3);
        let handler = Enqueue::controller(&queue, owners.lister()).handler();
        let pod = |owner: &str| object("ns/pod", 9).controller(owner).build();
        handler.on_update(&pod("uid-a"), &pod("uid-b"));
        handler.on_add(&pod(""));
        handler.on_add(&pod("uid-unknown"));
        // A UID of another namespace's owner is a forgery, or a mistake.
        handler.on_add(&pod("uid-c"));
        assert_eq!(queue.try_next(), Some(Key::new("ns", "a")));
        assert_eq!(queue.try_next(), Some(Key::new("ns", "b")));
        assert_eq!(queue.try_next(), None);
    }
}
