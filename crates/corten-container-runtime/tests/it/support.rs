//! A runtime of the test's own, with its network in a network namespace that it makes.

#![expect(clippy::print_stdout, reason = "the reader of a test run has to see what was not tried")]

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use corten_base::{Shutdown, ShutdownTrigger, SystemClock, SystemRng, TaskSet, blocking};
use corten_container_runtime::{Config, ContainerRuntime, images::import::import};
use corten_cri::{CriError, EventStream, RuntimeService, api};
use corten_net::netns::Netns;
use corten_oci::{Cgroup, cgroup::Hierarchies};
use futures::StreamExt as _;

/// Where runtimes keep their data, one after the other.
pub(crate) struct Node {
    pub(crate) config: Config,
    pub(crate) network: PathBuf,
    /// Where containers' logs go.
    pub(crate) logs: PathBuf,
    busybox: PathBuf,
    _directories: [tempfile::TempDir; 2],
}

/// A runtime at work.
pub(crate) struct Running {
    pub(crate) runtime: ContainerRuntime,
    stop: ShutdownTrigger,
}

impl Node {
    /// A runtime that finds what the one before has left.
    pub(crate) async fn start(&self) -> Running {
        let (stop, shutdown) = Shutdown::new();
        let host = Netns::open(&self.network).expect("open the network namespace");
        let (clock, rng) = (SystemClock::shared(), SystemRng::shared());
        let runtime = ContainerRuntime::open(self.config.clone(), host, clock, rng, shutdown).await;
        Running { runtime: runtime.expect("open the runtime"), stop }
    }

    /// The node's first runtime: with an image, and a range of addresses for pods.
    pub(crate) async fn start_first(&self, pod_cidr: &str) -> Running {
        let running = self.start().await;
        let (store, busybox) = (running.runtime.images().clone(), self.busybox.clone());
        let tasks = TaskSet::new("test");
        let imported = blocking::run(&tasks, "import", move || import(&store, &busybox)).await;
        imported.expect("no panic").expect("import");
        running.set_pod_cidr(pod_cidr).await;
        running
    }

    /// A control group below the runtime's own.
    pub(crate) fn cgroup(&self, path: &str) -> Cgroup {
        let hierarchies = Hierarchies::detect().expect("the machine's hierarchies");
        Cgroup::new(hierarchies, &Path::new("/").join(&self.config.cgroup_root).join(path))
    }
}

impl Running {
    pub(crate) fn cri(&self) -> Arc<dyn RuntimeService> {
        self.runtime.cri().runtime
    }

    /// As the kubelet does when it starts.
    pub(crate) async fn set_pod_cidr(&self, pod_cidr: &str) {
        let network_config = Some(api::NetworkConfig { pod_cidr: pod_cidr.to_owned() });
        let request = api::UpdateRuntimeConfigRequest { runtime_config: Some(api::RuntimeConfig { network_config }) };
        self.cri().update_runtime_config(request).await.expect("a pod range");
    }

    /// Ends the runtime's tasks, and leaves pods as they are.
    pub(crate) async fn stop(&self) {
        self.stop.request();
        self.runtime.join().await.expect("no panic");
    }

    /// Ends the runtime, and leaves pods as they are.
    pub(crate) async fn end(self) {
        self.stop().await;
    }

    /// Ends the runtime with its pods: what is left is on disk, and goes with the node.
    pub(crate) async fn end_with_pods(self) {
        self.runtime.stop_all().await.expect("everything stops");
        self.stop().await;
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Err(error) = Netns::remove_pinned(&self.network) {
            println!("left behind: {}: {error}", self.network.display());
        }
    }
}

