//! Writes that change nothing of what is shown: none where the store has it so, one where it has something else.
//!
//! Upstream: `GuaranteedUpdate` in k8s.io/apiserver/pkg/storage/etcd3/store.go compares the bytes that it would store with those
//! that are stored (v1.35).

use std::path::PathBuf;

use corten_api::types;
use corten_apimachinery::{
    Value,
    codec::{FieldValidation, json as codec},
};
use corten_storage::object::ObjectCodec as _;
use serde_json::json;

use super::{
    custom_resource_versions::redefine,
    custom_resources::{CRDS, TABS, cluster_with_tabs, tab},
    *,
};
use crate::testing::value;

/// A change of what both versions say an image is by default.
fn of_default_image(change: serde_json::Value) -> serde_json::Value {
    let of_version = |version: usize| {
        let path = format!("/spec/versions/{version}/schema/openAPIV3Schema/properties/spec/properties/image/default");
        let mut change = change.clone();
        change["path"] = path.into();
        change
    };
    json!([of_version(0), of_version(1)])
}

fn rewritten(object: &Value) -> serde_json::Value {
    let mut object = object.clone();
    object.expand_raw();
    serde_json::from_slice(&codec::encode(&object, None)).unwrap()
}

/// Nothing was written, so that a store could not be brought to another version: once the old one had gone, nobody could read
/// what was still stored in it, or delete the definition.
#[tokio::test]
async fn an_object_that_is_put_as_it_is_comes_to_the_version_that_is_stored() {
    let cluster = cluster_with_tabs().await;
    for name in ["a", "b", "c"] {
        cluster.post(admin(), TABS, tab(name, json!({"cron": "*"}))).await.unwrap();
    }
    let stored_elsewhere = json!([
        {"op": "replace", "path": "/spec/versions/0/storage", "value": false},
        {"op": "replace", "path": "/spec/versions/1/storage", "value": true},
    ]);
    redefine(&cluster, stored_elsewhere).await;
    let beta = TABS.replace("v1", "v1beta1");
    let (put, patched, applied) = (format!("{beta}/a"), format!("{TABS}/b"), format!("{beta}/c"));
    // A dry run is none.
    let old = cluster.get(admin(), &put).await.unwrap();
    let dry = cluster.put(admin(), &format!("{put}?dryRun=All"), rewritten(&old)).await.unwrap();
    assert_eq!(dry.resource_version(), old.resource_version());
    for is_first in [true, false] {
        for path in [&put, &patched, &applied] {
            let old = cluster.get(admin(), path).await.unwrap();
            let new = if path == &put {
                cluster.put(admin(), path, rewritten(&old)).await.unwrap()
            } else if path == &patched {
                cluster.patch(admin(), path, PatchKind::Merge, json!({})).await.unwrap()
            } else {
                let config = json!({"apiVersion": "example.com/v1beta1", "kind": "CronTab", "metadata": {"name": "c"}});
                cluster.patch(admin(), &format!("{path}?fieldManager=m"), PatchKind::Apply, config).await.unwrap()
            };
            let is_new = new.resource_version() != old.resource_version();
            // The second time it is stored as it is shown. An apply that owns nothing is none either.
            assert_eq!(is_new, is_first, "{path}");
            let (mut old, mut new) = (old, new);
            old.unset_meta("resourceVersion");
            new.unset_meta("resourceVersion");
            assert_eq!(new, old, "{path}");
        }
    }
    let path = format!("{CRDS}/crontabs.example.com");
    let forgets = json!({"status": {"storedVersions": ["v1beta1"]}});
    cluster.patch(admin(), &format!("{path}/status"), PatchKind::Merge, forgets).await.unwrap();
    redefine(&cluster, json!([{"op": "remove", "path": "/spec/versions/0"}])).await;
    for name in ["a", "b", "c"] {
        assert_eq!(cluster.get(admin(), &format!("{beta}/{name}")).await.unwrap().name(), name);
    }
    cluster.stop().await;
}

