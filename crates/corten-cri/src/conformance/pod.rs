//! Pods and containers of cases, and the questions that cases ask of them.

use std::{path::PathBuf, time::Duration};

use super::Fixture;
use crate::{
    CriError, api,
    log_format::{LogLine, LogStream},
};

/// How often a container's state is looked at. Polled, because events are optional in CRI and have cases of their own.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long anything awaited may take.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// A shell script that runs until it is asked to stop, and ends at once then.
pub(super) const IDLE: &str = "trap 'exit 0' TERM; while true; do sleep 1000 & wait $!; done";

/// A sandbox of a case.
pub struct Pod<'f> {
    pub(super) fixture: &'f Fixture,
    /// The sandbox's id.
    pub id: String,
    /// What it was made from.
    pub config: api::PodSandboxConfig,
}

/// What a container left behind that has ended.
#[derive(Debug)]
pub struct Output {
    /// Its last status.
    pub status: api::ContainerStatus,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
}

impl Fixture {
    /// The config of a pod with this name, namespaces as the kubelet sets them.
    pub(super) fn pod_config(&self, name: &str) -> api::PodSandboxConfig {
        let uid = Self::unique_owner();
        let namespace_options =
            api::NamespaceOption { pid: api::NamespaceMode::Container as i32, ..api::NamespaceOption::default() };
        api::PodSandboxConfig {
            log_directory: self.dir.join(format!("logs/{uid}")).display().to_string(),
            metadata: Some(api::PodSandboxMetadata {
                name: name.to_owned(),
                uid,
                namespace: "cri-conformance".to_owned(),
                attempt: 0,
            }),
            hostname: name.to_owned(),
            labels: [self.owner_label()].into(),
            linux: Some(api::LinuxPodSandboxConfig {
                cgroup_parent: self.cgroup_parent.clone(),
                security_context: Some(api::LinuxSandboxSecurityContext {
                    namespace_options: Some(namespace_options),
                    ..api::LinuxSandboxSecurityContext::default()
                }),
                ..api::LinuxPodSandboxConfig::default()
            }),
            ..api::PodSandboxConfig::default()
        }
    }

