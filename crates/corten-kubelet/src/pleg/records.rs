//! The runtime's view of one pod: its sandboxes and containers as the runtime reported them last.
//!
//! Pure. Sandboxes are kept newest first, and so are the containers of each.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use corten_cri::api::{
    ContainerEventResponse, ContainerEventType, ContainerState, ContainerStatus, NamespaceMode, PodSandboxState,
    PodSandboxStatus,
};

/// The annotation that carries the hash of the container's spec.
pub const HASH: &str = "io.kubernetes.container.hash";
/// The annotation that carries how often the container was started before.
pub const RESTART_COUNT: &str = "io.kubernetes.container.restartCount";
/// The label that carries the pod's UID.
pub const POD_UID: &str = "io.kubernetes.pod.uid";
/// The annotation that carries `terminationMessagePolicy`.
pub const TERMINATION_MESSAGE_POLICY: &str = "io.kubernetes.container.terminationMessagePolicy";
/// The annotation that carries `terminationMessagePath`.
pub const TERMINATION_MESSAGE_PATH: &str = "io.kubernetes.container.terminationMessagePath";

/// A sandbox with its containers, as of one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct SandboxRecord {
    /// The sandbox.
    pub status: PodSandboxStatus,
    /// Its containers, newest first.
    pub containers: Vec<Arc<ContainerStatus>>,
    /// The runtime's time of this view, in nanoseconds; 0 if the runtime does not say.
    pub stamp_nanos: i64,
}

impl SandboxRecord {
    /// A record of what the runtime said at `stamp_nanos`.
    #[must_use]
    pub fn new(status: PodSandboxStatus, containers: Vec<ContainerStatus>, stamp_nanos: i64) -> Self {
        let mut containers: Vec<_> = containers.into_iter().map(Arc::new).collect();
        containers.sort_by_key(|container| std::cmp::Reverse((container.created_at, attempt_of(container))));
        Self { status, containers, stamp_nanos }
    }

    /// Whether the sandbox is up.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.status.state == PodSandboxState::SandboxReady as i32
    }

    /// Whether it is in the node's network namespace.
    #[must_use]
    pub fn on_host_network(&self) -> bool {
        let options = self.status.linux.as_ref().and_then(|linux| linux.namespaces.as_ref());
        let options = options.and_then(|namespaces| namespaces.options.as_ref());
        options.is_some_and(|options| options.network == NamespaceMode::Node as i32)
    }

    /// Its addresses; none on the host's network.
    #[must_use]
    pub fn ips(&self) -> Vec<IpAddr> {
        let Some(network) = &self.status.network else { return Vec::new() };
        let more = network.additional_ips.iter().map(|ip| ip.ip.as_str());
        std::iter::once(network.ip.as_str()).chain(more).filter_map(|ip| ip.parse().ok()).collect()
    }

    /// Which of the pod's sandboxes it is, counted from 0.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.status.metadata.as_ref().map_or(0, |metadata| metadata.attempt)
    }

    /// The newest container of this name.
    #[must_use]
    pub fn container(&self, name: &str) -> Option<&Arc<ContainerStatus>> {
        self.containers.iter().find(|container| name_of(container) == name)
    }
}

/// A pod as the runtime knows it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PodRuntimeStatus {
    /// The pod's UID.
    pub uid: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its sandboxes, newest first.
    pub sandboxes: Vec<SandboxRecord>,
}

impl PodRuntimeStatus {
    /// A pod that the runtime does not know.
    #[must_use]
    pub fn unknown(uid: &str) -> Self {
        Self { uid: uid.to_owned(), ..Self::default() }
    }

