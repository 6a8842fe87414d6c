//! The versions and the scope of a custom resource, as paths and stored objects have them.

use corten_apimachinery::{Value, gvk::GroupVersionResource, meta::ObjectMeta as _};
use corten_client::{PatchKind, Target, WatchOptions};
use futures::StreamExt as _;
use http::Method;
use serde_json::json;

use super::custom_resources::{CRDS, TABS, cluster_with_tabs, tab, until};
use crate::testing::{Cluster, admin, tree};

/// Changes the definition, and waits until what it says now is served: then the watches of what was served before end.
pub(super) async fn redefine(cluster: &Cluster, changes: serde_json::Value) {
    redefine_seen_by(cluster, "v1beta1", changes).await;
}

/// The same, by watches of this version.
async fn redefine_seen_by(cluster: &Cluster, version: &str, changes: serde_json::Value) {
    let client = cluster.client(admin());
    let resource = GroupVersionResource::new("example.com", version, "crontabs");
    let mut watch = client.watch(Target::collection(&resource, "default"), &WatchOptions::default()).await.unwrap();
    cluster.patch(admin(), &format!("{CRDS}/crontabs.example.com"), PatchKind::Json, changes).await.unwrap();
    while watch.next().await.is_some() {}
}

/// The fields of all versions could be selected in each of them.
#[tokio::test]
async fn a_version_has_its_own_selectable_fields() {
    let cluster = cluster_with_tabs().await;
    // With schemas that are the same, both versions would have to have the same fields.
    let fields = json!([
        {"op": "add", "path": "/spec/versions/1/schema/openAPIV3Schema/description", "value": "old"},
        {"op": "replace", "path": "/spec/versions/1/selectableFields", "value": [{"jsonPath": ".spec.cron"}]},
    ]);
    redefine(&cluster, fields).await;
    cluster.post(admin(), TABS, tab("a", json!({"cron": "1", "image": "one"}))).await.unwrap();
    cluster.post(admin(), TABS, tab("b", json!({"cron": "2", "image": "two"}))).await.unwrap();
    let beta = TABS.replace("v1", "v1beta1");
    for (path, selector, want) in [
        (TABS, "spec.image%3Done", Ok(1)),
        (&*beta, "spec.cron%3D2", Ok(1)),
        (&*beta, "metadata.name%3Da", Ok(1)),
        (TABS, "spec.cron%3D2", Err("field label not supported: spec.cron")),
        (&*beta, "spec.image%3Done", Err("field label not supported: spec.image")),
    ] {
        let found = cluster.get(admin(), &format!("{path}?fieldSelector={selector}")).await;
        let found = found.map_err(|status| (status.code, status.message.to_string()));
        assert_eq!(found, want.map(Value::Int).map_err(|why: &str| (400, why.to_owned())), "{path} {selector}");
    }
    cluster.stop().await;
}

/// It was refused without a version, as an object is.
#[tokio::test]
async fn a_scale_can_be_put_whatever_the_version_is() {
    let cluster = cluster_with_tabs().await;
    let path = format!("{TABS}/a/scale");
    let made = cluster.post(admin(), TABS, tab("a", json!({"cron": "*", "replicas": 2}))).await.unwrap();
    let scale = |version: Option<&str>, replicas: i64| {
        json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "spec": {"replicas": replicas},
            "metadata": {"name": "a", "namespace": "default", "resourceVersion": version}})
    };
    let put = cluster.put(admin(), &path, scale(None, 5)).await.unwrap();
    assert_eq!(put.i64_at(&["spec", "replicas"]), Some(5));
    let version = made.resource_version();
    assert_eq!(cluster.put(admin(), &path, scale(Some(version), 6)).await.unwrap_err().code, 409);
    let version = put.resource_version();
    assert_eq!(
        cluster.put(admin(), &path, scale(Some(version), 6)).await.unwrap().i64_at(&["spec", "replicas"]),
        Some(6)
    );
    let applied =
        json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "a"}, "spec": {"replicas": 7}});
    let apply = format!("{path}?fieldManager=m&force=true");
    let applied = cluster.patch(admin(), &apply, PatchKind::Apply, applied).await.unwrap();
    assert_eq!(applied.i64_at(&["spec", "replicas"]), Some(7));
    cluster.stop().await;
}

/// A method that no collection knows elsewhere was said not to be allowed there, as upstream says of built-in resources.
#[tokio::test]
async fn a_custom_resource_is_found_in_its_scope_alone() {
    let cluster = cluster_with_tabs().await;
    let across = TABS.replace("/namespaces/default", "");
    let refused = cluster.outside(Method::POST, &across, None, Some(tab("a", json!({"cron": "*"})))).await;
    assert_eq!(refused.unwrap_err().code, 403, "whoever may not make it is told so");
    let refused = cluster.post(admin(), &across, tab("a", json!({"cron": "*"}))).await.unwrap_err();
    assert_eq!((refused.code, &*refused.message), (404, "404 page not found\n"));
    for (method, path, code) in [
        (Method::GET, across.clone(), 200),
        (Method::DELETE, across.clone(), 404),
        (Method::GET, format!("{across}/a"), 404),
        (Method::PUT, format!("{across}/a"), 404),
        (Method::GET, format!("{TABS}/a"), 404),
        (Method::GET, TABS.to_owned(), 200),
    ] {
        assert_eq!(cluster.code(method.clone(), &path, admin()).await, code, "{method} {path}");
    }
    cluster.stop().await;
}

