//! Namespaces and definitions are deleted in ways of their own.

use corten_apimachinery::meta::ObjectMeta as _;
use serde_json::json;

use super::custom_resources::{CRDS, cluster_with_tabs, until};
use crate::testing::{Cluster, admin};

/// Their deletion was that of all other kinds: failed preconditions had other words.
#[tokio::test]
async fn preconditions_of_namespaces_and_definitions_have_words_of_their_own() {
    let cluster = cluster_with_tabs().await;
    cluster.post(admin(), "/api/v1/namespaces", json!({"metadata": {"name": "n"}})).await.unwrap();
    for (path, resource, kind, name) in [
        ("/api/v1/namespaces/n", "namespaces", "namespaces", "n"),
        (
            &*format!("{CRDS}/crontabs.example.com"),
            "customresourcedefinitions.apiextensions.k8s.io",
            "customresourcedefinitions",
            "crontabs.example.com",
        ),
    ] {
        let object = cluster.get(admin(), path).await.unwrap();
        for (precondition, what, actual) in
            [("uid", "UID", object.uid()), ("resourceVersion", "ResourceVersion", object.resource_version())]
        {
            let options = json!({"preconditions": {precondition: "nope"}});
            let refused = cluster.delete_with(admin(), path, options).await.unwrap_err();
            let want = format!(
                "Operation cannot be fulfilled on {resource} \"{name}\": Precondition failed: {what} in precondition: nope, \
                 {what} in object meta: {actual}"
            );
            assert_eq!((refused.code, refused.message), (409, want));
            assert_eq!(refused.details.unwrap().kind, kind);
        }
    }
    cluster.stop().await;
}

/// The second delete wrote a grace period and what its policy asked for.
#[tokio::test]
async fn a_second_delete_leaves_a_namespace_as_it_is() {
    let cluster = Cluster::start().await;
    cluster.post(admin(), "/api/v1/namespaces", json!({"metadata": {"name": "n"}})).await.unwrap();
    let path = "/api/v1/namespaces/n";
    let first = cluster.delete_with(admin(), path, json!({"orphanDependents": false})).await.unwrap();
    assert_eq!(first.finalizers().collect::<Vec<_>>(), ["foregroundDeletion"]);
    assert_eq!(
        (first.str_at(&["status", "phase"]), first.deletion_grace_period_seconds()),
        (Some("Terminating"), None)
    );
    for policy in ["Orphan", "Foreground", "Background"] {
        let again = cluster.delete_with(admin(), path, json!({"propagationPolicy": policy})).await.unwrap();
        assert_eq!(again, first, "{policy}");
    }
    assert_eq!(cluster.get(admin(), path).await.unwrap().resource_version(), first.resource_version());
    cluster.stop().await;
}

/// It counted a generation and got a grace period, and the policy a finalizer.
#[tokio::test]
async fn no_option_counts_when_a_definition_begins_to_go() {
    let cluster = cluster_with_tabs().await;
    let path = &format!("{CRDS}/crontabs.example.com");
    let options = json!({"propagationPolicy": "Orphan", "dryRun": ["All"]});
    let going = cluster.delete_with(admin(), path, options).await.unwrap();
    let want = ["customresourcecleanup.apiextensions.k8s.io"];
    assert_eq!(going.finalizers().collect::<Vec<_>>(), want);
    assert_eq!((going.generation(), going.deletion_grace_period_seconds()), (1, None));
    cluster.delete_with(admin(), path, json!({"propagationPolicy": "Foreground"})).await.unwrap();
    until(&cluster, "crontabs.example.com", |definition| definition.is_none()).await;
    cluster.stop().await;
}
