//! What a plan's actions do, each against the traits of `interfaces` and the runtime.
//!
//! Invariant: an action that changed the runtime asks it about the pod before it reports, so that the next plan sees what
//! it did. Cancellation: every action may be dropped at any await; the next plan goes on from what the runtime shows.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

use corten_apimachinery::{gvk::GroupVersionResource, status::Status};
use corten_base::{ErrorChain, timeout};
use corten_client::Target;
use corten_cri::{CriError, api};
use tracing::{info, warn};

use super::{
    context::Context,
    garbage::Garbage,
    log_links,
    plan::{Action, KillReason, Slot, grace_left},
};
use crate::{
    containers::log_paths,
    interfaces::{ContainerRef, ContainerRequest, Failure, MountedVolumes, SharedPod},
    log_rotation,
    node::status::{NETWORK_READY, condition_problem},
    pleg::{
        PodRuntimeStatus,
        records::{RESTART_COUNT, name_of},
    },
    pod_ref,
    status::generate::preferred,
    volumes::blocking,
};

/// The reason of a resize that failed.
pub const RESIZE_ERROR: &str = "ResizeError";

/// What an action works with, as of its start.
#[derive(Clone)]
pub struct Scene {
    /// What is shared.
    pub context: Arc<Context>,
    /// The pod; for an orphan, one that has nothing but its names.
    pub pod: SharedPod,
    /// Its containers.
    pub containers: Arc<Vec<ContainerRef>>,
    /// What the runtime had.
    pub runtime: Arc<PodRuntimeStatus>,
    /// The pod's volumes.
    pub volumes: Arc<MountedVolumes>,
}

/// What came of an action.
#[derive(Debug)]
pub enum Output {
    /// The pod's volumes.
    Prepared(MountedVolumes),
    /// The container runs.
    Started {
        /// Its name.
        container: String,
    },
    /// What was left is removed; with `records`, what the runtime had too.
    Cleaned {
        /// Whether the runtime's records went as well.
        records: bool,
    },
    /// A container's end was told and its hook has run.
    HookDone {
        /// Its id.
        id: String,
    },
    /// Control group and containers have what is set aside for them.
    Resized,
    /// Nothing to take over.
    Done,
}

/// What a worker hears of its actions.
#[derive(Debug)]
pub struct Report {
    /// What the action occupied.
    pub slot: Slot,
    /// What came of it.
    pub result: Result<Output, Failure>,
}

impl Scene {
    fn uid(&self) -> String {
        self.pod.metadata.uid.clone().unwrap_or_default()
    }

    fn container(&self, name: &str) -> Option<&ContainerRef> {
        self.containers.iter().find(|container| container.spec.name == name)
    }

    fn pod_ips(&self) -> Vec<IpAddr> {
        let hosts = self.context.host_ips();
        match self.runtime.active_sandbox() {
            Some(sandbox) if sandbox.on_host_network() => preferred(hosts, hosts),
            Some(sandbox) => preferred(&sandbox.ips(), hosts),
            None => Vec::new(),
        }
    }

    /// Does one action.
    pub async fn act(self, action: Action) -> Report {
        let slot = action.slot();
        let result = self.perform(action).await;
        Report { slot, result }
    }

    async fn perform(&self, action: Action) -> Result<Output, Failure> {
        match action {
            Action::Prepare => self.prepare().await,
            Action::RunSandbox { attempt } => self.run_sandbox(attempt).await,
            Action::StopSandboxes { ids, replaced } => self.stop_sandboxes(ids, replaced).await,
            Action::Start { container, attempt, .. } => self.start(&container, attempt).await,
            Action::PreStop { container, id, grace } => {
                self.say_goodbye(&container, &id, grace, KillReason::PodEnds.message(&container)).await;
                Ok(Output::HookDone { id })
            }
            Action::Stop { container, id, grace, is_told: true, .. } => {
                let stopped = self.end(&container, &id, grace).await;
                self.stopped(stopped).await
            }
            Action::Stop { container, id, grace, why, is_told: false } => {
                let killed = self.kill(&container, &id, grace, why.message(&container)).await;
                self.stopped(killed).await
            }
            Action::Resize { containers } => self.resize(containers).await,
            Action::Collect(garbage) => self.collect(garbage).await,
        }
    }

