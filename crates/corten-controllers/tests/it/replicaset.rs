//! ReplicaSets and ReplicationControllers on a control plane in memory.

use std::time::Duration;

use crate::harness::{Harness, live, number, pods, replica_sets, resource, template, tree_of};
use corten_client::Target;
use serde_json::json;

fn replica_set(name: &str, replicas: u32) -> serde_json::Value {
    json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": name, "namespace": "default"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template(name, "i:1")}})
}

#[tokio::test]
async fn a_set_scales_up_and_down_and_reports() {
    let harness = Harness::start(&["replicaset-controller"]).await;
    let cluster = &harness.cluster;
    let set = cluster.create(&replica_sets(), replica_set("web", 3)).await;
    let made = cluster.wait_for(&pods(), |pods| pods.len() == 3).await;
    for pod in &made {
        assert_eq!(pod.facts.controller_uid, set.uid);
        assert!(pod.name.starts_with("web-"));
        harness.make_ready(pod).await;
    }
    let sets = cluster.wait_for(&replica_sets(), |sets| number(&sets[0], &["status", "availableReplicas"]) == 3).await;
    let status = tree_of(&sets[0]);
    assert_eq!(status.i64_at(&["status", "fullyLabeledReplicas"]), Some(3));
    assert_eq!(status.i64_at(&["status", "terminatingReplicas"]), Some(0));
    assert_eq!(status.i64_at(&["status", "observedGeneration"]), Some(1));
    // Events about one object at one moment share a name, and time stands still here: one is enough.
    assert!(harness.events("SuccessfulCreate", 1).await[0].starts_with("Created pod: web-"));

    harness.patch(&replica_sets(), "default/web", json!({"spec": {"replicas": 1}})).await;
    cluster.wait_for(&pods(), |pods| live(pods).len() == 1).await;
    cluster.wait_for(&replica_sets(), |sets| number(&sets[0], &["status", "replicas"]) == 1).await;
    harness.stop().await;
}

#[tokio::test]
async fn five_hundred_pods_come_at_once_and_a_lost_one_is_replaced() {
    let harness = Harness::start(&["replicaset-controller"]).await;
    let cluster = &harness.cluster;
    cluster.create(&replica_sets(), replica_set("big", 500)).await;
    let made = cluster.wait_for(&pods(), |pods| pods.len() == 500).await;
    let target = Target::object(&pods(), "default", made[7].name.clone());
    cluster.admin().delete(target, corten_testkit::tree(&json!({"gracePeriodSeconds": 0}))).await.unwrap();
    cluster.wait_for(&pods(), |pods| pods.len() == 500 && pods.iter().all(|pod| pod.uid != made[7].uid)).await;
    cluster.wait_for(&replica_sets(), |sets| number(&sets[0], &["status", "replicas"]) == 500).await;
    assert_eq!(cluster.list(&pods()).await.len(), 500);
    harness.stop().await;
}

#[tokio::test]
async fn pods_are_adopted_and_released_by_their_labels() {
    let harness = Harness::start(&["replicaset-controller"]).await;
    let cluster = &harness.cluster;
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "stray", "namespace": "default",
        "labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}});
    cluster.create(&pods(), pod).await;
    let set = cluster.create(&replica_sets(), replica_set("web", 2)).await;
    let owned = |pods: &[std::sync::Arc<corten_apimachinery::stored::Stored>]| {
        pods.iter().filter(|pod| pod.facts.controller_uid == set.uid).count()
    };
    let all = cluster.wait_for(&pods(), |pods| owned(pods) == 2).await;
    assert_eq!(all.len(), 2, "the stray pod counts");
    harness.patch(&pods(), "default/stray", json!({"metadata": {"labels": {"app": "debug"}}})).await;
    cluster.wait_for(&pods(), |pods| pods.len() == 3 && owned(pods) == 2).await;
    let stray = harness.get_tree(&pods(), "default/stray").await;
    assert!(stray.items_at(&["metadata", "ownerReferences"]).is_empty());
    harness.stop().await;
}

#[tokio::test]
async fn a_pod_becomes_available_when_its_time_has_passed() {
    let harness = Harness::start(&["replicaset-controller"]).await;
    let cluster = &harness.cluster;
    let mut set = replica_set("web", 1);
    set["spec"]["minReadySeconds"] = json!(10);
    cluster.create(&replica_sets(), set).await;
    let made = cluster.wait_for(&pods(), |pods| pods.len() == 1).await;
    harness.make_ready(&made[0]).await;
    let sets = cluster.wait_for(&replica_sets(), |sets| number(&sets[0], &["status", "readyReplicas"]) == 1).await;
    assert_eq!(number(&sets[0], &["status", "availableReplicas"]), 0);
    // The worker asks for the delay right after the status; the clock must not move before.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    cluster.clock().advance(Duration::from_secs(10));
    cluster.wait_for(&replica_sets(), |sets| number(&sets[0], &["status", "availableReplicas"]) == 1).await;
    harness.stop().await;
}

#[tokio::test]
async fn what_the_server_refuses_becomes_a_condition() {
    let harness = Harness::start(&["replicaset-controller"]).await;
    let cluster = &harness.cluster;
    let mut set = replica_set("web", 2);
    set["spec"]["template"]["spec"]["serviceAccountName"] = json!("nobody");
    cluster.create(&replica_sets(), set).await;
    let failure = |sets: &[std::sync::Arc<corten_apimachinery::stored::Stored>]| {
        tree_of(&sets[0]).items_at(&["status", "conditions"]).first().cloned()
    };
    let sets = cluster.wait_for(&replica_sets(), |sets| failure(sets).is_some()).await;
    let condition = failure(&sets).unwrap();
    assert_eq!(condition.str_at(&["type"]), Some("ReplicaFailure"));
    assert_eq!(condition.str_at(&["reason"]), Some("FailedCreate"));
    let event = harness.events("FailedCreate", 1).await.remove(0);
    assert_eq!(event, format!("Error creating: {}", condition.str_at(&["message"]).unwrap()));
    harness.stop().await;
}

#[tokio::test]
async fn a_replication_controller_works_the_same_way() {
    let harness = Harness::start(&["replicationcontroller-controller"]).await;
    let cluster = &harness.cluster;
    let controllers = resource("", "replicationcontrollers");
    let controller = json!({"apiVersion": "v1", "kind": "ReplicationController",
        "metadata": {"name": "old", "namespace": "default"},
        "spec": {"replicas": 2, "selector": {"app": "old"}, "template": template("old", "i:1")}});
    cluster.create(&controllers, controller).await;
    let made = cluster.wait_for(&pods(), |pods| pods.len() == 2).await;
    for pod in &made {
        harness.make_ready(pod).await;
    }
    cluster.wait_for(&controllers, |all| number(&all[0], &["status", "readyReplicas"]) == 2).await;
    harness.patch(&controllers, "default/old", json!({"spec": {"replicas": 0}})).await;
    cluster.wait_for(&pods(), |pods| live(pods).is_empty()).await;
    harness.stop().await;
}
