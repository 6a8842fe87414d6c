//! Pods whose resources change while they run.

use corten_api::core::v1::{Pod, PodCondition};
use corten_apimachinery::value::Value as Tree;
use corten_client::{PatchKind, Target};
use corten_testkit::tree;
use serde_json::{Value, json};

use crate::node::{Node, condition, container, pods};

fn spec(cpu: &str, memory: &str) -> Value {
    let list = json!({"cpu": cpu, "memory": memory});
    json!({"containers": [{"name": "main", "image": "nginx", "resources": {"requests": list, "limits": list}}]})
}

fn of(pod: &Pod, kind: &str) -> Option<PodCondition> {
    let conditions = pod.status.as_ref().unwrap().conditions.as_deref().unwrap_or_default();
    conditions.iter().find(|condition| condition.type_ == kind).cloned()
}

/// The processor and memory that a container has by its status.
fn has(pod: &Pod) -> [String; 2] {
    let limits = container(pod, "main").resources.and_then(|resources| resources.limits).unwrap_or_default();
    ["cpu", "memory"].map(|name| limits.get(name).map(|quantity| quantity.0.clone()).unwrap_or_default())
}

async fn ask(node: &Node, name: &str, cpu: &str, memory: &str) {
    let patch: Tree = tree(&json!({"spec": spec(cpu, memory)}));
    let target = Target::object(&pods(), "default", name).subresource("resize");
    node.cluster.admin().patch(target, PatchKind::Strategic, patch).await.unwrap();
}

#[tokio::test]
async fn a_running_container_gets_what_its_spec_asks_for_now() {
    let mut node = Node::start().await;
    node.create("web", spec("100m", "64Mi")).await;
    let before = node.ready("web").await;
    assert_eq!(has(&before), ["100m", "64Mi"]);
    let _ = (node.cri.take_calls(), node.events());
    ask(&node, "web", "200m", "128Mi").await;
    let after = node.wait("web", |pod| has(pod) == ["200m", "128Mi"] && of(pod, "PodResizeInProgress").is_none()).await;
    assert_eq!(node.cri.take_calls(), ["update_container_resources default/web/main"]);
    let main = container(&after, "main");
    assert_eq!((main.restart_count, &main.container_id), (0, &container(&before, "main").container_id));
    assert_eq!(main.allocated_resources.unwrap()["cpu"].0, "200m");
    assert_eq!(after.status.as_ref().unwrap().observed_generation, after.metadata.generation);
    let reasons: Vec<String> =
        node.events().iter().map(|event| event.split(": {").next().unwrap().to_owned()).collect();
    assert_eq!(reasons, ["ResizeStarted: Pod resize started", "ResizeCompleted: Pod resize completed"]);
    node.stop().await;
}

#[tokio::test]
async fn a_container_restarts_if_its_policy_asks_for_it() {
    let node = Node::start().await;
    let mut wanted = spec("100m", "64Mi");
    wanted["containers"][0]["resizePolicy"] = json!([{"resourceName": "memory", "restartPolicy": "RestartContainer"}]);
    node.create("web", wanted).await;
    node.ready("web").await;
    ask(&node, "web", "100m", "128Mi").await;
    let after =
        node.wait("web", |pod| container(pod, "main").restart_count == 1 && condition(pod, "Ready") == "True").await;
    assert_eq!(has(&after), ["100m", "128Mi"]);
    let calls = node.cri.take_calls();
    assert!(!calls.iter().any(|call| call.starts_with("update_container_resources")), "{calls:?}");
    node.stop().await;
}

#[tokio::test]
async fn a_resize_waits_for_room_also_across_a_restart() {
    let mut node = Node::start().await;
    node.create("web", spec("1", "64Mi")).await;
    node.create("other", spec("2", "64Mi")).await;
    node.ready("web").await;
    node.ready("other").await;
    // Never.
    ask(&node, "web", "5", "64Mi").await;
    let pod = node.wait("web", |pod| of(pod, "PodResizePending").is_some()).await;
    let pending = of(&pod, "PodResizePending").unwrap();
    assert_eq!((pending.status.as_str(), pending.reason.as_deref()), ("True", Some("Infeasible")));
    let text = "Node didn't have enough capacity: cpu, requested: 5000, capacity: 4000";
    assert_eq!(pending.message.as_deref(), Some(text));
    // Later.
    ask(&node, "web", "3", "64Mi").await;
    let is_deferred =
        |pod: &Pod| of(pod, "PodResizePending").is_some_and(|it| it.reason.as_deref() == Some("Deferred"));
    let pod = node.wait("web", is_deferred).await;
    let text = "Node didn't have enough resource: cpu, requested: 3000, used: 2000, capacity: 4000";
    assert_eq!(of(&pod, "PodResizePending").unwrap().message.as_deref(), Some(text));
    assert_eq!(has(&pod)[0], "1");

    node.halt().await;
    node.boot();
    let _ = node.cri.take_calls();
    node.delete("other", Some(0)).await;
    let pod = node.wait("web", |pod| has(pod)[0] == "3").await;
    assert_eq!(container(&pod, "main").restart_count, 0);
    node.wait("web", |pod| of(pod, "PodResizePending").is_none() && of(pod, "PodResizeInProgress").is_none()).await;
    node.stop().await;
}
