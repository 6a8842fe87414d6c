//! `RuntimeService` over the fake's records.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use futures::{StreamExt as _, stream};
use tokio::sync::broadcast;

use super::{
    FakeCri,
    answers::{container_stats, list_item, merge, sandbox_stats, selects},
    script::{ExecScript, Exit, OnStart, OnStop},
    state::{Container, Sandbox},
};
use crate::{
    API_VERSION, Code, CriError, EXEC_SYNC_OUTPUT_BYTES_MAX, EventStream, RuntimeService, api,
    api::{ContainerEventType, ContainerState, PodSandboxState},
};

/// The exit code of a container that was killed: 128 + SIGKILL.
const KILLED: i32 = 137;

/// The exit code that runtimes report for a container that could not be started.
const NOT_STARTED: i32 = 128;

impl FakeCri {
    pub(super) fn end(&self, container_id: &str, exit: Exit) -> Result<(), CriError> {
        let event = {
            let mut state = self.inner.state.lock();
            let container = state.container(container_id)?;
            if !container.is_running() {
                return Err(CriError::failed_precondition(format!("container {container_id} does not run")));
            }
            let id = container.status.id.clone();
            state.end(&id, exit, self.inner.clock.now())
        };
        self.emit(event);
        Ok(())
    }

    /// Kills what runs in a sandbox and takes its readiness away.
    pub(super) fn stop_sandbox(&self, id: &str) {
        let mut events = Vec::new();
        {
            let mut state = self.inner.state.lock();
            let Ok(sandbox) = state.sandbox(id) else { return };
            let id = sandbox.status.id.clone();
            for container in state.containers_of(&id) {
                if state.containers[&container].is_running() {
                    events.push(state.end(&container, Exit::code(KILLED), self.inner.clock.now()));
                }
            }
            let at = state.stamp(self.inner.clock.now());
            let sandbox = state.sandboxes.get_mut(&id).expect("found just now");
            if sandbox.status.state == PodSandboxState::SandboxReady as i32 {
                sandbox.status.state = PodSandboxState::SandboxNotready as i32;
                sandbox.status.network = None;
                events.push(state.event(&id, ContainerEventType::ContainerStoppedEvent, at));
            }
        }
        events.into_iter().for_each(|event| self.emit(event));
    }

    /// Forgets a container, which is killed first if it runs.
    fn drop_container(&self, id: &str) {
        let mut events = Vec::new();
        {
            let mut state = self.inner.state.lock();
            let Ok(container) = state.container(id) else { return };
            let (id, sandbox, running) =
                (container.status.id.clone(), container.sandbox_id.clone(), container.is_running());
            if running {
                events.push(state.end(&id, Exit::code(KILLED), self.inner.clock.now()));
            }
            let at = state.stamp(self.inner.clock.now());
            if let Some(container) = state.containers.remove(&id) {
                container.ended.send_replace(true);
            }
            let event = state.event(&sandbox, ContainerEventType::ContainerDeletedEvent, at);
            events.push(event.map(|event| api::ContainerEventResponse { container_id: id, ..event }));
        }
        events.into_iter().for_each(|event| self.emit(event));
    }

    /// What a command does in a running container.
    pub(super) fn exec_script(&self, container_id: &str, cmd: &[String]) -> Result<ExecScript, CriError> {
        let program = cmd.first().ok_or_else(|| CriError::invalid_argument("command is empty"))?;
        let state = self.inner.state.lock();
        let container = state.container(container_id)?;
        if !container.is_running() {
            return Err(CriError::failed_precondition(format!("container {container_id} does not run")));
        }
        let script = container.script.exec.iter().find(|(name, _)| name == program);
        Ok(script.map(|(_, script)| script.clone()).unwrap_or_default())
    }

    fn sandbox_label(&self, id: &str) -> String {
        self.inner.state.lock().sandbox_label(id)
    }

    fn container_label(&self, id: &str) -> String {
        self.inner.state.lock().container_label(id)
    }
}

