//! Deletion of namespaces on a control plane in memory.

use crate::harness::{Harness, core, key_of, namespace};
use serde_json::{Value, json};

fn config_map(name: &str, finalizers: &[&str]) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "team", "finalizers": finalizers}})
}

fn is_gone(all: &[Value], key: &str) -> Option<()> {
    all.iter().all(|object| key_of(object) != key).then_some(())
}

#[tokio::test]
async fn a_namespace_goes_with_all_that_is_in_it() {
    let harness = Harness::start(&["namespace-controller"]).await;
    harness.cluster.create(&core("namespaces"), namespace("team")).await;
    harness.wait_object(&core("serviceaccounts"), "team/default", |_| true).await;
    for number in 0..20 {
        harness.cluster.create(&core("configmaps"), config_map(&format!("c{number}"), &[])).await;
    }
    harness.delete(&core("namespaces"), "team").await;
    harness.wait(&core("namespaces"), |all| is_gone(all, "team")).await;
    assert!(harness.cluster.list(&core("configmaps")).await.iter().all(|map| map.namespace != "team"));
    harness.stop().await;
}

#[tokio::test]
async fn pods_go_first_and_finalizers_are_told() {
    let harness = Harness::start(&["namespace-controller"]).await;
    let (namespaces, pods, maps) = (core("namespaces"), core("pods"), core("configmaps"));
    harness.cluster.create(&namespaces, namespace("team")).await;
    harness.wait_object(&core("serviceaccounts"), "team/default", |_| true).await;
    harness.cluster.create(&maps, config_map("held", &["acme.example/hold"])).await;
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "team"},
        "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "i"}]},
    });
    harness.cluster.create(&pods, pod).await;
    harness.delete(&namespaces, "team").await;
    let condition = |namespace: &Value, ty: &str| {
        let conditions = namespace["status"]["conditions"].as_array().into_iter().flatten();
        conditions.clone().find(|condition| condition["type"] == ty && condition["status"] == "True").cloned()
    };
    let remaining = |text: &'static str| {
        move |namespace: &Value| {
            condition(namespace, "NamespaceContentRemaining")
                .is_some_and(|condition| condition["message"].as_str().unwrap_or_default().contains(text))
        }
    };
    harness.wait_object(&namespaces, "team", remaining("pods. has 1 resource instances")).await;
    assert!(harness.get(&maps, "team/held").await["metadata"]["deletionTimestamp"].is_null(), "pods come first");
    harness.delete(&pods, "team/p").await;
    let held = harness.wait_object(&namespaces, "team", remaining("configmaps. has 1 resource instances")).await;
    let finalizers = condition(&held, "NamespaceFinalizersRemaining").unwrap();
    assert_eq!(
        finalizers["message"],
        "Some content in the namespace has finalizers remaining: acme.example/hold in 1 resource instances"
    );
    harness.patch(&maps, "team/held", json!({"metadata": {"finalizers": null}})).await;
    harness.cluster.clock().advance(std::time::Duration::from_secs(16));
    harness.wait(&namespaces, |all| is_gone(all, "team")).await;
    harness.stop().await;
}
