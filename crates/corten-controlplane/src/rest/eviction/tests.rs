use corten_client::PatchKind;
use serde_json::json;

use super::*;
use crate::testing::{Cluster, admin};

const PODS: &str = "/api/v1/namespaces/default/pods";

#[test]
fn only_a_running_pod_needs_a_budget() {
    for (phase, ignores, pins) in
        [("Pending", true, true), ("Running", false, true), ("Succeeded", true, false), ("Failed", true, false)]
    {
        let pod = crate::testing::tree(json!({"metadata": {}, "status": {"phase": phase}}));
        assert_eq!((ignores_budget(&pod), may_become_ready(&pod)), (ignores, pins), "{phase}");
    }
}

#[test]
fn an_evicted_pod_says_so() {
    let mut pod = crate::testing::tree(json!({"metadata": {"generation": 3}, "status": {"conditions": [
        {"type": "Ready", "status": "True"},
    ]}}));
    mark(&mut pod, "now");
    mark(&mut pod, "later");
    let target = json!({
        "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting", "lastProbeTime": null, "lastTransitionTime": "now",
        "observedGeneration": 3,
    });
    let conditions = json!([{"type": "Ready", "status": "True"}, target]);
    assert_eq!(pod.at(&["status", "conditions"]), Some(&crate::testing::tree(conditions)));
}

#[tokio::test]
async fn an_evicted_pod_is_deleted() {
    let cluster = Cluster::start().await;
    cluster.make_pod("p").await;
    let path = format!("{PODS}/p/eviction");
    let eviction = |options: serde_json::Value| json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p"}, "deleteOptions": options});
    let refused = cluster.post(admin(), &path, eviction(json!({"preconditions": {"uid": "other"}}))).await.unwrap_err();
    assert_eq!(refused.code, 409);
    let done = cluster.post(admin(), &path, eviction(json!({"dryRun": ["All"]}))).await.unwrap();
    assert_eq!(done.str_at(&["status"]), Some("Success"));
    cluster.get(admin(), &format!("{PODS}/p")).await.unwrap();
    cluster.post(admin(), &path, eviction(json!({"gracePeriodSeconds": 0}))).await.unwrap();
    assert!(cluster.get(admin(), &format!("{PODS}/p")).await.unwrap_err().is_not_found());
    assert!(cluster.post(admin(), &path, eviction(json!({}))).await.unwrap_err().is_not_found());
    cluster.stop().await;
}

/// The name was filled in from the path, and a body without one evicted the pod.
#[tokio::test]
async fn an_eviction_without_the_name_of_its_pod_is_refused() {
    let cluster = Cluster::start().await;
    cluster.make_pod("p").await;
    for eviction in [
        json!({}),
        json!({"apiVersion": "policy/v1", "kind": "Eviction"}),
        json!({"metadata": {"name": ""}}),
        json!({"metadata": {"name": "q"}}),
    ] {
        let refused = cluster.post(admin(), &format!("{PODS}/p/eviction"), eviction.clone()).await.unwrap_err();
        let want = (400, "name in URL does not match name in Eviction object");
        assert_eq!((refused.code, &*refused.message), want, "{eviction}");
    }
    cluster.get(admin(), &format!("{PODS}/p")).await.unwrap();
    cluster.stop().await;
}

/// The pod of the path was evicted, whichever namespace the body meant.
#[tokio::test]
async fn an_eviction_of_another_namespace_is_refused() {
    let cluster = Cluster::start().await;
    cluster.make_pod("p").await;
    for name in ["p", "q"] {
        let eviction = json!({"metadata": {"name": name, "namespace": "kube-system"}});
        let refused = cluster.post(admin(), &format!("{PODS}/p/eviction"), eviction).await.unwrap_err();
        let want = "the namespace of the provided object does not match the namespace sent on the request";
        assert_eq!((refused.code, &*refused.message), (400, want), "{name}");
    }
    cluster.get(admin(), &format!("{PODS}/p")).await.unwrap();
    let eviction = json!({"metadata": {"name": "p", "namespace": "default"}});
    cluster.post(admin(), &format!("{PODS}/p/eviction"), eviction).await.unwrap();
    cluster.stop().await;
}

