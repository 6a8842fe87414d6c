//! `RuntimeService`: the calls, and what records look like as answers.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use corten_cri::{Code, CriError, EventStream, RuntimeService, api, disk_usage::disk_usage};
use futures::StreamExt as _;
use tokio::sync::broadcast::error::RecvError;

use super::{Container, ContainerRuntime, sandboxes};
use crate::{format::SandboxRecord, network, shim::protocol::Request};

/// The runtime's name, as `kubectl get nodes -o wide` shows it.
const NAME: &str = "corten";

pub(super) fn sandbox_state(record: &SandboxRecord) -> api::PodSandboxState {
    if record.ready { api::PodSandboxState::SandboxReady } else { api::PodSandboxState::SandboxNotready }
}

pub(super) fn sandbox_status(record: &SandboxRecord) -> api::PodSandboxStatus {
    let config = &record.config.0;
    let mut ips = record.ips.iter();
    let network = sandboxes::has_own_network(config).then(|| api::PodSandboxNetworkStatus {
        ip: ips.next().cloned().unwrap_or_default(),
        additional_ips: ips.map(|ip| api::PodIp { ip: ip.clone() }).collect(),
    });
    api::PodSandboxStatus {
        id: record.id.clone(),
        metadata: config.metadata.clone(),
        state: sandbox_state(record) as i32,
        created_at: record.created_at,
        network,
        linux: Some(api::LinuxPodSandboxStatus {
            namespaces: Some(api::Namespace { options: Some(sandboxes::options(config)) }),
        }),
        labels: config.labels.clone(),
        annotations: config.annotations.clone(),
        runtime_handler: String::new(),
    }
}

/// The reason of an end, and the message that goes with it.
fn reason(container: &Container) -> (&'static str, String) {
    match container.exit() {
        None => ("", String::new()),
        Some(exit) if exit.start_error.is_some() => ("StartError", exit.start_error.clone().unwrap_or_default()),
        Some(exit) if exit.oom_killed => ("OOMKilled", String::new()),
        Some(exit) if exit.code == 0 => ("Completed", String::new()),
        Some(_) => ("Error", String::new()),
    }
}

pub(super) fn container_status(container: &Container) -> api::ContainerStatus {
    let record = &container.record;
    let config = &record.config.0;
    let (reason, message) = reason(container);
    let user = api::LinuxContainerUser {
        uid: i64::from(record.uid),
        gid: i64::from(record.gid),
        // The primary group is among the process's groups, as the kernel tells them.
        supplemental_groups: [record.gid].iter().chain(&record.groups).map(|gid| i64::from(*gid)).collect(),
    };
    api::ContainerStatus {
        id: record.id.clone(),
        metadata: config.metadata.clone(),
        state: container.phase() as i32,
        created_at: record.created_at,
        started_at: container.started_at(),
        finished_at: container.exit().map_or(0, |exit| exit.finished_at),
        exit_code: container.exit().map_or(0, |exit| exit.code),
        image: config.image.clone(),
        image_ref: record.image_ref.clone(),
        image_id: record.image.to_string(),
        reason: reason.to_owned(),
        message,
        labels: config.labels.clone(),
        annotations: config.annotations.clone(),
        mounts: config.mounts.clone(),
        log_path: record.log_path.clone(),
        resources: Some(api::ContainerResources { linux: Some(record.resources.0.clone()) }),
        user: Some(api::ContainerUser { linux: Some(user) }),
        stop_signal: config.stop_signal,
    }
}

fn listed(container: &Container) -> api::Container {
    let record = &container.record;
    let config = &record.config.0;
    api::Container {
        id: record.id.clone(),
        pod_sandbox_id: record.sandbox.clone(),
        metadata: config.metadata.clone(),
        image: config.image.clone(),
        image_ref: record.image_ref.clone(),
        image_id: record.image.to_string(),
        state: container.phase() as i32,
        created_at: record.created_at,
        labels: config.labels.clone(),
        annotations: config.annotations.clone(),
    }
}

fn has_labels(labels: &BTreeMap<String, String>, wanted: &BTreeMap<String, String>) -> bool {
    wanted.iter().all(|(key, value)| labels.get(key) == Some(value))
}

fn value(value: u64) -> Option<api::UInt64Value> {
    Some(api::UInt64Value { value })
}