#[async_trait]
impl RuntimeService for FakeCri {
    async fn version(&self, _request: api::VersionRequest) -> Result<api::VersionResponse, CriError> {
        self.check_failures("version", "")?;
        Ok(api::VersionResponse {
            version: "0.1.0".to_owned(),
            runtime_name: "fake".to_owned(),
            runtime_version: "0.1.0".to_owned(),
            runtime_api_version: API_VERSION.to_owned(),
        })
    }

    async fn status(&self, request: api::StatusRequest) -> Result<api::StatusResponse, CriError> {
        self.check_failures("status", "")?;
        Ok(api::StatusResponse {
            status: Some(api::RuntimeStatus { conditions: self.inner.state.lock().conditions() }),
            info: if request.verbose { [("config".to_owned(), "{}".to_owned())].into() } else { BTreeMap::new() },
            runtime_handlers: vec![api::RuntimeHandler {
                name: String::new(),
                features: Some(api::RuntimeHandlerFeatures { recursive_read_only_mounts: true, user_namespaces: true }),
            }],
            features: Some(api::RuntimeFeatures {
                supplemental_groups_policy: true,
                user_namespaces_host_network: false,
            }),
        })
    }

    async fn runtime_config(&self, _: api::RuntimeConfigRequest) -> Result<api::RuntimeConfigResponse, CriError> {
        self.check_failures("runtime_config", "")?;
        let cgroup_driver = api::CgroupDriver::Cgroupfs as i32;
        Ok(api::RuntimeConfigResponse { linux: Some(api::LinuxRuntimeConfiguration { cgroup_driver }) })
    }

    async fn update_runtime_config(
        &self,
        request: api::UpdateRuntimeConfigRequest,
    ) -> Result<api::UpdateRuntimeConfigResponse, CriError> {
        let network = request.runtime_config.and_then(|config| config.network_config);
        self.enter("update_runtime_config", network.map(|network| network.pod_cidr).unwrap_or_default()).await?;
        Ok(api::UpdateRuntimeConfigResponse {})
    }

    async fn run_pod_sandbox(
        &self,
        request: api::RunPodSandboxRequest,
    ) -> Result<api::RunPodSandboxResponse, CriError> {
        let config = request.config.ok_or_else(|| CriError::invalid_argument("sandbox has no config"))?;
        let metadata = config.metadata.clone().unwrap_or_default();
        self.enter("run_pod_sandbox", format!("{}/{}", metadata.namespace, metadata.name)).await?;
        if !request.runtime_handler.is_empty() {
            return Err(CriError::invalid_argument(format!(
                "runtime handler {:?} is unknown",
                request.runtime_handler
            )));
        }
        let (id, events) = {
            let mut state = self.inner.state.lock();
            let id = state.add_sandbox(config, request.runtime_handler, self.inner.clock.now())?;
            let mut event = |kind| {
                let at = state.stamp(self.inner.clock.now());
                state.event(&id, kind, at)
            };
            let events =
                [event(ContainerEventType::ContainerCreatedEvent), event(ContainerEventType::ContainerStartedEvent)];
            (id, events)
        };
        events.into_iter().for_each(|event| self.emit(event));
        Ok(api::RunPodSandboxResponse { pod_sandbox_id: id })
    }

    async fn stop_pod_sandbox(
        &self,
        request: api::StopPodSandboxRequest,
    ) -> Result<api::StopPodSandboxResponse, CriError> {
        self.enter("stop_pod_sandbox", self.sandbox_label(&request.pod_sandbox_id)).await?;
        self.stop_sandbox(&request.pod_sandbox_id);
        Ok(api::StopPodSandboxResponse {})
    }