/// They were made anew at every read, and went with the schema that had them.
#[tokio::test]
async fn defaults_stay_with_the_object_that_is_put_with_them() {
    let cluster = cluster_with_tabs().await;
    redefine(&cluster, of_default_image(json!({"op": "remove"}))).await;
    for name in ["put", "left"] {
        cluster.post(admin(), TABS, tab(name, json!({"cron": "*"}))).await.unwrap();
    }
    redefine(&cluster, of_default_image(json!({"op": "add", "value": "busybox"}))).await;
    let object = cluster.get(admin(), &format!("{TABS}/put")).await.unwrap();
    assert_eq!(object.str_at(&["spec", "image"]), Some("busybox"));
    cluster.put(admin(), &format!("{TABS}/put"), rewritten(&object)).await.unwrap();
    redefine(&cluster, of_default_image(json!({"op": "remove"}))).await;
    for (name, want) in [("put", Some("busybox")), ("left", None)] {
        let object = cluster.get(admin(), &format!("{TABS}/{name}")).await.unwrap();
        assert_eq!(object.str_at(&["spec", "image"]), want, "{name}");
    }
    cluster.stop().await;
}

/// What this server has written reads as it is stored, also after a restart: to patch it with nothing writes nothing.
#[tokio::test]
async fn what_was_written_is_not_written_again() {
    let cluster = cluster_with_tabs().await;
    cluster.post(admin(), TABS, tab("a", json!({"cron": "*"}))).await.unwrap();
    cluster.make_pod("p").await;
    let cluster = cluster.restart().await;
    super::custom_resources::until_established(&cluster, "crontabs.example.com").await;
    let mut seen = 0;
    for store in cluster.server.routes().stores() {
        for (key, object) in store.consistent().await.unwrap().range("", "") {
            seen += 1;
            assert!(!object.facts.is_outdated, "{} {key}", store.resource().plural);
        }
    }
    assert!(seen > 100, "{seen}");
    let pods = "/api/v1/namespaces/default/pods/p";
    let old = cluster.get(admin(), pods).await.unwrap();
    let new = cluster.patch(admin(), pods, PatchKind::Merge, json!({})).await.unwrap();
    assert_eq!(new, old);
    cluster.stop().await;
}

#[tokio::test]
async fn objects_of_every_kind_read_as_they_are_stored() {
    let Some(folder) = std::env::var_os("CORTEN_UPSTREAM_DATA").map(PathBuf::from) else {
        println!("skipped: CORTEN_UPSTREAM_DATA is not set");
        return;
    };
    let folder = folder.join("api-roundtrip/v1.35");
    assert!(folder.is_dir(), "CORTEN_UPSTREAM_DATA is set, but has no folder api-roundtrip/v1.35");
    let cluster = Cluster::start().await;
    let mut seen = 0;
    for store in cluster.server.routes().stores() {
        let resource = store.resource();
        let (hub, group) = (resource.hub(), if resource.group.is_empty() { "core" } else { &*resource.group });
        let Ok(text) = std::fs::read(folder.join(format!("{group}.{}.{}.json", hub.name, resource.kind))) else {
            continue;
        };
        let mut tree =
            codec::decode(&text, Some((types::table(), hub.type_id)), FieldValidation::Ignore).unwrap().value;
        (hub.defaults)(&mut tree);
        tree.unset_meta("resourceVersion");
        let stored = store.codec().pending(&tree).value().clone();
        let read = store.codec().decode("a", &stored, 7).unwrap();
        assert!(!read.facts.is_outdated, "{}", resource.plural);
        // Another form of the same is another thing.
        let other = [&*stored, b"\n"].concat().into();
        assert!(store.codec().decode("a", &other, 7).unwrap().facts.is_outdated, "{}", resource.plural);
        assert_eq!(value(&read.json).name(), tree.name());
        seen += 1;
    }
    assert!(seen > 40, "{seen}");
    cluster.stop().await;
}