fn cpu(stats: &corten_oci::CgroupStats, timestamp: i64) -> api::CpuUsage {
    api::CpuUsage { timestamp, usage_core_nano_seconds: value(stats.cpu.usage_nanos), ..api::CpuUsage::default() }
}

fn memory(stats: &corten_oci::CgroupStats, timestamp: i64) -> api::MemoryUsage {
    let memory = &stats.memory;
    api::MemoryUsage {
        timestamp,
        working_set_bytes: value(memory.working_set_bytes),
        available_bytes: memory.limit_bytes.and_then(|limit| value(limit.saturating_sub(memory.working_set_bytes))),
        usage_bytes: value(memory.usage_bytes),
        rss_bytes: value(memory.rss_bytes),
        page_faults: value(memory.page_faults),
        major_page_faults: value(memory.major_page_faults),
        ..api::MemoryUsage::default()
    }
}

impl ContainerRuntime {
    fn containers(&self, matches: impl Fn(&Container) -> bool) -> Vec<Container> {
        self.inner.state.lock().containers.values().filter(|container| matches(container)).cloned().collect()
    }

    async fn stats_of(&self, container: &Container) -> Result<api::ContainerStats, CriError> {
        let stats = self.usage(&container.record.cgroup).await?;
        let (now, config) = (self.now(), &container.record.config.0);
        Ok(api::ContainerStats {
            attributes: Some(api::ContainerAttributes {
                id: container.record.id.clone(),
                metadata: config.metadata.clone(),
                labels: config.labels.clone(),
                annotations: config.annotations.clone(),
            }),
            cpu: Some(cpu(&stats, now)),
            memory: Some(memory(&stats, now)),
            ..api::ContainerStats::default()
        })
    }

    /// What the container has written to its own file system.
    async fn writable_layer(&self, container: &Container) -> Result<api::FilesystemUsage, CriError> {
        let upper = self.kept_container(&container.record).join("upper");
        let mountpoint = upper.display().to_string();
        let used_bytes = self.blocking(move || disk_usage(&upper)).await?;
        Ok(api::FilesystemUsage {
            timestamp: self.now(),
            fs_id: Some(api::FilesystemIdentifier { mountpoint }),
            used_bytes: value(used_bytes),
            inodes_used: None,
        })
    }

    /// Of those that still run when they are asked: one that ends meanwhile has no numbers.
    async fn stats_of_all(&self, containers: Vec<Container>) -> Vec<api::ContainerStats> {
        let mut stats = Vec::new();
        for container in containers {
            match self.stats_of(&container).await {
                Ok(found) => stats.push(found),
                Err(error) => tracing::debug!(container = %container.record.id, err = %error, "Found no stats"),
            }
        }
        stats
    }

    async fn sandbox_stats(&self, record: &SandboxRecord) -> Result<api::PodSandboxStats, CriError> {
        let is_running = |container: &Container| {
            container.record.sandbox == record.id && container.phase() == api::ContainerState::ContainerRunning
        };
        let containers = self.stats_of_all(self.containers(is_running)).await;
        let total = self.usage(&record.cgroup).await.unwrap_or_default();
        let (now, config) = (self.now(), &record.config.0);
        Ok(api::PodSandboxStats {
            attributes: Some(api::PodSandboxAttributes {
                id: record.id.clone(),
                metadata: config.metadata.clone(),
                labels: config.labels.clone(),
                annotations: config.annotations.clone(),
            }),
            linux: Some(api::LinuxPodSandboxStats {
                cpu: Some(cpu(&total, now)),
                memory: Some(memory(&total, now)),
                process: Some(api::ProcessUsage { timestamp: now, process_count: value(total.pids.current) }),
                containers,
                ..api::LinuxPodSandboxStats::default()
            }),
        })
    }
}

#[async_trait]
impl RuntimeService for ContainerRuntime {
    async fn version(&self, _: api::VersionRequest) -> Result<api::VersionResponse, CriError> {
        Ok(api::VersionResponse {
            version: "0.1.0".to_owned(),
            runtime_name: NAME.to_owned(),
            runtime_version: env!("CARGO_PKG_VERSION").to_owned(),
            runtime_api_version: corten_cri::API_VERSION.to_owned(),
        })
    }

