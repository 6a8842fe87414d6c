//! Which pods nobody will take care of any more. Pure.
//!
//! Upstream: pkg/controller/podgc/gc_controller.go (v1.35).

use corten_apimachinery::value::Value;
use jiff::Timestamp;

use crate::{conditions, pods::PodState};

/// The taint by which people say that a node is down for good.
const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";

/// What is known of a pod's node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeState {
    /// The pod has none.
    None,
    /// It is there and in service, or will be.
    Working,
    /// It is not ready, and people say that it will not be.
    OutOfService,
    /// There is no such node.
    Gone,
}

/// Reads the state of a node that is there.
#[must_use]
pub fn node_state(node: &Value) -> NodeState {
    let ready = conditions::find(node.items_at(&["status", "conditions"]), "Ready");
    let is_ready = ready.is_some_and(|ready| ready.str_at(&["status"]) == Some("True"));
    let mut taints = node.items_at(&["spec", "taints"]).iter();
    let is_out = taints.any(|taint| taint.str_at(&["key"]) == Some(OUT_OF_SERVICE));
    if is_out && !is_ready { NodeState::OutOfService } else { NodeState::Working }
}

/// Why a pod is deleted by force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It stays.
    Keep,
    /// Its node is gone; its disruption is written down.
    Orphaned,
    /// It waits for a kubelet that does not exist or is out of service.
    Stuck,
}

/// Decides about one pod.
#[must_use]
pub fn verdict(pod: &PodState, node: NodeState) -> Verdict {
    match node {
        NodeState::Gone => Verdict::Orphaned,
        NodeState::None | NodeState::OutOfService if pod.deletion.is_some() => Verdict::Stuck,
        _ => Verdict::Keep,
    }
}

/// A pod that has ended.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ended<K> {
    /// Evicted pods go first.
    pub is_kept_longer: bool,
    /// Then the oldest.
    pub created: Option<Timestamp>,
    /// Which it is.
    pub key: K,
}

/// The pods beyond the first `max`; 0 for no limit.
#[must_use]
pub fn beyond<K: Ord>(mut ended: Vec<Ended<K>>, max: usize) -> Vec<K> {
    if max == 0 || ended.len() <= max {
        return Vec::new();
    }
    let surplus = ended.len() - max;
    ended.sort();
    ended.truncate(surplus);
    ended.into_iter().map(|pod| pod.key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pods_that_nobody_cares_for_go() {
        #[track_caller]
        fn check(is_deleting: bool, node: NodeState, want: Verdict) {
            let deletion = is_deleting.then(|| "2026-01-01T00:00:00Z".parse().unwrap());
            assert_eq!(verdict(&PodState { deletion, ..PodState::default() }, node), want);
        }
        check(false, NodeState::None, Verdict::Keep);
        check(true, NodeState::None, Verdict::Stuck);
        check(true, NodeState::Working, Verdict::Keep);
        check(false, NodeState::OutOfService, Verdict::Keep);
        check(true, NodeState::OutOfService, Verdict::Stuck);
        check(false, NodeState::Gone, Verdict::Orphaned);
    }

    #[test]
    fn evicted_pods_go_before_older_ones() {
        let ended = |is_kept_longer, second, key| Ended {
            is_kept_longer,
            created: Some(Timestamp::from_second(second).unwrap()),
            key,
        };
        let pods = || vec![ended(true, 1, "old"), ended(true, 2, "new"), ended(false, 3, "evicted")];
        assert_eq!(beyond(pods(), 3), Vec::<&str>::new());
        assert_eq!(beyond(pods(), 0), Vec::<&str>::new());
        assert_eq!(beyond(pods(), 1), ["evicted", "old"]);
    }
}