    async fn prepare(&self) -> Result<Output, Failure> {
        let context = &self.context;
        if let Err(failure) = context.cgroups.ensure(&self.pod).await {
            context.event(&self.pod, true, "FailedCreatePodContainer", failure.message.as_str());
            return Err(failure);
        }
        context.volumes.set_up(&self.pod).await.map(Output::Prepared)
    }

    async fn run_sandbox(&self, attempt: u32) -> Result<Output, Failure> {
        let context = &self.context;
        if attempt > 0 {
            let text = "Pod sandbox changed, it will be killed and re-created.";
            context.event(&self.pod, false, "SandboxChanged", text);
        }
        self.check_network().await?;
        let made = self.make_sandbox(attempt).await;
        // Also after a failure: something may have been left.
        self.refresh().await;
        match made {
            Ok(sandbox) => {
                info!(pod = %self.name(), uid = self.uid(), sandbox, attempt, "Started pod sandbox");
                Ok(Output::Done)
            }
            Err(failure) => {
                let text = format!("Failed to create pod sandbox: {}", failure.message);
                context.event(&self.pod, true, "FailedCreatePodSandBox", text);
                Err(failure)
            }
        }
    }

    /// Refuses to begin while the runtime says that its network is not ready; pods on the node's own do not wait.
    async fn check_network(&self) -> Result<(), Failure> {
        if self.pod.spec.as_ref().is_some_and(|spec| spec.host_network == Some(true)) {
            return Ok(());
        }
        let status = self.context.cri.runtime.status(api::StatusRequest { verbose: false }).await;
        let status = status.map_err(|error| failed("CreatePodSandboxError", &error.to_string()))?;
        let Some(problem) = status.status.as_ref().and_then(|status| condition_problem(status, NETWORK_READY)) else {
            return Ok(());
        };
        let text = format!("network is not ready: {problem}");
        self.context.event(&self.pod, true, "NetworkNotReady", text.as_str());
        Err(failed("NetworkNotReady", &text))
    }

    async fn make_sandbox(&self, attempt: u32) -> Result<String, Failure> {
        let context = &self.context;
        let config = context.specs.sandbox(&self.pod, attempt).await?;
        let runtime_handler = self.runtime_handler().await?;
        let request = api::RunPodSandboxRequest { config: Some(config), runtime_handler };
        let answer = context.cri.runtime.run_pod_sandbox(request).await;
        answer.map(|answer| answer.pod_sandbox_id).map_err(|error| failed("CreatePodSandboxError", &error.to_string()))
    }

    /// The handler that the pod's RuntimeClass names; the runtime's own if there is none.
    async fn runtime_handler(&self) -> Result<String, Failure> {
        let class = self.pod.spec.as_ref().and_then(|spec| spec.runtime_class_name.clone()).unwrap_or_default();
        if class.is_empty() {
            return Ok(String::new());
        }
        let resource = GroupVersionResource::new("node.k8s.io", "v1", "runtimeclasses");
        let found = self.context.client.get(Target::object(&resource, "", class.clone())).await;
        let found = found.and_then(|stored| corten_client::api::decode::<corten_api::node::v1::RuntimeClass>(&stored));
        found.map(|class| class.handler).map_err(|error: Status| {
            failed("CreatePodSandboxError", &format!("failed to get sandbox runtime: {error}"))
        })
    }

    async fn stop_sandboxes(&self, ids: Vec<String>, replaced: bool) -> Result<Output, Failure> {
        let mut result = Ok(Output::Done);
        for id in ids {
            let request = api::StopPodSandboxRequest { pod_sandbox_id: id.clone() };
            if let Err(error) = self.context.cri.runtime.stop_pod_sandbox(request).await {
                self.context.event(&self.pod, true, "FailedKillPod", format!("error killing pod: {error}"));
                result = Err(failed("KillPodSandboxError", &error.to_string()));
            } else {
                info!(pod = %self.name(), uid = self.uid(), sandbox = id, replaced, "Stopped pod sandbox");
            }
        }
        self.refresh().await;
        result
    }

