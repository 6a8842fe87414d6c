//! From events of sets and pods to expectations and keys.
//!
//! Upstream: addPod, updatePod and deletePod in pkg/controller/replicaset/replica_set.go (v1.35).

use std::sync::Arc;

use corten_apimachinery::{selector::label::Selector, stored::Stored};
use corten_controller::{Key, UidTrackingExpectations, WorkQueue};
use corten_informer::{Handler, Lister, indexer};

use super::core::Flavor;
use crate::objects::tree;

/// Hears of sets.
pub(super) struct SetHandler {
    pub(super) queue: Arc<WorkQueue<Key>>,
    pub(super) expectations: Arc<UidTrackingExpectations>,
}

impl Handler for SetHandler {
    fn on_add(&self, set: &Arc<Stored>) {
        self.queue.add(Key::of(set));
    }

    fn on_update(&self, _old: &Arc<Stored>, set: &Arc<Stored>) {
        self.queue.add(Key::of(set));
    }

    fn on_delete(&self, set: &Arc<Stored>, _final_state_unknown: bool) {
        // Before the key is added: a set made again under this name owes nothing to this one.
        self.expectations.forget(&Key::of(set));
        self.queue.add(Key::of(set));
    }
}

/// Hears of pods.
pub(super) struct PodHandler {
    pub(super) flavor: &'static Flavor,
    pub(super) queue: Arc<WorkQueue<Key>>,
    pub(super) expectations: Arc<UidTrackingExpectations>,
    /// Indexed by UID.
    pub(super) sets: Lister,
}

impl Handler for PodHandler {
    fn on_add(&self, pod: &Arc<Stored>) {
        if pod.facts.is_deleting {
            // After a restart, or a missed update: it is not one that was made just now.
            return self.deleted(pod);
        }
        if pod.facts.controller_uid.is_empty() {
            return self.add_matching(pod);
        }
        if let Some(set) = self.owner(pod) {
            let key = Key::of(&set);
            self.expectations.creation_observed(&key);
            self.queue.add(key);
        }
    }

    fn on_update(&self, old: &Arc<Stored>, pod: &Arc<Stored>) {
        if old.revision == pod.revision {
            return;
        }
        let labels_changed = old.facts.labels != pod.facts.labels;
        if pod.facts.is_deleting {
            // A pod that is about to go is no longer a replica; with grace, its delete event comes much later.
            self.deleted(pod);
            if labels_changed {
                self.deleted(old);
            }
            return;
        }
        let owner_changed = old.facts.controller_uid != pod.facts.controller_uid;
        if owner_changed && let Some(set) = self.owner(old) {
            self.queue.add(Key::of(&set));
        }
        if !pod.facts.controller_uid.is_empty() {
            if let Some(set) = self.owner(pod) {
                self.queue.add(Key::of(&set));
            }
        } else if labels_changed || owner_changed {
            self.add_matching(pod);
        }
    }

    fn on_delete(&self, pod: &Arc<Stored>, _final_state_unknown: bool) {
        self.deleted(pod);
    }
}

impl PodHandler {
    fn owner(&self, pod: &Stored) -> Option<Arc<Stored>> {
        if pod.facts.controller_uid.is_empty() {
            return None;
        }
        self.sets.by_index_in(indexer::UID, &pod.facts.controller_uid, &pod.namespace).pop()
    }

    fn deleted(&self, pod: &Stored) {
        if let Some(set) = self.owner(pod) {
            let key = Key::of(&set);
            self.expectations.deletion_observed(&key, &pod.uid);
            self.queue.add(key);
        }
    }

    /// A pod without an owner: every set that it matches may want it.
    fn add_matching(&self, pod: &Stored) {
        // Without labels it matches no set, since a set's selector is never empty.
        if pod.facts.labels.is_empty() {
            return;
        }
        for set in self.sets.in_namespace(&pod.namespace) {
            let selector = tree(&set).ok().and_then(|set| (self.flavor.selector)(&set).ok());
            if selector.is_some_and(|selector: Selector| !selector.is_empty() && selector.matches(&pod.facts.labels)) {
                self.queue.add(Key::of(&set));
            }
        }
    }
}
