//! A shim that is killed: its pod is over, and another takes its place. One that hangs: its pod goes on. Both need root and
//! `CORTEN_TEST_IMAGES`.

use std::{os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use corten_base::SystemClock;
use corten_cri::api;
use futures::StreamExt as _;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::support::{events, exec, exit_of, node, run, run_container, run_pod, sandbox_config, status};

/// Longer than all of it takes; the kubelet's view depends on these events alone.
const PATIENCE: Duration = Duration::from_secs(20);

/// The process that was started with `directory` as its last argument.
fn shim_of(directory: &Path) -> Pid {
    let wanted = directory.display().to_string();
    let entries = std::fs::read_dir("/proc").expect("read /proc").filter_map(Result::ok);
    let mut pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let is_shim = |pid: &i32| {
        let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.trim_end_matches('\0').ends_with(&wanted)
    };
    Pid::from_raw(pids.find(is_shim).expect("the shim runs"))
}

mod privileged {
    use super::*;

    /// The runtime noticed, and went on calling the sandbox ready: the kubelet kept trying to start containers in it.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_pod_whose_shim_was_killed_is_over_and_can_be_replaced() {
        let Some(node) = node() else { return };
        let running = node.start_first("10.214.0.0/24").await;
        let cri = running.cri();
        let mut config = sandbox_config(&node);
        for attempt in 0..2 {
            config.metadata.as_mut().expect("made with it").attempt = attempt;
            let sandbox = run_pod(&*cri, &config).await;
            for name in ["a", "b"] {
                let script = "trap '' TERM; while :; do sleep 1; done";
                let id = run_container(&*cri, &sandbox, &config, name, script).await.expect("a container");
                assert_eq!(exec(&*cri, &id, "echo up").await, "up\n");
            }
            let mut events = events(&*cri).await;
            kill(shim_of(&node.config.run.join("pods").join(&sandbox)), Signal::SIGKILL).expect("a shim to kill");
            let over = async {
                loop {
                    let event = events.next().await.expect("an event").expect("no error");
                    let Some(status) = event.pod_sandbox_status.filter(|status| status.id == sandbox) else { continue };
                    // Whoever sees one part of the pod ended sees all of it ended.
                    assert_eq!(status.state, api::PodSandboxState::SandboxNotready as i32);
                    let exits = event.containers_statuses.iter().map(|status| (status.state, status.exit_code));
                    let exited = api::ContainerState::ContainerExited as i32;
                    assert_eq!(exits.collect::<Vec<_>>(), [(exited, 255), (exited, 255)]);
                    if event.container_id == sandbox {
                        return;
                    }
                }
            };
            corten_base::timeout(&*SystemClock::shared(), PATIENCE, over).await.expect("the runtime notices");
        }
        running.end_with_pods().await;
    }

    /// The container was forgotten with its shim, and its processes ran on: nobody else knew of them.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_container_that_is_removed_while_its_shim_hangs_leaves_no_processes() {
        let Some(mut node) = node() else { return };
        node.config.shim_patience = Duration::from_secs(1);
        let running = node.start_first("10.218.0.0/24").await;
        let cri = running.cri();
        // A group as the kubelet makes it, which the runtime does not remove; and a namespace that the shim's end does not end.
        let parent = format!("/{}/kubelet", node.config.cgroup_root);
        let mut config = sandbox_config(&node);
        let options = api::NamespaceOption { pid: api::NamespaceMode::Container as i32, ..Default::default() };
        let context = api::LinuxSandboxSecurityContext { namespace_options: Some(options), ..Default::default() };
        let (cgroup_parent, security_context) = (parent, Some(context));
        config.linux = Some(api::LinuxPodSandboxConfig { cgroup_parent, security_context, ..Default::default() });
        let (sandbox, id) = run(&*cri, &config, "while :; do sleep 1; done").await;
        let cgroup = node.cgroup(&format!("kubelet/{id}"));
        assert!(!cgroup.processes().expect("a group").is_empty());
        kill(shim_of(&node.config.run.join("pods").join(&sandbox)), Signal::SIGSTOP).expect("a shim to stop");
        cri.remove_container(api::RemoveContainerRequest { container_id: id }).await.expect("the container goes");
        assert!(cgroup.processes().expect("no group").is_empty(), "they run on");
        running.end_with_pods().await;
    }

    /// A process that its container's init had left behind, and that did not die, was forgotten: the next container would
    /// have run beside it. And for ten seconds nobody else in the pod was served.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_container_has_not_ended_while_one_of_its_processes_does_not_die() {
        let Some(node) = node() else { return };
        let running = node.start_first("10.219.0.0/24").await;
        let cri = running.cri();
        let (sandbox, id) = run(&*cri, &sandbox_config(&node), "sleep 1000 & while :; do sleep 1; done").await;
        let cgroup = node.cgroup(&format!("{sandbox}/{id}"));
        let group = cgroup.directories().into_iter().find(|group| group.join("freezer.state").exists());
        if let Some(group) = group {
            let name = |pid: &i32| std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let (processes, stuck) = loop {
                let processes = cgroup.processes().expect("processes");
                if let Some(stuck) = processes.iter().copied().find(|pid| name(pid) == "sleep\x001000\x00") {
                    break (processes, stuck);
                }
                tokio::task::yield_now().await;
            };
            // One that is frozen does not die before it wakes. Its own group: that of the container is woken.
            let group = group.join("stuck");
            let write = |file: &str, text: &str| std::fs::write(group.join(file), text).expect("write to a group");
            std::fs::create_dir(&group).expect("make a group");
            write("cgroup.procs", &stuck.to_string());
            write("freezer.state", "FROZEN");
            let init = processes.iter().min().expect("init is among them");
            kill(Pid::from_raw(*init), Signal::SIGKILL).expect("an init to kill");
            // The shim hears of it, and answers all the same.
            let clock = SystemClock::shared();
            for _ in 0..3 {
                clock.sleep(Duration::from_millis(100)).await;
                let soon = Duration::from_secs(5);
                let request = api::ReopenContainerLogRequest { container_id: id.clone() };
                let asked = corten_base::timeout(&*clock, soon, cri.reopen_container_log(request)).await;
                asked.expect("the shim does not wait").expect("a log");
            }
            assert_eq!(status(&*cri, &id).await.state, api::ContainerState::ContainerRunning as i32);
            let mut events = events(&*cri).await;
            write("freezer.state", "THAWED");
            let over = exit_of(&id, &mut events);
            let code = corten_base::timeout(&*clock, PATIENCE, over).await.expect("the end is heard");
            assert_eq!(code, 137);
        }
        running.end_with_pods().await;
    }

    /// A runtime that started took a shim that did not answer for dead and killed the pod's containers, or waited for it for
    /// ever.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_pod_whose_shim_hangs_goes_on_when_the_shim_does() {
        let Some(node) = node() else { return };
        let running = node.start_first("10.215.0.0/24").await;
        for directory in [&node.config.root, &node.config.run] {
            let mode = directory.metadata().expect("a directory").permissions().mode();
            assert_eq!(mode & 0o7777, 0o700, "the machine's users reach set-user-id files of containers");
        }
        let config = sandbox_config(&node);
        let (sandbox, id) = run(&*running.cri(), &config, "while [ ! -e /tmp/end ]; do sleep 0.1; done; exit 5").await;
        running.end().await;

        let shim = shim_of(&node.config.run.join("pods").join(&sandbox));
        kill(shim, Signal::SIGSTOP).expect("a shim to stop");
        let clock = SystemClock::shared();
        let start = corten_base::timeout(&*clock, PATIENCE, node.start());
        let running = start.await.expect("the runtime does not wait for one shim");
        let cri = running.cri();
        let mut events = events(&*cri).await;
        kill(shim, Signal::SIGCONT).expect("a shim to go on");
        assert_eq!(exec(&*cri, &id, "echo end; touch /tmp/end").await, "end\n");
        let over = exit_of(&id, &mut events);
        let code = corten_base::timeout(&*clock, PATIENCE, over).await.expect("the runtime listens again");
        assert_eq!(code, 5, "it was not killed");
        running.end_with_pods().await;
    }

    /// A shim that hung for good kept its pod from ever being deleted.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_pod_whose_shim_hangs_for_good_can_be_removed() {
        let Some(mut node) = node() else { return };
        node.config.shim_patience = Duration::from_secs(1);
        let running = node.start_first("10.216.0.0/24").await;
        let cri = running.cri();
        let config = sandbox_config(&node);
        let (sandbox, id) = run(&*cri, &config, "while :; do sleep 1; done").await;
        kill(shim_of(&node.config.run.join("pods").join(&sandbox)), Signal::SIGSTOP).expect("a shim to stop");
        let clock = SystemClock::shared();
        let removal = async {
            let request = api::StopContainerRequest { container_id: id.clone(), timeout: 1 };
            cri.stop_container(request).await.expect("the container ends with its shim");
            let request = api::StopPodSandboxRequest { pod_sandbox_id: sandbox.clone() };
            cri.stop_pod_sandbox(request).await.expect("the sandbox stops");
            let request = api::RemovePodSandboxRequest { pod_sandbox_id: sandbox.clone() };
            cri.remove_pod_sandbox(request).await.expect("and goes");
        };
        corten_base::timeout(&*clock, PATIENCE, removal).await.expect("nobody waits for the shim");
        running.end_with_pods().await;
    }
}