    async fn start(&self, name: &str, attempt: u32) -> Result<Output, Failure> {
        let Some(container) = self.container(name) else {
            return Err(failed("CreateContainerError", "the pod has no such container any more"));
        };
        let attempt = match self.runtime.latest(name) {
            Some(_) => attempt,
            // The runtime has lost its records, not its logs: a second `0.log` would be written behind the first, and the
            // count of restarts would run backwards.
            None => attempt.max(self.attempt_by_logs(name).await),
        };
        let result = self.start_container(container, attempt).await;
        self.refresh().await;
        let output = Output::Started { container: name.to_owned() };
        result.map(|()| output)
    }

    async fn start_container(&self, container: &ContainerRef, attempt: u32) -> Result<(), Failure> {
        let context = &self.context;
        let Some(sandbox) = self.runtime.active_sandbox() else {
            return Err(failed("CreateContainerError", "the pod has no sandbox"));
        };
        let say = |warning, reason: &str, text: String| {
            context.container_event(&self.pod, container, warning, reason, text);
        };
        let sandbox_config = context.specs.sandbox(&self.pod, sandbox.attempt()).await.inspect_err(|failure| {
            say(true, "Failed", format!("Error: {}", failure.message));
        })?;
        let image = context.images.ensure(&self.pod, container, &sandbox_config).await.inspect_err(|failure| {
            say(true, "Failed", format!("Error: {}", failure.reason));
        })?;
        let target = container.target.as_deref().and_then(|target| self.runtime.active(target));
        let request = ContainerRequest {
            pod: &self.pod,
            container,
            attempt,
            image: &image,
            volumes: &self.volumes,
            pod_ips: &self.pod_ips(),
            target_id: target.map(|target| target.id.as_str()),
        };
        let config = context.specs.container(request).await.inspect_err(|failure| {
            say(true, "Failed", format!("Error: {}", failure.message));
        })?;
        let request = api::CreateContainerRequest {
            pod_sandbox_id: sandbox.status.id.clone(),
            config: Some(config),
            sandbox_config: Some(sandbox_config),
        };
        let runtime = &context.cri.runtime;
        let id = runtime.create_container(request).await.map_err(|error| {
            say(true, "Failed", format!("Error: {}", error.message));
            failed("CreateContainerError", &error.message)
        })?;
        let id = id.container_id;
        say(false, "Created", "Container created".to_owned());
        runtime.start_container(api::StartContainerRequest { container_id: id.clone() }).await.map_err(|error| {
            say(true, "Failed", format!("Error: {}", error.message));
            failed("RunContainerError", &error.message)
        })?;
        say(false, "Started", "Container started".to_owned());
        log_links::link(&context.config, &self.pod, &container.spec.name, attempt, &id).await;
        info!(pod = %self.name(), uid = self.uid(), container = container.spec.name, id, attempt, "Started container");
        self.post_start(container, &id).await
    }

    async fn post_start(&self, container: &ContainerRef, id: &str) -> Result<(), Failure> {
        let has_hook = container.spec.lifecycle.as_ref().is_some_and(|lifecycle| lifecycle.post_start.is_some());
        if !has_hook {
            return Ok(());
        }
        let ip = self.pod_ips().first().copied();
        let Err(failure) = self.context.hooks.post_start(&self.pod, container, id, ip).await else { return Ok(()) };
        let grace = super::plan::spec_grace(&self.pod);
        let message = "FailedPostStartHook".to_owned();
        if let Err(error) = self.kill(&container.spec.name, id, grace, message).await {
            warn!(pod = %self.name(), container = container.spec.name, err = %error, "Could not stop container after its hook failed");
        }
        Err(failure)
    }

    async fn stopped(&self, killed: Result<(), CriError>) -> Result<Output, Failure> {
        self.refresh().await;
        match killed {
            Ok(()) => Ok(Output::Done),
            Err(error) => {
                self.context.event(&self.pod, true, "FailedKillPod", format!("error killing pod: {error}"));
                Err(failed("KillContainerError", &error.to_string()))
            }
        }
    }

