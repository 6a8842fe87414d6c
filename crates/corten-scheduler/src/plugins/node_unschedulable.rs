//! Refuses cordoned nodes.
//!
//! Upstream: pkg/scheduler/framework/plugins/nodeunschedulable (v1.35).

use corten_apimachinery::value::Str;

use crate::{
    cache::{NodeInfo, PodInfo, Taint, TaintEffect},
    framework::{
        CycleState, EventObjects, Extensions, FilterPlugin, Interest, PluginDescriptor, QueueingHint, Status,
        cluster_event::{Action, EventResource},
    },
};

/// The plugin.
pub(super) static PLUGIN: PluginDescriptor = PluginDescriptor {
    name: "NodeUnschedulable",
    default_weight: 0,
    build: |_args| {
        static INTERESTS: &[Interest] = &[
            Interest::when(EventResource::Node, Action::ADD.or(Action::UPDATE_NODE_TAINT), is_open),
            Interest::any(EventResource::UnscheduledPod, Action::UPDATE_POD_TOLERATIONS),
        ];
        Ok(Extensions::new().filter(NodeUnschedulable).requeue_on(INTERESTS))
    },
};

struct NodeUnschedulable;

impl FilterPlugin for NodeUnschedulable {
    fn filter(&self, _state: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Status {
        if node.facts.is_unschedulable && !tolerates_cordon(pod) {
            return Status::unresolvable("node(s) were unschedulable");
        }
        Status::success()
    }
}

fn tolerates_cordon(pod: &PodInfo) -> bool {
    let taint = Taint {
        key: Str::const_new("node.kubernetes.io/unschedulable"),
        value: Str::const_new(""),
        effect: TaintEffect::NoSchedule,
    };
    pod.tolerations.iter().any(|toleration| toleration.tolerates(&taint))
}

fn is_open(_pod: &PodInfo, objects: EventObjects<'_>) -> QueueingHint {
    let EventObjects::Node { old, new } = objects else { return QueueingHint::Queue };
    let was_closed = old.is_none_or(|node| node.is_unschedulable);
    QueueingHint::queue_if(was_closed && new.is_some_and(|node| !node.is_unschedulable))
}
