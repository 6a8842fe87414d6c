//! A runtime that ends and one that starts on the same data: containers run on and are taken over; needs root and
//! `CORTEN_TEST_IMAGES`.

#![expect(clippy::print_stdout, reason = "the reader of a test run has to see what was not tried")]

use std::path::{Path, PathBuf};

use corten_base::{Shutdown, ShutdownTrigger, SystemClock, SystemRng};
use corten_container_runtime::{Config, ContainerRuntime, images::import::import};
use corten_cri::api;
use corten_net::{netlink::Rtnl, netns::Netns, nftables::Nftables};

struct Node {
    config: Config,
    network: PathBuf,
    _directories: [tempfile::TempDir; 2],
}

impl Node {
    async fn start(&self) -> (ContainerRuntime, ShutdownTrigger) {
        let (trigger, shutdown) = Shutdown::new();
        let host = Netns::open(&self.network).expect("open the network namespace");
        let (clock, rng) = (SystemClock::shared(), SystemRng::shared());
        let runtime = ContainerRuntime::open(self.config.clone(), host, clock, rng, shutdown).await;
        (runtime.expect("open the runtime"), trigger)
    }

    fn host(&self) -> Netns {
        Netns::open(&self.network).expect("open the network namespace")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Err(error) = Netns::remove_pinned(&self.network) {
            println!("left behind: {}: {error}", self.network.display());
        }
    }
}

fn node() -> Option<(Node, PathBuf)> {
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

fn sandbox_config(logs: &Path) -> api::PodSandboxConfig {
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

fn container_config(script: &str) -> api::ContainerConfig {
    api::ContainerConfig {
        metadata: Some(api::ContainerMetadata { name: "main".to_owned(), attempt: 0 }),
        image: Some(api::ImageSpec { image: "busybox:1.28".to_owned(), ..api::ImageSpec::default() }),
        command: ["sh", "-c", script].map(str::to_owned).to_vec(),
        log_path: "main.log".to_owned(),
        ..api::ContainerConfig::default()
    }
}

async fn status(runtime: &ContainerRuntime, id: &str) -> api::ContainerStatus {
    let request = api::ContainerStatusRequest { container_id: id.to_owned(), verbose: false };
    let answer = runtime.cri().runtime.container_status(request).await.expect("a status");
    answer.status.expect("the container's status")
}

async fn exec(runtime: &ContainerRuntime, id: &str, command: &str) -> String {
    let cmd = ["sh", "-c", command].map(str::to_owned).to_vec();
    let request = api::ExecSyncRequest { container_id: id.to_owned(), cmd, timeout: 10 };
    let answer = runtime.cri().runtime.exec_sync(request).await.expect("exec");
    String::from_utf8(answer.stdout.into()).expect("text")
}

mod privileged {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn containers_outlive_the_runtime_and_are_taken_over() {
        let Some((node, busybox)) = node() else { return };
        let logs = node.config.root.join("logs");
        std::fs::create_dir_all(&logs).expect("make a directory");
        let (runtime, stop) = node.start().await;
        let store = runtime.images().clone();
        tokio::task::spawn_blocking(move || import(&store, &busybox)).await.expect("no panic").expect("import");
        let network = api::NetworkConfig { pod_cidr: "10.212.0.0/24".to_owned() };
        let request = api::UpdateRuntimeConfigRequest {
            runtime_config: Some(api::RuntimeConfig { network_config: Some(network.clone()) }),
        };
        runtime.cri().runtime.update_runtime_config(request.clone()).await.expect("a pod range");
        let links = Rtnl::open_in(&node.host()).expect("netlink");
        let bridge =
            links.link_by_name(&node.config.bridge).expect("netlink").expect("the bridge is there before a pod");
        let addresses = links.addresses(Some(bridge.index)).expect("netlink");
        assert!(addresses.iter().any(|address| address.net.to_string() == "10.212.0.1/24"), "{addresses:?}");

        let cri = runtime.cri().runtime;
        let config = sandbox_config(&logs);
        let request = api::RunPodSandboxRequest { config: Some(config.clone()), runtime_handler: String::new() };
        let sandbox = cri.run_pod_sandbox(request).await.expect("a sandbox").pod_sandbox_id;
        let script = "echo begun; while [ ! -e /tmp/end ]; do sleep 0.1; done; echo ended; exit 5";
        let request = api::CreateContainerRequest {
            pod_sandbox_id: sandbox.clone(),
            config: Some(container_config(script)),
            sandbox_config: Some(config),
        };
        let id = cri.create_container(request).await.expect("a container").container_id;
        cri.start_container(api::StartContainerRequest { container_id: id.clone() }).await.expect("a start");
        let before = status(&runtime, &id).await;
        drop(cri);
        stop.request();
        runtime.join().await.expect("no panic");
        drop(runtime);

        let (runtime, stop) = node.start().await;
        let after = status(&runtime, &id).await;
        assert_eq!(after.state, api::ContainerState::ContainerRunning as i32);
        assert_eq!((after.started_at, after.id.as_str()), (before.started_at, id.as_str()));
        let mut events = runtime.cri().runtime.get_container_events(api::GetEventsRequest {}).await.expect("events");
        assert_eq!(exec(&runtime, &id, "hostname; touch /tmp/end").await, "pod\n");
        let ended = api::ContainerEventType::ContainerStoppedEvent as i32;
        loop {
            let event = futures::StreamExt::next(&mut events).await.expect("an event").expect("no error");
            if event.container_event_type == ended && event.container_id == id {
                break;
            }
        }
        let over = status(&runtime, &id).await;
        assert_eq!((over.state, over.exit_code), (api::ContainerState::ContainerExited as i32, 5));
        let log = std::fs::read_to_string(logs.join("main.log")).expect("the log");
        assert!(log.contains(" begun\n") && log.contains(" ended\n"), "{log}");

        runtime.remove_all().await.expect("everything goes");
        assert!(links.link_by_name(&node.config.bridge).expect("netlink").is_none());
        assert_eq!(Nftables::open_in(&node.host()).expect("netlink").tables().expect("netlink"), []);
        let hierarchies = corten_oci::cgroup::Hierarchies::detect().expect("the machine's hierarchies");
        let cgroup = corten_oci::Cgroup::new(hierarchies, Path::new(&format!("/{}", node.config.cgroup_root)));
        assert!(cgroup.directories().iter().all(|directory| !directory.exists()));
        stop.request();
        runtime.join().await.expect("no panic");
    }
}
