//! What controllers of pods, and of what pods are behind, need to know of each: read once per version, kept small, shared by all
//! of them.
//!
//! Upstream: pkg/api/v1/pod/util.go and pkg/controller/controller_utils.go (v1.35).

mod state;
mod wire;

use std::sync::Arc;

use corten_apimachinery::{gvk::GroupVersionResource, stored::Stored};
use corten_informer::{Indexer, InformerFactory, InformerId, Key, Lister, Projected, SharedInformer};

pub use state::{NamedPort, Phase, PodState, Rare};

/// The annotation that says how much the deletion of a pod costs its set.
pub const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// The resource.
#[must_use]
pub fn resource() -> GroupVersionResource {
    GroupVersionResource::new("", "v1", "pods")
}

/// The facts of all pods.
pub(crate) fn states(informers: &InformerFactory) -> Arc<Projected<PodState>> {
    informers.projected(&InformerId::all(&resource()), PodState::of)
}

/// The pods of a cluster, with their facts, indexed by controlling owner.
#[derive(Debug, Clone)]
pub struct Pods {
    /// The informer, for handlers.
    pub informer: Arc<SharedInformer>,
    /// Read access.
    pub lister: Lister,
    /// The facts, for handlers.
    pub states: Arc<Projected<PodState>>,
}

impl Pods {
    /// Asks `informers` for all pods.
    #[must_use]
    pub fn new(informers: &InformerFactory) -> Self {
        let informer = informers.informer(&resource());
        informer.add_index(Indexer::by_controller());
        Self { lister: informer.lister(), informer, states: states(informers) }
    }

    /// The facts of this version of a pod.
    #[must_use]
    pub fn state(&self, pod: &Stored) -> PodState {
        // Under the same revision and UID it is the same version; the projection may be one event behind or ahead.
        match self.states.get(&Key::of(pod)) {
            Some(state) if state.object.revision == pod.revision && state.object.uid == pod.uid => state.value.clone(),
            _ => PodState::of(pod, None),
        }
    }
}
