//! A runtime that ends and one that starts on the same data: containers run on and are taken over; needs root and
//! `CORTEN_TEST_IMAGES`.

use corten_cri::api;
use corten_net::{netlink::Rtnl, netns::Netns, nftables::Nftables};

use crate::support::{events, exec, exit_of, node, run, run_container, run_pod, sandbox_config, status};

mod privileged {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn containers_outlive_the_runtime_and_are_taken_over() {
        let Some(node) = node() else { return };
        let running = node.start_first("10.212.0.0/24").await;
        let host = Netns::open(&node.network).expect("open the network namespace");
        let links = Rtnl::open_in(&host).expect("netlink");
        let bridge =
            links.link_by_name(&node.config.bridge).expect("netlink").expect("the bridge is there before a pod");
        let addresses = links.addresses(Some(bridge.index)).expect("netlink");
        assert!(addresses.iter().any(|address| address.net.to_string() == "10.212.0.1/24"), "{addresses:?}");

        let config = sandbox_config(&node);
        let script = "echo begun; while [ ! -e /tmp/end ]; do sleep 0.1; done; echo ended; exit 5";
        let (_, id) = run(&*running.cri(), &config, script).await;
        let before = status(&*running.cri(), &id).await;
        running.end().await;

        let running = node.start().await;
        let cri = running.cri();
        let after = status(&*cri, &id).await;
        assert_eq!(after.state, api::ContainerState::ContainerRunning as i32);
        assert_eq!((after.started_at, after.id.as_str()), (before.started_at, id.as_str()));
        let mut events = events(&*cri).await;
        assert_eq!(exec(&*cri, &id, "hostname; touch /tmp/end").await, "pod\n");
        assert_eq!(exit_of(&id, &mut events).await, 5);
        let over = status(&*cri, &id).await;
        assert_eq!((over.state, over.exit_code), (api::ContainerState::ContainerExited as i32, 5));
        let log = std::fs::read_to_string(node.logs.join("main.log")).expect("the log");
        assert!(log.contains(" begun\n") && log.contains(" ended\n"), "{log}");

        running.end_with_pods().await;
        assert!(node.logs.join("main.log").exists(), "logs are their reader's");
        assert!(links.link_by_name(&node.config.bridge).expect("netlink").is_none());
        assert_eq!(Nftables::open_in(&host).expect("netlink").tables().expect("netlink"), []);
        assert!(node.cgroup("").directories().iter().all(|directory| !directory.exists()));
    }

    /// A container whose image named a signal that there is not could not be ended: the kill came only after the signal.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_container_that_cannot_be_asked_to_end_is_killed() {
        let Some(node) = node() else { return };
        let running = node.start_first("10.218.0.0/24").await;
        let (sandbox, id) = run(&*running.cri(), &sandbox_config(&node), "while :; do sleep 1; done").await;
        running.end().await;

        // As an earlier version recorded it.
        let path = node.config.root.join("pods").join(sandbox).join("containers").join(&id).join("container.json");
        let text = std::fs::read_to_string(&path).expect("a record");
        let changed = text.replace("\"stopSignal\":15", "\"stopSignal\":100");
        assert_ne!(text, changed);
        std::fs::write(&path, changed).expect("change the record");
        let running = node.start().await;
        let request = api::StopContainerRequest { container_id: id.clone(), timeout: 3_600 };
        running.cri().stop_container(request).await.expect("an end");
        assert_eq!(status(&*running.cri(), &id).await.exit_code, 137);
        running.end_with_pods().await;
    }

    /// A record that could not be read kept the whole node from starting; its pod is cleared away, and others go on.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_pod_whose_record_is_broken_is_cleared_away() {
        let Some(node) = node() else { return };
        let running = node.start_first("10.217.0.0/24").await;
        let mut made = Vec::new();
        for attempt in 0..2 {
            let mut config = sandbox_config(&node);
            config.metadata.as_mut().expect("made with it").attempt = attempt;
            made.push(run(&*running.cri(), &config, "while :; do sleep 1; done").await);
        }
        running.end().await;

        let (broken, lost) = &made[0];
        let record = node.config.root.join("pods").join(broken).join("sandbox.json");
        let text = std::fs::read(&record).expect("a record");
        std::fs::write(&record, &text[..text.len() / 2]).expect("break the record");
        let running = node.start().await;
        assert_eq!(exec(&*running.cri(), &made[1].1, "echo on").await, "on\n");
        let request = api::ListPodSandboxRequest::default();
        let left = running.cri().list_pod_sandbox(request).await.expect("a list").items;
        assert_eq!(left.iter().map(|found| &found.id).collect::<Vec<_>>(), [&made[1].0]);
        for (place, pods) in [("kept", &node.config.root), ("live", &node.config.run)] {
            assert!(!pods.join("pods").join(broken).exists(), "{place}");
        }
        let cgroup = node.cgroup(&format!("{broken}/{lost}"));
        assert!(cgroup.directories().iter().all(|directory| !directory.exists()), "its processes have ended");
        running.end_with_pods().await;
    }

    /// Everything was forgotten at the end of a cluster: its next start knew no earlier container, whose log was there and
    /// could not be asked for, and a pod that was never to be started again was.
    #[tokio::test(flavor = "multi_thread")]
    async fn pods_that_were_stopped_with_the_machine_are_known_with_their_ends() {
        let Some(node) = node() else { return };
        let running = node.start_first("10.220.0.0/24").await;
        let cri = running.cri();
        let mut config = sandbox_config(&node);
        let sandbox = run_pod(&*cri, &config).await;
        let mut events = events(&*cri).await;
        let begun = run_container(&*cri, &sandbox, &config, "short", "echo said; exit 7").await;
        let short = begun.expect("a container that ends");
        assert_eq!(exit_of(&short, &mut events).await, 7);
        let long = run_container(&*cri, &sandbox, &config, "long", "sleep 1000").await.expect("a container");
        let before = status(&*cri, &short).await;
        drop(cri);
        running.end_with_pods().await;
        assert!(node.cgroup("").directories().iter().all(|directory| !directory.exists()));
        assert!(!node.config.run.join("pods").exists());

        let running = node.start().await;
        let cri = running.cri();
        assert_eq!(status(&*cri, &short).await, before);
        let after = status(&*cri, &long).await;
        assert_eq!((after.state, after.exit_code), (api::ContainerState::ContainerExited as i32, 137));
        let log = std::fs::read_to_string(&before.log_path).expect("the log");
        assert!(log.contains(" said\n"), "{log}");
        let list = cri.list_pod_sandbox(api::ListPodSandboxRequest::default()).await.expect("a list").items;
        let states: Vec<_> = list.iter().map(|found| (&found.id, found.state)).collect();
        assert_eq!(states, [(&sandbox, api::PodSandboxState::SandboxNotready as i32)]);
        // As the kubelet does: one in its place, then the old one goes.
        running.set_pod_cidr("10.220.0.0/24").await;
        config.metadata.as_mut().expect("made with it").attempt = 1;
        let (_, next) = run(&*cri, &config, "sleep 1000").await;
        cri.remove_pod_sandbox(api::RemovePodSandboxRequest { pod_sandbox_id: sandbox }).await.expect("removed");
        assert_eq!(exec(&*cri, &next, "echo on").await, "on\n");
        drop(cri);
        running.end_with_pods().await;
    }
}