/// It was served as an object of the version that had gone.
#[tokio::test]
async fn an_object_in_a_version_that_has_gone_cannot_be_converted() {
    let cluster = cluster_with_tabs().await;
    cluster.post(admin(), TABS, tab("a", json!({"cron": "*"}))).await.unwrap();
    let path = format!("{CRDS}/crontabs.example.com");
    let stored_elsewhere = json!([
        {"op": "replace", "path": "/spec/versions/0/storage", "value": false},
        {"op": "replace", "path": "/spec/versions/1/storage", "value": true},
    ]);
    redefine(&cluster, stored_elsewhere).await;
    let beta = TABS.replace("v1", "v1beta1");
    let forgets = json!({"status": {"storedVersions": ["v1beta1"]}});
    let old = cluster.get(admin(), &format!("{beta}/a")).await.unwrap();
    assert_eq!(old.api_version(), "example.com/v1beta1");
    cluster.patch(admin(), &format!("{path}/status"), PatchKind::Merge, forgets).await.unwrap();
    let without = json!([{"op": "remove", "path": "/spec/versions/0"}]);
    redefine(&cluster, without).await;
    let mut newer = tab("b", json!({"cron": "*"}));
    newer["apiVersion"] = json!("example.com/v1beta1");
    cluster.post(admin(), &beta, newer).await.unwrap();
    assert_eq!(cluster.get(admin(), &format!("{beta}/b")).await.unwrap().name(), "b");
    let why = "request to convert CR from an invalid group/version: example.com/v1";
    let all = beta.replace("/namespaces/default", "");
    let label = json!({"metadata": {"labels": {"a": "b"}}});
    for refused in [
        cluster.get(admin(), &format!("{beta}/a")).await,
        cluster.patch(admin(), &format!("{beta}/a"), PatchKind::Merge, label).await,
        cluster.delete(admin(), &format!("{beta}/a")).await,
        // It was left out of lists, so that nobody missed it.
        cluster.get(admin(), &beta).await,
        cluster.get(admin(), &all).await,
        cluster.get(admin(), &format!("{beta}?limit=1")).await,
        cluster.get(admin(), &format!("{beta}?resourceVersion=0&labelSelector=a%3Db")).await,
        cluster.delete(admin(), &beta).await,
    ] {
        let failure = refused.unwrap_err();
        assert_eq!((failure.code, failure.reason.as_str(), &*failure.message), (500, "", why), "{failure:?}");
    }
    assert_eq!(cluster.get(admin(), &beta.replace("default", "kube-system")).await, Ok(Value::Int(0)));
    let resource = GroupVersionResource::new("example.com", "v1beta1", "crontabs");
    let watch = cluster.client(admin()).watch(Target::collection(&resource, "default"), &WatchOptions::default()).await;
    let refused = watch.map(drop).unwrap_err();
    assert!(format!("{refused:?}").contains("storage is (re)initializing"), "{refused:?}");
    // As long as it is there, the definition stays.
    cluster.delete(admin(), &path).await.unwrap();
    let failed = format!("could not list instances: {why}");
    let says_so = until(&cluster, "crontabs.example.com", |definition| {
        let conditions = definition.unwrap().items_at(&["status", "conditions"]);
        let failure =
            conditions.iter().find(|condition| condition.str_at(&["reason"]) == Some("InstanceDeletionFailed"));
        failure.and_then(|failure| failure.str_at(&["message"])) == Some(&failed)
    });
    let time_passes = async {
        loop {
            cluster.clock.advance(std::time::Duration::from_secs(10));
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        () = says_so => {}
        () = time_passes => {}
    }
    cluster.stop().await;
}

/// What another version does not have was shown there, so that clients who are strict could not change the object.
#[tokio::test]
async fn a_version_shows_what_its_own_schema_has() {
    let cluster = cluster_with_tabs().await;
    let other = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "cron": {"type": "string"}, "old": {"type": "string"}}}}});
    redefine(
        &cluster,
        json!([
            {"op": "replace", "path": "/spec/versions/1/schema/openAPIV3Schema", "value": other},
            {"op": "remove", "path": "/spec/versions/1/selectableFields"},
        ]),
    )
    .await;
    let beta = TABS.replace("v1", "v1beta1");
    cluster.post(admin(), TABS, tab("a", json!({"cron": "*", "image": "one"}))).await.unwrap();
    let spec = |object: &Value| object.get("spec").unwrap().clone();
    let read = cluster.get(admin(), &format!("{beta}/a")).await.unwrap();
    assert_eq!(spec(&read), tree(json!({"cron": "*"})));
    let strict = format!("{beta}/a?fieldValidation=Strict");
    let label = json!({"metadata": {"labels": {"a": "b"}}});
    let patched = cluster.patch(admin(), &strict, PatchKind::Merge, label).await.unwrap();
    assert_eq!((spec(&patched), patched.generation()), (spec(&read), 1), "nothing of the version has changed");
    // What went with the change is as it is when nobody says it.
    let after = cluster.get(admin(), &format!("{TABS}/a")).await.unwrap();
    assert_eq!(after.str_at(&["spec", "image"]), Some("busybox"));

    let mut of_beta = tab("b", json!({"cron": "*", "old": "x"}));
    of_beta["apiVersion"] = json!("example.com/v1beta1");
    let made = cluster.post(admin(), &beta, of_beta).await.unwrap();
    assert_eq!(made.at(&["spec", "old"]), None, "the version that is stored has no such field");
    cluster.stop().await;
}

