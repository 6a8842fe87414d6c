//! What a second delete does, and one of many.

use corten_apimachinery::{Value, meta::ObjectMeta as _};
use corten_client::PatchKind;
use http::Method;
use serde_json::json;

use super::custom_resources::{CRDS, TABS, cluster_with_tabs, tab, until};
use crate::testing::{Cluster, admin};

const PODS: &str = "/api/v1/namespaces/default/pods";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// A pod on a node, deleted at `01:00` with five minutes to go.
async fn going(cluster: &Cluster, name: &str) -> String {
    cluster.make_pod(name).await;
    let binding = json!({"metadata": {"name": name}, "target": {"kind": "Node", "name": "n"}});
    cluster.post(admin(), format!("{PODS}/{name}/binding"), binding).await.unwrap();
    let path = format!("{PODS}/{name}");
    let going = cluster.delete_with(admin(), &path, json!({"gracePeriodSeconds": 300})).await.unwrap();
    assert_eq!(going.deletion_grace_period_seconds(), Some(300));
    path
}

/// It asked the pod again how long it has: a plain delete took five minutes down to thirty seconds, counted from the second
/// delete, and took away a pod that had ended while its node was still at it.
#[tokio::test]
async fn a_second_delete_only_shortens_what_it_says_and_from_the_start() {
    let cluster = Cluster::start().await;
    let path = going(&cluster, "a").await;
    let first = cluster.get(admin(), &path).await.unwrap();
    let start: jiff::Timestamp = first.deletion_timestamp().unwrap().parse().unwrap();
    let start = start - std::time::Duration::from_secs(300);
    cluster.clock.advance(std::time::Duration::from_secs(20));
    let at = |seconds: u64| (start + std::time::Duration::from_secs(seconds)).to_string();
    let check = |pod: &Value, seconds: u64| {
        let until = pod.deletion_timestamp().unwrap();
        assert_eq!((pod.deletion_grace_period_seconds(), until), (Some(seconds as i64), &*at(seconds)));
    };
    let ended = json!({"status": {"phase": "Succeeded"}});
    cluster.patch(admin(), &format!("{path}/status"), PatchKind::Merge, ended).await.unwrap();
    for options in [json!({}), json!({"gracePeriodSeconds": 300}), json!({"propagationPolicy": "Foreground"})] {
        let still = cluster.delete_with(admin(), &path, options).await.unwrap();
        check(&still, 300);
        assert_eq!(still.finalizers().count(), 0);
    }
    check(&cluster.delete_with(admin(), &path, json!({"gracePeriodSeconds": 100})).await.unwrap(), 100);
    check(&cluster.delete_with(admin(), &path, json!({"gracePeriodSeconds": 200})).await.unwrap(), 100);
    check(&cluster.delete_with(admin(), &path, json!({"gracePeriodSeconds": -7})).await.unwrap(), 1);
    cluster.delete_with(admin(), &path, json!({"gracePeriodSeconds": 0})).await.unwrap();
    assert_eq!(cluster.get(admin(), &path).await.unwrap_err().code, 404);
    cluster.stop().await;
}

/// What finalizers hold is past its time.
#[tokio::test]
async fn a_pod_that_is_held_has_no_time_left() {
    let cluster = Cluster::start().await;
    let path = going(&cluster, "a").await;
    let held = json!({"metadata": {"finalizers": ["example.com/held"]}});
    // What is being deleted gets no new finalizers.
    assert_eq!(cluster.patch(admin(), &path, PatchKind::Merge, held).await.unwrap_err().code, 422);
    let map = json!({"metadata": {"name": "m", "finalizers": ["example.com/held"]}});
    cluster.post(admin(), MAPS, map).await.unwrap();
    let path = format!("{MAPS}/m");
    let first = cluster.delete(admin(), &path).await.unwrap();
    assert_eq!((first.deletion_grace_period_seconds(), first.deletion_timestamp().is_some()), (Some(0), true));
    cluster.clock.advance(std::time::Duration::from_secs(20));
    let second = cluster.delete(admin(), &path).await.unwrap();
    assert_eq!(
        (second.resource_version(), second.deletion_timestamp()),
        (first.resource_version(), first.deletion_timestamp())
    );
    cluster.stop().await;
}

/// The first refusal ended the request, and left others half way.
#[tokio::test]
async fn a_delete_of_many_finishes_what_it_began() {
    let cluster = Cluster::start().await;
    let mut last = Value::Null;
    for name in ["a", "b", "c"] {
        last =
            cluster.post(admin(), MAPS, json!({"metadata": {"name": name, "labels": {"of": "mine"}}})).await.unwrap();
    }
    let mine = format!("{MAPS}?labelSelector=of%3Dmine");
    let only_last = json!({"preconditions": {"uid": last.uid()}});
    let refused = cluster.delete_with(admin(), &mine, only_last).await.unwrap_err();
    assert_eq!(refused.code, 409);
    for (name, code) in [("a", 200), ("b", 200), ("c", 404)] {
        assert_eq!(cluster.code(Method::GET, &format!("{MAPS}/{name}"), admin()).await, code, "{name}");
    }
    cluster.stop().await;
}

