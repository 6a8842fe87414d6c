//! A runtime of the test's own, with its network in a network namespace that it makes.

#![expect(clippy::print_stdout, reason = "the reader of a test run has to see what was not tried")]

use std::path::{Path, PathBuf};

use corten_base::{Shutdown, ShutdownTrigger, SystemClock, SystemRng};
use corten_container_runtime::{Config, ContainerRuntime};
use corten_cri::api;
use corten_net::netns::Netns;

pub(crate) struct Node {
    pub(crate) config: Config,
    pub(crate) network: PathBuf,
    _directories: [tempfile::TempDir; 2],
}

impl Node {
    pub(crate) async fn start(&self) -> (ContainerRuntime, ShutdownTrigger) {
        let (trigger, shutdown) = Shutdown::new();
        let host = Netns::open(&self.network).expect("open the network namespace");
        let (clock, rng) = (SystemClock::shared(), SystemRng::shared());
        let runtime = ContainerRuntime::open(self.config.clone(), host, clock, rng, shutdown).await;
        (runtime.expect("open the runtime"), trigger)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Err(error) = Netns::remove_pinned(&self.network) {
            println!("left behind: {}: {error}", self.network.display());
        }
    }
}

pub(crate) fn node() -> Option<(Node, PathBuf)> {
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
    Some((Node { config, network, _directories: [kept, live] }, images.join("busybox-1.28.docker.tar")))
}

pub(crate) fn sandbox_config(logs: &Path) -> api::PodSandboxConfig {
    api::PodSandboxConfig {
        metadata: Some(api::PodSandboxMetadata {
            name: "pod".to_owned(),
            uid: "uid".to_owned(),
            namespace: "default".to_owned(),
            attempt: 0,
        }),
        hostname: "pod".to_owned(),
        log_directory: logs.display().to_string(),
        ..api::PodSandboxConfig::default()
    }
}

pub(crate) fn container_config(script: &str) -> api::ContainerConfig {
    api::ContainerConfig {
        metadata: Some(api::ContainerMetadata { name: "main".to_owned(), attempt: 0 }),
        image: Some(api::ImageSpec { image: "busybox:1.28".to_owned(), ..api::ImageSpec::default() }),
        command: ["sh", "-c", script].map(str::to_owned).to_vec(),
        log_path: "main.log".to_owned(),
        ..api::ContainerConfig::default()
    }
}

/// Runs a sandbox with one container in it that runs `script`; gives the identifiers of both.
#[allow(dead_code, reason = "not every test file runs a pod by hand")]
pub(crate) async fn run(runtime: &ContainerRuntime, config: api::PodSandboxConfig, script: &str) -> (String, String) {
    let cri = runtime.cri().runtime;
    let request = api::RunPodSandboxRequest { config: Some(config.clone()), runtime_handler: String::new() };
    let sandbox = cri.run_pod_sandbox(request).await.expect("a sandbox").pod_sandbox_id;
    let request = api::CreateContainerRequest {
        pod_sandbox_id: sandbox.clone(),
        config: Some(container_config(script)),
        sandbox_config: Some(config),
    };
    let id = cri.create_container(request).await.expect("a container").container_id;
    cri.start_container(api::StartContainerRequest { container_id: id.clone() }).await.expect("a start");
    (sandbox, id)
}

pub(crate) async fn exec(runtime: &ContainerRuntime, id: &str, command: &str) -> String {
    let cmd = ["sh", "-c", command].map(str::to_owned).to_vec();
    let request = api::ExecSyncRequest { container_id: id.to_owned(), cmd, timeout: 10 };
    let answer = runtime.cri().runtime.exec_sync(request).await.expect("exec");
    String::from_utf8(answer.stdout.into()).expect("text")
}

/// Gives the runtime an image and a range of addresses for pods.
pub(crate) async fn furnish(runtime: &ContainerRuntime, image: PathBuf, pod_cidr: &str) {
    let store = runtime.images().clone();
    let import = move || corten_container_runtime::images::import::import(&store, &image);
    let tasks = corten_base::TaskSet::new("test");
    corten_base::blocking::run(&tasks, "import", import).await.expect("no panic").expect("import");
    let network_config = Some(api::NetworkConfig { pod_cidr: pod_cidr.to_owned() });
    let request = api::UpdateRuntimeConfigRequest { runtime_config: Some(api::RuntimeConfig { network_config }) };
    runtime.cri().runtime.update_runtime_config(request).await.expect("a pod range");
}