    async fn remove_pod_sandbox(
        &self,
        request: api::RemovePodSandboxRequest,
    ) -> Result<api::RemovePodSandboxResponse, CriError> {
        self.enter("remove_pod_sandbox", self.sandbox_label(&request.pod_sandbox_id)).await?;
        self.stop_sandbox(&request.pod_sandbox_id);
        let containers = {
            let state = self.inner.state.lock();
            let Ok(sandbox) = state.sandbox(&request.pod_sandbox_id) else {
                return Ok(api::RemovePodSandboxResponse {});
            };
            state.containers_of(&sandbox.status.id)
        };
        containers.iter().for_each(|container| self.drop_container(container));
        let event = {
            let mut state = self.inner.state.lock();
            let at = state.stamp(self.inner.clock.now());
            let id = state.sandbox(&request.pod_sandbox_id).map(|sandbox| sandbox.status.id.clone());
            id.ok().and_then(|id| {
                let event = state.event(&id, ContainerEventType::ContainerDeletedEvent, at);
                state.sandboxes.remove(&id);
                event
            })
        };
        self.emit(event);
        Ok(api::RemovePodSandboxResponse {})
    }

    async fn pod_sandbox_status(
        &self,
        request: api::PodSandboxStatusRequest,
    ) -> Result<api::PodSandboxStatusResponse, CriError> {
        self.check_failures("pod_sandbox_status", &request.pod_sandbox_id)?;
        let mut state = self.inner.state.lock();
        let timestamp = state.stamp(self.inner.clock.now());
        let status = state.sandbox(&request.pod_sandbox_id)?.status.clone();
        let containers = state.containers_of(&status.id);
        Ok(api::PodSandboxStatusResponse {
            containers_statuses: containers.iter().map(|id| state.containers[id].status.clone()).collect(),
            info: if request.verbose { [("info".to_owned(), "{}".to_owned())].into() } else { BTreeMap::new() },
            status: Some(status),
            timestamp,
        })
    }

    async fn list_pod_sandbox(
        &self,
        request: api::ListPodSandboxRequest,
    ) -> Result<api::ListPodSandboxResponse, CriError> {
        self.check_failures("list_pod_sandbox", "")?;
        let filter = request.filter.unwrap_or_default();
        let state = self.inner.state.lock();
        let wanted = |status: &&api::PodSandboxStatus| {
            status.id.starts_with(&filter.id)
                && filter.state.as_ref().is_none_or(|state| state.state == status.state)
                && selects(&filter.label_selector, &status.labels)
        };
        let items = state.sandboxes.values().map(|sandbox| &sandbox.status).filter(wanted);
        let items = items.map(|status| api::PodSandbox {
            id: status.id.clone(),
            metadata: status.metadata.clone(),
            state: status.state,
            created_at: status.created_at,
            labels: status.labels.clone(),
            annotations: status.annotations.clone(),
            runtime_handler: status.runtime_handler.clone(),
        });
        Ok(api::ListPodSandboxResponse { items: items.collect() })
    }

    async fn update_pod_sandbox_resources(
        &self,
        request: api::UpdatePodSandboxResourcesRequest,
    ) -> Result<api::UpdatePodSandboxResourcesResponse, CriError> {
        self.enter("update_pod_sandbox_resources", self.sandbox_label(&request.pod_sandbox_id)).await?;
        self.inner.state.lock().sandbox(&request.pod_sandbox_id)?;
        Ok(api::UpdatePodSandboxResourcesResponse {})
    }

    async fn create_container(
        &self,
        request: api::CreateContainerRequest,
    ) -> Result<api::CreateContainerResponse, CriError> {
        let config = request.config.ok_or_else(|| CriError::invalid_argument("container has no config"))?;
        let name = config.metadata.as_ref().map(|metadata| metadata.name.clone()).unwrap_or_default();
        self.enter("create_container", format!("{}/{name}", self.sandbox_label(&request.pod_sandbox_id))).await?;
        let script = self.script_of(&name);
        let (container_id, event) = {
            let mut state = self.inner.state.lock();
            let now = self.inner.clock.now();
            let id = state.add_container(&request.pod_sandbox_id, config, script, now)?;
            let at = state.containers[&id].status.created_at;
            let event = state.event(&id, ContainerEventType::ContainerCreatedEvent, at);
            (id, event)
        };
        self.emit(event);
        Ok(api::CreateContainerResponse { container_id })
    }

