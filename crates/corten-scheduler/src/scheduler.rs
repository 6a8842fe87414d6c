//! `Scheduler`: the task that owns cache and queue, runs cycles, and sends out what they decide.
//!
//! Flow: `Input` (from informers) -> cache and queue -> cycles while pods are ready -> one batch of writes at a time, not
//! waited for -> outcomes come back and confirm or take back what was assumed.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use corten_apimachinery::{selector::label::Selector, status::Status as ApiStatus, value::Str};
use corten_base::{ErrorChain, SharedClock, SharedRng, Shutdown, TaskSet};
use futures::future;
use tokio::sync::mpsc;
use tracing::{debug, error, info, warn};

use crate::{
    cache::{ClaimFacts, Labels, NodeFacts, PodInfo, Snapshot, VolumeFacts},
    framework::{
        ClusterEvent, Config, EventObjects, Nomination, Profile,
        cluster_event::{Action, EventResource},
        plugin::{ArgsError, Binding},
    },
    queue::{Queue, QueuedPod},
    schedule_one::{self, Failure},
};

/// A full channel makes the informers' handlers wait: nothing is lost.
const INPUT_BUFFER: usize = 4_096;

/// How many cycles are run before new inputs are looked at.
const CYCLES_PER_BATCH: usize = 64;

/// No more cycles are run while this many writes are not answered: the API server is the slower side then.
const WRITES_IN_FLIGHT_MAX: usize = 1_024;

/// Longer messages are cut, as upstream does before it records them.
const MESSAGE_MAX: usize = 1_024;

/// What the scheduler is told. Objects are told in their newest state; what they were before is in the cache.
#[derive(Debug, Clone)]
pub enum Input {
    /// A pod is new or changed.
    PodApplied(Arc<PodInfo>),
    /// The pod of this namespace and name is gone.
    PodDeleted(Str, Str),
    /// A node is new or changed.
    NodeApplied(Box<NodeFacts>),
    /// A node is gone.
    NodeDeleted(Str),
    /// A namespace's labels; `None` if it is gone.
    Namespace(Str, Option<Labels>),
    /// A service's namespace, name and selector; `None` if it is gone.
    Service(Str, Str, Option<Selector>),
    /// Kind, namespace, name and selector of a ReplicaSet, StatefulSet or ReplicationController; `None` if it is gone.
    Workload(Str, Str, Str, Option<Selector>),
    /// A claim's namespace, name and facts; `None` if it is gone.
    Claim(Str, Str, Option<ClaimFacts>),
    /// A volume's name and facts; `None` if it is gone.
    Volume(Str, Option<VolumeFacts>),
    /// A storage class's name, and whether its claims are bound only once a pod uses them; `None` if it is gone.
    StorageClass(Str, Option<bool>),
    /// All objects that existed at the start have been told: scheduling may begin.
    Synced,
}

/// What the scheduler writes.
#[async_trait]
pub trait Cluster: Send + Sync + 'static {
    /// Binds a pod to a node.
    async fn bind(&self, binding: &Binding) -> Result<(), ApiStatus>;

    /// Writes that the pod is not scheduled: its condition `PodScheduled` is False for `reason`. With `nominated`, writes
    /// the node that room is made on, too; the empty name clears it.
    async fn set_unscheduled(
        &self,
        pod: &PodInfo,
        reason: &str,
        message: &str,
        nominated: Option<&str>,
    ) -> Result<(), ApiStatus>;

    /// Writes that no room is made for the pod any more.
    async fn clear_nomination(&self, pod: &PodInfo) -> Result<(), ApiStatus>;

    /// Deletes a pod to make room for another, and says so in its conditions before. Nothing to do if it is gone.
    async fn preempt(&self, victim: &PodInfo, preemptor: &PodInfo) -> Result<(), ApiStatus>;

    /// Records an event about the pod.
    async fn record(&self, pod: &PodInfo, event: SchedulingEvent<'_>) -> Result<(), ApiStatus>;
}

/// An event about a pod.
#[derive(Debug, Clone, Copy)]
pub struct SchedulingEvent<'e> {
    /// `Normal` or `Warning`.
    pub kind: &'static str,
    /// `Scheduled`, `FailedScheduling` or `Preempted`.
    pub reason: &'static str,
    /// `Binding`, `Scheduling` or `Preempting`.
    pub action: &'static str,
    /// The other pod that it is about.
    pub related: Option<&'e PodInfo>,
    /// The text.
    pub message: &'e str,
}

/// The component.
#[derive(Debug)]
pub struct Scheduler {
    core: Core,
    cluster: ClusterHandle,
    inputs: mpsc::Receiver<Input>,
    clock: SharedClock,
}

