//! Keeps a claim that only one pod may use at a time to one pod.
//!
//! Upstream: pkg/scheduler/framework/plugins/volumerestrictions (v1.35), without the disks of single clouds.

use crate::{
    cache::{NodeInfo, PodInfo, Snapshot},
    framework::{
        CycleState, EventObjects, Extensions, FilterPlugin, Interest, NodeSet, PluginDescriptor, PreFilterPlugin,
        QueueingHint, Status,
        cluster_event::{Action, EventResource},
    },
    plugins::volume_binding::is_own_claim,
};

/// The plugin.
pub(super) static PLUGIN: PluginDescriptor = PluginDescriptor {
    name: "VolumeRestrictions",
    default_weight: 0,
    build: |_args| {
        static INTERESTS: &[Interest] = &[
            Interest::when(EventResource::AssignedPod, Action::DELETE, frees_a_claim),
            Interest::when(EventResource::Claim, Action::ADD.or(Action::UPDATE), is_own_claim),
        ];
        Ok(Extensions::new().pre_filter(VolumeRestrictions).filter(VolumeRestrictions).requeue_on(INTERESTS))
    },
};

struct VolumeRestrictions;

/// Whether another pod uses a claim that is for one pod.
struct IsTaken(bool);

impl PreFilterPlugin for VolumeRestrictions {
    fn pre_filter(&self, state: &mut CycleState, pod: &PodInfo, snapshot: &Snapshot) -> Result<NodeSet, Status> {
        let is_for_one = |name: &str| snapshot.claim(&pod.namespace, name).is_some_and(|claim| claim.is_for_one_pod);
        let mut exclusive = pod.claims.iter().filter(|claim| is_for_one(&claim.name)).peekable();
        // Claims that do not exist are a matter of VolumeBinding.
        if exclusive.peek().is_none() {
            return Err(Status::skip());
        }
        state.write(IsTaken(exclusive.any(|claim| snapshot.is_claim_used(&pod.namespace, &claim.name))));
        Ok(None)
    }
}

impl FilterPlugin for VolumeRestrictions {
    fn filter(&self, state: &CycleState, _pod: &PodInfo, _node: &NodeInfo) -> Status {
        if state.read::<IsTaken>().is_some_and(|IsTaken(is_taken)| *is_taken) {
            return Status::unschedulable(
                "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode",
            );
        }
        Status::success()
    }
}

fn frees_a_claim(pod: &PodInfo, objects: EventObjects<'_>) -> QueueingHint {
    let EventObjects::Pod { old: Some(gone), .. } = objects else { return QueueingHint::Queue };
    let shares = |name: &str| gone.claims.iter().any(|claim| claim.name == name);
    QueueingHint::queue_if(pod.namespace == gone.namespace && pod.claims.iter().any(|claim| shares(&claim.name)))
}