    async fn start_container(
        &self,
        request: api::StartContainerRequest,
    ) -> Result<api::StartContainerResponse, CriError> {
        self.enter("start_container", self.container_label(&request.container_id)).await?;
        let (id, on_start, event) = {
            let mut state = self.inner.state.lock();
            let at = state.stamp(self.inner.clock.now());
            let container = state.container_mut(&request.container_id)?;
            if container.status.state != ContainerState::ContainerCreated as i32 {
                return Err(CriError::failed_precondition(format!(
                    "container {} was started before",
                    container.status.id
                )));
            }
            let (id, on_start) = (container.status.id.clone(), container.script.on_start.clone());
            if let OnStart::Fail(error) = on_start {
                let exit = Exit { code: NOT_STARTED, reason: "StartError", message: error.message.clone() };
                let event = state.end(&id, exit, self.inner.clock.now());
                drop(state);
                self.emit(event);
                return Err(error);
            }
            container.status.state = ContainerState::ContainerRunning as i32;
            container.status.started_at = at;
            let event = state.event(&id, ContainerEventType::ContainerStartedEvent, at);
            (id, on_start, event)
        };
        self.emit(event);
        if let OnStart::ExitAfter(delay, exit) = on_start {
            self.end_after(id, delay, exit);
        }
        Ok(api::StartContainerResponse {})
    }

    async fn stop_container(&self, request: api::StopContainerRequest) -> Result<api::StopContainerResponse, CriError> {
        self.enter("stop_container", self.container_label(&request.container_id)).await?;
        let (id, on_stop, mut ended) = {
            let state = self.inner.state.lock();
            match state.container(&request.container_id) {
                Ok(container) if container.is_running() => {
                    (container.status.id.clone(), container.script.on_stop.clone(), container.ended.subscribe())
                }
                Ok(_) | Err(_) => return Ok(api::StopContainerResponse {}),
            }
        };
        let grace = Duration::from_secs(u64::try_from(request.timeout).unwrap_or(0));
        let kill = if grace.is_zero() { Some(Duration::ZERO) } else { None };
        match (kill, on_stop) {
            (None, OnStop::Exit(exit)) => {
                // It may have ended by itself just now.
                let _ = self.end(&id, exit);
            }
            (None, OnStop::ExitAfter(delay, exit)) => self.end_after(id.clone(), delay, exit),
            (Some(_), _) | (None, OnStop::Ignore) => {}
        }
        // An error of the wait means that the container was removed, which is an end too.
        let waited = corten_base::timeout(&*self.inner.clock, grace, ended.wait_for(|ended| *ended)).await.is_ok();
        if !waited {
            let _ = self.end(&id, Exit::code(KILLED));
        }
        Ok(api::StopContainerResponse {})
    }

    async fn remove_container(
        &self,
        request: api::RemoveContainerRequest,
    ) -> Result<api::RemoveContainerResponse, CriError> {
        self.enter("remove_container", self.container_label(&request.container_id)).await?;
        self.drop_container(&request.container_id);
        Ok(api::RemoveContainerResponse {})
    }

    async fn list_containers(
        &self,
        request: api::ListContainersRequest,
    ) -> Result<api::ListContainersResponse, CriError> {
        self.check_failures("list_containers", "")?;
        let filter = request.filter.unwrap_or_default();
        let state = self.inner.state.lock();
        let wanted = |container: &&Container| {
            container.status.id.starts_with(&filter.id)
                && container.sandbox_id.starts_with(&filter.pod_sandbox_id)
                && filter.state.as_ref().is_none_or(|state| state.state == container.status.state)
                && selects(&filter.label_selector, &container.status.labels)
        };
        Ok(api::ListContainersResponse {
            containers: state.containers.values().filter(wanted).map(list_item).collect(),
        })
    }

    async fn container_status(
        &self,
        request: api::ContainerStatusRequest,
    ) -> Result<api::ContainerStatusResponse, CriError> {
        self.check_failures("container_status", &request.container_id)?;
        let state = self.inner.state.lock();
        Ok(api::ContainerStatusResponse {
            status: Some(state.container(&request.container_id)?.status.clone()),
            info: if request.verbose { [("info".to_owned(), "{}".to_owned())].into() } else { BTreeMap::new() },
        })
    }