/// A server-side apply still made objects of a definition that goes: they may have outlived it.
#[tokio::test]
async fn nothing_new_is_made_of_a_definition_that_goes() {
    let cluster = cluster_with_tabs().await;
    let mut held = tab("a", json!({"cron": "*"}));
    held["metadata"]["finalizers"] = json!(["example.com/held"]);
    cluster.post(admin(), TABS, held).await.unwrap();
    cluster.delete(admin(), &format!("{CRDS}/crontabs.example.com")).await.unwrap();
    until(&cluster, "crontabs.example.com", |definition| {
        let conditions = definition.unwrap().items_at(&["status", "conditions"]);
        let reason = Some("InstanceDeletionInProgress");
        conditions.iter().any(|condition| condition.str_at(&["reason"]) == reason)
    })
    .await;
    // Its object is deleted once no new ones are taken.
    while cluster.get(admin(), &format!("{TABS}/a")).await.unwrap().deletion_timestamp().is_none() {
        tokio::task::yield_now().await;
    }
    for name in ["a", "b"] {
        let path = format!("{TABS}/{name}?fieldManager=me&force=true");
        let applied = cluster.patch(admin(), &path, PatchKind::Apply, tab(name, json!({"cron": "* *"}))).await;
        match applied {
            Ok(_) => assert_eq!(name, "a", "what is there can still be changed"),
            Err(status) => {
                assert_eq!((name, status.code), ("b", 405));
                assert_eq!(status.message, "create not allowed while custom resource definition is terminating");
            }
        }
    }
    let free = json!({"metadata": {"finalizers": null}});
    cluster.patch(admin(), &format!("{TABS}/a"), PatchKind::Merge, free).await.unwrap();
    until(&cluster, "crontabs.example.com", |definition| definition.is_none()).await;
    cluster.stop().await;
}

/// Series of requests stayed for ever: definitions that come and go made the list grow without end.
#[tokio::test]
async fn requests_for_what_is_no_longer_defined_are_forgotten() {
    let cluster = cluster_with_tabs().await;
    cluster.get(admin(), TABS).await.unwrap();
    let counted = async || {
        let metrics = cluster.get(admin(), "/metrics").await.unwrap();
        metrics.as_str().unwrap().contains("resource=\"crontabs\"")
    };
    assert!(counted().await);
    cluster.delete(admin(), &format!("{CRDS}/crontabs.example.com")).await.unwrap();
    until(&cluster, "crontabs.example.com", |definition| definition.is_none()).await;
    // The routes are exchanged once the definition is seen to be gone.
    while cluster.code(Method::GET, TABS, admin()).await == 200 {
        tokio::task::yield_now().await;
    }
    assert!(!counted().await);
    cluster.stop().await;
}

/// What was meant for another object was refused in words of the storage; a deletion in the foreground was said to be accepted,
/// which upstream says to those alone who ask in the older way.
#[tokio::test]
async fn a_delete_answers_in_upstreams_words_and_codes() {
    let cluster = Cluster::start().await;
    let held = json!({"metadata": {"name": "m", "finalizers": ["example.com/held"]}});
    let made = cluster.post(admin(), MAPS, held).await.unwrap();
    let path = &format!("{MAPS}/m");
    for (precondition, what, actual, otherwise) in [
        ("uid", "UID", made.uid(), "deleted and then recreated"),
        ("resourceVersion", "ResourceVersion", made.resource_version(), "modified"),
    ] {
        let options = json!({"preconditions": {precondition: "nope"}});
        let refused = cluster.delete_with(admin(), path, options).await.unwrap_err();
        let want = format!(
            "Operation cannot be fulfilled on ConfigMap \"m\": the {what} in the precondition (nope) does not match the \
             {what} in record ({actual}). The object might have been {otherwise}"
        );
        assert_eq!((refused.code, refused.message), (409, want));
        assert_eq!(refused.details.unwrap().kind, "ConfigMap");
    }
    for (query, code) in [
        ("propagationPolicy=Foreground", 200),
        ("propagationPolicy=Orphan", 200),
        ("propagationPolicy=Background", 200),
        ("orphanDependents=true", 200),
        ("orphanDependents=false", 202),
        ("", 200),
    ] {
        assert_eq!(cluster.code(Method::DELETE, &format!("{path}?{query}"), admin()).await, code, "{query}");
    }
    let free = json!({"metadata": {"finalizers": null}});
    cluster.patch(admin(), path, PatchKind::Merge, free).await.unwrap();
    cluster.stop().await;
}

/// The query counted beside a body, and what a query says must be there did not.
#[tokio::test]
async fn a_delete_is_told_how_in_its_body_or_in_its_query() {
    let cluster = Cluster::start().await;
    let made = cluster.post(admin(), MAPS, json!({"metadata": {"name": "a"}})).await.unwrap();
    let (path, version) = (format!("{MAPS}/a"), made.resource_version());
    for (query, part) in [
        ("uid=other".to_owned(), "the UID in the precondition (other) does not match"),
        ("resourceVersion=1".to_owned(), "the ResourceVersion in the precondition (1) does not match"),
    ] {
        let refused = cluster.delete(admin(), &format!("{path}?{query}")).await.unwrap_err();
        assert!(refused.code == 409 && refused.message.contains(part), "{query}: {}", refused.message);
    }
    cluster.delete(admin(), &format!("{path}?resourceVersion={version}&dryRun=All")).await.unwrap();
    cluster.get(admin(), &path).await.unwrap();
    let query = "dryRun=odd&dryRun=All&uid=other&fieldManager=%0a";
    cluster.delete_with(admin(), &format!("{path}?{query}"), json!({})).await.unwrap();
    assert_eq!(cluster.get(admin(), &path).await.unwrap_err().code, 404);
    cluster.stop().await;
}
