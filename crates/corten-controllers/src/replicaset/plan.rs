//! What a set of pods needs: how many more, which fewer, and what its status says. Pure.
//!
//! Upstream: pkg/controller/replicaset/replica_set_utils.go and ActivePodsWithRanks in
//! pkg/controller/controller_utils.go (v1.35).

use std::{
    cmp::{Ordering, Reverse},
    collections::BTreeMap,
    time::Duration,
};

use corten_apimachinery::value::{Str, Value};
use jiff::Timestamp;

use crate::{conditions, objects::i32_at, pods::PodState};

/// The most pods that one reconcile makes or deletes. Upstream: `BurstReplicas`.
pub const BURST: usize = 500;

/// The condition that says that pods could not be made or deleted.
pub const REPLICA_FAILURE: &str = "ReplicaFailure";

/// What to do about the number of pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is right.
    None,
    /// Make so many.
    Create(usize),
    /// Delete so many.
    Delete(usize),
}

/// Compares the active pods with the wanted ones.
#[must_use]
pub fn change(active: usize, wanted: i32) -> Change {
    let wanted = usize::try_from(wanted).unwrap_or_default();
    match active.cmp(&wanted) {
        Ordering::Equal => Change::None,
        Ordering::Less => Change::Create((wanted - active).min(BURST)),
        Ordering::Greater => Change::Delete((active - wanted).min(BURST)),
    }
}

/// A pod that may be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// Its UID.
    pub uid: &'a str,
    /// Its facts.
    pub state: &'a PodState,
}

/// Picks `count` of `pods` to delete, as indexes, those first that are missed least. `related` are the active pods of
/// all sets with the same owner, which tell how crowded each node is.
#[must_use]
pub fn victims<'a>(
    pods: &[Candidate<'a>],
    related: impl IntoIterator<Item = &'a PodState>,
    count: usize,
    now: Timestamp,
) -> Vec<usize> {
    if count >= pods.len() {
        return (0..pods.len()).collect();
    }
    let mut on_node: BTreeMap<&Str, usize> = BTreeMap::new();
    for state in related.into_iter().filter(|state| state.is_active()) {
        *on_node.entry(&state.node).or_default() += 1;
    }
    let rank = |state: &PodState| on_node.get(&state.node).copied().unwrap_or_default();
    let mut order: Vec<usize> = (0..pods.len()).collect();
    order.sort_by_cached_key(|&index| Worth::of(&pods[index], rank(pods[index].state), now));
    order.truncate(count);
    order
}

/// How much a pod would be missed; the least goes first.
///
/// Upstream compares times that differ by powers of two and then by UID, times that are the same by what follows: no order,
/// as three pods can each go before the next. Here the UID comes last, for all.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Worth<'a> {
    is_assigned: bool,
    life: u8,
    is_ready: bool,
    deletion_cost: i32,
    /// The more crowded node loses one first.
    on_node: Reverse<usize>,
    ready_for: Option<i32>,
    restarts: Reverse<(i32, i32)>,
    age: Option<i32>,
    /// Random, so that of pods that are about as old not always the youngest goes.
    uid: &'a str,
}

impl<'a> Worth<'a> {
    fn of(pod: &Candidate<'a>, on_node: usize, now: Timestamp) -> Self {
        let state = pod.state;
        Self {
            is_assigned: !state.node.is_empty(),
            life: life_ordinal(state),
            is_ready: state.is_ready,
            deletion_cost: state.deletion_cost,
            on_node: Reverse(on_node),
            ready_for: state.ready_since.filter(|_| state.is_ready).map(|since| age_bucket(since, now)),
            restarts: Reverse(state.restarts),
            age: state.created.map(|since| age_bucket(since, now)),
            uid: pod.uid,
        }
    }
}

fn life_ordinal(pod: &PodState) -> u8 {
    use crate::pods::Phase;
    match pod.phase {
        Phase::Pending => 0,
        Phase::Unknown => 1,
        Phase::Running | Phase::Succeeded | Phase::Failed => 2,
    }
}

/// The binary logarithm of the age in nanoseconds, rounded down; -1 for none.
fn age_bucket(since: Timestamp, now: Timestamp) -> i32 {
    let nanos = now.as_nanosecond() - since.as_nanosecond();
    u128::try_from(nanos).ok().and_then(u128::checked_ilog2).map_or(-1, |log| log as i32)
}