    async fn update_container_resources(
        &self,
        request: api::UpdateContainerResourcesRequest,
    ) -> Result<api::UpdateContainerResourcesResponse, CriError> {
        self.enter("update_container_resources", self.container_label(&request.container_id)).await?;
        let mut state = self.inner.state.lock();
        let container = state.container_mut(&request.container_id)?;
        let resources = container.status.resources.get_or_insert_default();
        if let Some(linux) = request.linux {
            merge(resources.linux.get_or_insert_default(), linux);
        }
        Ok(api::UpdateContainerResourcesResponse {})
    }

    async fn reopen_container_log(
        &self,
        request: api::ReopenContainerLogRequest,
    ) -> Result<api::ReopenContainerLogResponse, CriError> {
        self.enter("reopen_container_log", self.container_label(&request.container_id)).await?;
        let state = self.inner.state.lock();
        if !state.container(&request.container_id)?.is_running() {
            return Err(CriError::failed_precondition(format!("container {} does not run", request.container_id)));
        }
        Ok(api::ReopenContainerLogResponse {})
    }

    async fn checkpoint_container(
        &self,
        request: api::CheckpointContainerRequest,
    ) -> Result<api::CheckpointContainerResponse, CriError> {
        self.enter("checkpoint_container", self.container_label(&request.container_id)).await?;
        Err(CriError::unimplemented("the fake runtime makes no checkpoints"))
    }

    async fn exec_sync(&self, request: api::ExecSyncRequest) -> Result<api::ExecSyncResponse, CriError> {
        self.enter("exec_sync", self.container_label(&request.container_id)).await?;
        let script = self.exec_script(&request.container_id, &request.cmd)?;
        let takes = self.inner.clock.sleep(script.takes);
        match u64::try_from(request.timeout).unwrap_or(0) {
            0 => takes.await,
            seconds => {
                let limit = Duration::from_secs(seconds);
                corten_base::timeout(&*self.inner.clock, limit, takes).await.map_err(|_| {
                    CriError::new(Code::DeadlineExceeded, format!("command did not end within {limit:?}"))
                })?;
            }
        }
        let cut = |mut output: Vec<u8>| {
            output.truncate(EXEC_SYNC_OUTPUT_BYTES_MAX);
            output.into()
        };
        Ok(api::ExecSyncResponse {
            stdout: cut(script.stdout),
            stderr: cut(script.stderr),
            exit_code: script.exit_code,
        })
    }

    async fn exec(&self, request: api::ExecRequest) -> Result<api::ExecResponse, CriError> {
        self.enter("exec", self.container_label(&request.container_id)).await?;
        self.exec_script(&request.container_id, &request.cmd)?;
        Ok(api::ExecResponse { url: format!("http://127.0.0.1:0/exec/{}", request.container_id) })
    }

    async fn attach(&self, request: api::AttachRequest) -> Result<api::AttachResponse, CriError> {
        self.enter("attach", self.container_label(&request.container_id)).await?;
        self.inner.state.lock().container(&request.container_id)?;
        Ok(api::AttachResponse { url: format!("http://127.0.0.1:0/attach/{}", request.container_id) })
    }

    async fn port_forward(&self, request: api::PortForwardRequest) -> Result<api::PortForwardResponse, CriError> {
        self.enter("port_forward", self.sandbox_label(&request.pod_sandbox_id)).await?;
        self.inner.state.lock().sandbox(&request.pod_sandbox_id)?;
        Ok(api::PortForwardResponse { url: format!("http://127.0.0.1:0/portforward/{}", request.pod_sandbox_id) })
    }

    async fn container_stats(
        &self,
        request: api::ContainerStatsRequest,
    ) -> Result<api::ContainerStatsResponse, CriError> {
        self.check_failures("container_stats", &request.container_id)?;
        let mut state = self.inner.state.lock();
        let at = state.stamp(self.inner.clock.now());
        Ok(api::ContainerStatsResponse { stats: Some(container_stats(state.container(&request.container_id)?, at)) })
    }