/// It was refused as a path that nobody knows, without the words that it is an object that is not found.
#[tokio::test]
async fn a_subresource_that_a_version_does_not_have_is_not_found() {
    let cluster = cluster_with_tabs().await;
    cluster.post(admin(), TABS, tab("a", json!({"cron": "*"}))).await.unwrap();
    let beta = TABS.replace("v1", "v1beta1");
    for (path, is_there) in [
        (format!("{TABS}/a/status"), true),
        (format!("{TABS}/a/odd"), false),
        (format!("{beta}/a/status"), false),
        (format!("{beta}/a/scale"), false),
    ] {
        match cluster.get(admin(), &path).await {
            Ok(_) => assert!(is_there, "{path}"),
            Err(status) => {
                assert_eq!((status.code, &*status.message), (404, "crontabs.example.com \"a\" not found"), "{path}");
                let details = status.details.unwrap();
                assert_eq!((&*details.name, &*details.group, &*details.kind), ("a", "example.com", "crontabs"));
            }
        }
    }
    cluster.stop().await;
}

/// Objects were passed off unconverted.
#[tokio::test]
async fn without_its_webhook_only_the_stored_version_is_served() {
    let cluster = cluster_with_tabs().await;
    cluster.post(admin(), TABS, tab("a", json!({"cron": "*"}))).await.unwrap();
    let webhook = json!({"conversionReviewVersions": ["v1"], "clientConfig": {"url": "https://localhost:1/convert"}});
    let conversion = json!({"strategy": "Webhook", "webhook": webhook});
    redefine(&cluster, json!([{"op": "replace", "path": "/spec/conversion", "value": conversion}])).await;
    let beta = TABS.replace("v1", "v1beta1");
    for path in [beta.clone(), format!("{beta}/a")] {
        let failure = cluster.get(admin(), &path).await.unwrap_err();
        let why = "conversion webhook for example.com/v1, Kind=CronTab failed: ";
        assert!(failure.code == 500 && failure.message.starts_with(why), "{path}: {failure:?}");
    }
    assert_eq!(cluster.get(admin(), &format!("{TABS}/a")).await.unwrap().name(), "a");
    let stored_elsewhere = json!([
        {"op": "replace", "path": "/spec/versions/0/storage", "value": false},
        {"op": "replace", "path": "/spec/versions/1/storage", "value": true},
    ]);
    redefine_seen_by(&cluster, "v1", stored_elsewhere).await;
    let failure = cluster.get(admin(), &format!("{beta}/a")).await.unwrap_err();
    assert!(failure.code == 500 && failure.message.contains("conversion webhook for example.com/v1"), "{failure:?}");
    cluster.stop().await;
}

/// After a restart, custom resources were not found until their definitions were read.
#[tokio::test]
async fn nothing_is_said_not_to_exist_before_all_definitions_are_read() {
    let cluster = cluster_with_tabs().await;
    let unknown = "/apis/other.example.com/v1/things/a";
    assert_eq!(cluster.code(Method::GET, unknown, admin()).await, 404);
    cluster.server.expect_routes(true);
    let failure = cluster.get(admin(), unknown).await.unwrap_err();
    let retry = failure.details.as_ref().map(|details| details.retry_after_seconds);
    assert_eq!((failure.code, failure.reason.as_str(), retry), (503, "ServiceUnavailable", Some(5)));
    assert_eq!(cluster.code(Method::GET, TABS, admin()).await, 200, "what is served is served");
    assert_eq!(cluster.code(Method::GET, "/api/v1/things", admin()).await, 404, "definitions add nothing here");
    for (path, code) in [("/readyz", 500), ("/readyz/poststarthook/crd-informer-synced", 500), ("/livez/ping", 200)] {
        assert_eq!(cluster.code(Method::GET, path, admin()).await, code, "{path}");
    }
    cluster.server.expect_routes(false);
    assert_eq!(cluster.code(Method::GET, "/readyz", admin()).await, 200);
    let cluster = cluster.restart().await;
    assert_ne!(cluster.code(Method::GET, TABS, admin()).await, 404);
    cluster.stop().await;
}