#[derive(Clone)]
struct ClusterHandle(Arc<dyn Cluster>);

impl std::fmt::Debug for ClusterHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cluster")
    }
}

/// Cache, queue and decisions, without tasks and I/O.
#[derive(Debug)]
struct Core {
    profiles: Vec<Profile>,
    percentage: u8,
    snapshot: Snapshot,
    queue: Queue,
    start: usize,
    is_synced: bool,
    rng: SharedRng,
}

/// What a cycle decided.
#[derive(Debug)]
enum Write {
    Bind { pod: Arc<PodInfo>, binding: Binding },
    Refuse { pod: Arc<PodInfo>, reason: &'static str, message: String, room: Room },
}

/// What a refusal does to nominations and to other pods.
#[derive(Debug, Default)]
struct Room {
    /// The node that the pod's status is to name; `None` leaves it as it is.
    nominated: Option<Str>,
    /// Pods that go to make room there.
    victims: Vec<Arc<PodInfo>>,
    /// Waiting pods of lower priority that lose the room made for them there.
    displaced: Vec<Arc<PodInfo>>,
}

/// What came of a write.
#[derive(Debug)]
struct Outcome {
    pod: Arc<PodInfo>,
    /// For bindings: the node, and whether it is written.
    bound: Option<(Str, Result<(), ApiStatus>)>,
    /// Room could not be made: no event will tell that there is some, so the pod is to be tried again.
    has_failed_to_preempt: bool,
}

impl Scheduler {
    /// Builds the scheduler and the sender of its inputs.
    ///
    /// Errors: a configuration that names unknown plugins or wrong arguments.
    pub fn build(
        config: &Config,
        cluster: Arc<dyn Cluster>,
        clock: SharedClock,
        rng: SharedRng,
    ) -> Result<(Self, mpsc::Sender<Input>), ArgsError> {
        let (sender, inputs) = mpsc::channel(INPUT_BUFFER);
        let core = Core {
            profiles: config.profiles.iter().map(Profile::build).collect::<Result<_, _>>()?,
            percentage: config.percentage_of_nodes_to_score,
            snapshot: Snapshot::default(),
            queue: Queue::new(config.pod_initial_backoff, config.pod_max_backoff),
            start: 0,
            is_synced: false,
            rng,
        };
        Ok((Self { core, cluster: ClusterHandle(cluster), inputs, clock }, sender))
    }

