//! Objects that another release has stored, or another server: what came into the form of their kind since is there.
//!
//! Upstream: `NewStorageCodec` in k8s.io/apiserver/pkg/server/storage/storage_codec.go (v1.35).

use corten_apimachinery::Value;
use serde_json::json;

use super::*;
use crate::testing::value;

const PODS: &str = "/api/v1/namespaces/default/pods";
const KEY: &str = "/registry/pods/default/a";

/// A pod as it was stored before its kind had these fields.
fn age(pod: &mut serde_json::Value) {
    for field in ["enableServiceLinks", "dnsPolicy", "schedulerName", "terminationGracePeriodSeconds"] {
        assert!(pod["spec"].as_object_mut().unwrap().remove(field).is_some(), "{field}");
    }
    let container = pod["spec"]["containers"][0].as_object_mut().unwrap();
    assert!(container.remove("terminationMessagePolicy").is_some());
}

fn is_whole(pod: &Value) -> bool {
    let spec = pod.get("spec").unwrap();
    spec.bool_at(&["enableServiceLinks"]) == Some(true)
        && spec.i64_at(&["terminationGracePeriodSeconds"]) == Some(30)
        && spec.items_at(&["containers"])[0].str_at(&["terminationMessagePolicy"]) == Some("File")
}

/// A default that was not stored was not shown, and no update went through, since it seemed to set fields that stay as they
/// are: a pod with a finalizer could not be deleted for good.
#[tokio::test]
async fn what_was_stored_without_a_default_has_it() {
    let cluster = Cluster::start().await;
    let account = json!({"metadata": {"name": "default"}});
    cluster.post(admin(), "/api/v1/namespaces/default/serviceaccounts", account).await.unwrap();
    let pod = json!({"metadata": {"name": "a", "finalizers": ["example.com/wait"]},
        "spec": {"containers": [{"name": "c", "image": "i"}]}});
    cluster.post(admin(), PODS, pod).await.unwrap();
    let path = format!("{PODS}/a");
    let before = cluster.get(admin(), &path).await.unwrap();
    assert!(is_whole(&before));
    // As the event of another server's write, and as what the next start finds.
    let revision = cluster.rewrite(KEY, age).await;
    let seen = cluster.get(admin(), &format!("{path}?resourceVersion={revision}")).await.unwrap();
    assert!(is_whole(&seen), "{seen:?}");
    let cluster = cluster.restart().await;
    let seen = cluster.get(admin(), &path).await.unwrap();
    assert!(is_whole(&seen), "{seen:?}");
    let listed = cluster.page(admin(), PODS).await;
    assert!(is_whole(&value(&listed.items[0].json)));
    // What changes nothing of what is shown writes what is stored otherwise, once.
    let again = async || {
        let same = cluster.patch(admin(), &path, PatchKind::Merge, json!({"metadata": {"name": "a"}})).await.unwrap();
        same.resource_version().to_owned()
    };
    let written = again().await;
    assert_ne!(written, revision.to_string());
    assert_eq!(again().await, written);
    cluster.delete(admin(), &path).await.unwrap();
    let patch = json!({"metadata": {"finalizers": null}});
    cluster.patch(admin(), &path, PatchKind::Merge, patch).await.unwrap();
    assert!(cluster.get(admin(), &path).await.unwrap_err().is_not_found());
    cluster.stop().await;
}

/// The write that a client's update meets is another server's, which the cache does not know of yet.
#[tokio::test]
async fn an_update_that_is_overtaken_by_what_lacks_a_default_goes_through() {
    let cluster = Cluster::start().await;
    cluster.make_pod("a").await;
    cluster.rewrite(KEY, age).await;
    let patch = json!({"metadata": {"labels": {"b": "c"}}});
    let patched = cluster.patch(admin(), &format!("{PODS}/a"), PatchKind::Merge, patch).await.unwrap();
    assert!(is_whole(&patched) && patched.str_at(&["metadata", "labels", "b"]) == Some("c"), "{patched:?}");
    cluster.stop().await;
}
