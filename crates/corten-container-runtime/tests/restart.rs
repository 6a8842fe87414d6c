//! A runtime that ends and one that starts on the same data: containers run on and are taken over; needs root and
//! `CORTEN_TEST_IMAGES`.

use std::path::Path;

use corten_container_runtime::ContainerRuntime;
use corten_cri::api;
use corten_net::{netlink::Rtnl, netns::Netns, nftables::Nftables};
use support::{exec, furnish, node, run, sandbox_config};

mod support;

async fn status(runtime: &ContainerRuntime, id: &str) -> api::ContainerStatus {
    let request = api::ContainerStatusRequest { container_id: id.to_owned(), verbose: false };
    let answer = runtime.cri().runtime.container_status(request).await.expect("a status");
    answer.status.expect("the container's status")
}

mod privileged {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn containers_outlive_the_runtime_and_are_taken_over() {
        let Some((node, busybox)) = node() else { return };
        let logs = node.config.root.join("logs");
        std::fs::create_dir_all(&logs).expect("make a directory");
        let (runtime, stop) = node.start().await;
        furnish(&runtime, busybox, "10.212.0.0/24").await;
        let host = Netns::open(&node.network).expect("open the network namespace");
        let links = Rtnl::open_in(&host).expect("netlink");
        let bridge =
            links.link_by_name(&node.config.bridge).expect("netlink").expect("the bridge is there before a pod");
        let addresses = links.addresses(Some(bridge.index)).expect("netlink");
        assert!(addresses.iter().any(|address| address.net.to_string() == "10.212.0.1/24"), "{addresses:?}");

        let config = sandbox_config(&logs);
        let script = "echo begun; while [ ! -e /tmp/end ]; do sleep 0.1; done; echo ended; exit 5";
        let (_, id) = run(&runtime, config, script).await;
        let before = status(&runtime, &id).await;
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
        assert!(logs.join("main.log").exists(), "logs are their reader's");
        assert!(links.link_by_name(&node.config.bridge).expect("netlink").is_none());
        assert_eq!(Nftables::open_in(&host).expect("netlink").tables().expect("netlink"), []);
        let hierarchies = corten_oci::cgroup::Hierarchies::detect().expect("the machine's hierarchies");
        let cgroup = corten_oci::Cgroup::new(hierarchies, Path::new(&format!("/{}", node.config.cgroup_root)));
        assert!(cgroup.directories().iter().all(|directory| !directory.exists()));
        stop.request();
        runtime.join().await.expect("no panic");
    }

    /// A container whose image named a signal that there is not could not be ended: the kill came only after the signal.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_container_that_cannot_be_asked_to_end_is_killed() {
        let Some((node, busybox)) = node() else { return };
        let logs = node.config.root.join("logs");
        std::fs::create_dir_all(&logs).expect("make a directory");
        let (runtime, stop) = node.start().await;
        furnish(&runtime, busybox, "10.218.0.0/24").await;
        let (sandbox, id) = run(&runtime, sandbox_config(&logs), "while :; do sleep 1; done").await;
        stop.request();
        runtime.join().await.expect("no panic");
        drop(runtime);

        // As an earlier version recorded it.
        let path = node.config.root.join("pods").join(sandbox).join("containers").join(&id).join("container.json");
        let text = std::fs::read_to_string(&path).expect("a record");
        let changed = text.replace("\"stopSignal\":15", "\"stopSignal\":100");
        assert_ne!(text, changed);
        std::fs::write(&path, changed).expect("change the record");
        let (runtime, stop) = node.start().await;
        let request = api::StopContainerRequest { container_id: id.clone(), timeout: 3_600 };
        runtime.cri().runtime.stop_container(request).await.expect("an end");
        assert_eq!(status(&runtime, &id).await.exit_code, 137);
        runtime.remove_all().await.expect("everything goes");
        stop.request();
        runtime.join().await.expect("no panic");
    }

    /// A record that could not be read kept the whole node from starting; its pod is cleared away, and others go on.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_pod_whose_record_is_broken_is_cleared_away() {
        let Some((node, busybox)) = node() else { return };
        let logs = node.config.root.join("logs");
        std::fs::create_dir_all(&logs).expect("make a directory");
        let (runtime, stop) = node.start().await;
        furnish(&runtime, busybox, "10.217.0.0/24").await;
        let mut made = Vec::new();
        for attempt in 0..2 {
            let mut config = sandbox_config(&logs);
            config.metadata.as_mut().expect("made with it").attempt = attempt;
            let (sandbox, id) = run(&runtime, config, "while :; do sleep 1; done").await;
            made.push((sandbox, id));
        }
        stop.request();
        runtime.join().await.expect("no panic");
        drop(runtime);

        let (broken, lost) = &made[0];
        let record = node.config.root.join("pods").join(broken).join("sandbox.json");
        let text = std::fs::read(&record).expect("a record");
        std::fs::write(&record, &text[..text.len() / 2]).expect("break the record");
        let (runtime, stop) = node.start().await;
        assert_eq!(exec(&runtime, &made[1].1, "echo on").await, "on\n");
        let request = api::ListPodSandboxRequest::default();
        let left = runtime.cri().runtime.list_pod_sandbox(request).await.expect("a list").items;
        assert_eq!(left.iter().map(|found| &found.id).collect::<Vec<_>>(), [&made[1].0]);
        for (place, pods) in [("kept", &node.config.root), ("live", &node.config.run)] {
            assert!(!pods.join("pods").join(broken).exists(), "{place}");
        }
        let hierarchies = corten_oci::cgroup::Hierarchies::detect().expect("the machine's hierarchies");
        let path = format!("/{}/{broken}/{lost}", node.config.cgroup_root);
        let cgroup = corten_oci::Cgroup::new(hierarchies, Path::new(&path));
        assert!(cgroup.directories().iter().all(|directory| !directory.exists()), "its processes have ended");
        runtime.remove_all().await.expect("everything goes");
        stop.request();
        runtime.join().await.expect("no panic");
    }
}
