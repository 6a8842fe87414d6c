//! Ranges of nodes, nodes that fall silent, and pods that have to leave, on a control plane in memory.

use std::time::Duration;

use crate::harness::{Harness, core, node};
use corten_apimachinery::gvk::GroupVersionResource;
use corten_controllers::Config;
use corten_testkit::Cluster;
use serde_json::{Value, json};

fn ready_at(time: &str) -> Value {
    json!({"conditions": [{
        "type": "Ready", "status": "True", "reason": "KubeletReady", "message": "",
        "lastHeartbeatTime": time, "lastTransitionTime": "2026-01-01T00:00:00Z",
    }]})
}

fn taints(node: &Value) -> Vec<(String, String)> {
    let taints = node["spec"]["taints"].as_array().cloned().unwrap_or_default();
    let text = |taint: &Value, field: &str| taint[field].as_str().unwrap_or_default().to_owned();
    let mut all: Vec<_> = taints.iter().map(|taint| (text(taint, "key"), text(taint, "effect"))).collect();
    all.sort();
    all
}

fn both(key: &str) -> Vec<(String, String)> {
    ["NoExecute", "NoSchedule"].map(|effect| (key.to_owned(), effect.to_owned())).to_vec()
}

#[tokio::test]
async fn nodes_get_parts_of_the_range_and_give_them_back() {
    let cluster = Cluster::start().await;
    let nodes = core("nodes");
    let mut taken = node("old");
    taken["spec"] = json!({"podCIDR": "10.8.0.0/24", "podCIDRs": ["10.8.0.0/24"]});
    cluster.create(&nodes, taken).await;
    let config = Config { cluster_cidrs: vec!["10.8.0.0/23".parse().unwrap()], ..Config::default() };
    let harness = Harness::with(cluster, &["node-ipam-controller"], config);
    harness.cluster.create(&nodes, node("a")).await;
    let a = harness.wait_object(&nodes, "a", |node| !node["spec"]["podCIDR"].is_null()).await;
    assert_eq!((&a["spec"]["podCIDR"], &a["spec"]["podCIDRs"]), (&json!("10.8.1.0/24"), &json!(["10.8.1.0/24"])));
    harness.cluster.create(&nodes, node("b")).await;
    harness.wait(&core("events"), |all| all.iter().find(|event| event["reason"] == "CIDRNotAvailable").map(drop)).await;
    harness.delete(&nodes, "old").await;
    let b = harness.wait_object(&nodes, "b", |node| !node["spec"]["podCIDR"].is_null()).await;
    assert_eq!(b["spec"]["podCIDR"], "10.8.0.0/24");
    harness.stop().await;
}

