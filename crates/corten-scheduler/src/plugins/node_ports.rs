//! Refuses nodes on which a port that the pod wants of the node is taken.
//!
//! Upstream: pkg/scheduler/framework/plugins/nodeports (v1.35).

use crate::{
    cache::{HostPorts, NodeInfo, PodInfo, Snapshot},
    framework::{
        CycleState, EventObjects, Extensions, FilterPlugin, Interest, NodeSet, PluginDescriptor, PreFilterPlugin,
        QueueingHint, Status,
        cluster_event::{Action, EventResource},
    },
};

/// The plugin.
pub(super) static PLUGIN: PluginDescriptor = PluginDescriptor {
    name: "NodePorts",
    default_weight: 0,
    build: |_args| {
        static INTERESTS: &[Interest] = &[
            Interest::when(EventResource::AssignedPod, Action::DELETE, frees_a_port),
            Interest::any(EventResource::Node, Action::ADD),
        ];
        Ok(Extensions::new().pre_filter(NodePorts).filter(NodePorts).requeue_on(INTERESTS))
    },
};

struct NodePorts;

impl PreFilterPlugin for NodePorts {
    fn pre_filter(&self, _state: &mut CycleState, pod: &PodInfo, _snapshot: &Snapshot) -> Result<NodeSet, Status> {
        if pod.host_ports.is_empty() { Err(Status::skip()) } else { Ok(None) }
    }
}

impl FilterPlugin for NodePorts {
    fn filter(&self, _state: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Status {
        if node.host_ports.conflict_with_any(&pod.host_ports) {
            return Status::unschedulable("node(s) didn't have free ports for the requested pod ports");
        }
        Status::success()
    }
}

fn frees_a_port(pod: &PodInfo, objects: EventObjects<'_>) -> QueueingHint {
    let EventObjects::Pod { old: Some(gone), .. } = objects else { return QueueingHint::Queue };
    let freed: HostPorts = gone.host_ports.iter().collect();
    QueueingHint::queue_if(freed.conflict_with_any(&pod.host_ports))
}