    async fn resize(&self, containers: Vec<(String, String)>) -> Result<Output, Failure> {
        let resized = self.resize_all(&containers).await;
        self.refresh().await;
        match resized {
            Ok(()) => {
                info!(pod = %self.name(), uid = self.uid(), ?containers, "Resized pod");
                Ok(Output::Resized)
            }
            Err(text) => Err(failed(RESIZE_ERROR, &text)),
        }
    }

    /// The pod's control group always has room for all containers: it grows before they do and shrinks after them.
    async fn resize_all(&self, containers: &[(String, String)]) -> Result<(), String> {
        let context = &self.context;
        context.cgroups.raise(&self.pod).await.map_err(|failure| failure.message)?;
        for (name, id) in containers {
            let Some(container) = self.container(name) else { continue };
            let Some(wanted) = context.specs.resources(&self.pod, container) else { continue };
            self.check_memory(name, id, &wanted).await?;
            let request = api::UpdateContainerResourcesRequest {
                container_id: id.clone(),
                linux: Some(wanted),
                ..api::UpdateContainerResourcesRequest::default()
            };
            let updated = context.cri.runtime.update_container_resources(request).await;
            updated.map_err(|error| format!("failed to update container {name:?}: {error}"))?;
        }
        context.cgroups.ensure(&self.pod).await.map_err(|failure| failure.message)
    }

    /// Refuses a limit that would kill the container at once.
    async fn check_memory(&self, name: &str, id: &str, wanted: &api::LinuxContainerResources) -> Result<(), String> {
        let limit = wanted.memory_limit_in_bytes;
        let record = self.runtime.active(name).filter(|record| record.id == id);
        let actual = record.and_then(|record| record.resources.as_ref()?.linux.as_ref());
        let is_lower = actual.is_some_and(|actual| {
            limit > 0 && (actual.memory_limit_in_bytes == 0 || actual.memory_limit_in_bytes > limit)
        });
        if !is_lower {
            return Ok(());
        }
        let request = api::ContainerStatsRequest { container_id: id.to_owned() };
        let stats = self.context.cri.runtime.container_stats(request).await;
        let stats = stats.map_err(|error| format!("failed to get the usage of container {name:?}: {error}"))?;
        let used = stats.stats.and_then(|stats| stats.memory?.usage_bytes).map_or(0, |used| used.value);
        if u64::try_from(limit).is_ok_and(|limit| used >= limit) {
            return Err(format!(
                "attempting to set container {name:?} memory limit ({limit}) below current usage ({used})"
            ));
        }
        Ok(())
    }

    async fn kill(&self, name: &str, id: &str, grace: Duration, message: String) -> Result<(), CriError> {
        let clock = &self.context.clock;
        let since = clock.monotonic();
        self.say_goodbye(name, id, grace, message).await;
        let used = clock.monotonic().saturating_sub(since);
        self.end(name, id, grace_left(grace, used)).await
    }

    /// Tells that a container ends and runs its hook, for at most `grace`.
    async fn say_goodbye(&self, name: &str, id: &str, grace: Duration, message: String) {
        let context = &self.context;
        let Some(container) = self.container(name) else { return };
        context.container_event(&self.pod, container, false, "Killing", message);
        let has_hook = container.spec.lifecycle.as_ref().is_some_and(|lifecycle| lifecycle.pre_stop.is_some());
        if has_hook && grace > Duration::ZERO {
            let ip = self.pod_ips().first().copied();
            let hook = context.hooks.pre_stop(&self.pod, container, id, ip, grace);
            if timeout(&*context.clock, grace, hook).await.is_err() {
                info!(pod = %self.name(), container = name, "Pre-stop hook used up the grace period");
            }
        }
    }

    async fn end(&self, name: &str, id: &str, grace: Duration) -> Result<(), CriError> {
        let request = api::StopContainerRequest {
            container_id: id.to_owned(),
            timeout: grace.as_secs().try_into().unwrap_or(i64::MAX),
        };
        self.context.cri.runtime.stop_container(request).await?;
        info!(pod = %self.name(), uid = self.uid(), container = name, id, "Stopped container");
        Ok(())
    }

