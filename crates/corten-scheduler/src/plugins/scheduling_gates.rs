//! Keeps pods out of the queue until their scheduling gates are gone.
//!
//! Upstream: pkg/scheduler/framework/plugins/schedulinggates (v1.35).

use crate::{
    cache::PodInfo,
    framework::{
        Extensions, Interest, PluginDescriptor, PreEnqueuePlugin, Status,
        cluster_event::{Action, EventResource},
    },
};

/// The plugin.
pub(super) static PLUGIN: PluginDescriptor = PluginDescriptor {
    name: "SchedulingGates",
    default_weight: 0,
    build: |_args| {
        static INTERESTS: &[Interest] = &[Interest::any(EventResource::UnscheduledPod, Action::UPDATE_POD_GATES)];
        Ok(Extensions::new().pre_enqueue(SchedulingGates).requeue_on(INTERESTS))
    },
};

struct SchedulingGates;

impl PreEnqueuePlugin for SchedulingGates {
    fn pre_enqueue(&self, pod: &PodInfo) -> Status {
        if pod.gates.is_empty() {
            return Status::success();
        }
        Status::unresolvable(format!("waiting for scheduling gates: [{}]", pod.gates.join(" ")))
    }
}
