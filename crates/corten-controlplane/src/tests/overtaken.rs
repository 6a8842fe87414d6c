//! Changes of objects that are no longer as the cache shows them.

use corten_apimachinery::{Value, meta::ObjectMeta as _};
use corten_client::PatchKind;
use corten_storage::kv::Expected;
use http::Method;
use serde_json::json;

use super::MAPS;
use crate::testing::{Cluster, Hold, admin};

const PODS: &str = "/api/v1/namespaces/default/pods";

/// What the cache of pods and config maps shows is on its way out: `pods/a` has time left, `configmaps/m` is held by a
/// finalizer. In the store there are new ones of these names, and `pods/b` has been bound.
async fn overtaken(hold: &Hold) -> (Cluster, Value, Value) {
    let cluster = Cluster::start_held(hold).await;
    let ok = |answer: Result<Value, _>| answer.unwrap();
    cluster.make_pod("a").await;
    cluster.make_pod("b").await;
    ok(cluster.post(admin(), format!("{PODS}/a/binding"), binding("a", "n")).await);
    ok(cluster.delete_with(admin(), &format!("{PODS}/a"), json!({"gracePeriodSeconds": 300})).await);
    let held = json!({"metadata": {"name": "m", "finalizers": ["example.com/held"]}});
    ok(cluster.post(admin(), MAPS, held).await);
    ok(cluster.delete(admin(), &format!("{MAPS}/m")).await);
    ok(cluster.get(admin(), &format!("{PODS}/a")).await);

    hold.hold_watches("/registry/pods/");
    let now = async |method, path: &str, object| ok(cluster.at_once(method, path, None, object).await);
    now(Method::DELETE, &format!("{PODS}/a"), json!({"gracePeriodSeconds": 0})).await;
    let pod = json!({"metadata": {"name": "a"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let pod = now(Method::POST, PODS, pod).await;
    now(Method::POST, &format!("{PODS}/b/binding"), binding("b", "n")).await;
    // One kind at a time is held: what the cache of pods has not heard of, it does not hear of until it is let go.
    hold.hold_watches("/registry/");
    let free = json!({"metadata": {"finalizers": null}});
    ok(cluster.at_once(Method::PATCH, &format!("{MAPS}/m"), Some(PatchKind::Merge), free).await);
    let map = now(Method::POST, MAPS, json!({"metadata": {"name": "m"}, "data": {"a": "1"}})).await;
    (cluster, pod, map)
}

fn binding(pod: &str, node: &str) -> serde_json::Value {
    json!({"metadata": {"name": pod}, "target": {"kind": "Node", "name": node}})
}

/// A delete was answered from the cache where it had nothing to write: that of a pod whose time runs, of an object that is held,
/// a dry run. It said "done" of an object that had gone, and the new one of that name stayed. So did other dry runs.
#[tokio::test]
async fn what_is_answered_without_a_write_is_about_the_newest_object() {
    let dry = json!({"dryRun": ["All"], "gracePeriodSeconds": 0});
    let (delete, patch) = ((Method::DELETE, None), (Method::PATCH, Some(PatchKind::Merge)));
    let cases = [
        (&delete, "pods/a", json!({}), true),
        (&delete, "configmaps/m", json!({}), true),
        (&delete, "pods/a", dry.clone(), false),
        (&delete, "configmaps/m", dry, false),
        (&patch, "pods/a?dryRun=All", json!({"metadata": {"labels": {"a": "b"}}}), false),
        (&patch, "configmaps/m", json!({}), false),
    ];
    for ((method, kind), path, body, goes) in cases {
        let hold = Hold::new();
        let (cluster, pod, map) = overtaken(&hold).await;
        let newest = if path.starts_with("pods") { &pod } else { &map };
        let full = format!("/api/v1/namespaces/default/{path}");
        let (answer, ()) = tokio::join!(
            biased;
            cluster.at_once(method.clone(), &full, *kind, body),
            async { hold.release_watches() }
        );
        let answer = answer.unwrap();
        // A delete of what goes at once answers with what it was.
        let uid = answer.str_at(&["details", "uid"]).unwrap_or(answer.uid());
        assert_eq!(uid, newest.uid(), "{method} {path}");
        let left = cluster.get(admin(), full.split('?').next().unwrap()).await;
        assert_eq!(left.is_err(), goes, "{method} {path}");
        cluster.stop().await;
    }
}

/// It was computed from the cache without a look.
#[tokio::test]
async fn a_dry_run_of_a_binding_is_of_the_newest_pod() {
    let hold = Hold::new();
    let (cluster, ..) = overtaken(&hold).await;
    let path = format!("{PODS}/b/binding?dryRun=All");
    let (answer, ()) = tokio::join!(
        biased;
        cluster.at_once(Method::POST, &path, None, binding("b", "other")),
        async { hold.release_watches() }
    );
    let refused = answer.unwrap_err();
    assert_eq!(refused.code, 409);
    assert!(refused.message.ends_with("pod b is already assigned to node \"n\""), "{}", refused.message);
    cluster.stop().await;
}

/// The cache was asked what somebody else had made a moment before, and said that there was nothing: an apply was refused with
/// "already exists".
#[tokio::test]
async fn an_apply_changes_what_another_has_just_made() {
    let hold = Hold::new();
    let cluster = Cluster::start_held(&hold).await;
    hold.hold_watches("/registry/configmaps/");
    let stored = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"m","namespace":"default","uid":"u"}}"#;
    cluster.plant("/registry/configmaps/default/m", stored).await;
    let applied = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"a": "1"}});
    let path = format!("{MAPS}/m?fieldManager=me");
    let applied = cluster.at_once(Method::PATCH, &path, Some(PatchKind::Apply), applied).await.unwrap();
    assert_eq!((applied.uid(), applied.str_at(&["data", "a"])), ("u", Some("1")));
    hold.release_watches();
    cluster.stop().await;
}

