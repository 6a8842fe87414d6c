//! The pod garbage collector on a control plane in memory.

use std::time::Duration;

use crate::harness::{Harness, pods, resource};
use corten_controllers::Config;
use corten_testkit::Cluster;
use serde_json::json;

async fn pod(cluster: &Cluster, name: &str, node: &str, finalizers: &[&str]) {
    let spec = json!({"nodeName": node, "containers": [{"name": "c", "image": "i:1"}]});
    let metadata = json!({"name": name, "namespace": "default", "finalizers": finalizers});
    cluster.create(&pods(), json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})).await;
}

async fn settle() {
    for _ in 0..300 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn pods_of_a_node_that_is_gone_go_after_the_quarantine() {
    let harness = Harness::start(&["pod-garbage-collector-controller"]).await;
    let cluster = &harness.cluster;
    cluster
        .create(&resource("", "nodes"), json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}}))
        .await;
    pod(cluster, "here", "n1", &[]).await;
    // The finalizer keeps it in sight after its deletion.
    pod(cluster, "orphan", "n2", &["example.com/keep"]).await;
    settle().await;
    cluster.clock().advance(Duration::from_secs(39));
    settle().await;
    assert!(harness.get_tree(&pods(), "default/orphan").await.at(&["metadata", "deletionTimestamp"]).is_none());
    cluster.clock().advance(Duration::from_secs(1));
    cluster.wait_for(&pods(), |pods| pods.iter().any(|pod| pod.facts.is_deleting)).await;
    let orphan = harness.get_tree(&pods(), "default/orphan").await;
    assert_eq!(orphan.str_at(&["status", "phase"]), Some("Failed"));
    let condition = &orphan.items_at(&["status", "conditions"])[0];
    assert_eq!(condition.str_at(&["type"]), Some("DisruptionTarget"));
    assert_eq!(condition.str_at(&["reason"]), Some("DeletionByPodGC"));
    assert!(harness.get_tree(&pods(), "default/here").await.at(&["metadata", "deletionTimestamp"]).is_none());
    harness.stop().await;
}

#[tokio::test]
async fn ended_pods_beyond_the_limit_go() {
    let config = Config { terminated_pods_max: 2, ..Config::default() };
    let harness = Harness::start_with(&["pod-garbage-collector-controller"], config).await;
    let cluster = &harness.cluster;
    let metadata = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}});
    cluster.create(&resource("", "nodes"), metadata).await;
    for name in ["a", "b", "c", "d"] {
        pod(cluster, name, "n1", &[]).await;
        let target = corten_client::Target::object(&pods(), "default", name).subresource("status");
        let patch = corten_testkit::tree(&json!({"status": {"phase": "Succeeded"}}));
        cluster.admin().patch(target, corten_client::PatchKind::Merge, patch).await.unwrap();
        cluster.clock().advance(Duration::from_secs(1));
    }
    let left = cluster.wait_for(&pods(), |pods| pods.len() == 2).await;
    assert_eq!(left.iter().map(|pod| pod.name.to_string()).collect::<Vec<_>>(), ["c", "d"]);
    harness.stop().await;
}

#[tokio::test]
async fn a_pod_on_a_node_out_of_service_does_not_wait_for_its_kubelet() {
    let harness = Harness::start(&["pod-garbage-collector-controller"]).await;
    let cluster = &harness.cluster;
    let metadata = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}});
    cluster.create(&resource("", "nodes"), metadata).await;
    pod(cluster, "stuck", "n1", &[]).await;
    harness.delete_with(&pods(), "default/stuck", "Background").await;
    settle().await;
    assert_eq!(cluster.list(&pods()).await.len(), 1);
    let taint = json!({"spec": {"taints": [{"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}]}});
    let target = corten_client::Target::object(&resource("", "nodes"), "", "n1");
    cluster.admin().patch(target, corten_client::PatchKind::Merge, corten_testkit::tree(&taint)).await.unwrap();
    cluster.wait_for(&pods(), <[_]>::is_empty).await;
    harness.stop().await;
}
