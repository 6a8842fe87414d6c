//! Pods that wait: ready to be tried, waiting out a back-off, refused until something happens, or gated.
//!
//! Upstream keeps events that arrive during a cycle, because cycles and events run on different threads. Here one task
//! takes both in turn, so that a refused pod is back in the queue before the next event is looked at.
//! Upstream: pkg/scheduler/backend/queue (v1.35).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use corten_apimachinery::value::Str;

use crate::{
    cache::PodInfo,
    framework::{
        ClusterEvent, EventObjects, Profile, QueueKey,
        cluster_event::{Action, EventResource},
        profile::Rejectors,
    },
    schedule_one::NO_NODES,
};

/// A refused pod is tried again after this time even if nothing happened that could help it.
pub const UNSCHEDULABLE_MAX: Duration = Duration::from_secs(5 * 60);

/// A pod's namespace and name.
pub type PodKey = (Str, Str);

/// A waiting pod.
#[derive(Debug, Clone)]
pub struct QueuedPod {
    /// The pod.
    pub pod: Arc<PodInfo>,
    /// How often it was tried.
    pub attempts: u32,
    /// How often it was refused.
    unschedulable_count: u32,
    /// How often in a row its cycle broke.
    errors: u32,
    /// When it last entered the queue.
    entered: Duration,
    /// Who refused it.
    rejectors: Rejectors,
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Ready, under this key.
    Active(QueueKey),
    /// Waiting until then.
    Backoff(Duration),
    /// Refused, since then.
    Unschedulable(Duration),
    /// Kept out by a plugin.
    Gated,
    /// In none of the sets: taken out by `pop`, until it is bound or put back.
    InFlight,
}

/// How many pods wait where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Ready.
    pub active: usize,
    /// Waiting out a back-off.
    pub backoff: usize,
    /// Refused.
    pub unschedulable: usize,
    /// Gated.
    pub gated: usize,
}

/// Waiting pods of all profiles. Its size is that of the pods without node, which the API server bounds.
#[derive(Debug)]
pub struct Queue {
    initial_backoff: Duration,
    max_backoff: Duration,
    pods: BTreeMap<PodKey, QueuedPod>,
    active: BTreeSet<(QueueKey, u64, PodKey)>,
    /// Tells pods apart that entered at the same time, in the order in which they came.
    sequences: BTreeMap<PodKey, u64>,
    next_sequence: u64,
    backoff: BTreeSet<(Duration, PodKey)>,
    unschedulable: BTreeSet<(Duration, PodKey)>,
}

fn key_of(pod: &PodInfo) -> PodKey {
    (pod.namespace.clone(), pod.name.clone())
}

impl Queue {
    /// An empty queue.
    #[must_use]
    pub fn new(initial_backoff: Duration, max_backoff: Duration) -> Self {
        Self {
            initial_backoff,
            max_backoff,
            pods: BTreeMap::new(),
            active: BTreeSet::new(),
            sequences: BTreeMap::new(),
            next_sequence: 0,
            backoff: BTreeSet::new(),
            unschedulable: BTreeSet::new(),
        }
    }

    /// Takes in a pod without node: a new one, or a change of one that waits.
    pub fn set(&mut self, profile: &Profile, pod: Arc<PodInfo>, now: Duration) {
        let key = key_of(&pod);
        let Some(entry) = self.pods.get_mut(&key) else { return self.add(profile, pod, now) };
        if entry.pod.uid != pod.uid {
            self.remove(&pod.namespace, &pod.name);
            return self.add(profile, pod, now);
        }
        let before = std::mem::replace(&mut entry.pod, Arc::clone(&pod));
        match entry.place {
            Place::InFlight | Place::Backoff(_) => {}
            Place::Gated => self.enter(profile, key, now),
            // Its priority decides its place.
            Place::Active(_) => {
                let entered = entry.entered;
                self.leave(&key);
                self.place_active(profile, key, entered);
            }
            Place::Unschedulable(_) => {
                let actions = changes_of_waiting_pod(&before, &pod);
                let event = ClusterEvent { resource: EventResource::UnscheduledPod, action: actions };
                let objects = EventObjects::Pod { old: Some(&before), new: Some(&pod) };
                // Room that was made for it went to another pod.
                let lost_its_room = !before.nominated_node_name.is_empty() && pod.nominated_node_name.is_empty();
                if lost_its_room || entry.is_helped_by(profile, event, objects) {
                    self.requeue(profile, key, now);
                }
            }
        }
    }

