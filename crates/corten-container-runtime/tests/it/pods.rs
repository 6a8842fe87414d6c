//! Pods whose calls are dropped half-way, and pods whose containers see each other's processes; needs root and
//! `CORTEN_TEST_IMAGES`.

use std::{path::Path, time::Duration};

use corten_base::{SystemClock, SystemRng};
use corten_cri::api;

use crate::support::{events, exec, exit_of, node, run, run_container, run_pod, sandbox_config};

/// Longer than the start of a container takes, so that calls are dropped anywhere in it.
const START_MILLIS: u64 = 150;
const PODS: u32 = 24;

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
        let Some(node) = node() else { return };
        let running = node.start_first("10.213.0.0/24").await;
        let (clock, rng) = (SystemClock::shared(), SystemRng::shared());
        let cri = running.cri();
        for number in 0..PODS {
            let mut config = sandbox_config(&node);
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
        running.stop().await;
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
        drop((cri, running));
        let running = node.start().await;
        running.end_with_pods().await;
    }

    /// The second container of a pod with one PID namespace could not be created: libcontainer looked for its first process
    /// in the host's list by the number that it had in the pod's.
    #[tokio::test(flavor = "multi_thread")]
    async fn containers_of_a_pod_with_one_pid_namespace_see_each_other() {
        let Some(node) = node() else { return };
        let running = node.start_first("10.214.0.0/24").await;
        let cri = running.cri();
        let mut config = sandbox_config(&node);
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
            let processes = exec(&*cri, id, "ps").await;
            assert!(processes.contains("sleep 1001") && processes.contains("sleep 1002"), "{processes}");
        }

        running.end_with_pods().await;
    }
    /// Each piece of output that found the disk full was a line in the shim's log, in memory, without bound.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_log_that_cannot_be_written_is_complained_of_once() {
        let Some(node) = node() else { return };
        let running = node.start_first("10.215.0.0/24").await;
        let cri = running.cri();
        std::os::unix::fs::symlink("/dev/full", node.logs.join("main.log")).expect("a link");
        let mut events = events(&*cri).await;
        let script = "for i in 1 2 3 4 5 6 7 8 9; do echo $i; usleep 20000; done";
        let (_, id) = run(&*cri, &sandbox_config(&node), script).await;
        assert_eq!(exit_of(&id, &mut events).await, 0);
        let pods = node.config.run.join("pods");
        let logs: Vec<String> = entries(&pods)
            .iter()
            .filter_map(|pod| std::fs::read_to_string(pods.join(pod).join("shim.log")).ok())
            .collect();
        let complaints = logs.concat();
        assert_eq!(complaints.matches("write log of container").count(), 1, "{complaints}");
        running.end_with_pods().await;
    }
}