#[tokio::test]
async fn a_silent_node_loses_its_conditions_and_its_pods() {
    let harness = Harness::start(&["node-lifecycle-controller", "taint-eviction-controller"]).await;
    let (nodes, pods, clock) = (core("nodes"), core("pods"), harness.cluster.clock());
    for name in ["n1", "n2"] {
        let mut node = node(name);
        node["metadata"]["labels"] = json!({"kubernetes.io/os": "linux"});
        harness.cluster.create(&nodes, node).await;
        harness.patch_status(&nodes, name, ready_at("2026-01-01T00:00:00Z")).await;
        harness
            .wait_object(&nodes, name, |node| {
                taints(node).is_empty() && node["metadata"]["labels"]["beta.kubernetes.io/os"] == "linux"
            })
            .await;
    }
    let registered = ["n1", "n2"].map(|node| format!("Node {node} event: Registered Node {node} in Controller"));
    assert_eq!(harness.events("RegisteredNode", 2).await, registered);
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "default"},
        "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "i"}]},
    });
    harness.cluster.create(&pods, pod).await;
    let status = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
    harness.patch_status(&pods, "default/p", status).await;

    // One node renews its lease, the other is silent.
    let leases = GroupVersionResource::new("coordination.k8s.io", "v1", "leases");
    let lease = |time: &str| json!({"spec": {"holderIdentity": "n2", "renewTime": time}});
    let mut first = lease("2026-01-01T00:00:00.000000Z");
    first["apiVersion"] = "coordination.k8s.io/v1".into();
    first["kind"] = "Lease".into();
    first["metadata"] = json!({"name": "n2", "namespace": "kube-node-lease"});
    harness.cluster.create(&leases, first).await;
    clock.advance(Duration::from_secs(40));
    harness.patch(&leases, "kube-node-lease/n2", lease("2026-01-01T00:00:40.000000Z")).await;
    settle().await;
    clock.advance(Duration::from_secs(11));
    let lost = harness.wait_object(&nodes, "n1", |node| taints(node) == both("node.kubernetes.io/unreachable")).await;
    let condition = lost["status"]["conditions"].as_array().unwrap().iter().find(|entry| entry["type"] == "Ready");
    let condition = condition.unwrap();
    assert_eq!((&condition["status"], &condition["reason"]), (&json!("Unknown"), &json!("NodeStatusUnknown")));
    assert_eq!(condition["message"], "Kubelet stopped posting node status.");
    let is_unready = |pod: &Value| {
        let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
        conditions.clone().any(|entry| entry["type"] == "Ready" && entry["status"] == "False")
    };
    harness.wait_object(&pods, "default/p", is_unready).await;
    assert!(taints(&harness.get(&nodes, "n2").await).is_empty(), "a node with a lease lives");

    // Pods tolerate that for five minutes, by default.
    assert!(harness.get(&pods, "default/p").await["metadata"]["deletionTimestamp"].is_null());
    settle().await;
    clock.advance(Duration::from_secs(301));
    let evicted = harness.wait_object(&pods, "default/p", |pod| !pod["metadata"]["deletionTimestamp"].is_null()).await;
    let conditions = evicted["status"]["conditions"].as_array().unwrap();
    let target = conditions.iter().find(|condition| condition["type"] == "DisruptionTarget").unwrap();
    assert_eq!(target["reason"], "DeletionByTaintManager");
    harness
        .wait(&core("events"), |all| {
            let marked = |event: &&Value| event["message"] == "Marking for deletion Pod default/p";
            all.iter().find(marked).map(drop)
        })
        .await;

    // The node is back: the taints go.
    harness.patch_status(&nodes, "n1", ready_at("2026-01-01T00:06:00Z")).await;
    harness.wait_object(&nodes, "n1", |node| taints(node).is_empty()).await;
    // Events are named by their time: another one about this node was made at this very instant.
    clock.advance(Duration::from_secs(1));
    harness.delete(&nodes, "n2").await;
    assert_eq!(harness.events("RemovingNode", 1).await, ["Node n2 event: Removing Node n2 from Controller"]);
    harness.stop().await;
}

/// Lets the controllers see what was written before time moves on: everything runs on this one thread.
async fn settle() {
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_node_says_how_long_secrets_may_be_kept() {
    let harness = Harness::start(&["ttl-controller"]).await;
    harness.cluster.create(&core("nodes"), node("n1")).await;
    harness
        .wait_object(&core("nodes"), "n1", |node| {
            node["metadata"]["annotations"]["node.alpha.kubernetes.io/ttl"] == "0"
        })
        .await;
    harness.stop().await;
}

#[tokio::test]
async fn a_pod_without_a_toleration_leaves_at_once() {
    let harness = Harness::start(&["taint-eviction-controller"]).await;
    let (nodes, pods) = (core("nodes"), core("pods"));
    harness.cluster.create(&nodes, node("n1")).await;
    harness.wait_object(&core("serviceaccounts"), "default/default", |_| true).await;
    for (name, tolerations) in [("leaves", json!([])), ("stays", json!([{"key": "maintenance", "operator": "Exists"}]))]
    {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"},
            "spec": {"nodeName": "n1", "tolerations": tolerations, "containers": [{"name": "c", "image": "i"}]},
        });
        harness.cluster.create(&pods, pod).await;
    }
    harness.patch(&nodes, "n1", json!({"spec": {"taints": [{"key": "maintenance", "effect": "NoExecute"}]}})).await;
    harness.wait_object(&pods, "default/leaves", |pod| !pod["metadata"]["deletionTimestamp"].is_null()).await;
    assert!(harness.get(&pods, "default/stays").await["metadata"]["deletionTimestamp"].is_null());
    harness.stop().await;
}
