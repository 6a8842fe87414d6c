//! From events of sets and pods to expectations and keys.
//!
//! Upstream: addPod, updatePod and deletePod in pkg/controller/replicaset/replica_set.go (v1.35).

use std::sync::Arc;

use corten_apimachinery::stored::Stored;
use corten_controller::{Key, UidTrackingExpectations, WorkQueue};
use corten_informer::{Handler, Lister, Projected, indexer};

use crate::selectors::ObjectSelector;

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
    pub(super) queue: Arc<WorkQueue<Key>>,
    pub(super) expectations: Arc<UidTrackingExpectations>,
    /// Indexed by UID.
    pub(super) sets: Lister,
    /// Of the same sets.
    pub(super) selectors: Arc<Projected<ObjectSelector>>,
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
        for set in self.selectors.in_namespace(&pod.namespace) {
            if set.value.matches(&pod.facts.labels) {
                self.queue.add(set.key());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use corten_base::SimClock;
    use corten_controller::RateLimit;
    use corten_informer::{SharedInformer, testutil::object};
    use serde_json::json;

    use super::*;
    use crate::selectors::of_spec;

    /// Every set of the namespace was decoded for each pod without an owner, in the handler of all controllers of pods.
    #[test]
    fn a_pod_without_an_owner_finds_its_sets_without_reading_them() {
        let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
        let queue = Arc::new(WorkQueue::new("test", RateLimit::per_key(), Arc::clone(&clock) as _));
        let read = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&read);
        let selectors = Projected::new(move |set, before| {
            count.fetch_add(1, Ordering::Relaxed);
            ObjectSelector::of(set, before, of_spec)
        });
        for number in 0..1_000 {
            let labels = json!({"app": format!("a{number}")});
            let json = json!({"spec": {"selector": {"matchLabels": labels}}}).to_string();
            selectors.on_add(&object(&format!("ns/s{number}"), 1).json(&json).build());
        }
        let handler = PodHandler {
            queue: Arc::clone(&queue),
            expectations: Arc::new(UidTrackingExpectations::new(clock)),
            sets: SharedInformer::new("replicasets").lister(),
            selectors,
        };
        for number in 0..1_000 {
            handler.on_add(&object(&format!("ns/p{number}"), 2).label("app", "a7").build());
            handler.on_add(&object(&format!("other/p{number}"), 2).label("app", "a8").build());
        }
        assert_eq!(read.load(Ordering::Relaxed), 1_000);
        assert_eq!((queue.len(), queue.try_next()), (1, Some(Key::new("ns", "s7"))));
    }
}
