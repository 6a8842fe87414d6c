//! Refuses all nodes but the one that the pod names.
//!
//! Upstream: pkg/scheduler/framework/plugins/nodename (v1.35).

use crate::{
    cache::{NodeInfo, PodInfo},
    framework::{
        CycleState, Extensions, FilterPlugin, Interest, PluginDescriptor, Status,
        cluster_event::{Action, EventResource},
    },
};

/// The plugin.
pub(super) static PLUGIN: PluginDescriptor = PluginDescriptor {
    name: "NodeName",
    default_weight: 0,
    build: |_args| {
        static INTERESTS: &[Interest] = &[Interest::any(EventResource::Node, Action::ADD)];
        Ok(Extensions::new().filter(NodeName).requeue_on(INTERESTS))
    },
};

struct NodeName;

impl FilterPlugin for NodeName {
    fn filter(&self, _state: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Status {
        if !pod.node_name.is_empty() && pod.node_name != *node.name() {
            return Status::unresolvable("node(s) didn't match the requested node name");
        }
        Status::success()
    }
}
