//! The garbage collector on a control plane in memory.

use std::sync::Arc;

use crate::harness::{Harness, deployments, pods, replica_sets, resource, template};
use corten_apimachinery::{gvk::GroupVersionResource, stored::Stored};
use corten_client::Target;
use corten_testkit::Cluster;
use serde_json::json;

const ALL: &[&str] = &["deployment-controller", "replicaset-controller", "garbage-collector-controller"];

fn config_maps() -> GroupVersionResource {
    resource("", "configmaps")
}

async fn config_map(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
    owners: &[&Stored],
    finalizers: &[&str],
) -> Arc<Stored> {
    let owners: Vec<_> = owners
        .iter()
        .map(|owner| {
            json!({"apiVersion": "v1", "kind": "ConfigMap", "name": owner.name.as_str(), "uid": owner.uid.as_str(),
                "blockOwnerDeletion": true})
        })
        .collect();
    let metadata = json!({"name": name, "namespace": namespace, "ownerReferences": owners, "finalizers": finalizers});
    cluster.create(&config_maps(), json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})).await
}

fn names(objects: &[Arc<Stored>]) -> Vec<&str> {
    objects.iter().map(|object| object.name.as_str()).filter(|name| *name != "kube-root-ca.crt").collect()
}

async fn wait_for_names(cluster: &Cluster, want: &[&str]) {
    cluster
        .wait_for(&config_maps(), |objects| {
            let here: Vec<_> = objects.iter().filter(|object| object.namespace == "default").cloned().collect();
            names(&here) == want
        })
        .await;
}

async fn with_deployment() -> Harness {
    let harness = Harness::start(ALL).await;
    let object = json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": template("web", "i:1")}});
    harness.cluster.create(&deployments(), object).await;
    harness.cluster.wait_for(&pods(), |pods| pods.len() == 3).await;
    harness
}

#[tokio::test]
async fn a_deployment_goes_with_all_it_made_in_the_background() {
    let harness = with_deployment().await;
    harness.delete_with(&deployments(), "default/web", "Background").await;
    harness.cluster.wait_for(&pods(), <[_]>::is_empty).await;
    harness.cluster.wait_for(&replica_sets(), <[_]>::is_empty).await;
    assert!(harness.cluster.list(&deployments()).await.is_empty());
    harness.stop().await;
}

#[tokio::test]
async fn a_deployment_goes_last_in_the_foreground() {
    let harness = with_deployment().await;
    harness.delete_with(&deployments(), "default/web", "Foreground").await;
    harness.cluster.wait_for(&deployments(), <[_]>::is_empty).await;
    assert!(harness.cluster.list(&replica_sets()).await.is_empty());
    assert!(harness.cluster.list(&pods()).await.is_empty());
    harness.stop().await;
}

#[tokio::test]
async fn a_deployment_leaves_orphans_when_asked_to() {
    let harness = with_deployment().await;
    harness.delete_with(&deployments(), "default/web", "Orphan").await;
    harness.cluster.wait_for(&deployments(), <[_]>::is_empty).await;
    let sets = harness.cluster.list(&replica_sets()).await;
    assert_eq!((sets.len(), &*sets[0].facts.controller_uid), (1, ""));
    let pods = harness.cluster.list(&pods()).await;
    assert_eq!(pods.iter().filter(|pod| pod.facts.controller_uid == sets[0].uid).count(), 3);
    harness.stop().await;
}

#[tokio::test]
async fn an_object_goes_with_its_last_owner() {
    let harness = Harness::start(&["garbage-collector-controller"]).await;
    let cluster = &harness.cluster;
    let (a, b) =
        (config_map(cluster, "default", "a", &[], &[]).await, config_map(cluster, "default", "b", &[], &[]).await);
    config_map(cluster, "default", "c", &[&a, &b], &[]).await;
    config_map(cluster, "default", "d", &[&a], &[]).await;
    harness.delete_with(&config_maps(), "default/a", "Background").await;
    wait_for_names(cluster, &["b", "c"]).await;
    let mut references = Vec::new();
    while references.len() != 1 {
        tokio::task::yield_now().await;
        references =
            harness.get_tree(&config_maps(), "default/c").await.items_at(&["metadata", "ownerReferences"]).to_vec();
    }
    assert_eq!(references[0].str_at(&["name"]), Some("b"));
    harness.delete_with(&config_maps(), "default/b", "Background").await;
    wait_for_names(cluster, &[]).await;
    harness.stop().await;
}

