//! Which pods have to go from a node, and which node it costs least.
//!
//! Upstream: SelectVictimsOnNode in pkg/scheduler/framework/plugins/defaultpreemption, pickOneNodeForPreemption in
//! pkg/scheduler/framework/preemption, MoreImportantPod in pkg/scheduler/util (v1.35). Disruption budgets are not served.

use std::{
    cmp::{Ordering, Reverse},
    sync::Arc,
};

use jiff::Timestamp;

use crate::{
    cache::{NodeIndex, PodInfo},
    framework::Status,
};

/// A node that takes the pod once its victims are gone.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) node: NodeIndex,
    /// The most important one first; at least one.
    pub(super) victims: Vec<Arc<PodInfo>>,
}

/// The fewest pods of lower priority without which `pod` fits the node that `pods` are on, as `fits_without` says: the
/// most important ones are kept first.
///
/// Errors: why it does not fit even without all of them.
pub(super) fn victims(
    pod: &PodInfo,
    pods: &[Arc<PodInfo>],
    fits_without: impl Fn(&[Arc<PodInfo>]) -> Status,
) -> Result<Vec<Arc<PodInfo>>, Status> {
    let mut potential: Vec<_> = pods.iter().filter(|other| other.priority < pod.priority).cloned().collect();
    if potential.is_empty() {
        return Err(Status::unresolvable("No preemption victims found for incoming pod"));
    }
    let status = fits_without(&potential);
    if !status.is_success() {
        return Err(status);
    }
    potential.sort_by(|a, b| importance(a, b));
    let mut removed = potential.clone();
    for other in &potential {
        removed.retain(|pod| pod.uid != other.uid);
        if !fits_without(&removed).is_success() {
            removed.push(Arc::clone(other));
        }
    }
    removed.sort_by(|a, b| importance(a, b));
    Ok(removed)
}

/// Higher priority first, then the one that has run for longer.
fn importance(a: &PodInfo, b: &PodInfo) -> Ordering {
    (Reverse(a.priority), started(a)).cmp(&(Reverse(b.priority), started(b)))
}

/// One that has not started is younger than all others.
fn started(pod: &PodInfo) -> Timestamp {
    pod.started.unwrap_or(Timestamp::MAX)
}

/// The candidate that costs least; the first of equal ones.
pub(super) fn cheapest(candidates: Vec<Candidate>) -> Option<Candidate> {
    candidates.into_iter().min_by_key(|candidate| {
        let highest = candidate.victims.iter().map(|pod| pod.priority).max().unwrap_or(i32::MIN);
        // Shifted, so that many pods of negative priority do not weigh less than few.
        let sum: i64 = candidate.victims.iter().map(|pod| i64::from(pod.priority) + i64::from(i32::MAX) + 1).sum();
        let most_important = candidate.victims.iter().filter(|pod| pod.priority == highest);
        let earliest = most_important.map(|pod| started(pod)).min().unwrap_or(Timestamp::MAX);
        (highest, sum, candidate.victims.len(), Reverse(earliest))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A pod from its name, priority and the minute of its start.
    fn pod((name, priority, minute): (&str, i32, u8)) -> Arc<PodInfo> {
        let pod = json!({
            "metadata": {"name": name, "namespace": "default", "uid": name},
            "spec": {"priority": priority},
            "status": {"startTime": format!("2026-01-01T00:{minute:02}:00Z")},
        });
        Arc::new(PodInfo::from_json(&pod.to_string().into()).unwrap())
    }

    /// `room` is how many of the others may stay.
    #[track_caller]
    fn check_victims(priority: i32, others: &[(&str, i32, u8)], room: usize, want: Result<&[&str], &str>) {
        let others: Vec<_> = others.iter().map(|other| pod(*other)).collect();
        let fits = |removed: &[Arc<PodInfo>]| match others.len() - removed.len() <= room {
            true => Status::success(),
            false => Status::unschedulable("Too many pods"),
        };
        let got = victims(&pod(("new", priority, 0)), &others, fits);
        let got = got.map(|pods| pods.iter().map(|pod| pod.name.to_string()).collect::<Vec<_>>());
        let want = want.map(|names| names.iter().map(ToString::to_string).collect()).map_err(str::to_owned);
        assert_eq!(got.map_err(|status| status.message()), want);
    }

    #[test]
    fn the_least_important_pods_go() {
        check_victims(10, &[("a", 1, 0), ("b", 5, 0)], 1, Ok(&["a"]));
        check_victims(10, &[("old", 1, 0), ("young", 1, 9)], 1, Ok(&["young"]));
        check_victims(10, &[("a", 1, 0), ("b", 5, 0), ("c", 3, 0)], 1, Ok(&["c", "a"]));
        check_victims(10, &[("equal", 10, 0), ("a", 1, 0)], 1, Ok(&["a"]));
    }

    #[test]
    fn pods_of_the_same_priority_stay() {
        check_victims(10, &[("equal", 10, 0)], 0, Err("No preemption victims found for incoming pod"));
        check_victims(10, &[("equal", 10, 0), ("a", 1, 0)], 0, Err("Too many pods"));
    }

    #[track_caller]
    fn check_cheapest(nodes: &[&[(&str, i32, u8)]], want: usize) {
        let victims = |list: &[(&str, i32, u8)]| list.iter().map(|victim| pod(*victim)).collect();
        let candidates = nodes.iter().enumerate().map(|(node, list)| Candidate { node, victims: victims(list) });
        assert_eq!(cheapest(candidates.collect()).unwrap().node, want);
    }

    #[test]
    fn the_node_is_chosen_by_priorities_then_number_then_age() {
        check_cheapest(&[&[("a", 5, 0)], &[("b", 3, 0), ("c", 3, 0)]], 1);
        check_cheapest(&[&[("a", 5, 0), ("b", 1, 0)], &[("c", 5, 0), ("d", 0, 0)]], 1);
        check_cheapest(&[&[("a", -5, 0), ("b", -5, 0)], &[("c", -5, 0)]], 1);
        check_cheapest(&[&[("a", 5, 1)], &[("b", 5, 7)], &[("c", 5, 3)]], 1);
        check_cheapest(&[&[("a", 5, 1)], &[("b", 5, 1)]], 0);
    }
}
