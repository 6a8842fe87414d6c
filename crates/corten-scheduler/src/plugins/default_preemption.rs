//! Says whether pushing out other pods could help. It does not push out any yet.
//!
//! Upstream: pkg/scheduler/framework/plugins/defaultpreemption and pkg/scheduler/framework/preemption (v1.35).

use crate::{
    cache::{PodInfo, Snapshot},
    framework::{
        Code, Extensions, FitError, Interest, PluginDescriptor, PostFilterPlugin, Status,
        cluster_event::{Action, EventResource},
        plugin::NodeStatuses,
    },
};

/// The plugin.
pub(super) static PLUGIN: PluginDescriptor = PluginDescriptor {
    name: "DefaultPreemption",
    default_weight: 0,
    build: |_args| {
        static INTERESTS: &[Interest] = &[Interest::any(EventResource::AssignedPod, Action::DELETE)];
        Ok(Extensions::new().post_filter(DefaultPreemption).requeue_on(INTERESTS))
    },
};

struct DefaultPreemption;

impl PostFilterPlugin for DefaultPreemption {
    fn post_filter(&self, pod: &PodInfo, snapshot: &Snapshot, statuses: &NodeStatuses<'_>) -> Status {
        if !pod.may_preempt {
            return Status::unschedulable("preemption: not eligible due to preemptionPolicy=Never.");
        }
        let mut error = FitError { nodes: snapshot.order().len(), ..FitError::default() };
        let mut hopeless = 0;
        for (at, status) in statuses.tried {
            let node = snapshot.node(*at);
            if status.code == Code::UnschedulableAndUnresolvable {
                hopeless += 1;
            } else if node.pods.iter().all(|other| other.priority >= pod.priority) {
                error.count(["No preemption victims found for incoming pod"], 1);
            }
        }
        if statuses.others.is_some_and(|status| status.code == Code::UnschedulableAndUnresolvable) {
            hopeless += snapshot.order().len() - statuses.tried.len();
        }
        if hopeless > 0 {
            error.count(["Preemption is not helpful for scheduling"], hopeless);
        }
        if error.reasons.is_empty() {
            return Status::unschedulable("");
        }
        Status::unschedulable(format!("preemption: {error}"))
    }
}