#[tokio::test]
async fn a_foreground_deletion_waits_for_what_blocks_it() {
    let harness = Harness::start(&["garbage-collector-controller"]).await;
    let cluster = &harness.cluster;
    let a = config_map(cluster, "default", "a", &[], &[]).await;
    config_map(cluster, "default", "b", &[&a], &["example.com/keep"]).await;
    harness.delete_with(&config_maps(), "default/a", "Foreground").await;
    cluster.wait_for(&config_maps(), |all| all.iter().any(|map| map.name == "b" && map.facts.is_deleting)).await;
    let a = harness.get_tree(&config_maps(), "default/a").await;
    assert_eq!(a.items_at(&["metadata", "finalizers"])[0].as_str(), Some("foregroundDeletion"));
    harness.patch(&config_maps(), "default/b", json!({"metadata": {"finalizers": []}})).await;
    wait_for_names(cluster, &[]).await;
    harness.stop().await;
}

#[tokio::test]
async fn an_owner_in_another_namespace_is_none() {
    let harness = Harness::start(&["garbage-collector-controller"]).await;
    let cluster = &harness.cluster;
    let owner = config_map(cluster, "kube-system", "a", &[], &[]).await;
    config_map(cluster, "default", "b", &[&owner], &[]).await;
    let message = harness.events("OwnerRefInvalidNamespace", 1).await.remove(0);
    let uid = &owner.uid;
    let want = format!(
        "ownerRef [v1/ConfigMap, namespace: default, name: a, uid: {uid}] does not exist in namespace \"default\""
    );
    assert_eq!(message, want);
    wait_for_names(cluster, &[]).await;
    let target = Target::object(&config_maps(), "kube-system", "a");
    assert!(cluster.admin().get(target).await.is_ok());
    harness.stop().await;
}

fn tabs() -> GroupVersionResource {
    GroupVersionResource::new("example.com", "v1", "tabs")
}

async fn tab(cluster: &Cluster, name: &str, owners: &[&Stored]) -> Arc<Stored> {
    let owner = |owner: &&Stored| {
        json!({"apiVersion": "example.com/v1", "kind": "Tab", "name": owner.name.as_str(), "uid": owner.uid.as_str(),
            "blockOwnerDeletion": true})
    };
    let owners: Vec<_> = owners.iter().map(owner).collect();
    let metadata = json!({"name": name, "namespace": "default", "ownerReferences": owners});
    cluster.create(&tabs(), json!({"apiVersion": "example.com/v1", "kind": "Tab", "metadata": metadata})).await
}

/// Custom resources take no strategic merge patch.
#[tokio::test]
async fn owners_of_custom_resources_are_taken_out() {
    let harness = Harness::start(&["garbage-collector-controller"]).await;
    let cluster = &harness.cluster;
    let definitions = GroupVersionResource::new("apiextensions.k8s.io", "v1", "customresourcedefinitions");
    let schema = json!({"openAPIV3Schema": {"type": "object"}});
    let definition = json!({"metadata": {"name": "tabs.example.com"}, "spec": {
        "group": "example.com", "scope": "Namespaced", "names": {"plural": "tabs", "kind": "Tab"},
        "versions": [{"name": "v1", "served": true, "storage": true, "schema": schema}]}});
    cluster.create(&definitions, definition).await;
    let is_established = |definition: &serde_json::Value| {
        let conditions = definition["status"]["conditions"].as_array();
        conditions.is_some_and(|all| all.iter().any(|one| one["type"] == "Established" && one["status"] == "True"))
    };
    harness.wait_object(&definitions, "tabs.example.com", is_established).await;

    let (a, b, c) = (tab(cluster, "a", &[]).await, tab(cluster, "b", &[]).await, tab(cluster, "c", &[]).await);
    tab(cluster, "of-all", &[&a, &b, &c]).await;
    tab(cluster, "of-a", &[&a]).await;
    harness.delete_with(&tabs(), "default/a", "Orphan").await;
    let owned_by = |names: &'static [&str]| {
        move |object: &serde_json::Value| {
            let owners = object["metadata"]["ownerReferences"].as_array().map_or(&[][..], Vec::as_slice);
            owners.iter().map(|owner| &owner["name"]).eq(names)
        }
    };
    harness.wait_object(&tabs(), "default/of-all", owned_by(&["b", "c"])).await;
    harness.wait_object(&tabs(), "default/of-a", owned_by(&[])).await;
    harness.delete_with(&tabs(), "default/b", "Background").await;
    harness.wait_object(&tabs(), "default/of-all", owned_by(&["c"])).await;
    harness.delete_with(&tabs(), "default/c", "Foreground").await;
    let left = |objects: &[Arc<Stored>]| objects.iter().map(|object| object.name.as_str()).eq(["of-a"]);
    cluster.wait_for(&tabs(), left).await;
    harness.stop().await;
}
