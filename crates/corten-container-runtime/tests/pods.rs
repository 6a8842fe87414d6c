//! Pods whose calls are dropped half-way, and pods whose containers see each other's processes; needs root and
//! `CORTEN_TEST_IMAGES`.

use std::{path::Path, sync::Arc, time::Duration};

use corten_base::{SystemClock, SystemRng};
use corten_cri::{RuntimeService, api};
use support::{container_config, exec, furnish, node, sandbox_config};

mod support;

/// Longer than the start of a container takes, so that calls are dropped anywhere in it.
const START_MILLIS: u64 = 150;
const PODS: u32 = 24;

async fn run_pod(cri: &dyn RuntimeService, config: &api::PodSandboxConfig) -> String {
    let request = api::RunPodSandboxRequest { config: Some(config.clone()), runtime_handler: String::new() };
    cri.run_pod_sandbox(request).await.expect("a sandbox").pod_sandbox_id
}

async fn run_container(
    cri: &dyn RuntimeService,
    sandbox: &str,
    config: &api::PodSandboxConfig,
    name: &str,
    script: &str,
) -> Result<String, corten_cri::CriError> {
    let mut container = container_config(script);
    container.metadata = Some(api::ContainerMetadata { name: name.to_owned(), attempt: 0 });
    container.log_path = format!("{name}.log");
    let request = api::CreateContainerRequest {
        pod_sandbox_id: sandbox.to_owned(),
        config: Some(container),
        sandbox_config: Some(config.clone()),
    };
    let id = cri.create_container(request).await?.container_id;
    cri.start_container(api::StartContainerRequest { container_id: id.clone() }).await?;
    Ok(id)
}

fn entries(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).expect("read directory");
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

mod privileged {
    use super::*;

    /// A pod that was deleted while its container was being created stayed for ever: the kubelet dropped the call, the
    /// blocking half of it went on, and mounted into a directory that was being removed.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_pod_can_be_removed_whenever_its_calls_are_dropped() {
        let Some((node, busybox)) = node() else { return };
        let logs = node.config.root.join("logs");
        std::fs::create_dir_all(&logs).expect("make a directory");
        let (runtime, stop) = node.start().await;
        furnish(&runtime, busybox, "10.213.0.0/24").await;
        let (clock, rng) = (SystemClock::shared(), SystemRng::shared());
        let cri = runtime.cri().runtime;
        for number in 0..PODS {
            let mut config = sandbox_config(&logs);
            config.metadata.as_mut().expect("made with it").uid = format!("uid-{number}");
            let cut = Duration::from_millis(rng.next_u64() % START_MILLIS);
            // Every fourth is cut while its sandbox is made; then nobody learns of it and nothing may stay.
            if number % 4 == 0 {
                let _ = corten_base::timeout(&*clock, cut, run_pod(&*cri, &config)).await;
                continue;
            }
            let sandbox = run_pod(&*cri, &config).await;
            let run = run_container(&*cri, &sandbox, &config, "main", "sleep 1000");
            let _ = corten_base::timeout(&*clock, cut, run).await;
            let request = api::RemovePodSandboxRequest { pod_sandbox_id: sandbox };
            cri.remove_pod_sandbox(request).await.unwrap_or_else(|error| panic!("cut after {cut:?}: {error}"));
        }
        // Also what was dropped has an end: with it the tasks of the runtime.
        stop.request();
        runtime.join().await.expect("no panic");
        let listed = cri.list_pod_sandbox(api::ListPodSandboxRequest::default()).await.expect("a list").items;
        for sandbox in listed {
            // Made before the caller left, told to nobody: the list has it.
            cri.remove_pod_sandbox(api::RemovePodSandboxRequest { pod_sandbox_id: sandbox.id }).await.expect("removed");
        }
        assert_eq!(entries(&node.config.run.join("pods")), [""; 0]);
        assert_eq!(entries(&node.config.root.join("pods")), [""; 0]);
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("the mounts");
        let pods = node.config.run.join("pods").display().to_string();
        assert!(!mounts.contains(&pods), "{mounts}");
        drop(cri);
        drop(runtime);
        let (runtime, stop) = node.start().await;
        runtime.remove_all().await.expect("everything goes");
        stop.request();
        runtime.join().await.expect("no panic");
    }

    /// The second container of a pod with one PID namespace could not be created: libcontainer looked for its first process
    /// in the host's list by the number that it had in the pod's.
    #[tokio::test(flavor = "multi_thread")]
    async fn containers_of_a_pod_with_one_pid_namespace_see_each_other() {
        let Some((node, busybox)) = node() else { return };
        let logs = node.config.root.join("logs");
        std::fs::create_dir_all(&logs).expect("make a directory");
        let (runtime, stop) = node.start().await;
        furnish(&runtime, busybox, "10.214.0.0/24").await;
        let cri = Arc::clone(&runtime.cri().runtime);
        let mut config = sandbox_config(&logs);
        let namespace_options = Some(api::NamespaceOption::default());
        let security = api::LinuxSandboxSecurityContext { namespace_options, ..Default::default() };
        config.linux = Some(api::LinuxPodSandboxConfig { security_context: Some(security), ..Default::default() });
        let sandbox = run_pod(&*cri, &config).await;
        // Short ones first, as init containers are.
        for name in ["first", "second"] {
            run_container(&*cri, &sandbox, &config, name, "exit 0").await.expect("a container that ends");
        }
        let one = run_container(&*cri, &sandbox, &config, "one", "sleep 1001").await.expect("a container");
        let two = run_container(&*cri, &sandbox, &config, "two", "sleep 1002").await.expect("a container");
        for id in [&one, &two] {
            let processes = exec(&runtime, id, "ps").await;
            assert!(processes.contains("sleep 1001") && processes.contains("sleep 1002"), "{processes}");
        }
        runtime.remove_all().await.expect("everything goes");
        stop.request();
        runtime.join().await.expect("no panic");
    }
}