    /// Takes in the newer state of a pod that is being bound. Nothing if it is not known: its binding is written.
    pub fn refresh(&mut self, pod: Arc<PodInfo>) {
        let entry = self.pods.get_mut(&key_of(&pod)).filter(|entry| entry.pod.uid == pod.uid);
        if let Some(entry) = entry {
            assert_eq!(entry.place, Place::InFlight, "a pod that is being bound waits nowhere");
            entry.pod = pod;
        }
    }

    fn add(&mut self, profile: &Profile, pod: Arc<PodInfo>, now: Duration) {
        let key = key_of(&pod);
        let entry = QueuedPod {
            pod,
            attempts: 0,
            unschedulable_count: 0,
            errors: 0,
            entered: now,
            rejectors: Rejectors::new(),
            place: Place::Gated,
        };
        self.pods.insert(key.clone(), entry);
        self.next_sequence += 1;
        self.sequences.insert(key.clone(), self.next_sequence);
        self.enter(profile, key, now);
    }

    /// Forgets a pod that is gone or bound.
    pub fn remove(&mut self, namespace: &Str, name: &Str) {
        let key = (namespace.clone(), name.clone());
        self.leave(&key);
        self.pods.remove(&key);
        self.sequences.remove(&key);
    }

    /// Takes out the first pod that is ready. It stays known until `remove`, `requeue_refused` or `requeue_broken`.
    pub fn pop(&mut self) -> Option<QueuedPod> {
        let (_, _, key) = self.active.pop_first()?;
        let entry = self.pods.get_mut(&key).expect("ready pods are known");
        entry.place = Place::InFlight;
        entry.attempts += 1;
        Some(entry.clone())
    }

    /// Whether a pod is ready.
    #[must_use]
    pub fn has_active(&self) -> bool {
        !self.active.is_empty()
    }

    /// A waiting pod as it was last taken in.
    #[must_use]
    pub fn get(&self, namespace: &Str, name: &Str) -> Option<&Arc<PodInfo>> {
        self.pods.get(&(namespace.clone(), name.clone())).map(|entry| &entry.pod)
    }

    /// Tries a refused pod again after its back-off, without waiting for an event.
    pub fn activate(&mut self, profile: &Profile, pod: &PodInfo, now: Duration) {
        let key = key_of(pod);
        let is_refused =
            |entry: &&QueuedPod| entry.pod.uid == pod.uid && matches!(entry.place, Place::Unschedulable(_));
        if self.pods.get(&key).filter(is_refused).is_some() {
            self.requeue(profile, key, now);
        }
    }

    /// Puts back a pod that was refused: it waits for an event that can help it.
    pub fn requeue_refused(&mut self, profile: &Profile, pod: &PodInfo, rejectors: Rejectors, now: Duration) {
        let key = key_of(pod);
        let Some(entry) = self.in_flight(&key, pod) else { return };
        entry.unschedulable_count += 1;
        entry.errors = 0;
        entry.entered = now;
        entry.rejectors = rejectors;
        if entry.rejectors.is_empty() {
            return self.requeue(profile, key, now);
        }
        entry.place = Place::Unschedulable(now);
        self.unschedulable.insert((now, key));
    }

    /// Puts back a pod whose cycle or binding broke: it is tried again after a back-off.
    pub fn requeue_broken(&mut self, profile: &Profile, pod: &PodInfo, now: Duration) {
        let key = key_of(pod);
        let Some(entry) = self.in_flight(&key, pod) else { return };
        entry.errors += 1;
        entry.entered = now;
        self.requeue(profile, key, now);
    }

    fn in_flight(&mut self, key: &PodKey, pod: &PodInfo) -> Option<&mut QueuedPod> {
        self.pods.get_mut(key).filter(|entry| entry.pod.uid == pod.uid && entry.place == Place::InFlight)
    }