/// A token was refused for as long as the cache knew the former pod of that name.
#[tokio::test]
async fn a_token_of_a_pod_that_was_made_anew_is_good_at_once() {
    let hold = Hold::new();
    let cluster = Cluster::start_held(&hold).await;
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    cluster.post(admin(), accounts, json!({"metadata": {"name": "default"}})).await.unwrap();
    let (key, path) = ("/registry/pods/default/p", format!("{PODS}/p"));
    let pod = |uid: &str| {
        let metadata = json!({"name": "p", "namespace": "default", "uid": uid});
        let spec = json!({"serviceAccountName": "default", "containers": [{"name": "c", "image": "i"}]});
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}).to_string()
    };
    let first = cluster.plant(key, pod("newer")).await;
    cluster.acknowledge("pods", first);
    let bound = json!({"spec": {"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "p", "uid": "newer"}}});
    let token = cluster.post(admin(), format!("{accounts}/default/token"), bound).await.unwrap();
    let second = cluster.plant_over(key, pod("former"), Expected::ModRevision(first)).await;
    cluster.acknowledge("pods", second);
    assert_eq!(cluster.get(admin(), &path).await.unwrap().uid(), "former");
    hold.hold_watches("/registry/pods/");
    let third = cluster.plant_over(key, pod("newer"), Expected::ModRevision(second)).await;
    cluster.acknowledge("pods", third);
    let review = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
        "spec": {"token": token.str_at(&["status", "token"]).unwrap()},
    });
    let (review, ()) = tokio::join!(
        biased;
        cluster.at_once(Method::POST, "/apis/authentication.k8s.io/v1/tokenreviews", None, review),
        async { hold.release_watches() }
    );
    let review = review.unwrap();
    assert_eq!(review.bool_at(&["status", "authenticated"]), Some(true), "{review:?}");
    cluster.stop().await;
}