/// A node without data; nothing where the run was not promised what it needs.
pub(crate) fn node() -> Option<Node> {
    let images = std::env::var_os("CORTEN_TEST_IMAGES").map(PathBuf::from);
    let Some(images) = images.filter(|_| nix::unistd::geteuid().is_root()) else {
        println!("skipped: needs root and CORTEN_TEST_IMAGES");
        return None;
    };
    let kept = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("make a directory");
    // Short, because sockets are in it.
    let live = tempfile::Builder::new().prefix("crr").tempdir_in("/tmp").expect("make a directory");
    let network = live.path().join("host");
    Netns::create_pinned(&network).expect("make a network namespace");
    let name = format!("crr{}", std::process::id());
    let shim = env!("CARGO_BIN_EXE_corten-shim").into();
    let config = Config::new(&name, kept.path().join("root"), live.path().join("run"), shim);
    let logs = kept.path().join("logs");
    std::fs::create_dir(&logs).expect("make a directory");
    let busybox = images.join("busybox-1.28.docker.tar");
    Some(Node { config, network, logs, busybox, _directories: [kept, live] })
}

/// A pod on this node.
pub(crate) fn sandbox_config(node: &Node) -> api::PodSandboxConfig {
    api::PodSandboxConfig {
        metadata: Some(api::PodSandboxMetadata {
            name: "pod".to_owned(),
            uid: "uid".to_owned(),
            namespace: "default".to_owned(),
            attempt: 0,
        }),
        hostname: "pod".to_owned(),
        log_directory: node.logs.display().to_string(),
        ..api::PodSandboxConfig::default()
    }
}

pub(crate) async fn run_pod(cri: &dyn RuntimeService, config: &api::PodSandboxConfig) -> String {
    let request = api::RunPodSandboxRequest { config: Some(config.clone()), runtime_handler: String::new() };
    cri.run_pod_sandbox(request).await.expect("a sandbox").pod_sandbox_id
}

/// Runs `script` in a container of this name; the log has the name too. Gives the identifier.
pub(crate) async fn run_container(
    cri: &dyn RuntimeService,
    sandbox: &str,
    config: &api::PodSandboxConfig,
    name: &str,
    script: &str,
) -> Result<String, CriError> {
    let container = api::ContainerConfig {
        metadata: Some(api::ContainerMetadata { name: name.to_owned(), attempt: 0 }),
        image: Some(api::ImageSpec { image: "busybox:1.28".to_owned(), ..api::ImageSpec::default() }),
        command: ["sh", "-c", script].map(str::to_owned).to_vec(),
        log_path: format!("{name}.log"),
        ..api::ContainerConfig::default()
    };
    let request = api::CreateContainerRequest {
        pod_sandbox_id: sandbox.to_owned(),
        config: Some(container),
        sandbox_config: Some(config.clone()),
    };
    let id = cri.create_container(request).await?.container_id;
    cri.start_container(api::StartContainerRequest { container_id: id.clone() }).await?;
    Ok(id)
}

/// Runs a sandbox with one container in it, `main`, that runs `script`; gives the identifiers of both.
pub(crate) async fn run(cri: &dyn RuntimeService, config: &api::PodSandboxConfig, script: &str) -> (String, String) {
    let sandbox = run_pod(cri, config).await;
    let id = run_container(cri, &sandbox, config, "main", script).await.expect("a container");
    (sandbox, id)
}

pub(crate) async fn exec(cri: &dyn RuntimeService, id: &str, command: &str) -> String {
    let cmd = ["sh", "-c", command].map(str::to_owned).to_vec();
    let request = api::ExecSyncRequest { container_id: id.to_owned(), cmd, timeout: 10 };
    String::from_utf8(cri.exec_sync(request).await.expect("exec").stdout.into()).expect("text")
}

pub(crate) async fn status(cri: &dyn RuntimeService, id: &str) -> api::ContainerStatus {
    let request = api::ContainerStatusRequest { container_id: id.to_owned(), verbose: false };
    cri.container_status(request).await.expect("a status").status.expect("the container's status")
}

pub(crate) async fn events(cri: &dyn RuntimeService) -> EventStream {
    cri.get_container_events(api::GetEventsRequest {}).await.expect("events")
}

/// Waits for the event that tells of a container's end; gives its exit code.
pub(crate) async fn exit_of(id: &str, events: &mut EventStream) -> i32 {
    loop {
        let event = events.next().await.expect("an event").expect("no error");
        let status = event.containers_statuses.iter().find(|status| status.id == id);
        if let Some(status) = status.filter(|status| status.finished_at != 0) {
            return status.exit_code;
        }
    }
}
