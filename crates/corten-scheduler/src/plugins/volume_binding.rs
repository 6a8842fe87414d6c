//! Keeps pods waiting until their claims are bound, and on nodes that can use the volumes.
//!
//! A claim counts as bound when it names a volume: nothing here has to confirm it. Claims of a class that binds late fit
//! no node yet, because nothing binds them for a node that was chosen.
//! Upstream: pkg/scheduler/framework/plugins/volumebinding (v1.35).

use std::sync::Arc;

use crate::{
    cache::{ClaimFacts, NodeInfo, PodClaim, PodInfo, Snapshot, VolumeFacts},
    framework::{
        CycleState, EventObjects, Extensions, FilterPlugin, Interest, NodeSet, PluginDescriptor, PreFilterPlugin,
        QueueingHint, Status,
        cluster_event::{Action, EventResource},
    },
};

/// The plugin.
pub(super) static PLUGIN: PluginDescriptor = PluginDescriptor {
    name: "VolumeBinding",
    default_weight: 0,
    build: |_args| {
        static INTERESTS: &[Interest] = &[
            Interest::any(EventResource::StorageClass, Action::ADD),
            Interest::when(EventResource::Claim, Action::ADD.or(Action::UPDATE), is_own_claim),
            Interest::any(EventResource::Volume, Action::ADD.or(Action::UPDATE)),
            Interest::any(EventResource::Node, Action::ADD.or(Action::UPDATE_NODE_LABEL)),
        ];
        Ok(Extensions::new().pre_filter(VolumeBinding).filter(VolumeBinding).requeue_on(INTERESTS))
    },
};

struct VolumeBinding;

/// What the pod's claims come to.
#[derive(Default)]
struct PodVolumes {
    bound: Vec<Arc<VolumeFacts>>,
    /// A volume that a claim names does not exist.
    lacks_volume: bool,
    /// A claim is bound only when a pod uses it.
    binds_late: bool,
}

impl PreFilterPlugin for VolumeBinding {
    fn pre_filter(&self, state: &mut CycleState, pod: &PodInfo, snapshot: &Snapshot) -> Result<NodeSet, Status> {
        if pod.claims.is_empty() {
            return Err(Status::skip());
        }
        let claims = pod.claims.iter().map(|claim| usable(pod, claim, snapshot.claim(&pod.namespace, &claim.name)));
        let claims = claims.collect::<Result<Vec<_>, String>>().map_err(Status::unresolvable)?;
        let mut volumes = PodVolumes::default();
        for claim in claims {
            if !claim.volume_name.is_empty() {
                match snapshot.volume(&claim.volume_name) {
                    Some(volume) => volumes.bound.push(Arc::clone(volume)),
                    None => volumes.lacks_volume = true,
                }
            } else if claim.class.as_ref().is_some_and(|class| snapshot.class_binds_late(class)) {
                volumes.binds_late = true;
            } else {
                return Err(Status::unresolvable("pod has unbound immediate PersistentVolumeClaims"));
            }
        }
        state.write(volumes);
        Ok(None)
    }
}

/// The claim, if the pod may use it; why not otherwise.
fn usable<'c>(pod: &PodInfo, claim: &PodClaim, facts: Option<&'c ClaimFacts>) -> Result<&'c ClaimFacts, String> {
    let name = &claim.name;
    let Some(facts) = facts else {
        return Err(match claim.is_ephemeral {
            true => format!("waiting for ephemeral volume controller to create the persistentvolumeclaim \"{name}\""),
            false => format!("persistentvolumeclaim \"{name}\" not found"),
        });
    };
    if facts.is_lost {
        let volume = &facts.volume_name;
        return Err(format!("persistentvolumeclaim \"{name}\" bound to non-existent persistentvolume \"{volume}\""));
    }
    if facts.is_deleting {
        return Err(format!("persistentvolumeclaim \"{name}\" is being deleted"));
    }
    if claim.is_ephemeral && facts.controller_uid != pod.uid {
        let (namespace, pod) = (&pod.namespace, &pod.name);
        return Err(format!("PVC {namespace}/{name} was not created for pod {namespace}/{pod} (pod is not owner)"));
    }
    Ok(facts)
}

impl FilterPlugin for VolumeBinding {
    fn filter(&self, state: &CycleState, _pod: &PodInfo, node: &NodeInfo) -> Status {
        let Some(volumes) = state.read::<PodVolumes>() else { return Status::success() };
        let facts = &node.facts;
        let is_reachable = |volume: &Arc<VolumeFacts>| volume.is_reachable_from(&facts.name, &facts.labels);
        let reasons = [
            (!volumes.bound.iter().all(is_reachable), "node(s) didn't match PersistentVolume's node affinity"),
            (volumes.binds_late, "node(s) didn't find available persistent volumes to bind"),
            (volumes.lacks_volume, "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)"),
        ];
        let reasons = reasons.into_iter().filter(|(holds, _)| *holds).map(|(_, reason)| reason);
        reasons.fold(Status::success(), |status, reason| match status.is_success() {
            true => Status::unresolvable(reason),
            false => status.and(reason),
        })
    }
}

/// Whether the claim of the event is one of the pod's.
pub(super) fn is_own_claim(pod: &PodInfo, objects: EventObjects<'_>) -> QueueingHint {
    let EventObjects::Claim { namespace, name } = objects else { return QueueingHint::Queue };
    QueueingHint::queue_if(pod.namespace == namespace && pod.claims.iter().any(|claim| claim.name == name))
}
