//! Refuses nodes with taints that the pod does not tolerate, and prefers those with fewer soft ones.
//!
//! Upstream: pkg/scheduler/framework/plugins/tainttoleration (v1.35).

use crate::{
    cache::{NodeIndex, NodeInfo, PodInfo, Snapshot, TaintEffect, affinity::untolerated},
    framework::{
        CycleState, EventObjects, Extensions, FilterPlugin, Interest, PluginDescriptor, QueueingHint, ScorePlugin,
        Status,
        cluster_event::{Action, EventResource},
    },
    plugins::scores,
};

/// The plugin.
pub(super) static PLUGIN: PluginDescriptor = PluginDescriptor {
    name: "TaintToleration",
    default_weight: 3,
    build: |_args| {
        static INTERESTS: &[Interest] = &[
            Interest::when(EventResource::Node, Action::ADD.or(Action::UPDATE_NODE_TAINT), is_tolerated),
            Interest::any(EventResource::UnscheduledPod, Action::UPDATE_POD_TOLERATIONS),
        ];
        Ok(Extensions::new().filter(TaintToleration).score(TaintToleration).requeue_on(INTERESTS))
    },
};

struct TaintToleration;

impl FilterPlugin for TaintToleration {
    fn filter(&self, _state: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Status {
        match untolerated(&node.facts.taints, &pod.tolerations) {
            None => Status::success(),
            Some(_) => Status::unresolvable("node(s) had untolerated taint(s)"),
        }
    }
}

impl ScorePlugin for TaintToleration {
    fn score(&self, _state: &CycleState, pod: &PodInfo, _snapshot: &Snapshot, node: &NodeInfo) -> i64 {
        let soft = node.facts.taints.iter().filter(|taint| taint.effect == TaintEffect::PreferNoSchedule);
        soft.filter(|taint| !pod.tolerations.iter().any(|toleration| toleration.tolerates(taint))).count() as i64
    }

    fn normalize_score(&self, _state: &CycleState, _snapshot: &Snapshot, _nodes: &[NodeIndex], scores: &mut [i64]) {
        scores::normalize(scores, true);
    }
}

fn is_tolerated(pod: &PodInfo, objects: EventObjects<'_>) -> QueueingHint {
    let EventObjects::Node { old, new } = objects else { return QueueingHint::Queue };
    let was_refused = old.is_none_or(|node| untolerated(&node.taints, &pod.tolerations).is_some());
    QueueingHint::queue_if(was_refused && new.is_some_and(|node| untolerated(&node.taints, &pod.tolerations).is_none()))
}
