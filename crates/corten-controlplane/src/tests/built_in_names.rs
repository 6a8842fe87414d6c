//! Definitions of custom resources that have names of built-in ones.

use corten_apimachinery::{Value, meta::ObjectMeta as _};
use serde_json::json;

use super::custom_resources::{CRDS, until, until_established};
use crate::testing::{Cluster, admin};

fn definition(plural: &str, group: &str, kind: &str) -> serde_json::Value {
    let version = |name: &str, is_stored: bool| {
        let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
        json!({"name": name, "served": true, "storage": is_stored, "schema": schema})
    };
    json!({
        "metadata": {
            "name": format!("{plural}.{group}"),
            "annotations": {"api-approved.kubernetes.io": "unapproved, a test"},
        },
        "spec": {
            "group": group, "scope": "Namespaced", "names": {"plural": plural, "kind": kind},
            "versions": [version("v1", true), version("v9", false)],
        },
    })
}

/// Of a collection of one object, that this is it.
async fn check(cluster: &Cluster, collection: &str, name: &str) {
    assert_eq!(cluster.get(admin(), collection).await.unwrap(), Value::Int(1));
    assert_eq!(cluster.get(admin(), &format!("{collection}/{name}")).await.unwrap().name(), name);
}

/// The server ended when such a definition came, and at each start after that.
#[tokio::test]
async fn a_definition_of_what_is_built_in_harms_nobody() {
    let mut cluster = Cluster::start().await;
    let ingress = json!({
        "metadata": {"name": "a"}, "spec": {"defaultBackend": {"service": {"name": "s", "port": {"number": 80}}}},
    });
    let ingresses = "/apis/networking.k8s.io/v1/namespaces/default/ingresses";
    cluster.post(admin(), ingresses, ingress).await.unwrap();
    for (plural, kind) in [("ingresses", "Ingress"), ("others", "Other")] {
        cluster.post(admin(), CRDS, definition(plural, "networking.k8s.io", kind)).await.unwrap();
        until_established(&cluster, &format!("{plural}.networking.k8s.io")).await;
    }
    for is_again in [false, true] {
        if is_again {
            cluster = cluster.restart().await;
            // It was established before; its routes are made beside the runtime.
            while cluster.server.routes().endpoint("networking.k8s.io", "v9", "ingresses").is_none() {
                tokio::task::yield_now().await;
            }
        }
        until_established(&cluster, "ingresses.networking.k8s.io").await;
        // The built-in version is as it was, also what it does not have.
        check(&cluster, ingresses, "a").await;
        let others = "/apis/networking.k8s.io/v1/namespaces/default/others";
        assert_eq!(cluster.get(admin(), others).await.unwrap_err().code, 404);
        let listed = cluster.get(admin(), "/apis/networking.k8s.io/v1").await.unwrap();
        let listed = listed.items_at(&["resources"]).iter().filter_map(|one| one.str_at(&["name"]));
        assert_eq!(listed.filter(|name| matches!(*name, "ingresses" | "others")).collect::<Vec<_>>(), ["ingresses"]);
        // A version that is not built in is theirs.
        let own = "/apis/networking.k8s.io/v9/namespaces/default/ingresses";
        let made = json!({"apiVersion": "networking.k8s.io/v9", "kind": "Ingress", "metadata": {"name": "own"}});
        match cluster.post(admin(), own, made).await {
            Err(status) if is_again => assert_eq!(status.code, 409),
            made => drop(made.unwrap()),
        }
        check(&cluster, own, "own").await;
    }
    let gone = format!("{CRDS}/ingresses.networking.k8s.io");
    cluster.delete(admin(), &gone).await.unwrap();
    until(&cluster, "ingresses.networking.k8s.io", |definition| definition.is_none()).await;
    check(&cluster, ingresses, "a").await;
    cluster.stop().await;
}

/// Its objects were those of the built-in resource, and went with it.
#[tokio::test]
async fn a_definition_does_not_get_the_objects_of_a_built_in_resource() {
    let cluster = Cluster::start().await;
    let services = "/apis/apiregistration.k8s.io/v1/apiservices";
    let before = cluster.get(admin(), services).await.unwrap();
    let name = "apiservices.apiregistration.k8s.io";
    cluster.post(admin(), CRDS, definition("apiservices", "apiregistration.k8s.io", "APIService")).await.unwrap();
    until(&cluster, name, |definition| {
        let conditions = definition.map(|definition| definition.items_at(&["status", "conditions"]));
        conditions.unwrap_or_default().iter().any(|condition| condition.str_at(&["reason"]) == Some("PluralConflict"))
    })
    .await;
    cluster.delete(admin(), &format!("{CRDS}/{name}")).await.unwrap();
    until(&cluster, name, |definition| definition.is_none()).await;
    assert_eq!(cluster.get(admin(), services).await.unwrap(), before);
    cluster.stop().await;
}