    async fn status(&self, request: api::StatusRequest) -> Result<api::StatusResponse, CriError> {
        let network = match self.network().await {
            Ok(list) => {
                self.inner.invoker.status(&list).await.map_err(|error| corten_base::ErrorChain(&error).to_string())
            }
            Err(error) => Err(error.message),
        };
        let condition = |kind: &str, problem: Option<(&str, String)>| {
            let status = problem.is_none();
            let (reason, message) = problem.map(|(reason, text)| (reason.to_owned(), text)).unwrap_or_default();
            api::RuntimeCondition { r#type: kind.to_owned(), status, reason, message }
        };
        let problem =
            network.err().map(|text| ("NetworkPluginNotReady", format!("Network plugin returns error: {text}")));
        let conditions = vec![condition("RuntimeReady", None), condition("NetworkReady", problem)];
        let mut info = BTreeMap::new();
        if request.verbose {
            info.insert("root".to_owned(), self.inner.config.root.display().to_string());
            info.insert("run".to_owned(), self.inner.config.run.display().to_string());
        }
        Ok(api::StatusResponse {
            status: Some(api::RuntimeStatus { conditions }),
            info,
            runtime_handlers: vec![api::RuntimeHandler {
                name: String::new(),
                features: Some(api::RuntimeHandlerFeatures {
                    recursive_read_only_mounts: true,
                    user_namespaces: false,
                }),
            }],
            features: Some(api::RuntimeFeatures { supplemental_groups_policy: true, ..Default::default() }),
        })
    }

    async fn runtime_config(&self, _: api::RuntimeConfigRequest) -> Result<api::RuntimeConfigResponse, CriError> {
        let linux = api::LinuxRuntimeConfiguration { cgroup_driver: api::CgroupDriver::Cgroupfs as i32 };
        Ok(api::RuntimeConfigResponse { linux: Some(linux) })
    }

    async fn update_runtime_config(
        &self,
        request: api::UpdateRuntimeConfigRequest,
    ) -> Result<api::UpdateRuntimeConfigResponse, CriError> {
        let network = request.runtime_config.and_then(|config| config.network_config);
        let cidrs: Vec<String> = network
            .map(|network| network.pod_cidr)
            .unwrap_or_default()
            .split(',')
            .filter(|cidr| !cidr.is_empty())
            .map(str::to_owned)
            .collect();
        if !cidrs.is_empty() {
            let (inner, ranges) = (Arc::clone(&self.inner), cidrs.clone());
            let prepare = move || network::prepare(&inner.config, &inner.host, &ranges).map_err(std::io::Error::other);
            self.blocking(prepare).await?;
            *self.inner.pod_cidrs.lock() = cidrs;
        }
        Ok(api::UpdateRuntimeConfigResponse {})
    }

    async fn run_pod_sandbox(
        &self,
        request: api::RunPodSandboxRequest,
    ) -> Result<api::RunPodSandboxResponse, CriError> {
        Ok(api::RunPodSandboxResponse { pod_sandbox_id: self.run_sandbox(request).await? })
    }

    async fn stop_pod_sandbox(
        &self,
        request: api::StopPodSandboxRequest,
    ) -> Result<api::StopPodSandboxResponse, CriError> {
        self.stop_sandbox(&request.pod_sandbox_id).await?;
        Ok(api::StopPodSandboxResponse {})
    }

    async fn remove_pod_sandbox(
        &self,
        request: api::RemovePodSandboxRequest,
    ) -> Result<api::RemovePodSandboxResponse, CriError> {
        self.remove_sandbox(&request.pod_sandbox_id).await?;
        Ok(api::RemovePodSandboxResponse {})
    }

    async fn pod_sandbox_status(
        &self,
        request: api::PodSandboxStatusRequest,
    ) -> Result<api::PodSandboxStatusResponse, CriError> {
        // Before the look: an event that comes in between is then the newer of the two.
        let timestamp = self.now();
        let record = self.sandbox(&request.pod_sandbox_id)?;
        let containers = self.containers(|container| container.record.sandbox == record.id);
        let mut info = BTreeMap::new();
        if request.verbose {
            info.insert("cgroup".to_owned(), record.cgroup.clone());
        }
        Ok(api::PodSandboxStatusResponse {
            status: Some(sandbox_status(&record)),
            info,
            containers_statuses: containers.iter().map(container_status).collect(),
            timestamp,
        })
    }

    async fn list_pod_sandbox(
        &self,
        request: api::ListPodSandboxRequest,
    ) -> Result<api::ListPodSandboxResponse, CriError> {
        let filter = request.filter.unwrap_or_default();
        let state = self.inner.state.lock();
        let items = state.sandboxes.values().filter(|record| {
            record.id.starts_with(&filter.id)
                && filter.state.as_ref().is_none_or(|wanted| wanted.state == sandbox_state(record) as i32)
                && has_labels(&record.config.0.labels, &filter.label_selector)
        });
        let items = items.map(|record| api::PodSandbox {
            id: record.id.clone(),
            metadata: record.config.0.metadata.clone(),
            state: sandbox_state(record) as i32,
            created_at: record.created_at,
            labels: record.config.0.labels.clone(),
            annotations: record.config.0.annotations.clone(),
            runtime_handler: String::new(),
        });
        Ok(api::ListPodSandboxResponse { items: items.collect() })
    }

    async fn update_pod_sandbox_resources(
        &self,
        request: api::UpdatePodSandboxResourcesRequest,
    ) -> Result<api::UpdatePodSandboxResourcesResponse, CriError> {
        // The kubelet has changed the pod's group itself; only the record follows.
        let (overhead, resources) = (request.overhead, request.resources);
        self.change_sandbox(&request.pod_sandbox_id, |record| {
            let linux = record.config.0.linux.get_or_insert_default();
            linux.overhead = overhead;
            linux.resources = resources;
        })
        .await?;
        Ok(api::UpdatePodSandboxResourcesResponse {})
    }

    async fn create_container(
        &self,
        request: api::CreateContainerRequest,
    ) -> Result<api::CreateContainerResponse, CriError> {
        Ok(api::CreateContainerResponse { container_id: self.make_container(request).await? })
    }

    async fn start_container(
        &self,
        request: api::StartContainerRequest,
    ) -> Result<api::StartContainerResponse, CriError> {
        self.start(&request.container_id).await?;
        Ok(api::StartContainerResponse {})
    }

    async fn stop_container(&self, request: api::StopContainerRequest) -> Result<api::StopContainerResponse, CriError> {
        self.stop(&request.container_id, request.timeout).await?;
        Ok(api::StopContainerResponse {})
    }

    async fn remove_container(
        &self,
        request: api::RemoveContainerRequest,
    ) -> Result<api::RemoveContainerResponse, CriError> {
        ContainerRuntime::remove_container(self, &request.container_id).await?;
        Ok(api::RemoveContainerResponse {})
    }

    async fn list_containers(
        &self,
        request: api::ListContainersRequest,
    ) -> Result<api::ListContainersResponse, CriError> {
        let filter = request.filter.unwrap_or_default();
        let found = self.containers(|container| {
            container.record.id.starts_with(&filter.id)
                && container.record.sandbox.starts_with(&filter.pod_sandbox_id)
                && filter.state.as_ref().is_none_or(|wanted| wanted.state == container.phase() as i32)
                && has_labels(&container.record.config.0.labels, &filter.label_selector)
        });
        Ok(api::ListContainersResponse { containers: found.iter().map(listed).collect() })
    }

    async fn container_status(
        &self,
        request: api::ContainerStatusRequest,
    ) -> Result<api::ContainerStatusResponse, CriError> {
        let container = self.container(&request.container_id)?;
        let mut info = BTreeMap::new();
        if request.verbose {
            info.insert("pid".to_owned(), container.state.as_ref().map_or(0, |state| state.pid).to_string());
            info.insert("sandboxID".to_owned(), container.record.sandbox.clone());
        }
        Ok(api::ContainerStatusResponse { status: Some(container_status(&container)), info })
    }

    async fn update_container_resources(
        &self,
        request: api::UpdateContainerResourcesRequest,
    ) -> Result<api::UpdateContainerResourcesResponse, CriError> {
        self.update(&request.container_id, request.linux.unwrap_or_default()).await?;
        Ok(api::UpdateContainerResourcesResponse {})
    }

    async fn reopen_container_log(
        &self,
        request: api::ReopenContainerLogRequest,
    ) -> Result<api::ReopenContainerLogResponse, CriError> {
        let container = self.container(&request.container_id)?;
        if container.phase() != api::ContainerState::ContainerRunning {
            return Err(CriError::failed_precondition(format!("container {:?} is not running", container.record.id)));
        }
        self.shim(&container.record.sandbox).ask(Request::ReopenLog { id: container.record.id }).await?;
        Ok(api::ReopenContainerLogResponse {})
    }

    async fn checkpoint_container(
        &self,
        _: api::CheckpointContainerRequest,
    ) -> Result<api::CheckpointContainerResponse, CriError> {
        Err(CriError::unimplemented("checkpoints are not supported by this runtime"))
    }

    async fn exec_sync(&self, request: api::ExecSyncRequest) -> Result<api::ExecSyncResponse, CriError> {
        let limit = u64::try_from(request.timeout).ok().filter(|seconds| *seconds > 0).map(Duration::from_secs);
        self.exec_and_collect(&request.container_id, request.cmd, limit).await
    }

    async fn exec(&self, _: api::ExecRequest) -> Result<api::ExecResponse, CriError> {
        Err(CriError::unimplemented("streams are taken directly, not by URL"))
    }

    async fn attach(&self, _: api::AttachRequest) -> Result<api::AttachResponse, CriError> {
        Err(CriError::unimplemented("streams are taken directly, not by URL"))
    }

    async fn port_forward(&self, _: api::PortForwardRequest) -> Result<api::PortForwardResponse, CriError> {
        Err(CriError::unimplemented("streams are taken directly, not by URL"))
    }

    async fn container_stats(
        &self,
        request: api::ContainerStatsRequest,
    ) -> Result<api::ContainerStatsResponse, CriError> {
        let container = self.container(&request.container_id)?;
        let mut stats = self.stats_of(&container).await?;
        // Only here: to walk the files of all containers takes long, and lists are asked for often.
        stats.writable_layer = Some(self.writable_layer(&container).await?);
        Ok(api::ContainerStatsResponse { stats: Some(stats) })
    }

    async fn list_container_stats(
        &self,
        request: api::ListContainerStatsRequest,
    ) -> Result<api::ListContainerStatsResponse, CriError> {
        let filter = request.filter.unwrap_or_default();
        let found = self.containers(|container| {
            container.phase() == api::ContainerState::ContainerRunning
                && container.record.id.starts_with(&filter.id)
                && container.record.sandbox.starts_with(&filter.pod_sandbox_id)
                && has_labels(&container.record.config.0.labels, &filter.label_selector)
        });
        Ok(api::ListContainerStatsResponse { stats: self.stats_of_all(found).await })
    }

    async fn pod_sandbox_stats(
        &self,
        request: api::PodSandboxStatsRequest,
    ) -> Result<api::PodSandboxStatsResponse, CriError> {
        let record = self.sandbox(&request.pod_sandbox_id)?;
        Ok(api::PodSandboxStatsResponse { stats: Some(self.sandbox_stats(&record).await?) })
    }

    async fn list_pod_sandbox_stats(
        &self,
        request: api::ListPodSandboxStatsRequest,
    ) -> Result<api::ListPodSandboxStatsResponse, CriError> {
        let filter = request.filter.unwrap_or_default();
        let records: Vec<SandboxRecord> = self.inner.state.lock().sandboxes.values().cloned().collect();
        let mut stats = Vec::new();
        for record in records.iter().filter(|record| {
            record.ready
                && record.id.starts_with(&filter.id)
                && has_labels(&record.config.0.labels, &filter.label_selector)
        }) {
            stats.push(self.sandbox_stats(record).await?);
        }
        Ok(api::ListPodSandboxStatsResponse { stats })
    }

    async fn list_metric_descriptors(
        &self,
        _: api::ListMetricDescriptorsRequest,
    ) -> Result<api::ListMetricDescriptorsResponse, CriError> {
        Ok(api::ListMetricDescriptorsResponse::default())
    }

    async fn list_pod_sandbox_metrics(
        &self,
        _: api::ListPodSandboxMetricsRequest,
    ) -> Result<api::ListPodSandboxMetricsResponse, CriError> {
        Ok(api::ListPodSandboxMetricsResponse::default())
    }

    async fn get_container_events(&self, _: api::GetEventsRequest) -> Result<EventStream, CriError> {
        let receiver = self.inner.events.subscribe();
        let stream = futures::stream::unfold(Some(receiver), |receiver| async move {
            let mut receiver = receiver?;
            match receiver.recv().await {
                Ok(event) => Some((Ok(event), Some(receiver))),
                Err(RecvError::Lagged(missed)) => {
                    let text = format!("the subscriber is {missed} events behind");
                    Some((Err(CriError::new(Code::ResourceExhausted, text)), None))
                }
                Err(RecvError::Closed) => None,
            }
        });
        Ok(stream.boxed())
    }
}