    /// Whether the runtime knows nothing of the pod.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sandboxes.is_empty()
    }

    /// The newest sandbox, if it is up.
    #[must_use]
    pub fn active_sandbox(&self) -> Option<&SandboxRecord> {
        self.sandboxes.first().filter(|sandbox| sandbox.is_ready())
    }

    /// All containers with their sandbox, newest first.
    pub fn containers(&self) -> impl Iterator<Item = (&SandboxRecord, &Arc<ContainerStatus>)> {
        let mut all: Vec<_> = self
            .sandboxes
            .iter()
            .flat_map(|sandbox| sandbox.containers.iter().map(move |container| (sandbox, container)))
            .collect();
        all.sort_by_key(|(_, container)| std::cmp::Reverse((container.created_at, attempt_of(container))));
        all.into_iter()
    }

    /// The newest container of a name, in whatever sandbox.
    #[must_use]
    pub fn latest(&self, name: &str) -> Option<&Arc<ContainerStatus>> {
        self.containers().map(|(_, container)| container).find(|container| name_of(container) == name)
    }

    /// The newest container of a name in the sandbox that is up.
    #[must_use]
    pub fn active(&self, name: &str) -> Option<&Arc<ContainerStatus>> {
        self.active_sandbox()?.container(name)
    }

    /// The containers that run.
    pub fn running(&self) -> impl Iterator<Item = &Arc<ContainerStatus>> {
        self.sandboxes.iter().flat_map(|sandbox| &sandbox.containers).filter(|container| is_running(container))
    }

    /// How often a container of this name has been made: the number of the next one.
    #[must_use]
    pub fn next_attempt(&self, name: &str) -> u32 {
        self.latest(name).map_or(0, |container| restart_count(container) + 1)
    }

    /// Takes over a newer view of one sandbox. Returns whether anything changed.
    pub fn put(&mut self, record: SandboxRecord) -> bool {
        if let Some(metadata) = &record.status.metadata {
            self.uid.clone_from(&metadata.uid);
            self.namespace.clone_from(&metadata.namespace);
            self.name.clone_from(&metadata.name);
        }
        match self.sandboxes.iter_mut().find(|known| known.status.id == record.status.id) {
            Some(known) if known.stamp_nanos > record.stamp_nanos => false,
            Some(known) => {
                let changed = known.status != record.status || known.containers != record.containers;
                *known = record;
                changed
            }
            None => {
                self.sandboxes.push(record);
                self.sandboxes.sort_by_key(|sandbox| std::cmp::Reverse((sandbox.status.created_at, sandbox.attempt())));
                true
            }
        }
    }

    /// Forgets a sandbox. Returns whether it was known.
    pub fn remove(&mut self, sandbox_id: &str) -> bool {
        let before = self.sandboxes.len();
        self.sandboxes.retain(|sandbox| sandbox.status.id != sandbox_id);
        self.sandboxes.len() != before
    }
}

/// What one runtime event says about a sandbox.
#[derive(Debug)]
pub enum Change {
    /// The sandbox is now like this.
    Put(Box<SandboxRecord>),
    /// The sandbox is gone.
    Gone {
        /// The pod's UID.
        uid: String,
        /// The sandbox.
        sandbox_id: String,
    },
}

/// Reads an event; `None` if it does not say which pod it is about.
#[must_use]
pub fn change_of(event: ContainerEventResponse) -> Option<Change> {
    let deleted = event.container_event_type == ContainerEventType::ContainerDeletedEvent as i32;
    let status = event.pod_sandbox_status?;
    let uid = status.metadata.as_ref()?.uid.clone();
    if deleted && event.container_id == status.id {
        return Some(Change::Gone { uid, sandbox_id: status.id });
    }
    let mut containers = event.containers_statuses;
    if deleted {
        containers.retain(|container| container.id != event.container_id);
    }
    Some(Change::Put(Box::new(SandboxRecord::new(status, containers, event.created_at))))
}

/// A container's name in the pod.
#[must_use]
pub fn name_of(container: &ContainerStatus) -> &str {
    container.metadata.as_ref().map_or("", |metadata| metadata.name.as_str())
}

/// How often the container was started before this one.
#[must_use]
pub fn restart_count(container: &ContainerStatus) -> u32 {
    let annotated = container.annotations.get(RESTART_COUNT).and_then(|count| count.parse().ok());
    annotated.unwrap_or_else(|| attempt_of(container))
}

/// The hash of the spec that the container was made from.
#[must_use]
pub fn hash_of(container: &ContainerStatus) -> Option<&str> {
    container.annotations.get(HASH).map(String::as_str)
}

/// Whether the container runs.
#[must_use]
pub fn is_running(container: &ContainerStatus) -> bool {
    container.state == ContainerState::ContainerRunning as i32
}

/// Whether the container has ended.
#[must_use]
pub fn is_exited(container: &ContainerStatus) -> bool {
    container.state == ContainerState::ContainerExited as i32
}

fn attempt_of(container: &ContainerStatus) -> u32 {
    container.metadata.as_ref().map_or(0, |metadata| metadata.attempt)
}

/// Sorts records by pod.
#[must_use]
pub fn by_pod(records: Vec<SandboxRecord>) -> BTreeMap<String, PodRuntimeStatus> {
    let mut pods: BTreeMap<String, PodRuntimeStatus> = BTreeMap::new();
    for record in records {
        let Some(uid) = record.status.metadata.as_ref().map(|metadata| metadata.uid.clone()) else { continue };
        pods.entry(uid).or_default().put(record);
    }
    pods
}