    /// Runs a sandbox.
    pub(super) async fn try_pod(&self, config: api::PodSandboxConfig) -> Result<Pod<'_>, CriError> {
        std::fs::create_dir_all(&config.log_directory).expect("make the pod's log directory");
        let request = api::RunPodSandboxRequest { config: Some(config.clone()), runtime_handler: String::new() };
        let id = self.runtime.run_pod_sandbox(request).await?.pod_sandbox_id;
        Ok(Pod { fixture: self, id, config })
    }

    /// Runs a sandbox of usual shape.
    pub(super) async fn pod(&self, name: &str) -> Pod<'_> {
        self.try_pod(self.pod_config(name)).await.expect("run a sandbox")
    }

    /// Runs a sandbox whose config was changed by `change`.
    pub(super) async fn pod_with(&self, name: &str, change: impl FnOnce(&mut api::PodSandboxConfig)) -> Pod<'_> {
        let mut config = self.pod_config(name);
        change(&mut config);
        self.try_pod(config).await.expect("run a sandbox")
    }

    pub(super) async fn sandbox_status(&self, id: &str) -> Result<api::PodSandboxStatus, CriError> {
        let request = api::PodSandboxStatusRequest { pod_sandbox_id: id.to_owned(), verbose: false };
        Ok(self.runtime.pod_sandbox_status(request).await?.status.expect("a status"))
    }

    pub(super) async fn container_status(&self, id: &str) -> Result<api::ContainerStatus, CriError> {
        let request = api::ContainerStatusRequest { container_id: id.to_owned(), verbose: false };
        Ok(self.runtime.container_status(request).await?.status.expect("a status"))
    }

    pub(super) async fn start(&self, id: &str) -> Result<(), CriError> {
        let request = api::StartContainerRequest { container_id: id.to_owned() };
        self.runtime.start_container(request).await.map(drop)
    }

    pub(super) async fn stop(&self, id: &str, timeout: i64) -> Result<(), CriError> {
        let request = api::StopContainerRequest { container_id: id.to_owned(), timeout };
        self.runtime.stop_container(request).await.map(drop)
    }

    pub(super) async fn remove(&self, id: &str) -> Result<(), CriError> {
        let request = api::RemoveContainerRequest { container_id: id.to_owned() };
        self.runtime.remove_container(request).await.map(drop)
    }

    /// Runs a shell script in a container.
    pub(super) async fn exec(&self, id: &str, script: &str) -> Result<api::ExecSyncResponse, CriError> {
        let request = api::ExecSyncRequest { container_id: id.to_owned(), cmd: shell(script), timeout: 20 };
        self.runtime.exec_sync(request).await
    }

    /// The output of a shell script that has to succeed in a container.
    pub(super) async fn ask(&self, id: &str, script: &str) -> String {
        let answer = self.exec(id, script).await.expect("run a command in a running container");
        let stdout = String::from_utf8_lossy(&answer.stdout).into_owned();
        assert_eq!(answer.exit_code, 0, "{script}: {stdout} {:?}", answer.stderr);
        stdout
    }

    /// Waits until `ready` gives something.
    pub(super) async fn eventually<T, F>(&self, what: &str, mut ready: impl FnMut() -> F) -> T
    where
        F: Future<Output = Option<T>>,
    {
        let deadline = self.clock.monotonic() + WAIT_MAX;
        loop {
            if let Some(found) = ready().await {
                return found;
            }
            assert!(self.clock.monotonic() < deadline, "waited {WAIT_MAX:?} in vain: {what}");
            self.clock.sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until a container has ended.
    pub(super) async fn exited(&self, id: &str) -> api::ContainerStatus {
        self.eventually("the container ends", || async {
            let status = self.container_status(id).await.expect("the status of a container that exists");
            (status.state() == api::ContainerState::ContainerExited).then_some(status)
        })
        .await
    }
}

impl Pod<'_> {
    /// The config of a container that runs a shell script.
    pub(super) fn container_config(&self, name: &str, script: &str) -> api::ContainerConfig {
        api::ContainerConfig {
            metadata: Some(api::ContainerMetadata { name: name.to_owned(), attempt: 0 }),
            image: Some(api::ImageSpec { image: self.fixture.test_images.shell.clone(), ..api::ImageSpec::default() }),
            command: shell(script),
            labels: [self.fixture.owner_label()].into(),
            log_path: format!("{name}/0.log"),
            linux: Some(api::LinuxContainerConfig {
                resources: Some(api::LinuxContainerResources::default()),
                security_context: Some(api::LinuxContainerSecurityContext {
                    namespace_options: self.namespaces(),
                    ..api::LinuxContainerSecurityContext::default()
                }),
            }),
            ..api::ContainerConfig::default()
        }
    }

    fn namespaces(&self) -> Option<api::NamespaceOption> {
        self.config.linux.as_ref()?.security_context.as_ref()?.namespace_options.clone()
    }

    pub(super) async fn try_create(&self, config: api::ContainerConfig) -> Result<String, CriError> {
        if !config.log_path.is_empty() {
            let directory = self.log_file(&config.log_path).parent().map(PathBuf::from).expect("a file in a directory");
            std::fs::create_dir_all(directory).expect("make the container's log directory");
        }
        let request = api::CreateContainerRequest {
            pod_sandbox_id: self.id.clone(),
            config: Some(config),
            sandbox_config: Some(self.config.clone()),
        };
        Ok(self.fixture.runtime.create_container(request).await?.container_id)
    }

    /// Makes a container that runs a shell script, and does not start it.
    pub(super) async fn create(&self, name: &str, script: &str) -> String {
        self.try_create(self.container_config(name, script)).await.expect("create a container")
    }

    /// Starts a container that runs a shell script.
    pub(super) async fn start(&self, name: &str, script: &str) -> String {
        self.start_with(name, script, |_| ()).await
    }

    /// Starts a container whose config was changed by `change`.
    pub(super) async fn start_with(
        &self,
        name: &str,
        script: &str,
        change: impl FnOnce(&mut api::ContainerConfig),
    ) -> String {
        let mut config = self.container_config(name, script);
        change(&mut config);
        let id = self.try_create(config).await.expect("create a container");
        self.fixture.start(&id).await.expect("start a container");
        id
    }

    /// Runs a shell script in a container of its own and waits for its end.
    pub(super) async fn run_with(
        &self,
        name: &str,
        script: &str,
        change: impl FnOnce(&mut api::ContainerConfig),
    ) -> Output {
        let id = self.start_with(name, script, change).await;
        let status = self.fixture.exited(&id).await;
        Output { stdout: self.logged(name, LogStream::Stdout), stderr: self.logged(name, LogStream::Stderr), status }
    }

    /// Whether a container can be made and started whose config was changed by `change`.
    pub(super) async fn try_run(
        &self,
        name: &str,
        script: &str,
        change: impl FnOnce(&mut api::ContainerConfig),
    ) -> Result<(), CriError> {
        let mut config = self.container_config(name, script);
        change(&mut config);
        let id = self.try_create(config).await?;
        self.fixture.start(&id).await
    }

    pub(super) fn log_file(&self, log_path: &str) -> PathBuf {
        PathBuf::from(&self.config.log_directory).join(log_path)
    }

    /// What the log of a container says it wrote to a stream.
    pub(super) fn logged(&self, name: &str, stream: LogStream) -> String {
        let bytes = std::fs::read(self.log_file(&format!("{name}/0.log"))).expect("read the container's log");
        let mut text = Vec::new();
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let line = LogLine::parse(line).expect("a line of the log format");
            if line.stream == stream {
                text.extend_from_slice(line.content);
                if !line.partial {
                    text.push(b'\n');
                }
            }
        }
        String::from_utf8(text).expect("text")
    }
}

/// The security context of a container's config.
pub(super) fn security(config: &mut api::ContainerConfig) -> &mut api::LinuxContainerSecurityContext {
    config.linux.get_or_insert_default().security_context.get_or_insert_default()
}

/// The namespaces of a sandbox's config.
pub(super) fn pod_namespaces(config: &mut api::PodSandboxConfig) -> &mut api::NamespaceOption {
    let context = config.linux.get_or_insert_default().security_context.get_or_insert_default();
    context.namespace_options.get_or_insert_default()
}

/// The resources of a container's config.
pub(super) fn resources(config: &mut api::ContainerConfig) -> &mut api::LinuxContainerResources {
    config.linux.get_or_insert_default().resources.get_or_insert_default()
}

/// A command that runs a script.
pub(super) fn shell(script: &str) -> Vec<String> {
    ["/bin/sh", "-c", script].map(str::to_owned).into()
}
