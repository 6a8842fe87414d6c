//! Keeps pods on the nodes that their node selector and node affinity allow, and prefers those they prefer.
//!
//! Upstream: pkg/scheduler/framework/plugins/nodeaffinity (v1.35), without affinity added by configuration.

use std::collections::BTreeSet;

use crate::{
    cache::{NodeFacts, NodeIndex, NodeInfo, PodInfo, Snapshot},
    framework::{
        CycleState, EventObjects, Extensions, FilterPlugin, Interest, NodeSet, PluginDescriptor, PreFilterPlugin,
        PreScorePlugin, QueueingHint, ScorePlugin, Status,
        cluster_event::{Action, EventResource},
    },
    plugins::scores,
};

/// The plugin.
pub(super) static PLUGIN: PluginDescriptor = PluginDescriptor {
    name: "NodeAffinity",
    default_weight: 2,
    build: |_args| {
        static INTERESTS: &[Interest] =
            &[Interest::when(EventResource::Node, Action::ADD.or(Action::UPDATE_NODE_LABEL), matches_now)];
        Ok(Extensions::new()
            .pre_filter(NodeAffinity)
            .filter(NodeAffinity)
            .pre_score(NodeAffinity)
            .score(NodeAffinity)
            .requeue_on(INTERESTS))
    },
};

struct NodeAffinity;

/// Whether the pod's node selector and required node affinity allow the node.
pub(super) fn allows(pod: &PodInfo, node: &NodeFacts) -> bool {
    pod.node_selector.iter().all(|(key, value)| node.label(key) == Some(value))
        && pod
            .affinity
            .as_ref()
            .and_then(|affinity| affinity.required_nodes.as_ref())
            .is_none_or(|terms| terms.iter().any(|term| term.matches(&node.name, &node.labels)))
}

impl PreFilterPlugin for NodeAffinity {
    fn pre_filter(&self, _state: &mut CycleState, pod: &PodInfo, _snapshot: &Snapshot) -> Result<NodeSet, Status> {
        let terms = pod.affinity.as_ref().and_then(|affinity| affinity.required_nodes.as_ref());
        let Some(terms) = terms.filter(|terms| !terms.is_empty()) else {
            let has_rules = !pod.node_selector.is_empty() || terms.is_some();
            return if has_rules { Ok(None) } else { Err(Status::skip()) };
        };
        // If each alternative names its nodes, as those of daemon sets do, only these need a look.
        let Some(names) = terms.iter().map(|term| term.node_names()).collect::<Option<Vec<_>>>() else {
            return Ok(None);
        };
        let names: BTreeSet<_> = names.into_iter().flatten().collect();
        if names.is_empty() {
            return Err(Status::unresolvable("pod affinity terms conflict"));
        }
        Ok(Some(names.into_iter().collect()))
    }
}

impl FilterPlugin for NodeAffinity {
    fn filter(&self, _state: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Status {
        if allows(pod, &node.facts) {
            return Status::success();
        }
        Status::unresolvable("node(s) didn't match Pod's node affinity/selector")
    }
}

impl PreScorePlugin for NodeAffinity {
    fn pre_score(&self, _state: &mut CycleState, pod: &PodInfo, _snapshot: &Snapshot, _nodes: &[NodeIndex]) -> Status {
        let has_preferences = pod.affinity.as_ref().is_some_and(|affinity| !affinity.preferred_nodes.is_empty());
        if has_preferences { Status::success() } else { Status::skip() }
    }
}

impl ScorePlugin for NodeAffinity {
    fn score(&self, _state: &CycleState, pod: &PodInfo, _snapshot: &Snapshot, node: &NodeInfo) -> i64 {
        let preferred = pod.affinity.iter().flat_map(|affinity| &affinity.preferred_nodes);
        let matching = preferred.filter(|(_, term)| term.matches(node.name(), &node.facts.labels));
        matching.map(|(weight, _)| i64::from(*weight)).sum()
    }

    fn normalize_score(&self, _state: &CycleState, _snapshot: &Snapshot, _nodes: &[NodeIndex], scores: &mut [i64]) {
        scores::normalize(scores, false);
    }
}

fn matches_now(pod: &PodInfo, objects: EventObjects<'_>) -> QueueingHint {
    let EventObjects::Node { old, new } = objects else { return QueueingHint::Queue };
    let matched = old.is_some_and(|node| allows(pod, node));
    QueueingHint::queue_if(!matched && new.is_some_and(|node| allows(pod, node)))
}
