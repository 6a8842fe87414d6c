//! Which pods use which claim, by the claim: so that a claim costs its pods alone, and a pod its claims.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use corten_apimachinery::value::{Str, Value};
use corten_controller::{Key, WorkQueue};
use corten_informer::{Projection, ProjectionHandler};
use parking_lot::Mutex;

use super::plan::{PodClaims, Use};

/// Hears of pods. Queues claims that wait for them.
pub(super) struct Usage {
    queue: Arc<WorkQueue<Key>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// For each claim the pods that use it, by name. Capacity: the volumes of all pods.
    users: BTreeMap<Key, BTreeMap<Str, Vec<Use>>>,
    /// The claims that would be gone if no pod used them: as many as there are such claims at most.
    waiting: BTreeSet<Key>,
}

impl Usage {
    pub(super) fn new(queue: Arc<WorkQueue<Key>>) -> Self {
        Self { queue, state: Mutex::default() }
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

    /// The pod, which was `old`, is `new` now.
    fn changed(&self, old: Option<&Projection<PodClaims>>, new: Option<&Projection<PodClaims>>) {
        let mut touched = BTreeSet::new();
        let mut state = self.state.lock();
        for (key, using) in old.into_iter().flat_map(uses) {
            if let Some(pods) = state.users.get_mut(&key)
                && let Some(of_pod) = pods.get_mut(&using.1)
            {
                of_pod.retain(|other| other != using.0);
                if of_pod.is_empty() {
                    pods.remove(&using.1);
                }
                if pods.is_empty() {
                    state.users.remove(&key);
                }
            }
            touched.insert(key);
        }
        for (key, using) in new.into_iter().flat_map(uses) {
            let of_pod = state.users.entry(key.clone()).or_default().entry(using.1).or_default();
            of_pod.push(using.0.clone());
            touched.insert(key);
        }
        if old.is_some() {
            // What a pod that was not there uses has become no freer.
            for claim in touched.iter().filter(|claim| state.waiting.contains(claim)) {
                self.queue.add(claim.clone());
            }
        }
    }
}

/// The claims of a pod, each with how it is used and the pod's name.
fn uses(pod: &Projection<PodClaims>) -> impl Iterator<Item = (Key, (&Use, Str))> {
    pod.value.0.iter().map(|using| {
        let key = Key { namespace: pod.namespace.clone(), name: using.claim.clone() };
        (key, (using, pod.name.clone()))
    })
}

impl ProjectionHandler<PodClaims> for Usage {
    fn on_add(&self, pod: &Arc<Projection<PodClaims>>) {
        self.changed(None, Some(pod));
    }

    fn on_update(&self, old: &Arc<Projection<PodClaims>>, new: &Arc<Projection<PodClaims>>) {
        if old.value != new.value {
            self.changed(Some(old), Some(new));
        }
    }

    fn on_delete(&self, pod: &Arc<Projection<PodClaims>>) {
        self.changed(Some(pod), None);
    }
}

#[cfg(test)]
mod tests {
    use corten_base::SimClock;
    use corten_controller::RateLimit;
    use corten_informer::{Handler as _, Projected, testutil::object};
    use serde_json::json;

    use super::*;
    use crate::objects::from_json;

    fn usage() -> (Arc<Usage>, Arc<WorkQueue<Key>>) {
        let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
        let queue = Arc::new(WorkQueue::new("test", RateLimit::per_key(), clock));
        (Arc::new(Usage::new(Arc::clone(&queue))), queue)
    }

    /// Each change of a pod queued all claims of the namespace that wait, and each of these decoded its pods.
    #[test]
    fn a_pod_queues_its_own_claims_and_no_pod_is_read_twice() {
        let (usage, queue) = usage();
        let read = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let count = Arc::clone(&read);
        let pods = Projected::new(move |pod| {
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            PodClaims::of(pod).unwrap()
        });
        pods.add_handler(Arc::clone(&usage) as Arc<dyn ProjectionHandler<PodClaims>>);
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
        assert_eq!((read.load(std::sync::atomic::Ordering::Relaxed), queue.len()), (1_000, 0));
        pods.on_delete(&pod(7), false);
        assert_eq!((queue.len(), queue.try_next()), (1, Some(key(7))));
        let claim = from_json(&json!({"metadata": {"name": "c7", "namespace": "ns"}}));
        assert!(!usage.is_used(&key(7), &claim));
        usage.forget(&key(8));
        pods.on_delete(&pod(8), false);
        assert!(queue.is_empty());
        (0..1_000).for_each(|number| pods.on_delete(&pod(number), false));
        assert!(usage.state.lock().users.is_empty());
    }
}