const BUDGETS: &str = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";

/// Makes a pod that runs, and is ready or not.
async fn running(cluster: &Cluster, name: &str, ready: &str) {
    cluster.make_pod(name).await;
    let path = format!("{PODS}/{name}");
    cluster.patch(admin(), &path, PatchKind::Merge, json!({"metadata": {"labels": {"app": "web"}}})).await.unwrap();
    let status = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]});
    cluster.patch(admin(), &format!("{path}/status"), PatchKind::Merge, json!({"status": status})).await.unwrap();
}

/// Makes a budget for all pods, with what the disruption controller would count.
async fn budget(cluster: &Cluster, name: &str, spec: serde_json::Value, counted: (i64, i64, i64)) {
    let mut whole = json!({"selector": {"matchLabels": {"app": "web"}}, "minAvailable": 1});
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    cluster.post(admin(), BUDGETS, json!({"metadata": {"name": name}, "spec": whole})).await.unwrap();
    let (allowed, current, desired) = counted;
    let status = json!({
        "observedGeneration": 1, "disruptionsAllowed": allowed, "currentHealthy": current, "desiredHealthy": desired,
    });
    let path = format!("{BUDGETS}/{name}/status");
    cluster.patch(admin(), &path, PatchKind::Merge, json!({"status": status})).await.unwrap();
}

async fn send_away(cluster: &Cluster, name: &str, options: serde_json::Value) -> Result<Value, Status> {
    let mut whole = json!({"gracePeriodSeconds": 0});
    whole.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    let eviction = json!({
        "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}, "deleteOptions": whole,
    });
    cluster.post(admin(), &format!("{PODS}/{name}/eviction"), eviction).await
}

#[tokio::test]
async fn a_budget_is_asked_and_counts() {
    let cluster = Cluster::start().await;
    for name in ["a", "b"] {
        running(&cluster, name, "True").await;
    }
    budget(&cluster, "pdb", json!({}), (1, 2, 1)).await;
    let path = format!("{BUDGETS}/pdb");
    send_away(&cluster, "a", json!({"dryRun": ["All"]})).await.unwrap();
    let status = cluster.get(admin(), &path).await.unwrap().get("status").cloned().unwrap();
    assert_eq!((status.i64_at(&["disruptionsAllowed"]), status.get("disruptedPods")), (Some(1), None));
    send_away(&cluster, "a", json!({})).await.unwrap();
    assert!(cluster.get(admin(), &format!("{PODS}/a")).await.unwrap_err().is_not_found());
    let status = cluster.get(admin(), &path).await.unwrap().get("status").cloned().unwrap();
    assert_eq!(status.i64_at(&["disruptionsAllowed"]), Some(0));
    assert_eq!(status.str_at(&["disruptedPods", "a"]), Some("2026-01-01T00:00:00Z"));
    assert_eq!(status.items_at(&["conditions"])[0].str_at(&["reason"]), Some("InsufficientPods"));
    let refused = send_away(&cluster, "b", json!({})).await.unwrap_err();
    assert_eq!(
        (refused.code, refused.message.as_str()),
        (429, "Cannot evict pod as it would violate the pod's disruption budget.")
    );
    let cause = refused.details.unwrap().causes.remove(0);
    assert_eq!(
        (cause.reason.as_str(), cause.message.as_str()),
        ("DisruptionBudget", "The disruption budget pdb does not allow evicting pods currently")
    );
    // A pod that stays is not marked.
    let pod = cluster.get(admin(), &format!("{PODS}/b")).await.unwrap();
    assert_eq!(pod.items_at(&["status", "conditions"]).len(), 1);
    // The controller has not seen the change yet.
    cluster.patch(admin(), &path, PatchKind::Merge, json!({"spec": {"minAvailable": 0}})).await.unwrap();
    let refused = send_away(&cluster, "b", json!({})).await.unwrap_err();
    assert_eq!((refused.code, refused.details.unwrap().retry_after_seconds), (429, 10));
    cluster.stop().await;
}

