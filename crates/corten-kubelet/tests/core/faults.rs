//! A runtime that loses events, pods or its temper.

use corten_cri::{
    CriError,
    fake::{Exit, OnStart, OnStop, Script},
};
use serde_json::json;

use crate::node::{Node, condition, container};

fn one() -> serde_json::Value {
    json!({"containers": [{"name": "main", "image": "nginx"}]})
}

#[tokio::test]
async fn events_that_were_lost_are_made_up_for_by_a_list() {
    let node = Node::start().await;
    node.create("web", one()).await;
    node.ready("web").await;
    node.cri.end_event_streams();
    node.cri.exit(&node.cri.container_id("default", "web", "main").unwrap(), Exit::code(1)).unwrap();
    node.wait_while_time_passes("web", 10, |pod| container(pod, "main").restart_count == 1).await;
    node.stop().await;
}

#[tokio::test]
async fn a_runtime_that_forgot_everything_gets_its_pods_again() {
    let node = Node::start().await;
    node.create("web", one()).await;
    node.ready("web").await;
    node.cri.reboot();
    node.cri.end_event_streams();
    let again = |pod: &corten_api::core::v1::Pod| {
        container(pod, "main").restart_count == 1
            || (condition(pod, "Ready") == "True" && node.cri.sandbox_id("default", "web").is_some())
    };
    let pod = node.wait_while_time_passes("web", 10, again).await;
    assert_eq!(pod.status.unwrap().phase.as_deref(), Some("Running"));
    node.stop().await;
}

/// Once, the count of restarts went from 1 back to 0, and a second container wrote behind the first one's log.
#[tokio::test]
async fn restarts_are_counted_on_when_the_runtime_has_forgotten_the_containers() {
    let mut node = Node::start().await;
    node.create("web", one()).await;
    let pod = node.ready("web").await;
    let logs = format!("pods/default_web_{}/main", pod.metadata.uid.unwrap());
    let logs = node.root.path().join(logs);
    for (kept, want) in [(None, 1), (Some("4.log"), 5)] {
        node.halt().await;
        node.cri.reboot();
        if let Some(kept) = kept {
            std::fs::create_dir_all(&logs).unwrap();
            std::fs::write(logs.join(kept), "").unwrap();
        }
        node.boot();
        let runs = |pod: &corten_api::core::v1::Pod| {
            let shown = container(pod, "main");
            shown.restart_count == want && shown.ready && node.cri.container_id("default", "web", "main").is_some()
        };
        node.wait("web", runs).await;
    }
    node.stop().await;
}

#[tokio::test]
async fn a_start_that_fails_is_shown_and_waits() {
    let mut node = Node::start().await;
    let on_start = OnStart::Fail(CriError::unknown("exec: \"nope\": not found"));
    node.cri.script("main", Script { on_start, ..Script::default() });
    node.create("web", one()).await;
    let waits = |reason: &'static str| {
        move |pod: &corten_api::core::v1::Pod| {
            let waiting = container(pod, "main").state.unwrap_or_default().waiting;
            waiting.is_some_and(|waiting| waiting.reason.as_deref() == Some(reason))
        }
    };
    let pod = node.wait("web", waits("RunContainerError")).await;
    let main = container(&pod, "main");
    assert_eq!(main.state.unwrap().waiting.unwrap().message.as_deref(), Some("exec: \"nope\": not found"));
    assert_eq!(main.last_state.unwrap().terminated.unwrap().exit_code, 128);
    assert!(node.events().contains(&"Failed: Error: exec: \"nope\": not found".to_owned()));
    node.wait_while_time_passes("web", 60, waits("CrashLoopBackOff")).await;
    node.delete("web", None).await;
    node.gone("web").await;
    node.stop().await;
}

/// The runtime tells of the end before it answers the start: the pod had ended by then, and nobody said why.
#[tokio::test]
async fn a_start_that_fails_for_good_says_why() {
    let mut node = Node::start().await;
    let on_start = OnStart::Fail(CriError::unknown("exec: \"nope\": not found"));
    node.cri.script("main", Script { on_start, ..Script::default() });
    node.create("once", json!({"restartPolicy": "Never", "containers": [{"name": "main", "image": "nginx"}]})).await;
    let pod = node.phase("once", "Failed").await;
    let ended = container(&pod, "main").state.unwrap().terminated.unwrap();
    assert_eq!((ended.exit_code, ended.reason.as_deref()), (128, Some("StartError")));
    assert_eq!(ended.started_at.unwrap().0, jiff::Timestamp::UNIX_EPOCH);
    assert!(node.events().contains(&"Failed: Error: exec: \"nope\": not found".to_owned()));
    node.stop().await;
}

