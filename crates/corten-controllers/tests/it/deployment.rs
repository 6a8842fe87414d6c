//! Deployments on a control plane in memory, with the test as the kubelet.

use std::{sync::Arc, time::Duration};

use crate::harness::{Harness, deployments, live, number, pods, replica_sets, template, tree_of};
use corten_apimachinery::{meta::ObjectMeta as _, stored::Stored};
use serde_json::json;

const CONTROLLERS: &[&str] = &["deployment-controller", "replicaset-controller"];

fn deployment(replicas: u32, strategy: serde_json::Value) -> serde_json::Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "strategy": strategy,
            "template": template("web", "i:1")}})
}

fn one_by_one() -> serde_json::Value {
    json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}})
}

fn image(image: &str) -> serde_json::Value {
    json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}})
}

fn with_image(pods: &[Arc<Stored>], image: &str) -> Vec<Arc<Stored>> {
    let has = |pod: &Arc<Stored>| tree_of(pod).items_at(&["spec", "containers"])[0].str_at(&["image"]) == Some(image);
    live(pods).into_iter().filter(has).collect()
}

fn progress(deployment: &Stored) -> String {
    let tree = tree_of(deployment);
    let conditions = tree.items_at(&["status", "conditions"]);
    let found = conditions.iter().find(|condition| condition.str_at(&["type"]) == Some("Progressing"));
    found.and_then(|condition| condition.str_at(&["reason"])).unwrap_or_default().to_owned()
}

/// Marks pods with this image ready, one more each time, until there are `count`; never are there more than `max`.
async fn roll(harness: &Harness, to: &str, count: usize, max: usize) {
    for ready in 1..=count {
        let all = harness.cluster.wait_for(&pods(), |pods| with_image(pods, to).len() >= ready).await;
        assert!(live(&all).len() <= max, "too many pods");
        for pod in with_image(&all, to) {
            harness.make_ready(&pod).await;
        }
    }
}

async fn wait_complete(harness: &Harness, replicas: i64) -> Arc<Stored> {
    let all = harness
        .cluster
        .wait_for(&deployments(), |all| {
            let status = |field| number(&all[0], &["status", field]);
            progress(&all[0]) == "NewReplicaSetAvailable"
                && status("observedGeneration") == number(&all[0], &["metadata", "generation"])
                && [status("replicas"), status("updatedReplicas"), status("availableReplicas")] == [replicas; 3]
        })
        .await;
    Arc::clone(&all[0])
}

#[tokio::test]
async fn a_rolling_update_goes_step_by_step_and_back() {
    let harness = Harness::start(CONTROLLERS).await;
    let cluster = &harness.cluster;
    cluster.create(&deployments(), deployment(3, one_by_one())).await;
    let first = cluster.wait_for(&pods(), |pods| pods.len() == 3).await;
    for pod in &first {
        harness.make_ready(pod).await;
    }
    let done = wait_complete(&harness, 3).await;
    assert_eq!(tree_of(&done).annotation("deployment.kubernetes.io/revision"), Some("1"));
    let sets = cluster.list(&replica_sets()).await;
    let (set, hash) = (tree_of(&sets[0]), sets[0].facts.labels.get("pod-template-hash").unwrap().to_owned());
    assert_eq!(set.name(), format!("web-{hash}"));
    assert_eq!(set.str_at(&["spec", "selector", "matchLabels", "pod-template-hash"]), Some(&*hash));
    assert_eq!(set.annotation("deployment.kubernetes.io/max-replicas"), Some("4"));
    let events = harness.events("ScalingReplicaSet", 1).await;
    assert_eq!(events, [format!("Scaled up replica set web-{hash} from 0 to 3")]);

    harness.patch(&deployments(), "default/web", image("i:2")).await;
    roll(&harness, "i:2", 3, 4).await;
    let done = wait_complete(&harness, 3).await;
    assert_eq!(tree_of(&done).annotation("deployment.kubernetes.io/revision"), Some("2"));
    assert_eq!(with_image(&cluster.list(&pods()).await, "i:2").len(), 3);
    assert_eq!(cluster.list(&replica_sets()).await.len(), 2);

    // Back to the first template: its ReplicaSet is found again.
    harness.patch(&deployments(), "default/web", image("i:1")).await;
    roll(&harness, "i:1", 3, 4).await;
    let done = wait_complete(&harness, 3).await;
    assert_eq!(tree_of(&done).annotation("deployment.kubernetes.io/revision"), Some("3"));
    let set = harness.get_tree(&replica_sets(), &format!("default/web-{hash}")).await;
    assert_eq!(set.annotation("deployment.kubernetes.io/revision-history"), Some("1"));
    assert_eq!(cluster.list(&replica_sets()).await.len(), 2);
    harness.stop().await;
}