#[tokio::test]
async fn pods_that_are_not_counted_go() {
    let cluster = Cluster::start().await;
    for (name, ready) in [("done", "True"), ("unready", "False"), ("other", "True")] {
        running(&cluster, name, ready).await;
    }
    cluster.make_pod("pending").await;
    for (name, patch, path) in [
        ("done", json!({"status": {"phase": "Succeeded"}}), "/status"),
        ("other", json!({"metadata": {"labels": {"app": "other"}}}), ""),
        ("pending", json!({"metadata": {"labels": {"app": "web"}}}), ""),
    ] {
        cluster.patch(admin(), &format!("{PODS}/{name}{path}"), PatchKind::Merge, patch).await.unwrap();
    }
    budget(&cluster, "pdb", json!({}), (0, 1, 1)).await;
    for name in ["done", "unready", "other", "pending"] {
        send_away(&cluster, name, json!({})).await.unwrap();
        assert!(cluster.get(admin(), &format!("{PODS}/{name}")).await.unwrap_err().is_not_found(), "{name}");
    }
    let budget = cluster.get(admin(), &format!("{BUDGETS}/pdb")).await.unwrap();
    assert_eq!(budget.at(&["status", "disruptedPods"]), None);
    cluster.stop().await;
}

#[tokio::test]
async fn an_unready_pod_goes_by_the_policy_of_its_budget() {
    let cluster = Cluster::start().await;
    running(&cluster, "a", "False").await;
    budget(&cluster, "pdb", json!({}), (0, 0, 1)).await;
    assert_eq!(send_away(&cluster, "a", json!({})).await.unwrap_err().code, 429);
    cluster.delete(admin(), &format!("{BUDGETS}/pdb")).await.unwrap();
    budget(&cluster, "pdb", json!({"unhealthyPodEvictionPolicy": "AlwaysAllow"}), (0, 0, 1)).await;
    send_away(&cluster, "a", json!({})).await.unwrap();
    cluster.stop().await;
}

#[tokio::test]
async fn of_two_budgets_none_is_asked() {
    let cluster = Cluster::start().await;
    running(&cluster, "a", "True").await;
    for name in ["one", "two"] {
        budget(&cluster, name, json!({}), (1, 2, 1)).await;
    }
    let refused = send_away(&cluster, "a", json!({})).await.unwrap_err();
    assert_eq!(
        (refused.code, refused.message.as_str()),
        (500, "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.")
    );
    cluster.get(admin(), &format!("{PODS}/a")).await.unwrap();
    cluster.stop().await;
}

#[tokio::test]
async fn of_many_at_once_no_more_go_than_may() {
    let cluster = Cluster::start().await;
    let names: Vec<String> = (0..6).map(|number| format!("p{number}")).collect();
    for name in &names {
        running(&cluster, name, "True").await;
    }
    budget(&cluster, "pdb", json!({}), (3, 6, 3)).await;
    let evictions = futures::future::join_all(names.iter().map(|name| send_away(&cluster, name, json!({}))));
    let time_passes = async {
        loop {
            cluster.clock.advance(Duration::from_millis(100));
            tokio::task::yield_now().await;
        }
    };
    let results = tokio::select! {
        biased;
        results = evictions => results,
        () = time_passes => unreachable!("time does not end"),
    };
    let codes: Vec<u16> = results.iter().filter_map(|result| result.as_ref().err()).map(|status| status.code).collect();
    assert_eq!(codes, [429; 3]);
    let status = cluster.get(admin(), &format!("{BUDGETS}/pdb")).await.unwrap().get("status").cloned().unwrap();
    let disrupted = status.get("disruptedPods").and_then(Value::as_object).unwrap().len();
    assert_eq!((status.i64_at(&["disruptionsAllowed"]), disrupted), (Some(0), 3));
    cluster.stop().await;
}