    async fn list_container_stats(
        &self,
        request: api::ListContainerStatsRequest,
    ) -> Result<api::ListContainerStatsResponse, CriError> {
        self.check_failures("list_container_stats", "")?;
        let filter = request.filter.unwrap_or_default();
        let mut state = self.inner.state.lock();
        let at = state.stamp(self.inner.clock.now());
        let wanted = |container: &&Container| {
            container.is_running()
                && container.status.id.starts_with(&filter.id)
                && container.sandbox_id.starts_with(&filter.pod_sandbox_id)
                && selects(&filter.label_selector, &container.status.labels)
        };
        let stats = state.containers.values().filter(wanted).map(|container| container_stats(container, at));
        Ok(api::ListContainerStatsResponse { stats: stats.collect() })
    }

    async fn pod_sandbox_stats(
        &self,
        request: api::PodSandboxStatsRequest,
    ) -> Result<api::PodSandboxStatsResponse, CriError> {
        self.check_failures("pod_sandbox_stats", &request.pod_sandbox_id)?;
        let id = self.inner.state.lock().sandbox(&request.pod_sandbox_id)?.status.id.clone();
        let filter = api::PodSandboxStatsFilter { id: id.clone(), label_selector: BTreeMap::new() };
        let request = api::ListPodSandboxStatsRequest { filter: Some(filter) };
        let stats = self.list_pod_sandbox_stats(request).await?.stats.into_iter().next();
        Ok(api::PodSandboxStatsResponse {
            stats: Some(stats.ok_or_else(|| CriError::failed_precondition(format!("sandbox {id} is not ready")))?),
        })
    }

    async fn list_pod_sandbox_stats(
        &self,
        request: api::ListPodSandboxStatsRequest,
    ) -> Result<api::ListPodSandboxStatsResponse, CriError> {
        self.check_failures("list_pod_sandbox_stats", "")?;
        let filter = request.filter.unwrap_or_default();
        let mut state = self.inner.state.lock();
        let at = state.stamp(self.inner.clock.now());
        let wanted = |sandbox: &&Sandbox| {
            sandbox.status.state == PodSandboxState::SandboxReady as i32
                && sandbox.status.id.starts_with(&filter.id)
                && selects(&filter.label_selector, &sandbox.status.labels)
        };
        let stats = state.sandboxes.values().filter(wanted).map(|sandbox| {
            let containers = state
                .containers
                .values()
                .filter(|container| container.is_running() && container.sandbox_id == sandbox.status.id);
            sandbox_stats(sandbox, containers.map(|container| container_stats(container, at)).collect(), at)
        });
        Ok(api::ListPodSandboxStatsResponse { stats: stats.collect() })
    }

    async fn list_metric_descriptors(
        &self,
        _request: api::ListMetricDescriptorsRequest,
    ) -> Result<api::ListMetricDescriptorsResponse, CriError> {
        Ok(api::ListMetricDescriptorsResponse { descriptors: Vec::new() })
    }

    async fn list_pod_sandbox_metrics(
        &self,
        _request: api::ListPodSandboxMetricsRequest,
    ) -> Result<api::ListPodSandboxMetricsResponse, CriError> {
        Ok(api::ListPodSandboxMetricsResponse { pod_metrics: Vec::new() })
    }

    async fn get_container_events(&self, _request: api::GetEventsRequest) -> Result<EventStream, CriError> {
        self.check_failures("get_container_events", "")?;
        let events = Some(self.inner.events.lock().subscribe());
        Ok(stream::unfold(events, |events| async move {
            let mut events = events?;
            match events.recv().await {
                Ok(event) => Some((Ok(event), Some(events))),
                Err(broadcast::error::RecvError::Closed) => None,
                Err(broadcast::error::RecvError::Lagged(lost)) => {
                    let error = CriError::new(Code::ResourceExhausted, format!("subscriber lost {lost} events"));
                    Some((Err(error), None))
                }
            }
        })
        .boxed())
    }
}