    /// Schedules until shutdown is requested or all senders of inputs are gone. Returns when all writes are answered.
    pub async fn run(mut self, shutdown: Shutdown) {
        let tasks = TaskSet::new("scheduler");
        let (done, mut outcomes) = mpsc::channel(WRITES_IN_FLIGHT_MAX + CYCLES_PER_BATCH);
        let mut in_flight = 0;
        while !shutdown.is_requested() {
            let now = self.clock.monotonic();
            while let Ok(outcome) = outcomes.try_recv() {
                in_flight -= 1;
                self.core.on_outcome(outcome, now);
            }
            for _ in 0..INPUT_BUFFER {
                let Ok(input) = self.inputs.try_recv() else { break };
                self.core.on_input(input, now);
            }
            self.core.flush(now);
            if in_flight < WRITES_IN_FLIGHT_MAX && self.core.is_synced && self.core.queue.has_active() {
                let writes = self.core.run_cycles(CYCLES_PER_BATCH, now);
                in_flight += writes.len();
                let (cluster, done) = (self.cluster.clone(), done.clone());
                tasks.spawn("writes", async move {
                    future::join_all(writes.into_iter().map(|write| send(&cluster, write, &done))).await;
                });
                // The writes need a turn even on a single thread.
                tokio::task::yield_now().await;
                continue;
            }
            let deadline = self.core.queue.next_deadline();
            tokio::select! {
                biased;
                () = shutdown.requested() => break,
                outcome = tasks.guard(outcomes.recv()) => {
                    in_flight -= 1;
                    // Not `now`: the wait may have been long, and the back-off begins with the failure.
                    self.core.on_outcome(outcome.expect("this task holds a sender"), self.clock.monotonic());
                }
                input = self.inputs.recv() => match input {
                    Some(input) => self.core.on_input(input, self.clock.monotonic()),
                    None => break,
                },
                () = self.clock.sleep_until(deadline.unwrap_or_default()), if deadline.is_some() => {}
            }
        }
        // Nobody reads outcomes any more; the writes of the last batches still fit the channel.
        if let Err(panic) = tasks.join().await {
            error!(err = %panic, "A task of the scheduler panicked");
        }
    }
}

/// Sends one write and reports what came of it.
async fn send(cluster: &ClusterHandle, write: Write, done: &mpsc::Sender<Outcome>) {
    let ClusterHandle(cluster) = cluster;
    let outcome = match write {
        Write::Bind { pod, binding } => {
            let result = cluster.bind(&binding).await;
            if result.is_ok() {
                let message = format!("Successfully assigned {} to {}", pod.key(), binding.node);
                let event = SchedulingEvent {
                    kind: "Normal",
                    reason: "Scheduled",
                    action: "Binding",
                    related: None,
                    message: &message,
                };
                record(cluster, &pod, event).await;
            }
            Outcome { pod, bound: Some((binding.node, result)), has_failed_to_preempt: false }
        }
        Write::Refuse { pod, reason, message, room } => {
            let event = SchedulingEvent {
                kind: "Warning",
                reason: "FailedScheduling",
                action: "Scheduling",
                related: None,
                message: &truncated(&message),
            };
            record(cluster, &pod, event).await;
            if let Err(status) = cluster.set_unscheduled(&pod, reason, &message, room.nominated.as_deref()).await {
                warn!(pod = %pod.key(), err = %ErrorChain(&status), "Could not write the pod's condition");
            }
            let has_failed_to_preempt = !make_room(cluster, &pod, &room).await;
            Outcome { pod, bound: None, has_failed_to_preempt }
        }
    };
    if done.send(outcome).await.is_err() {
        debug!("Dropped the outcome of a write: the scheduler has ended");
    }
}

/// Deletes the victims; whether that worked for all of them.
async fn make_room(cluster: &Arc<dyn Cluster>, pod: &PodInfo, room: &Room) -> bool {
    for displaced in &room.displaced {
        if let Err(status) = cluster.clear_nomination(displaced).await {
            warn!(pod = %displaced.key(), err = %ErrorChain(&status), "Could not clear the pod's nominated node");
        }
    }
    let node = room.nominated.as_deref().unwrap_or_default();
    let message = format!("Preempted by pod {} on node {node}", pod.uid);
    // One that is being deleted already needs nothing more.
    let victims = room.victims.iter().filter(|victim| !victim.is_deleting);
    let preempted = victims.map(|victim| {
        let message = &message;
        async move {
            match cluster.preempt(victim, pod).await {
                Ok(()) => {
                    info!(pod = %pod.key(), victim = %victim.key(), node, "Preempted pod");
                    let event = SchedulingEvent {
                        kind: "Normal",
                        reason: "Preempted",
                        action: "Preempting",
                        related: Some(pod),
                        message,
                    };
                    record(cluster, victim, event).await;
                    true
                }
                Err(status) => {
                    warn!(pod = %pod.key(), victim = %victim.key(), err = %ErrorChain(&status), "Could not preempt the pod");
                    false
                }
            }
        }
    });
    future::join_all(preempted).await.into_iter().all(|worked| worked)
}

async fn record(cluster: &Arc<dyn Cluster>, pod: &PodInfo, event: SchedulingEvent<'_>) {
    if let Err(status) = cluster.record(pod, event).await {
        warn!(pod = %pod.key(), reason = event.reason, err = %ErrorChain(&status), "Could not record the event");
    }
}

fn truncated(message: &str) -> String {
    const SUFFIX: &str = " ...";
    if message.len() <= MESSAGE_MAX {
        return message.to_owned();
    }
    let end = (0..=MESSAGE_MAX - SUFFIX.len()).rev().find(|at| message.is_char_boundary(*at)).unwrap_or_default();
    format!("{}{SUFFIX}", &message[..end])
}

impl Core {
    fn profile_of(profiles: &[Profile], pod: &PodInfo) -> Option<usize> {
        profiles.iter().position(|profile| profile.scheduler_name == pod.scheduler_name)
    }

    fn flush(&mut self, now: Duration) {
        let profiles = &self.profiles;
        self.queue.flush(|pod| Self::profile_of(profiles, pod).map(|at| &profiles[at]), now);
    }

    fn event(&mut self, resource: EventResource, action: Action, objects: EventObjects<'_>, now: Duration) {
        let profiles = &self.profiles;
        let event = ClusterEvent { resource, action };
        self.queue.on_event(|pod| Self::profile_of(profiles, pod).map(|at| &profiles[at]), event, objects, now);
    }

    fn on_input(&mut self, input: Input, now: Duration) {
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
    fn run_cycles(&mut self, limit: usize, now: Duration) -> Vec<Write> {
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

    fn on_outcome(&mut self, outcome: Outcome, now: Duration) {
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

#[cfg(test)]
mod tests;
