//! The records of the fake: sandboxes and containers, their states, and the events that changes of them make.

use std::{collections::BTreeMap, net::Ipv4Addr, path::PathBuf};

use jiff::Timestamp;
use tokio::sync::watch;

use super::{
    images::Images,
    script::{Exit, Script, Usage},
};
use crate::{
    CriError,
    api::{
        ContainerConfig, ContainerEventResponse, ContainerEventType, ContainerResources, ContainerState,
        ContainerStatus, LinuxPodSandboxStatus, Namespace, PodSandboxConfig, PodSandboxMetadata,
        PodSandboxNetworkStatus, PodSandboxState, PodSandboxStatus, RuntimeCondition, Signal,
    },
};

#[derive(Default)]
pub(super) struct State {
    pub(super) sandboxes: BTreeMap<String, Sandbox>,
    pub(super) containers: BTreeMap<String, Container>,
    pub(super) images: Images,
    conditions: BTreeMap<String, RuntimeCondition>,
    sequence: u32,
    last_nanos: i64,
}

pub(super) struct Sandbox {
    pub(super) config: PodSandboxConfig,
    pub(super) status: PodSandboxStatus,
}

pub(super) struct Container {
    pub(super) sandbox_id: String,
    pub(super) config: ContainerConfig,
    pub(super) status: ContainerStatus,
    pub(super) script: Script,
    pub(super) usage: Usage,
    /// Turns true when the container has ended or was removed.
    pub(super) ended: watch::Sender<bool>,
}

impl Container {
    pub(super) fn is_running(&self) -> bool {
        self.status.state == ContainerState::ContainerRunning as i32
    }
}

impl State {
    /// The time in nanoseconds since the epoch, later than any that was given before: created objects have an order.
    pub(super) fn stamp(&mut self, now: Timestamp) -> i64 {
        let nanos = i64::try_from(now.as_nanosecond()).expect("the clock shows a year before 2262");
        self.last_nanos = nanos.max(self.last_nanos + 1);
        self.last_nanos
    }

    /// A new id. The count comes first, so that short prefixes are unique.
    fn next_id(&mut self) -> String {
        self.sequence += 1;
        format!("{:08x}{:056}", self.sequence.swap_bytes(), 0)
    }