/// The status of a set.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SetStatus {
    /// The generation that it is about.
    pub observed_generation: i64,
    /// Active pods.
    pub replicas: i32,
    /// Those with all labels of the template.
    pub fully_labeled: i32,
    /// Those that are ready.
    pub ready: i32,
    /// Those that have been ready for long enough.
    pub available: i32,
    /// Pods on their way out; `None` if nobody counts them.
    pub terminating: Option<i32>,
    /// The conditions.
    pub conditions: Vec<Value>,
}

impl SetStatus {
    /// Reads it from the object.
    #[must_use]
    pub fn of(set: &Value) -> Self {
        let number = |field| i32_at(set, &["status", field]);
        Self {
            observed_generation: set.i64_at(&["status", "observedGeneration"]).unwrap_or_default(),
            replicas: number("replicas"),
            fully_labeled: number("fullyLabeledReplicas"),
            ready: number("readyReplicas"),
            available: number("availableReplicas"),
            terminating: set.at(&["status", "terminatingReplicas"]).map(|_| number("terminatingReplicas")),
            conditions: set.items_at(&["status", "conditions"]).to_vec(),
        }
    }

    /// As a tree.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut status = Value::object_of([("replicas", Value::from(self.replicas))]);
        let counts = [
            ("fullyLabeledReplicas", self.fully_labeled),
            ("readyReplicas", self.ready),
            ("availableReplicas", self.available),
        ];
        for (field, count) in counts.into_iter().filter(|(_, count)| *count != 0) {
            status.set(&[field], count);
        }
        if let Some(terminating) = self.terminating {
            status.set(&["terminatingReplicas"], terminating);
        }
        if self.observed_generation != 0 {
            status.set(&["observedGeneration"], self.observed_generation);
        }
        if !self.conditions.is_empty() {
            status.set(&["conditions"], Value::array(self.conditions.iter().cloned()));
        }
        status
    }
}

/// A pod of a set, as its status counts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted<'a> {
    /// Its facts.
    pub state: &'a PodState,
    /// Whether it has all labels of the template.
    pub is_fully_labeled: bool,
}

/// What the status is made from.
#[derive(Debug)]
pub struct Observed<'a> {
    /// The status before.
    pub old: &'a SetStatus,
    /// The set's generation.
    pub generation: i64,
    /// How many pods are wanted.
    pub wanted: i32,
    /// `spec.minReadySeconds`.
    pub min_ready: Duration,
    /// The active pods of the set, before anything was done about their number.
    pub pods: &'a [Counted<'a>],
    /// How many pods are on their way out; `None` if nobody counts them.
    pub terminating: Option<usize>,
    /// Why making or deleting pods failed; `None` if it did not.
    pub failure: Option<&'a str>,
    /// The time.
    pub now: Timestamp,
}

/// The status that the set has now.
#[must_use]
pub fn status(observed: &Observed<'_>) -> SetStatus {
    let count = |keep: &dyn Fn(&Counted<'_>) -> bool| observed.pods.iter().filter(|pod| keep(pod)).count() as i32;
    let mut conditions = observed.old.conditions.clone();
    match observed.failure {
        None => conditions::remove(&mut conditions, REPLICA_FAILURE),
        Some(message) => {
            if conditions::find(&conditions, REPLICA_FAILURE).is_none() {
                let reason = match change(observed.pods.len(), observed.wanted) {
                    Change::Delete(_) => "FailedDelete",
                    Change::Create(_) => "FailedCreate",
                    Change::None => "",
                };
                conditions.push(conditions::condition(REPLICA_FAILURE, "True", reason, message, observed.now));
            }
        }
    }
    SetStatus {
        observed_generation: observed.generation,
        replicas: observed.pods.len() as i32,
        fully_labeled: count(&|pod| pod.is_fully_labeled),
        ready: count(&|pod| pod.state.is_ready),
        available: count(&|pod| pod.state.is_available(observed.min_ready, observed.now)),
        terminating: observed.terminating.map(|count| count as i32),
        conditions,
    }
}

/// When the next ready pod becomes available; `None` if none is on the way.
#[must_use]
pub fn next_available<'a>(
    pods: impl IntoIterator<Item = &'a PodState>,
    min_ready: Duration,
    now: Timestamp,
) -> Option<Duration> {
    pods.into_iter().filter_map(|pod| pod.available_in(min_ready, now)).filter(|rest| !rest.is_zero()).min()
}
