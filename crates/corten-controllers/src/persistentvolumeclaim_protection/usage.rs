//! Which pods use which claim, by the claim: so that a claim costs its pods alone, and a pod its claims.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use corten_apimachinery::{
    stored::Stored,
    value::{Str, Value},
};
use corten_controller::{Key, WorkQueue};
use corten_informer::Handler;
use parking_lot::Mutex;

use super::plan::{PodClaims, Use};

/// Hears of pods. Queues claims that wait for them.
pub(super) struct Usage {
    queue: Arc<WorkQueue<Key>>,
    read: fn(&Stored) -> PodClaims,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The claims of each pod that uses any: most use none.
    pods: BTreeMap<Key, Vec<Use>>,
    /// For each claim the pods that use it, by name. Capacity: the volumes of all pods.
    users: BTreeMap<Key, BTreeMap<Str, Vec<Use>>>,
    /// The claims that would be gone if no pod used them: as many as there are such claims at most.
    waiting: BTreeSet<Key>,
}

impl Usage {
    /// Nothing yet; `read` runs once per version of each pod.
    pub(super) fn new(queue: Arc<WorkQueue<Key>>, read: fn(&Stored) -> PodClaims) -> Self {
        Self { queue, read, state: Mutex::default() }
    }

    /// From now on `claim` waits for its pods.
    pub(super) fn wait(&self, claim: &Key) {
        self.state.lock().waiting.insert(claim.clone());
    }

    /// It does not wait any more.
    pub(super) fn forget(&self, claim: &Key) {
        self.state.lock().waiting.remove(claim);
    }

    /// Whether a pod that was seen uses the claim at `key`.
    pub(super) fn is_used(&self, key: &Key, claim: &Value) -> bool {
        let state = self.state.lock();
        state.users.get(key).is_some_and(|pods| pods.values().flatten().any(|using| using.is_of(claim)))
    }

    /// The claims that a pod uses now.
    fn changed(&self, pod: &Stored, PodClaims(new): PodClaims) {
        if new.is_empty() && self.state.lock().pods.is_empty() {
            return;
        }
        let pod = &Key::of(pod);
        let claim_of = |using: &Use| Key { namespace: pod.namespace.clone(), name: using.claim.clone() };
        let mut state = self.state.lock();
        if state.pods.get(pod).map_or(&[][..], Vec::as_slice) == new {
            return;
        }
        let old = state.pods.remove(pod).unwrap_or_default();
        for using in &old {
            let key = claim_of(using);
            if let Some(pods) = state.users.get_mut(&key)
                && let Some(of_pod) = pods.get_mut(&pod.name)
            {
                of_pod.retain(|other| other != using);
                if of_pod.is_empty() {
                    pods.remove(&pod.name);
                }
                if pods.is_empty() {
                    state.users.remove(&key);
                }
            }
        }
        for using in &new {
            let of_pod = state.users.entry(claim_of(using)).or_default().entry(pod.name.clone()).or_default();
            of_pod.push(using.clone());
        }
        // Only what it used before may have become free.
        for claim in old.iter().map(claim_of).filter(|claim| state.waiting.contains(claim)).collect::<BTreeSet<_>>() {
            self.queue.add(claim);
        }
        if !new.is_empty() {
            state.pods.insert(pod.clone(), new);
        }
    }
}

impl Handler for Usage {
    fn on_add(&self, pod: &Arc<Stored>) {
        self.changed(pod, (self.read)(pod));
    }

    fn on_update(&self, _old: &Arc<Stored>, new: &Arc<Stored>) {
        self.changed(new, (self.read)(new));
    }

    fn on_delete(&self, pod: &Arc<Stored>, _final_state_unknown: bool) {
        self.changed(pod, PodClaims::default());
    }
}

#[cfg(test)]
mod tests {
    use corten_base::SimClock;
    use corten_controller::RateLimit;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use corten_informer::testutil::object;
    use serde_json::json;

    use super::*;
    use crate::objects::from_json;

    fn usage() -> (Arc<Usage>, Arc<WorkQueue<Key>>) {
        let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
        let queue = Arc::new(WorkQueue::new("test", RateLimit::per_key(), clock));
        let read = |pod: &Stored| {
            READ.fetch_add(1, Ordering::Relaxed);
            PodClaims::of(pod).unwrap()
        };
        (Arc::new(Usage::new(Arc::clone(&queue), read)), queue)
    }

    /// How many pods were decoded.
    static READ: AtomicUsize = AtomicUsize::new(0);

    /// Each change of a pod queued all claims of the namespace that wait, and each of these decoded its pods.
    #[test]
    fn a_pod_queues_its_own_claims_and_no_pod_is_read_twice() {
        let (pods, queue) = usage();
        let usage = &pods;
        let pod = |number: usize| {
            let volume = json!({"name": "v", "persistentVolumeClaim": {"claimName": format!("c{number}")}});
            let json = json!({"spec": {"nodeName": "n", "volumes": [volume.clone(), volume]}}).to_string();
            object(&format!("ns/p{number}"), number as u64 + 1).json(&json).build()
        };
        let key = |number: usize| Key::new("ns", format!("c{number}"));
        (0..1_000).for_each(|number| pods.on_add(&pod(number)));
        for number in 0..1_000 {
            usage.wait(&key(number));
            let claim = from_json(&json!({"metadata": {"name": format!("c{number}"), "namespace": "ns"}}));
            assert!(usage.is_used(&key(number), &claim));
            assert!(!usage.is_used(&Key::new("other", format!("c{number}")), &claim));
        }
        assert_eq!((READ.load(Ordering::Relaxed), queue.len()), (1_000, 0));
        pods.on_delete(&pod(7), false);
        assert_eq!((queue.len(), queue.try_next()), (1, Some(key(7))));
        let claim = from_json(&json!({"metadata": {"name": "c7", "namespace": "ns"}}));
        assert!(!usage.is_used(&key(7), &claim));
        usage.forget(&key(8));
        pods.on_delete(&pod(8), false);
        assert!(queue.is_empty());
        (0..1_000).for_each(|number| pods.on_delete(&pod(number), false));
        let state = usage.state.lock();
        assert!(state.users.is_empty() && state.pods.is_empty());
    }
}