    pub(super) fn add_sandbox(
        &mut self,
        config: PodSandboxConfig,
        handler: String,
        now: Timestamp,
    ) -> Result<String, CriError> {
        let metadata = config.metadata.clone().ok_or_else(|| CriError::invalid_argument("sandbox has no metadata"))?;
        if self.sandboxes.values().any(|sandbox| sandbox.config.metadata.as_ref() == Some(&metadata)) {
            return Err(CriError::already_exists(format!("sandbox {} exists", pod_name(&metadata))));
        }
        let (id, created_at) = (self.next_id(), self.stamp(now));
        let options = config.linux.as_ref().and_then(|linux| linux.security_context.as_ref());
        let options = options.and_then(|context| context.namespace_options.clone());
        let on_node = options.as_ref().is_some_and(|options| options.network == crate::api::NamespaceMode::Node as i32);
        let address = Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 88, 0, 0)) + self.sequence);
        let status = PodSandboxStatus {
            id: id.clone(),
            metadata: Some(metadata),
            state: PodSandboxState::SandboxReady as i32,
            created_at,
            network: Some(PodSandboxNetworkStatus {
                ip: if on_node { String::new() } else { address.to_string() },
                additional_ips: Vec::new(),
            }),
            linux: Some(LinuxPodSandboxStatus { namespaces: Some(Namespace { options }) }),
            labels: config.labels.clone(),
            annotations: config.annotations.clone(),
            runtime_handler: handler,
        };
        self.sandboxes.insert(id.clone(), Sandbox { config, status });
        Ok(id)
    }

    pub(super) fn add_container(
        &mut self,
        sandbox_id: &str,
        config: ContainerConfig,
        script: Script,
        now: Timestamp,
    ) -> Result<String, CriError> {
        let sandbox_id = self.sandbox(sandbox_id)?.status.id.clone();
        if self.sandboxes[&sandbox_id].status.state != PodSandboxState::SandboxReady as i32 {
            return Err(CriError::failed_precondition(format!("sandbox {sandbox_id} is not ready")));
        }
        let metadata =
            config.metadata.clone().ok_or_else(|| CriError::invalid_argument("container has no metadata"))?;
        let twin = |container: &Container| {
            container.sandbox_id == sandbox_id && container.config.metadata.as_ref() == Some(&metadata)
        };
        if self.containers.values().any(twin) {
            return Err(CriError::already_exists(format!("container {} exists", metadata.name)));
        }
        let wanted = config.image.clone().unwrap_or_default();
        let image = self
            .images
            .find(&wanted.image)
            .ok_or_else(|| CriError::not_found(format!("image {:?} is not present", wanted.image)))?;
        let (image_id, image_ref) = (image.id.clone(), image.repo_digests.first().unwrap_or(&image.id).clone());
        let (id, created_at) = (self.next_id(), self.stamp(now));
        let directory = PathBuf::from(&self.sandboxes[&sandbox_id].config.log_directory);
        let stop_signal = match config.stop_signal() {
            Signal::RuntimeDefault => Signal::Sigterm,
            signal => signal,
        };
        let status = ContainerStatus {
            id: id.clone(),
            metadata: Some(metadata),
            state: ContainerState::ContainerCreated as i32,
            created_at,
            image: Some(wanted),
            image_ref,
            image_id,
            labels: config.labels.clone(),
            annotations: config.annotations.clone(),
            mounts: config.mounts.clone(),
            log_path: match config.log_path.as_str() {
                "" => String::new(),
                path => directory.join(path).display().to_string(),
            },
            resources: config.linux.as_ref().map(|linux| ContainerResources { linux: linux.resources.clone() }),
            stop_signal: stop_signal as i32,
            ..ContainerStatus::default()
        };
        let container =
            Container { sandbox_id, config, status, script, usage: Usage::default(), ended: watch::Sender::new(false) };
        self.containers.insert(id.clone(), container);
        Ok(id)
    }

    /// Moves a container to exited. `None` if it has ended before.
    pub(super) fn end(&mut self, id: &str, exit: Exit, now: Timestamp) -> Option<ContainerEventResponse> {
        let finished_at = self.stamp(now);
        let container = self.containers.get_mut(id)?;
        if container.status.state == ContainerState::ContainerExited as i32 {
            return None;
        }
        let status = &mut container.status;
        status.state = ContainerState::ContainerExited as i32;
        status.finished_at = finished_at;
        status.exit_code = exit.code;
        status.reason = exit.reason.to_owned();
        status.message = exit.message;
        container.ended.send_replace(true);
        self.event(id, ContainerEventType::ContainerStoppedEvent, finished_at)
    }

    /// The sandbox whose id is `id`, or begins with it and is the only one.
    pub(super) fn sandbox(&self, id: &str) -> Result<&Sandbox, CriError> {
        self.find(&self.sandboxes, id).ok_or_else(|| CriError::not_found(format!("sandbox {id:?} does not exist")))
    }

    /// The container whose id is `id`, or begins with it and is the only one.
    pub(super) fn container(&self, id: &str) -> Result<&Container, CriError> {
        self.find(&self.containers, id).ok_or_else(|| CriError::not_found(format!("container {id:?} does not exist")))
    }

    pub(super) fn container_mut(&mut self, id: &str) -> Result<&mut Container, CriError> {
        let id = self.container(id)?.status.id.clone();
        Ok(self.containers.get_mut(&id).expect("found just now"))
    }

    fn find<'a, T>(&self, objects: &'a BTreeMap<String, T>, id: &str) -> Option<&'a T> {
        if id.is_empty() {
            return None;
        }
        let mut matches = objects.range(id.to_owned()..).take_while(|(full, _)| full.starts_with(id));
        let first = matches.next()?;
        (matches.next().is_none() || first.0 == id).then_some(first.1)
    }

    /// The ids of a sandbox's containers, oldest first.
    pub(super) fn containers_of(&self, sandbox_id: &str) -> Vec<String> {
        let mut all: Vec<_> = self.containers.values().filter(|container| container.sandbox_id == sandbox_id).collect();
        all.sort_by_key(|container| container.status.created_at);
        all.iter().map(|container| container.status.id.clone()).collect()
    }

    pub(super) fn newest_container(&self, namespace: &str, pod: &str, name: &str) -> Option<String> {
        self.containers
            .values()
            .filter(|container| container.config.metadata.as_ref().is_some_and(|metadata| metadata.name == name))
            .filter(|container| {
                let sandbox =
                    self.sandboxes.get(&container.sandbox_id).and_then(|sandbox| sandbox.config.metadata.as_ref());
                sandbox.is_some_and(|metadata| metadata.namespace == namespace && metadata.name == pod)
            })
            .max_by_key(|container| container.status.created_at)
            .map(|container| container.status.id.clone())
    }

    pub(super) fn newest_sandbox(&self, namespace: &str, pod: &str) -> Option<String> {
        self.sandboxes
            .values()
            .map(|sandbox| &sandbox.status)
            .filter(|status| {
                let metadata = status.metadata.as_ref();
                metadata.is_some_and(|metadata| metadata.namespace == namespace && metadata.name == pod)
            })
            .max_by_key(|status| status.created_at)
            .map(|status| status.id.clone())
    }

    pub(super) fn log_path(&self, id: &str) -> Result<PathBuf, CriError> {
        match self.container(id)?.status.log_path.as_str() {
            "" => Err(CriError::failed_precondition(format!("container {id} has no log"))),
            path => Ok(PathBuf::from(path)),
        }
    }

    /// `namespace/pod`, or the id if it names nothing.
    pub(super) fn sandbox_label(&self, id: &str) -> String {
        let metadata = self.sandbox(id).ok().and_then(|sandbox| sandbox.config.metadata.as_ref());
        metadata.map_or_else(|| id.to_owned(), pod_name)
    }

    /// `namespace/pod/container`, or the id if it names nothing.
    pub(super) fn container_label(&self, id: &str) -> String {
        let Ok(container) = self.container(id) else { return id.to_owned() };
        let name = container.config.metadata.as_ref().map_or("", |metadata| metadata.name.as_str());
        format!("{}/{name}", self.sandbox_label(&container.sandbox_id))
    }

    /// The event about a sandbox or a container, with the state of its pod. `None` if it does not exist.
    pub(super) fn event(&self, id: &str, kind: ContainerEventType, at: i64) -> Option<ContainerEventResponse> {
        let sandbox_id = self.containers.get(id).map_or(id, |container| &container.sandbox_id);
        let sandbox = self.sandboxes.get(sandbox_id)?;
        Some(ContainerEventResponse {
            container_id: id.to_owned(),
            container_event_type: kind as i32,
            created_at: at,
            pod_sandbox_status: Some(sandbox.status.clone()),
            containers_statuses: self
                .containers_of(sandbox_id)
                .iter()
                .map(|container| self.containers[container].status.clone())
                .collect(),
        })
    }

    pub(super) fn conditions(&self) -> Vec<RuntimeCondition> {
        let ready = |kind: &str| RuntimeCondition { r#type: kind.to_owned(), status: true, ..Default::default() };
        let mut conditions = self.conditions.clone();
        for kind in ["RuntimeReady", "NetworkReady"] {
            conditions.entry(kind.to_owned()).or_insert_with(|| ready(kind));
        }
        conditions.into_values().collect()
    }

    pub(super) fn set_condition(&mut self, kind: &str, status: bool, reason: &str, message: &str) {
        let condition = RuntimeCondition {
            r#type: kind.to_owned(),
            status,
            reason: reason.to_owned(),
            message: message.to_owned(),
        };
        self.conditions.insert(kind.to_owned(), condition);
    }

    pub(super) fn forget_pods(&mut self) {
        self.sandboxes.clear();
        for container in std::mem::take(&mut self.containers).into_values() {
            container.ended.send_replace(true);
        }
    }
}

fn pod_name(metadata: &PodSandboxMetadata) -> String {
    format!("{}/{}", metadata.namespace, metadata.name)
}