#[tokio::test]
async fn recreate_waits_until_the_old_pods_are_gone() {
    let harness = Harness::start(CONTROLLERS).await;
    let cluster = &harness.cluster;
    cluster.create(&deployments(), deployment(2, json!({"type": "Recreate"}))).await;
    let first = cluster.wait_for(&pods(), |pods| pods.len() == 2).await;
    for pod in &first {
        harness.make_ready(pod).await;
    }
    wait_complete(&harness, 2).await;
    harness.patch(&deployments(), "default/web", image("i:2")).await;
    let second = cluster.wait_for(&pods(), |pods| with_image(pods, "i:2").len() == 2).await;
    assert!(with_image(&second, "i:1").is_empty());
    for pod in &second {
        harness.make_ready(pod).await;
    }
    wait_complete(&harness, 2).await;
    harness.stop().await;
}

#[tokio::test]
async fn a_paused_deployment_scales_but_does_not_roll() {
    let harness = Harness::start(CONTROLLERS).await;
    let cluster = &harness.cluster;
    cluster.create(&deployments(), deployment(1, one_by_one())).await;
    cluster.wait_for(&pods(), |pods| pods.len() == 1).await;
    harness.patch(&deployments(), "default/web", json!({"spec": {"paused": true}})).await;
    cluster.wait_for(&deployments(), |all| progress(&all[0]) == "DeploymentPaused").await;
    harness.patch(&deployments(), "default/web", image("i:2")).await;
    harness.patch(&deployments(), "default/web", json!({"spec": {"replicas": 2}})).await;
    let two = cluster.wait_for(&pods(), |pods| pods.len() == 2).await;
    assert_eq!(with_image(&two, "i:1").len(), 2);
    harness.patch(&deployments(), "default/web", json!({"spec": {"paused": false}})).await;
    cluster.wait_for(&pods(), |pods| !with_image(pods, "i:2").is_empty()).await;
    harness.stop().await;
}

#[tokio::test]
async fn a_rollout_without_progress_is_reported_after_its_deadline() {
    let harness = Harness::start(CONTROLLERS).await;
    let cluster = &harness.cluster;
    let mut object = deployment(1, one_by_one());
    object["spec"]["progressDeadlineSeconds"] = json!(60);
    cluster.create(&deployments(), object).await;
    cluster
        .wait_for(&deployments(), |all| {
            progress(&all[0]) == "ReplicaSetUpdated" && number(&all[0], &["status", "unavailableReplicas"]) == 1
        })
        .await;
    // The last event is worked off before the clock moves, so that the deadline is counted from it.
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
    cluster.clock().advance(Duration::from_secs(62));
    cluster.wait_for(&deployments(), |all| progress(&all[0]) == "ProgressDeadlineExceeded").await;
    harness.stop().await;
}

#[tokio::test]
async fn the_history_is_kept_short() {
    let harness = Harness::start(CONTROLLERS).await;
    let cluster = &harness.cluster;
    let mut object = deployment(1, one_by_one());
    object["spec"]["revisionHistoryLimit"] = json!(1);
    cluster.create(&deployments(), object).await;
    for version in 1..=4 {
        let name = format!("i:{version}");
        harness.patch(&deployments(), "default/web", image(&name)).await;
        roll(&harness, &name, 1, 2).await;
        wait_complete(&harness, 1).await;
    }
    let sets = cluster.wait_for(&replica_sets(), |sets| sets.len() == 2).await;
    let mut revisions: Vec<_> = sets
        .iter()
        .map(|set| tree_of(set).annotation("deployment.kubernetes.io/revision").unwrap_or_default().to_owned())
        .collect();
    revisions.sort();
    assert_eq!(revisions, ["3", "4"]);
    harness.stop().await;
}
