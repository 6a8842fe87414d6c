//! What all workers share.

use std::{net::IpAddr, sync::Arc};

use corten_api::core::v1::Pod;
use corten_base::{SharedClock, SharedRng};
use corten_client::{
    Client,
    events::{ObjectRef, Recorder},
};
use corten_cri::Cri;
use parking_lot::RwLock;

use crate::{
    allocation::Allocations,
    config::Config,
    interfaces::{ContainerRef, ContainerSpecs, Hooks, Images, PodCgroups, Prober, Volumes},
    pleg::RuntimeCache,
    pod_workers::sysctls::Allowlist,
    status::StatusManager,
};

/// What a worker acts through.
pub struct Context {
    /// The kubelet's configuration.
    pub config: Config,
    /// The container runtime.
    pub cri: Cri,
    /// The API.
    pub client: Client,
    /// Volumes.
    pub volumes: Arc<dyn Volumes>,
    /// Configurations of sandboxes and containers.
    pub specs: Arc<dyn ContainerSpecs>,
    /// Images.
    pub images: Arc<dyn Images>,
    /// Hooks.
    pub hooks: Arc<dyn Hooks>,
    /// What is set aside for the containers of each pod.
    pub allocations: Allocations,
    /// The kernel parameters that pods may set.
    pub sysctls: Allowlist,
    /// Probes.
    pub prober: Arc<dyn Prober>,
    /// Control groups of pods.
    pub cgroups: Arc<dyn PodCgroups>,
    /// Events.
    pub recorder: Recorder,
    /// Time.
    pub clock: SharedClock,
    /// Randomness.
    pub rng: SharedRng,
    /// The runtime's view of pods.
    pub cache: Arc<RuntimeCache>,
    /// Statuses.
    pub status: Arc<StatusManager>,
    /// The runtime's name, asked for once at start.
    pub runtime_name: RwLock<String>,
}

impl Context {
    /// The node's addresses.
    #[must_use]
    pub fn host_ips(&self) -> &[IpAddr] {
        &self.config.node_ips
    }

    /// Reports something about a pod.
    pub fn event(&self, pod: &Pod, warning: bool, reason: &str, message: impl Into<String>) {
        self.event_about(reference(pod), warning, reason, message);
    }

    /// Reports something about a container.
    pub fn container_event(
        &self,
        pod: &Pod,
        container: &ContainerRef,
        warning: bool,
        reason: &str,
        message: impl Into<String>,
    ) {
        let object = ObjectRef { field_path: container.field_path().into(), ..reference(pod) };
        self.event_about(object, warning, reason, message);
    }

    fn event_about(&self, object: ObjectRef, warning: bool, reason: &str, message: impl Into<String>) {
        if warning {
            self.recorder.warning(&object, reason, message);
        } else {
            self.recorder.normal(&object, reason, message);
        }
    }
}

fn reference(pod: &Pod) -> ObjectRef {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let meta = &pod.metadata;
    ObjectRef {
        api_version: "v1".into(),
        kind: "Pod".into(),
        namespace: text(&meta.namespace).into(),
        name: text(&meta.name).into(),
        uid: text(&meta.uid).into(),
        resource_version: text(&meta.resource_version).into(),
        ..ObjectRef::default()
    }
}
