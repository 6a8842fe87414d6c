//! What is written through a path is of its namespace and has its name, also as a subresource.

use corten_apimachinery::status::Status;
use corten_client::PatchKind;
use serde_json::json;

use super::custom_resources::{TABS, cluster_with_tabs, tab};
use crate::testing::{Cluster, admin};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const CONTROLLERS: &str = "/api/v1/namespaces/default/replicationcontrollers";
const OTHER_NAMESPACE: &str = "the namespace of the provided object does not match the namespace sent on the request";

fn refusal<T: std::fmt::Debug>(answer: Result<T, Status>) -> (u16, String) {
    let status = answer.unwrap_err();
    (status.code, status.message)
}

/// Cluster with something to scale, in two kinds.
async fn scalable() -> (Cluster, [String; 2]) {
    let cluster = cluster_with_tabs().await;
    cluster.post(admin(), TABS, tab("a", json!({"cron": "*", "replicas": 2}))).await.unwrap();
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let controller =
        json!({"metadata": {"name": "a"}, "spec": {"replicas": 2, "selector": {"a": "b"}, "template": template}});
    cluster.post(admin(), CONTROLLERS, controller).await.unwrap();
    (cluster, [format!("{TABS}/a/scale"), format!("{CONTROLLERS}/a/scale")])
}

/// The object of the path was scaled, whichever namespace the body meant.
#[tokio::test]
async fn a_scale_of_another_namespace_is_refused() {
    let (cluster, paths) = scalable().await;
    for path in &paths {
        let scale = |name: &str| {
            json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": name, "namespace": "zz"},
                "spec": {"replicas": 3}})
        };
        // What of it is wrong first is told, as upstream does.
        for name in ["a", "b"] {
            let jsonpatch = json!([{"op": "replace", "path": "/metadata/namespace", "value": "zz"},
                {"op": "replace", "path": "/metadata/name", "value": name}]);
            for answer in [
                cluster.put(admin(), path, scale(name)).await,
                cluster.patch(admin(), path, PatchKind::Merge, scale(name)).await,
                cluster.patch(admin(), path, PatchKind::Json, jsonpatch).await,
                cluster
                    .patch(admin(), &format!("{path}?fieldManager=m&force=true"), PatchKind::Apply, scale(name))
                    .await,
            ] {
                assert_eq!(refusal(answer), (400, OTHER_NAMESPACE.to_owned()), "{path}");
            }
        }
        let strategic = cluster.patch(admin(), path, PatchKind::Strategic, scale("a")).await;
        assert!(matches!(refusal(strategic).0, 400 | 415), "{path}");
        let put = cluster.put(admin(), &path.replace("/a/", "/none/"), scale("none")).await;
        assert_eq!(refusal(put), (400, OTHER_NAMESPACE.to_owned()), "{path}");
        let kept = cluster.get(admin(), path).await.unwrap();
        assert_eq!(kept.i64_at(&["spec", "replicas"]), Some(2));
        let scale = json!({"spec": {"replicas": 4}, "metadata": {"namespace": "default"}});
        cluster.patch(admin(), path, PatchKind::Merge, scale).await.unwrap();
    }
    cluster.stop().await;
}

/// Custom resources were refused as built-in kinds are.
#[tokio::test]
async fn a_uid_that_a_patch_sets_in_a_scale_is_looked_at_in_built_in_kinds_alone() {
    let (cluster, [tabs, controllers]) = scalable().await;
    let patch = json!({"metadata": {"uid": "other"}, "spec": {"replicas": 5}});
    let scaled = cluster.patch(admin(), &tabs, PatchKind::Merge, patch.clone()).await.unwrap();
    assert_eq!(scaled.i64_at(&["spec", "replicas"]), Some(5));
    let (code, why) = refusal(cluster.patch(admin(), &controllers, PatchKind::Merge, patch).await);
    let want = "Operation cannot be fulfilled on replicationcontrollers/scale \"a\": Precondition failed: UID in";
    assert!(code == 409 && why.starts_with(want), "{why}");
    // Their own rules speak of the replicas.
    let (code, why) = refusal(cluster.patch(admin(), &tabs, PatchKind::Merge, json!({"spec": {"replicas": -1}})).await);
    assert!(code == 422 && why.starts_with("CronTab.example.com \"a\" is invalid: "), "{why}");
    let (code, why) =
        refusal(cluster.patch(admin(), &controllers, PatchKind::Merge, json!({"spec": {"replicas": -1}})).await);
    assert!(code == 422 && why.starts_with("Scale.autoscaling \"a\" is invalid: "), "{why}");
    cluster.stop().await;
}

/// The name was looked at in what a patch had made before it was read.
#[tokio::test]
async fn what_a_patch_makes_is_read_before_its_place_is_looked_at() {
    let cluster = Cluster::start().await;
    cluster.post(admin(), MAPS, json!({"metadata": {"name": "a"}})).await.unwrap();
    let path = &format!("{MAPS}/a");
    for kind in [PatchKind::Merge, PatchKind::Strategic] {
        for patch in [
            json!({"metadata": {"name": 1}}),
            json!({"metadata": {"name": {}}}),
            json!({"metadata": {"name": "q"}, "data": {"a": 1}}),
        ] {
            let (code, why) = refusal(cluster.patch(admin(), path, kind, patch.clone()).await);
            let is_upstreams = code == 422 && why.starts_with(" \"\" is invalid: patch: Invalid value: ");
            assert!(is_upstreams, "{kind:?} {patch}: {code} {why}");
        }
        let other = "the name of the object (q) does not match the name on the URL (a)";
        for (metadata, want) in [
            (json!({"name": "q"}), other),
            (json!({"name": "q", "namespace": "zz"}), OTHER_NAMESPACE),
            (
                json!({"name": null}),
                "the name of the object (a based on URL) was undeterminable: name must be provided",
            ),
        ] {
            let answer = cluster.patch(admin(), path, kind, json!({"metadata": metadata})).await;
            assert_eq!(refusal(answer), (400, want.to_owned()), "{kind:?}");
        }
    }
    // A PUT tells it also of what is not there.
    let other = json!({"metadata": {"name": "q", "namespace": "zz"}});
    assert_eq!(refusal(cluster.put(admin(), &format!("{MAPS}/none"), other).await), (400, OTHER_NAMESPACE.to_owned()));
    cluster.stop().await;
}

/// It was refused as a body is.
#[tokio::test]
async fn a_patch_of_a_custom_resource_that_says_too_much_is_refused_with_what_it_made() {
    let cluster = cluster_with_tabs().await;
    cluster.post(admin(), TABS, tab("a", json!({"cron": "*"}))).await.unwrap();
    let path = &format!("{TABS}/a?fieldValidation=Strict");
    let operations = json!([{"op": "add", "path": "/spec/odd", "value": 1}]);
    for (kind, patch) in [(PatchKind::Merge, json!({"spec": {"odd": 1}})), (PatchKind::Json, operations)] {
        let (code, why) = refusal(cluster.patch(admin(), path, kind, patch).await);
        let starts = " \"\" is invalid: patch: Invalid value: \"{\\\"apiVersion\\\":\\\"example.com/v1\\\"";
        let ends = ": strict decoding error: unknown field \"spec.odd\"";
        assert!(code == 422 && why.starts_with(starts) && why.ends_with(ends), "{kind:?}: {code} {why}");
    }
    cluster.stop().await;
}
