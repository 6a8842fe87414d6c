//! `Trial`: whether a pod would fit a node if pods there were gone, or if those that wait for the room had come.
//!
//! Upstream: RunFilterPluginsWithNominatedPods and the extensions of PreFilter, AddPod and RemovePod (v1.35). Here what
//! plugins counted before is counted anew instead, and only when the change can matter to them.

use std::sync::Arc;

use super::{CycleState, Profile, Status};
use crate::cache::{NodeIndex, PodInfo, Snapshot};

/// One pod's cycle, to try out changes of nodes in.
#[derive(Debug, Clone, Copy)]
pub struct Trial<'c> {
    /// The profile.
    pub profile: &'c Profile,
    /// What the profile's plugins counted.
    pub state: &'c CycleState,
    /// The pod.
    pub pod: &'c PodInfo,
    /// The cluster as it is.
    pub snapshot: &'c Snapshot,
}

impl Trial<'_> {
    /// The first refusal of the node without `removed`, or success. The pod has to fit both with those of at least its
    /// priority that room was made for on the node, and without them: some may help it, and some may never come.
    #[must_use]
    pub fn filter(&self, at: NodeIndex, removed: &[Arc<PodInfo>]) -> Status {
        let nominated = self.snapshot.nominated_on(self.snapshot.node(at).name()).iter();
        let rivals = nominated.filter(|other| other.priority >= self.pod.priority && other.uid != self.pod.uid);
        let rivals: Vec<_> = rivals.cloned().collect();
        if !rivals.is_empty() {
            let status = self.with(at, removed, &rivals);
            if !status.is_success() {
                return status;
            }
        }
        self.with(at, removed, &[])
    }

    fn with(&self, at: NodeIndex, removed: &[Arc<PodInfo>], added: &[Arc<PodInfo>]) -> Status {
        if removed.is_empty() && added.is_empty() {
            return self.profile.run_filters(self.state, self.pod, self.snapshot.node(at));
        }
        let looks_at_others = !self.pod.spread.is_empty() || self.pod.has_pod_affinity() || !self.pod.claims.is_empty();
        let mut changed = removed.iter().chain(added);
        if looks_at_others || changed.any(|other| other.has_required_anti_affinity()) {
            return self.with_all_counted_anew(at, removed, added);
        }
        let mut node = self.snapshot.node(at).clone();
        for pod in removed {
            node.remove_pod(&pod.uid);
        }
        for pod in added {
            node.add_pod(Arc::clone(pod));
        }
        self.profile.run_filters(self.state, self.pod, &node)
    }

    fn with_all_counted_anew(&self, at: NodeIndex, removed: &[Arc<PodInfo>], added: &[Arc<PodInfo>]) -> Status {
        let (mut snapshot, mut state) = (self.snapshot.clone(), CycleState::default());
        for pod in removed {
            snapshot.remove_pod(&pod.namespace, &pod.name);
        }
        for pod in added {
            let pod = pod.on_node(self.snapshot.node(at).name());
            snapshot.set_pod(Arc::new(pod));
        }
        match self.profile.run_pre_filter(&mut state, self.pod, &snapshot) {
            Ok(_) => self.profile.run_filters(&state, self.pod, snapshot.node(at)),
            Err(status) => status,
        }
    }
}
