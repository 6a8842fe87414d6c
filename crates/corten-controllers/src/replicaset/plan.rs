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
    let rank = |index: usize| on_node.get(&pods[index].state.node).copied().unwrap_or_default();
    let mut order: Vec<usize> = (0..pods.len()).collect();
    order.sort_by(|&a, &b| expendability((&pods[a], rank(a)), (&pods[b], rank(b)), now));
    order.truncate(count);
    order
}

/// `Less`: the first is to be deleted before the second.
fn expendability(
    (a, rank_a): (&Candidate<'_>, usize),
    (b, rank_b): (&Candidate<'_>, usize),
    now: Timestamp,
) -> Ordering {
    let key = |pod: &PodState| (!pod.node.is_empty(), life_ordinal(pod), pod.is_ready, pod.deletion_cost);
    key(a.state)
        .cmp(&key(b.state))
        // The more crowded node loses one first.
        .then(rank_b.cmp(&rank_a))
        .then_with(|| {
            if a.state.is_ready && b.state.is_ready {
                younger_first((a.state.ready_since, a.uid), (b.state.ready_since, b.uid), now)
            } else {
                Ordering::Equal
            }
        })
        .then(Reverse(a.state.restarts).cmp(&Reverse(b.state.restarts)))
        .then_with(|| younger_first((a.state.created, a.uid), (b.state.created, b.uid), now))
}

fn life_ordinal(pod: &PodState) -> u8 {
    use crate::pods::Phase;
    match pod.phase {
        Phase::Pending => 0,
        Phase::Unknown => 1,
        Phase::Running | Phase::Succeeded | Phase::Failed => 2,
    }
}

/// Ages compare by powers of two, so that of pods that are about as old not always the youngest goes; the UID, which is
/// random, decides between them.
fn younger_first(
    (a, a_uid): (Option<Timestamp>, &str),
    (b, b_uid): (Option<Timestamp>, &str),
    now: Timestamp,
) -> Ordering {
    match (a, b) {
        (a, b) if a == b => Ordering::Equal,
        (None, _) => Ordering::Less,
        (_, None) => Ordering::Greater,
        (Some(a), Some(b)) => age_bucket(a, now).cmp(&age_bucket(b, now)).then(a_uid.cmp(b_uid)),
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
