//! `Core`: cache, queue and what cycles decide, without tasks and I/O.
//!
//! Invariant: a pod that a cycle bound is assumed to be on its node until the outcome of that write is known.

use std::{sync::Arc, time::Duration};

use corten_apimachinery::{status::Status as ApiStatus, value::Str};
use corten_base::{ErrorChain, SharedRng};
use tracing::{debug, error, info, warn};

use super::Input;
use crate::{
    cache::{NodeFacts, PodInfo, Snapshot},
    framework::{
        ClusterEvent, Config, EventObjects, Nomination, Profile,
        cluster_event::{Action, EventResource},
        plugin::{ArgsError, Binding},
    },
    queue::{Queue, QueuedPod},
    schedule_one::{self, Failure},
};

/// Cache, queue and decisions, without tasks and I/O.
#[derive(Debug)]
pub(super) struct Core {
    profiles: Vec<Profile>,
    percentage: u8,
    pub(super) snapshot: Snapshot,
    pub(super) queue: Queue,
    start: usize,
    pub(super) is_synced: bool,
    rng: SharedRng,
}

/// What a cycle decided.
#[derive(Debug)]
pub(super) enum Write {
    Bind { pod: Arc<PodInfo>, binding: Binding },
    Refuse { pod: Arc<PodInfo>, reason: &'static str, message: String, room: Room },
}

/// What a refusal does to nominations and to other pods.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// The node that the pod's status is to name; `None` leaves it as it is.
    pub(super) nominated: Option<Str>,
    /// Pods that go to make room there.
    pub(super) victims: Vec<Arc<PodInfo>>,
    /// Waiting pods of lower priority that lose the room made for them there.
    pub(super) displaced: Vec<Arc<PodInfo>>,
}

/// What came of a write.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) pod: Arc<PodInfo>,
    /// For bindings: the node, and whether it is written.
    pub(super) bound: Option<(Str, Result<(), ApiStatus>)>,
    /// Room could not be made: no event will tell that there is some, so the pod is to be tried again.
    pub(super) has_failed_to_preempt: bool,
}

impl Core {
    /// One that knows nothing yet.
    ///
    /// Errors: a configuration that names unknown plugins or wrong arguments.
    pub(super) fn new(config: &Config, rng: SharedRng) -> Result<Self, ArgsError> {
        Ok(Self {
            profiles: config.profiles.iter().map(Profile::build).collect::<Result<_, _>>()?,
            percentage: config.percentage_of_nodes_to_score,
            snapshot: Snapshot::default(),
            queue: Queue::new(config.pod_initial_backoff, config.pod_max_backoff),
            start: 0,
            is_synced: false,
            rng,
        })
    }

    fn profile_of(profiles: &[Profile], pod: &PodInfo) -> Option<usize> {
        profiles.iter().position(|profile| profile.scheduler_name == pod.scheduler_name)
    }

    pub(super) fn flush(&mut self, now: Duration) {
        let profiles = &self.profiles;
        self.queue.flush(|pod| Self::profile_of(profiles, pod).map(|at| &profiles[at]), now);
    }

    fn event(&mut self, resource: EventResource, action: Action, objects: EventObjects<'_>, now: Duration) {
        let profiles = &self.profiles;
        let event = ClusterEvent { resource, action };
        self.queue.on_event(|pod| Self::profile_of(profiles, pod).map(|at| &profiles[at]), event, objects, now);
    }

    pub(super) fn on_input(&mut self, input: Input, now: Duration) {
        match input {
            Input::PodApplied(pod) if pod.is_finished => self.on_pod_gone(&pod.namespace, &pod.name, now),
            Input::PodApplied(pod) if pod.node_name.is_empty() => self.on_waiting_pod(pod, now),
            Input::PodApplied(pod) => self.on_bound_pod(pod, now),
            Input::PodDeleted(namespace, name) => self.on_pod_gone(&namespace, &name, now),
            Input::NodeApplied(facts) => self.on_node(*facts, now),
            Input::NodeDeleted(name) => {
                if let Some(old) = self.snapshot.remove_node(&name) {
                    let objects = EventObjects::Node { old: Some(&old), new: None };
                    self.event(EventResource::Node, Action::DELETE, objects, now);
                }
            }
            Input::Namespace(name, labels) => self.snapshot.set_namespace(name, labels),
            Input::Service(namespace, name, selector) => self.snapshot.set_service(namespace, name, selector),
            Input::Workload(kind, namespace, name, selector) => {
                self.snapshot.set_workload(kind, namespace, name, selector);
            }
            Input::Claim(namespace, name, facts) => {
                let is_there = facts.is_some();
                let before = self.snapshot.set_claim(namespace.clone(), name.clone(), facts);
                let objects = EventObjects::Claim { namespace: &namespace, name: &name };
                self.event(EventResource::Claim, action_of(before.is_some(), is_there), objects, now);
            }
            Input::Volume(name, facts) => {
                let is_there = facts.is_some();
                let was_there = self.snapshot.set_volume(name, facts).is_some();
                self.event(EventResource::Volume, action_of(was_there, is_there), EventObjects::Other, now);
            }
            Input::StorageClass(name, binds_late) => {
                let was_there = self.snapshot.set_class(name, binds_late).is_some();
                let action = action_of(was_there, binds_late.is_some());
                self.event(EventResource::StorageClass, action, EventObjects::Other, now);
            }
            Input::Synced => self.is_synced = true,
        }
    }

