//! Pods from their creation to their end.

use serde_json::json;

use crate::node::{Node, condition, container};

#[tokio::test]
async fn a_pod_runs_and_is_deleted() {
    let mut node = Node::start().await;
    node.create("web", json!({"containers": [{"name": "main", "image": "nginx"}]})).await;
    let pod = node.ready("web").await;
    let calls = node.cri.take_calls();
    assert_eq!(
        calls,
        [
            "run_pod_sandbox default/web",
            "pull_image nginx",
            "create_container default/web/main",
            "start_container default/web/main"
        ]
    );
    let status = pod.status.clone().unwrap();
    assert_eq!(status.phase.as_deref(), Some("Running"));
    assert_eq!(status.host_ip.as_deref(), Some("192.0.2.1"));
    assert!(status.pod_ip.is_some() && status.start_time.is_some());
    for kind in ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"] {
        assert_eq!(condition(&pod, kind), "True", "{kind}");
    }
    let main = container(&pod, "main");
    assert!(main.ready && main.started == Some(true) && main.restart_count == 0);
    assert_eq!(main.image, "nginx");
    assert!(main.container_id.unwrap().starts_with("fake://"));
    assert_eq!(node.events(), ["Created: Container created", "Started: Container started"]);

    node.delete("web", None).await;
    node.gone("web").await;
    let calls = node.cri.take_calls();
    assert_eq!(
        calls,
        [
            "stop_container default/web/main",
            "stop_pod_sandbox default/web",
            "remove_container default/web/main",
            "remove_pod_sandbox default/web"
        ]
    );
    assert_eq!(node.events(), ["Killing: Stopping container main"]);
    assert!(node.fakes.holdings.volumes.lock().is_empty() && node.fakes.holdings.cgroups.lock().is_empty());
    node.stop().await;
}