    /// Looks which refused pods `event` can help, and moves them on.
    ///
    /// Source: moveAllToActiveOrBackoffQueue with queueing hints.
    pub fn on_event<'p>(
        &mut self,
        profile_of: impl Fn(&PodInfo) -> Option<&'p Profile>,
        event: ClusterEvent,
        objects: EventObjects<'_>,
        now: Duration,
    ) {
        let helped: Vec<_> = self
            .unschedulable
            .iter()
            .filter_map(|(_, key)| {
                let entry = &self.pods[key];
                let profile = profile_of(&entry.pod)?;
                entry.is_helped_by(profile, event, objects).then(|| (key.clone(), profile))
            })
            .collect();
        for (key, profile) in helped {
            self.requeue(profile, key, now);
        }
    }

    /// Moves on what has waited long enough.
    pub fn flush<'p>(&mut self, profile_of: impl Fn(&PodInfo) -> Option<&'p Profile>, now: Duration) {
        let mut due: Vec<PodKey> = Vec::new();
        due.extend(self.backoff.iter().take_while(|(until, _)| *until <= now).map(|(_, key)| key.clone()));
        let long = self.unschedulable.iter().take_while(|(since, _)| *since + UNSCHEDULABLE_MAX <= now);
        due.extend(long.map(|(_, key)| key.clone()));
        for key in due {
            if let Some(profile) = profile_of(&self.pods[&key].pod) {
                match self.pods[&key].place {
                    Place::Backoff(_) => self.enter(profile, key, now),
                    _ => self.requeue(profile, key, now),
                }
            }
        }
    }

    /// When `flush` has something to do next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        let backoff = self.backoff.first().map(|(until, _)| *until);
        let unschedulable = self.unschedulable.first().map(|(since, _)| *since + UNSCHEDULABLE_MAX);
        backoff.into_iter().chain(unschedulable).min()
    }

    /// How many pods wait where.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let gated = self.pods.values().filter(|entry| entry.place == Place::Gated).count();
        Counts {
            active: self.active.len(),
            backoff: self.backoff.len(),
            unschedulable: self.unschedulable.len(),
            gated,
        }
    }

    /// To the ready pods, or first to wait out the rest of the back-off since the last attempt.
    fn requeue(&mut self, profile: &Profile, key: PodKey, now: Duration) {
        let until = {
            let entry = &self.pods[&key];
            entry.entered + self.backoff_of(entry)
        };
        self.leave(&key);
        if until <= now {
            return self.enter(profile, key, now);
        }
        self.pods.get_mut(&key).expect("the pod was just found").place = Place::Backoff(until);
        self.backoff.insert((until, key));
    }

    /// 1 s, 2 s, 4 s ... up to the most, by the number of failures of the kind that came last.
    fn backoff_of(&self, entry: &QueuedPod) -> Duration {
        let failures = if entry.errors > 0 { entry.errors } else { entry.unschedulable_count };
        match failures {
            0 => Duration::ZERO,
            failures => {
                let factor = 1_u32.checked_shl(failures - 1).unwrap_or(u32::MAX);
                self.initial_backoff.saturating_mul(factor).min(self.max_backoff)
            }
        }
    }

    /// To the ready pods, unless a plugin keeps it out.
    fn enter(&mut self, profile: &Profile, key: PodKey, now: Duration) {
        self.leave(&key);
        if profile.run_pre_enqueue(&self.pods[&key].pod).is_success() {
            self.place_active(profile, key, now);
        } else {
            self.pods.get_mut(&key).expect("the pod was just found").place = Place::Gated;
        }
    }

    fn place_active(&mut self, profile: &Profile, key: PodKey, entered: Duration) {
        let entry = self.pods.get_mut(&key).expect("only known pods get ready");
        entry.entered = entered;
        let place = profile.queue_key(&entry.pod, entered);
        entry.place = Place::Active(place);
        self.active.insert((place, self.sequences[&key], key));
    }

    fn leave(&mut self, key: &PodKey) {
        let Some(entry) = self.pods.get_mut(key) else { return };
        let was_there = match std::mem::replace(&mut entry.place, Place::InFlight) {
            Place::Active(place) => self.active.remove(&(place, self.sequences[key], key.clone())),
            Place::Backoff(until) => self.backoff.remove(&(until, key.clone())),
            Place::Unschedulable(since) => self.unschedulable.remove(&(since, key.clone())),
            Place::Gated | Place::InFlight => true,
        };
        assert!(was_there, "a pod's place says which set holds it");
    }
}

impl QueuedPod {
    fn is_helped_by(&self, profile: &Profile, event: ClusterEvent, objects: EventObjects<'_>) -> bool {
        let is_node_added = event.resource == EventResource::Node && event.action.intersects(Action::ADD);
        self.rejectors.iter().any(|rejector| {
            (*rejector == NO_NODES && is_node_added)
                || profile.interests(rejector).iter().any(|interest| interest.applies(&self.pod, event, objects))
        })
    }
}

/// What changed in a waiting pod that plugins may look at.
fn changes_of_waiting_pod(old: &PodInfo, new: &PodInfo) -> Action {
    let kinds = [
        (old.labels != new.labels, Action::UPDATE_POD_LABEL),
        (old.tolerations != new.tolerations, Action::UPDATE_POD_TOLERATIONS),
        (old.gates != new.gates, Action::UPDATE_POD_GATES),
        (old.requests != new.requests, Action::UPDATE_POD_SCALE_DOWN),
    ];
    kinds.into_iter().filter(|(changed, _)| *changed).fold(Action(0), |all, (_, action)| all.or(action))
}

#[cfg(test)]
mod tests;