    fn on_waiting_pod(&mut self, pod: Arc<PodInfo>, now: Duration) {
        if self.snapshot.is_assumed(&pod) {
            // It is being bound. Should that fail, what is tried again is the pod as it is then.
            match pod.is_deleting {
                true => self.queue.remove(&pod.namespace, &pod.name),
                false => self.queue.refresh(pod),
            }
            return;
        }
        // A pod of the same name was bound and is gone, and its delete was not seen.
        if self.snapshot.pod(&pod.namespace, &pod.name).is_some_and(|known| known.uid != pod.uid) {
            self.take_off(&pod.namespace, &pod.name, now);
        }
        if pod.is_deleting {
            self.snapshot.forget_nomination(&pod.namespace, &pod.name);
            return self.queue.remove(&pod.namespace, &pod.name);
        }
        // What was decided here and is not written yet must not be taken back by an older state.
        let known = self.queue.get(&pod.namespace, &pod.name).map(|known| known.nominated_node_name.clone());
        if known.unwrap_or_default() != pod.nominated_node_name {
            self.snapshot.nominate(Arc::clone(&pod));
        }
        if let Some(at) = Self::profile_of(&self.profiles, &pod) {
            self.queue.set(&self.profiles[at], pod, now);
        }
    }

    fn on_bound_pod(&mut self, pod: Arc<PodInfo>, now: Duration) {
        self.queue.remove(&pod.namespace, &pod.name);
        self.snapshot.forget_nomination(&pod.namespace, &pod.name);
        let was_assumed = self.snapshot.is_assumed(&pod);
        let old = self.snapshot.set_pod(Arc::clone(&pod));
        let action = match &old {
            // The cluster has counted it since it was assumed, but pods that want to be near it have not been told.
            None => Action::ADD,
            Some(_) if was_assumed => Action::ADD,
            Some(old) => changes_of_bound_pod(old, &pod),
        };
        self.event(EventResource::AssignedPod, action, EventObjects::Pod { old: old.as_deref(), new: Some(&pod) }, now);
    }

    fn on_pod_gone(&mut self, namespace: &Str, name: &Str, now: Duration) {
        self.queue.remove(namespace, name);
        self.snapshot.forget_nomination(namespace, name);
        self.take_off(namespace, name, now);
    }

    fn take_off(&mut self, namespace: &Str, name: &Str, now: Duration) {
        if let Some(old) = self.snapshot.remove_pod(namespace, name) {
            let objects = EventObjects::Pod { old: Some(&old), new: None };
            self.event(EventResource::AssignedPod, Action::DELETE, objects, now);
        }
    }

    fn on_node(&mut self, facts: NodeFacts, now: Duration) {
        let new = facts.clone();
        let old = self.snapshot.set_node(facts);
        let action = old.as_ref().map_or(Action::ADD, |old| changes_of_node(old, &new));
        self.event(EventResource::Node, action, EventObjects::Node { old: old.as_deref(), new: Some(&new) }, now);
    }

    /// Runs up to `limit` cycles and gives what they decided.
    pub(super) fn run_cycles(&mut self, limit: usize, now: Duration) -> Vec<Write> {
        let mut writes = Vec::new();
        while writes.len() < limit
            && let Some(queued) = self.queue.pop()
        {
            writes.push(self.run_cycle(queued, now));
        }
        writes
    }

    fn run_cycle(&mut self, queued: QueuedPod, now: Duration) -> Write {
        let pod = queued.pod;
        let at = Self::profile_of(&self.profiles, &pod).expect("only pods of known profiles are queued");
        let profile = &self.profiles[at];
        let found =
            schedule_one::schedule(profile, self.percentage, &self.snapshot, &pod, &mut self.start, self.rng.as_ref());
        let failure = match found {
            Ok(mut suggestion) => {
                let status = profile.run_reserve_and_permit(&mut suggestion.state, &pod, &suggestion.node);
                match (status.is_success(), profile.run_bind(&pod, &suggestion.node)) {
                    (true, Some(binding)) => {
                        self.snapshot.forget_nomination(&pod.namespace, &pod.name);
                        self.snapshot.assume(Arc::new(pod.on_node(&suggestion.node)));
                        debug!(pod = %pod.key(), node = %binding.node, attempt = queued.attempts, "Chose a node");
                        return Write::Bind { pod, binding };
                    }
                    (true, None) => Failure::Error("no bind plugin took the pod".to_owned()),
                    (false, _) => {
                        profile.run_unreserve(&mut suggestion.state, &pod, &suggestion.node);
                        let (message, rejectors) = (status.message(), [status.plugin].into());
                        match status.is_rejected() {
                            true => Failure::Unschedulable { message, rejectors, nomination: Nomination::Clear },
                            false => Failure::Error(message),
                        }
                    }
                }
            }
            Err(failure) => failure,
        };
        match failure {
            Failure::Unschedulable { message, rejectors, nomination } => {
                self.queue.requeue_refused(profile, &pod, rejectors, now);
                let room = self.nominate(&pod, nomination);
                Write::Refuse { pod, reason: "Unschedulable", message, room }
            }
            Failure::Error(message) => {
                error!(pod = %pod.key(), err = %message, "Could not schedule the pod");
                self.queue.requeue_broken(profile, &pod, now);
                Write::Refuse { pod, reason: "SchedulerError", message, room: Room::default() }
            }
        }
    }

