//! One scheduling cycle: from a pod and a snapshot to a node, or to the reasons why there is none.
//!
//! Upstream: pkg/scheduler/schedule_one.go (v1.35), without extenders. Nodes are tried one after the other: a cycle takes
//! tens of microseconds here, less than handing it to other threads would.

use corten_apimachinery::value::Str;
use corten_base::Rng;

use crate::{
    cache::{NodeIndex, PodInfo, Snapshot},
    framework::{
        Code, CycleState, FitError, NoFit, Nomination, Profile, Status, Trial, plugin::NodeStatuses, profile::Rejectors,
    },
};

/// Clusters up to this size are always searched completely.
const MIN_FEASIBLE_NODES: usize = 100;

/// The adaptive share of nodes to find never falls below this percentage.
const MIN_FEASIBLE_PERCENTAGE: usize = 5;

/// The pseudo plugin that refuses pods while there is no node at all.
pub const NO_NODES: &str = "";

/// Where a pod goes.
#[derive(Debug)]
pub struct Suggestion {
    /// The node.
    pub node: Str,
    /// What plugins remember, for the extension points that follow.
    pub state: CycleState,
    /// How many nodes fit.
    pub feasible_nodes: usize,
}

/// Why a pod goes nowhere.
#[derive(Debug)]
pub enum Failure {
    /// It fits nowhere now.
    Unschedulable {
        /// The text for users.
        message: String,
        /// Who refused it: their events wake it.
        rejectors: Rejectors,
        /// What becomes of its nominated node.
        nomination: Nomination,
    },
    /// Something is broken; it is tried again after a while.
    Error(String),
}

/// How many nodes that fit are enough.
///
/// Source: numFeasibleNodesToFind. With 0 percent, the share falls from 50% by 1% per 125 nodes.
#[must_use]
pub fn nodes_to_find(percentage: u8, nodes: usize) -> usize {
    if nodes < MIN_FEASIBLE_NODES {
        return nodes;
    }
    let percentage = match usize::from(percentage) {
        0 => 50_usize.saturating_sub(nodes / 125).max(MIN_FEASIBLE_PERCENTAGE),
        percentage => percentage,
    };
    (nodes * percentage / 100).max(MIN_FEASIBLE_NODES)
}

/// Finds a node for `pod`. `start` is where the search begins; it moves on, so that all nodes are tried equally often.
///
/// Errors: `Failure`. Nothing is changed but `start`.
pub fn schedule(
    profile: &Profile,
    percentage: u8,
    snapshot: &Snapshot,
    pod: &PodInfo,
    start: &mut usize,
    rng: &dyn Rng,
) -> Result<Suggestion, Failure> {
    if snapshot.order().is_empty() {
        let message = "no nodes available to schedule pods".to_owned();
        let nomination = Nomination::Keep;
        return Err(Failure::Unschedulable { message, rejectors: Rejectors::from([NO_NODES]), nomination });
    }
    let mut state = CycleState::default();
    let percentage = profile.percentage_of_nodes_to_score.unwrap_or(percentage);
    let feasible = find_feasible(profile, percentage, snapshot, pod, start, &mut state)?;
    let node = match feasible.as_slice() {
        [only] => *only,
        several => {
            let scores = profile
                .run_scores(&mut state, pod, snapshot, several)
                .map_err(|status| Failure::Error(status.message()))?;
            best(several, &scores, rng)
        }
    };
    Ok(Suggestion { node: snapshot.node(node).name().clone(), state, feasible_nodes: feasible.len() })
}

/// One of the best nodes; equally good ones have equal chances.
fn best(nodes: &[NodeIndex], scores: &[i64], rng: &dyn Rng) -> NodeIndex {
    let (mut best, mut highest, mut ties) = (nodes[0], i64::MIN, 0);
    for (node, score) in nodes.iter().zip(scores) {
        if *score > highest {
            (best, highest, ties) = (*node, *score, 1);
        } else if *score == highest {
            ties += 1;
            if rng.below(ties) == 0 {
                best = *node;
            }
        }
    }
    best
}

/// The nodes that fit, at least one, up to as many as are enough.
fn find_feasible(
    profile: &Profile,
    percentage: u8,
    snapshot: &Snapshot,
    pod: &PodInfo,
    start: &mut usize,
    state: &mut CycleState,
) -> Result<Vec<NodeIndex>, Failure> {
    let all = snapshot.order().len();
    let offset = *start;
    let mut error = FitError { nodes: all, ..FitError::default() };
    let (names, mut rejectors) = match profile.run_pre_filter(state, pod, snapshot) {
        Ok(found) => found,
        Err(status) if status.is_rejected() => {
            error.pre_filter_message = status.message();
            let statuses = NodeStatuses { tried: &[], others: Some(&status) };
            let trial = Trial { profile, state, pod, snapshot };
            let (post_filter_message, nomination) =
                profile.run_post_filters(&NoFit { trial, statuses: &statuses, offset });
            error.post_filter_message = post_filter_message;
            return Err(Failure::Unschedulable {
                message: error.to_string(),
                rejectors: Rejectors::from([status.plugin]),
                nomination,
            });
        }
        Err(status) => return Err(Failure::Error(status.message())),
    };
    let trial = Trial { profile, state, pod, snapshot };
    // Preemption made room there, so that it is tried first; a refusal is found again below.
    if let Some(at) = snapshot.find(&pod.nominated_node_name)
        && trial.filter(at, &[]).is_success()
    {
        return Ok(vec![at]);
    }
    let mut tried: Vec<(NodeIndex, Status)> = Vec::new();
    let mut feasible = Vec::new();
    let mut run = |at: NodeIndex| {
        let status = trial.filter(at, &[]);
        match status.code {
            Code::Success => feasible.push(at),
            Code::Error => return Err(Failure::Error(status.message())),
            _ => tried.push((at, status)),
        }
        Ok(feasible.len())
    };
    let others = match &names {
        Some(names) => {
            for at in names.iter().filter_map(|name| snapshot.find(name)) {
                run(at)?;
            }
            let who: Vec<_> = rejectors.iter().copied().collect();
            Some(Status::unresolvable(format!("node(s) didn't satisfy plugin(s) [{}]", who.join(" "))))
        }
        None => {
            let enough = if profile.has_score_plugins() { nodes_to_find(percentage, all) } else { 1 };
            let (mut looked_at, mut found) = (0, 0);
            while looked_at < all && found < enough {
                found = run(snapshot.order()[(*start + looked_at) % all])?;
                looked_at += 1;
            }
            *start = (*start + looked_at) % all;
            None
        }
    };
    if !feasible.is_empty() {
        return Ok(feasible);
    }
    for (_, status) in &tried {
        rejectors.insert(status.plugin);
        error.count(status.reasons.iter().map(AsRef::as_ref), 1);
    }
    if let Some(status) = &others {
        error.count(status.reasons.iter().map(AsRef::as_ref), all - tried.len());
    }
    let statuses = NodeStatuses { tried: &tried, others: others.as_ref() };
    let (post_filter_message, nomination) = profile.run_post_filters(&NoFit { trial, statuses: &statuses, offset });
    error.post_filter_message = post_filter_message;
    Err(Failure::Unschedulable { message: error.to_string(), rejectors, nomination })
}

#[cfg(test)]
mod tests;