    async fn collect(&self, garbage: Garbage) -> Result<Output, Failure> {
        let runtime = &self.context.cri.runtime;
        let mut result = Ok(Output::Done);
        for container in garbage.containers {
            let request = api::RemoveContainerRequest { container_id: container.id.clone() };
            match runtime.remove_container(request).await {
                Ok(_) => {
                    log_links::unlink(&self.context.config, &self.pod, &container.name, &container.id).await;
                    log_rotation::remove(&container.log).await;
                }
                Err(error) => result = Err(failed("RemoveContainerError", &error.to_string())),
            }
        }
        for pod_sandbox_id in garbage.sandboxes {
            if let Err(error) = runtime.remove_pod_sandbox(api::RemovePodSandboxRequest { pod_sandbox_id }).await {
                result = Err(failed("RemovePodSandboxError", &error.to_string()));
            }
        }
        self.refresh().await;
        result
    }

    /// Removes everything that the runtime still has of the pod, its volumes and its control group.
    pub async fn clean_up(self, and_records: bool) -> Report {
        let result = self.remove_all(and_records).await.map(|()| Output::Cleaned { records: and_records });
        Report { slot: Slot::Pod, result }
    }

    async fn remove_all(&self, and_records: bool) -> Result<(), Failure> {
        let context = &self.context;
        if and_records {
            for sandbox in &self.runtime.sandboxes {
                for container in &sandbox.containers {
                    let request = api::RemoveContainerRequest { container_id: container.id.clone() };
                    let removed = context.cri.runtime.remove_container(request).await;
                    removed.map_err(|error| failed("RemoveContainerError", &error.to_string()))?;
                    log_links::unlink(&context.config, &self.pod, name_of(container), &container.id).await;
                }
                let request = api::RemovePodSandboxRequest { pod_sandbox_id: sandbox.status.id.clone() };
                let removed = context.cri.runtime.remove_pod_sandbox(request).await;
                removed.map_err(|error| failed("RemovePodSandboxError", &error.to_string()))?;
            }
            self.refresh().await;
            self.remove_logs().await;
        }
        context.volumes.tear_down(&self.uid()).await?;
        context.cgroups.remove(&self.uid()).await
    }

    /// The number after that of the newest log of a container. Upstream: `calcRestartCountByLogDir`.
    async fn attempt_by_logs(&self, container: &str) -> u32 {
        let directory = log_paths::pod_directory(&self.context.config.pod_logs, &self.pod).join(container);
        let next = async {
            let mut next = 0;
            let mut entries = tokio::fs::read_dir(&directory).await?;
            while let Some(entry) = entries.next_entry().await? {
                next = next.max(log_paths::attempt_of(&entry.file_name().to_string_lossy()).map_or(0, |last| last + 1));
            }
            Ok::<u32, std::io::Error>(next)
        };
        match next.await {
            Ok(next) => next,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
            Err(err) => {
                warn!(pod = %self.name(), %err, path = %directory.display(), "Could not list logs");
                0
            }
        }
    }

    /// Removes the pod's log directory, which only the kubelet knows the whole of.
    async fn remove_logs(&self) {
        let meta = &self.pod.metadata;
        let (Some(namespace), Some(name), Some(uid)) = (&meta.namespace, &meta.name, &meta.uid) else { return };
        let directory = self.context.config.pod_logs.join(format!("{namespace}_{name}_{uid}"));
        if let Err(error) = blocking(move || corten_base::fs::remove_dir_all(&directory)).await {
            warn!(pod = %self.name(), err = %ErrorChain(&error), "Could not remove logs");
        }
    }

    async fn refresh(&self) {
        if let Err(err) = self.context.cache.refresh(&self.uid()).await {
            warn!(pod = %self.name(), %err, "Could not ask the container runtime about a pod");
            self.context.event(&self.pod, true, "FailedSync", format!("error determining status: {err}"));
        }
    }

    fn name(&self) -> String {
        pod_ref::name(&self.pod)
    }
}

fn failed(reason: &str, message: &str) -> Failure {
    Failure::new(reason, message)
}

/// The annotations that the kubelet reads back, for fakes of `ContainerSpecs`.
#[must_use]
pub fn annotations(attempt: u32, hash: &str) -> BTreeMap<String, String> {
    [(RESTART_COUNT.to_owned(), attempt.to_string()), (crate::pleg::records::HASH.to_owned(), hash.to_owned())].into()
}