    /// Counts the pod on the node that room is made on, from now on, and says what has to be written for that.
    fn nominate(&mut self, pod: &PodInfo, nomination: Nomination) -> Room {
        match nomination {
            Nomination::Keep => Room::default(),
            Nomination::Clear => {
                self.snapshot.forget_nomination(&pod.namespace, &pod.name);
                let had_one = !pod.nominated_node_name.is_empty();
                Room { nominated: had_one.then(Str::default), ..Room::default() }
            }
            Nomination::Made { node, victims } => {
                let there = self.snapshot.nominated_on(&node).iter();
                let displaced: Vec<_> = there.filter(|other| other.priority < pod.priority).cloned().collect();
                for other in &displaced {
                    self.snapshot.forget_nomination(&other.namespace, &other.name);
                }
                self.snapshot.nominate(Arc::new(pod.nominated_to(&node)));
                Room { nominated: Some(node), victims, displaced }
            }
        }
    }

    pub(super) fn on_outcome(&mut self, outcome: Outcome, now: Duration) {
        let Outcome { pod, bound, has_failed_to_preempt } = outcome;
        let at = Self::profile_of(&self.profiles, &pod).expect("only pods of known profiles are tried");
        if has_failed_to_preempt {
            self.queue.activate(&self.profiles[at], &pod, now);
        }
        let Some((node, result)) = bound else { return };
        match result {
            Ok(()) => {
                info!(pod = %pod.key(), node = %node, "Bound pod");
                self.profiles[at].run_post_bind(&pod, &node);
                // The informer may already tell of the bound pod, or of another of the same name.
                if self.snapshot.is_assumed(&pod) {
                    self.queue.remove(&pod.namespace, &pod.name);
                }
            }
            Err(status) => {
                warn!(pod = %pod.key(), node = %node, err = %ErrorChain(&status), "Could not bind the pod");
                let assumed = pod.on_node(&node);
                if self.snapshot.is_assumed(&assumed) {
                    self.snapshot.forget(&assumed);
                    // One that is not queued any more is on its way out and needs no room.
                    if let Some(newest) = self.queue.get(&pod.namespace, &pod.name) {
                        self.snapshot.nominate(Arc::clone(newest));
                    }
                    let objects = EventObjects::Pod { old: Some(&assumed), new: None };
                    self.event(EventResource::AssignedPod, Action::DELETE, objects, now);
                }
                self.queue.requeue_broken(&self.profiles[at], &pod, now);
            }
        }
    }
}

fn action_of(was_there: bool, is_there: bool) -> Action {
    match (was_there, is_there) {
        (_, false) => Action::DELETE,
        (false, true) => Action::ADD,
        (true, true) => Action::UPDATE,
    }
}

fn changes(kinds: &[(bool, Action)]) -> Action {
    kinds.iter().filter(|(changed, _)| *changed).fold(Action(0), |all, (_, action)| all.or(*action))
}

fn changes_of_bound_pod(old: &PodInfo, new: &PodInfo) -> Action {
    let less = |of: fn(&PodInfo) -> i64| of(new) < of(old);
    let scaled_down = less(|pod| pod.requests.cpu_millis) || less(|pod| pod.requests.memory_bytes);
    changes(&[
        (old.labels != new.labels, Action::UPDATE_POD_LABEL),
        (scaled_down, Action::UPDATE_POD_SCALE_DOWN),
        // Terminating pods no longer count for spreading.
        (old.is_deleting != new.is_deleting, Action::UPDATE_POD_LABEL),
    ])
}

fn changes_of_node(old: &NodeFacts, new: &NodeFacts) -> Action {
    let taints = old.taints != new.taints || old.is_unschedulable != new.is_unschedulable;
    changes(&[
        (old.labels != new.labels, Action::UPDATE_NODE_LABEL),
        (old.allocatable != new.allocatable, Action::UPDATE_NODE_ALLOCATABLE),
        (taints, Action::UPDATE_NODE_TAINT),
    ])
}