#[tokio::test]
async fn a_pod_waits_for_the_network_and_one_on_the_nodes_own_does_not() {
    let mut node = Node::start().await;
    node.cri.set_condition("NetworkReady", false, "NetworkPluginNotReady", "cni plugin not initialized");
    node.create("web", one()).await;
    node.create("host", json!({"hostNetwork": true, "containers": [{"name": "main", "image": "nginx"}]})).await;
    node.ready("host").await;
    let said = "NetworkNotReady: network is not ready: container runtime network not ready: NetworkReady=false \
                reason:NetworkPluginNotReady message:cni plugin not initialized";
    while !node.events().contains(&said.to_owned()) {
        tokio::task::yield_now().await;
    }
    assert!(node.cri.sandbox_id("default", "web").is_none());
    node.cri.set_condition("NetworkReady", true, "", "");
    node.wait_while_time_passes("web", 20, |pod| condition(pod, "Ready") == "True").await;
    node.stop().await;
}

#[tokio::test]
async fn a_container_that_ignores_its_end_is_killed_and_a_shorter_grace_counts() {
    let node = Node::start().await;
    node.cri.script("main", Script { on_stop: OnStop::Ignore, ..Script::default() });
    node.create("web", one()).await;
    node.ready("web").await;
    node.delete("web", Some(3_600)).await;
    node.wait("web", |pod| pod.metadata.deletion_timestamp.is_some()).await;
    node.delete("web", Some(5)).await;
    node.wait("web", |pod| pod.metadata.deletion_grace_period_seconds == Some(5)).await;
    let gone = async {
        loop {
            for _ in 0..200 {
                tokio::task::yield_now().await;
            }
            if node.cri.sandbox_id("default", "web").is_none() {
                break;
            }
            node.advance(1);
        }
    };
    gone.await;
    node.gone("web").await;
    assert!(node.cluster.shared_clock().monotonic().as_secs() < 60);
    node.stop().await;
}

#[tokio::test]
async fn a_pod_that_is_forced_away_leaves_nothing() {
    let node = Node::start().await;
    node.create("web", one()).await;
    node.ready("web").await;
    node.delete("web", Some(0)).await;
    node.gone("web").await;
    while node.cri.sandbox_id("default", "web").is_some() {
        tokio::task::yield_now().await;
    }
    while !node.fakes.holdings.volumes.lock().is_empty() {
        tokio::task::yield_now().await;
    }
    node.stop().await;
}

#[tokio::test]
async fn a_sandbox_that_cannot_be_made_is_tried_again() {
    let mut node = Node::start().await;
    node.cri.fail("run_pod_sandbox", 1, CriError::unavailable("no network"));
    node.create("web", one()).await;
    node.wait_while_time_passes("web", 20, |pod| condition(pod, "Ready") == "True").await;
    let said = "FailedCreatePodSandBox: Failed to create pod sandbox: rpc error: code = Unavailable desc = no network";
    assert!(node.events().contains(&said.to_owned()));
    node.stop().await;
}

#[tokio::test]
async fn volumes_and_groups_of_pods_that_are_gone_are_removed_at_start() {
    let mut node = Node::stopped().await;
    node.fakes.holdings.volumes.lock().insert("gone".to_owned());
    node.fakes.holdings.cgroups.lock().insert("gone".to_owned());
    node.boot();
    node.create("web", one()).await;
    node.ready("web").await;
    while node.fakes.holdings.cgroups.lock().contains("gone") {
        tokio::task::yield_now().await;
    }
    assert_eq!(node.fakes.holdings.volumes.lock().len(), 1);
    node.stop().await;
}

#[tokio::test]
async fn the_view_finds_containers_and_their_logs() {
    let node = Node::start().await;
    node.create("web", one()).await;
    node.ready("web").await;
    let view = node.view();
    let id = node.cri.container_id("default", "web", "main").unwrap();
    assert_eq!(view.running_container("default", "web", "").await, Ok(id.clone()));
    assert!(view.sandbox("default", "web").await.is_ok());
    let log = view.log_path("default", "web", "main", false).await.unwrap();
    assert_eq!((log.container_id, log.is_running), (id, true));
    let text = |failure: corten_kubelet::interfaces::Failure| failure.message;
    assert_eq!(
        view.log_path("default", "web", "main", true).await.map_err(text),
        Err("previous terminated container \"main\" in pod \"web\" not found".to_owned())
    );
    assert_eq!(view.list().len(), 1);
    assert_eq!(view.get("default", "web").unwrap().status.as_ref().unwrap().phase.as_deref(), Some("Running"));
    drop(view);
    node.stop().await;
}

/// While the kubelet's cache was behind, a client was sent to what had ended, and heard what the runtime said of it.
#[tokio::test]
async fn a_container_that_has_just_ended_is_not_found() {
    let node = Node::start().await;
    node.create("web", one()).await;
    node.ready("web").await;
    let view = node.view();
    let id = node.cri.container_id("default", "web", "main").unwrap();
    node.cri.exit(&id, Exit::code(0)).unwrap();
    let found = view.running_container("default", "web", "main").await;
    assert_eq!(found.map_err(|failure| failure.message), Err("container not found (\"main\")".to_owned()));
    drop(view);
    node.stop().await;
}
