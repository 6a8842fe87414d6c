//! Custom resources from their definition to their end.

use corten_apimachinery::{Value, gvk::GroupVersionResource, meta::ObjectMeta as _};
use corten_apiserver::customresources::DEFINITIONS;
use corten_client::{PatchKind, Target, WatchEvent, WatchOptions};
use futures::StreamExt as _;
use serde_json::json;

use crate::{
    caches::tree,
    testing::{Cluster, admin},
};

pub(super) const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
pub(super) const TABS: &str = "/apis/example.com/v1/namespaces/default/crontabs";

pub(super) fn definition(plural: &str, kind: &str, short: &str) -> serde_json::Value {
    let schema = json!({"type": "object", "properties": {
        "spec": {"type": "object", "required": ["cron"], "properties": {
            "cron": {"type": "string", "pattern": "^[0-9* ]+$"},
            "image": {"type": "string", "default": "busybox"},
            "replicas": {"type": "integer", "minimum": 0, "maximum": 10},
        }},
        "status": {"type": "object", "properties": {"replicas": {"type": "integer"}, "selector": {"type": "string"}}},
    }});
    json!({
        "metadata": {"name": format!("{plural}.example.com")},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": plural, "kind": kind, "shortNames": [short], "categories": ["all"]},
            "versions": [
                {"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema},
                 "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.replicas",
                    "statusReplicasPath": ".status.replicas", "labelSelectorPath": ".status.selector"}},
                 "selectableFields": [{"jsonPath": ".spec.image"}],
                 "additionalPrinterColumns": [{"name": "Cron", "type": "string", "jsonPath": ".spec.cron"}]},
                {"name": "v1beta1", "served": true, "storage": false, "deprecated": true,
                 "selectableFields": [{"jsonPath": ".spec.image"}], "schema": {"openAPIV3Schema": schema}},
            ],
        },
    })
}

/// Waits until the definition is as wanted; `None` for one that is not there.
pub(super) async fn until(cluster: &Cluster, name: &str, holds: impl Fn(Option<&Value>) -> bool) {
    let routes = cluster.server.routes();
    let store = routes.store(DEFINITIONS.0, DEFINITIONS.1).expect("definitions are served");
    let (snapshot, mut watcher) = store.cacher().watch_from_now(0).await.unwrap();
    let mut current = snapshot.get(name).map(|stored| tree(stored).unwrap());
    let mut events = Vec::new();
    while !holds(current.as_ref()) {
        watcher.next(&mut events).await.unwrap();
        current = store.cacher().get(name).map(|stored| tree(&stored).unwrap());
        events.clear();
    }
}

fn condition<'a>(definition: &'a Value, ty: &str) -> Option<(&'a str, &'a str)> {
    let conditions = definition.items_at(&["status", "conditions"]);
    let found = conditions.iter().find(|condition| condition.str_at(&["type"]) == Some(ty))?;
    Some((found.str_at(&["status"])?, found.str_at(&["reason"])?))
}

pub(super) fn is_established(definition: Option<&Value>) -> bool {
    definition.and_then(|definition| condition(definition, "Established")) == Some(("True", "InitialNamesAccepted"))
}

/// Waits until the resources of a definition are served.
pub(super) async fn until_established(cluster: &Cluster, name: &str) {
    until(cluster, name, is_established).await;
}

pub(super) async fn cluster_with_tabs() -> Cluster {
    let cluster = Cluster::start().await;
    cluster.post(admin(), CRDS, definition("crontabs", "CronTab", "ct")).await.unwrap();
    until(&cluster, "crontabs.example.com", is_established).await;
    cluster
}

pub(super) fn tab(name: &str, spec: serde_json::Value) -> serde_json::Value {
    json!({"apiVersion": "example.com/v1", "kind": "CronTab", "metadata": {"name": name}, "spec": spec})
}

#[tokio::test]
async fn a_custom_resource_is_defaulted_pruned_checked_and_kept() {
    let cluster = cluster_with_tabs().await;
    let made = tab("a", json!({"cron": "* * *", "odd": 1}));
    let made = cluster.post(admin(), format!("{TABS}?fieldValidation=Ignore"), made).await.unwrap();
    assert_eq!(made.at(&["spec"]).unwrap().str_at(&["image"]), Some("busybox"));
    assert_eq!(made.at(&["spec", "odd"]), None);
    assert_eq!((made.generation(), made.at(&["status"])), (1, None));
    let strict =
        cluster.post(admin(), format!("{TABS}?fieldValidation=Strict"), tab("b", json!({"cron": "*", "odd": 1})));
    assert_eq!(
        strict.await.unwrap_err().message,
        "CronTab in version \"v1\" cannot be handled as a CronTab: strict decoding error: unknown field \"spec.odd\""
    );
    let refused = cluster.post(admin(), TABS, tab("c", json!({"cron": "x", "replicas": "many"}))).await.unwrap_err();
    assert_eq!((refused.code, refused.reason.as_str()), (422, "Invalid"));
    assert!(refused.message.contains("spec.replicas: Invalid value: \"string\""), "{}", refused.message);
    let read = cluster.get(admin(), "/apis/example.com/v1beta1/namespaces/default/crontabs/a").await.unwrap();
    assert_eq!((read.api_version(), read.str_at(&["spec", "cron"])), ("example.com/v1beta1", Some("* * *")));
    let warnings = cluster.warnings(admin(), "/apis/example.com/v1beta1/namespaces/default/crontabs/a").await;
    assert_eq!(warnings, ["example.com/v1beta1 CronTab is deprecated; use example.com/v1 CronTab"]);
    cluster.stop().await;
}

/// It was missing until a restart: with what a request says of status went what had been filled in there.
#[tokio::test]
async fn a_default_of_status_is_there_from_the_first_answer_on() {
    let cluster = Cluster::start().await;
    let mut definition = definition("crontabs", "CronTab", "ct");
    let versions = definition["spec"]["versions"].as_array_mut().unwrap();
    versions.truncate(1);
    versions[0]["schema"]["openAPIV3Schema"]["properties"]["status"]["default"] = json!({"replicas": 7});
    cluster.post(admin(), CRDS, definition).await.unwrap();
    until_established(&cluster, "crontabs.example.com").await;
    let made = tab("a", json!({"cron": "*"}));
    let made = cluster.post(admin(), TABS, made).await.unwrap();
    assert_eq!(made.at(&["status", "replicas"]), Some(&Value::Int(7)));
    for (path, patch, want) in
        [("a", json!({"spec": {"cron": "1"}}), 7), ("a/status", json!({"status": {"replicas": 1}}), 1)]
    {
        let changed = cluster.patch(admin(), &format!("{TABS}/{path}"), PatchKind::Merge, patch).await.unwrap();
        assert_eq!(changed.at(&["status", "replicas"]), Some(&Value::Int(want)), "{path}");
    }
    cluster.stop().await;
}

#[tokio::test]
async fn status_and_scale_have_their_own_endpoints() {
    let cluster = cluster_with_tabs().await;
    let path = format!("{TABS}/a");
    cluster.post(admin(), TABS, tab("a", json!({"cron": "*", "replicas": 2}))).await.unwrap();
    let status = json!({"spec": {"cron": "1"}, "status": {"replicas": 1, "selector": "app=a"}});
    let patched = cluster.patch(admin(), &format!("{path}/status"), PatchKind::Merge, status).await.unwrap();
    assert_eq!((patched.str_at(&["spec", "cron"]), patched.i64_at(&["status", "replicas"])), (Some("*"), Some(1)));
    assert_eq!(patched.generation(), 1);
    let scale = cluster.get(admin(), &format!("{path}/scale")).await.unwrap();
    assert_eq!((scale.i64_at(&["spec", "replicas"]), scale.str_at(&["status", "selector"])), (Some(2), Some("app=a")));
    let wanted = json!({"spec": {"replicas": 5}});
    cluster.patch(admin(), &format!("{path}/scale"), PatchKind::Merge, wanted).await.unwrap();
    let patched = cluster.patch(admin(), &path, PatchKind::Merge, json!({"status": {"replicas": 9}})).await.unwrap();
    assert_eq!((patched.i64_at(&["spec", "replicas"]), patched.i64_at(&["status", "replicas"])), (Some(5), Some(1)));
    assert_eq!(patched.generation(), 2);
    let strategic = cluster.patch(admin(), &path, PatchKind::Strategic, json!({})).await.unwrap_err();
    assert_eq!(strategic.code, 415);
    cluster.stop().await;
}

#[tokio::test]
async fn who_applies_owns_what_it_says() {
    let cluster = cluster_with_tabs().await;
    let apply = |manager: &str, replicas: u32| {
        let path = format!("{TABS}/a?fieldManager={manager}");
        let config = tab("a", json!({"cron": "*", "replicas": replicas}));
        let cluster = &cluster;
        async move { cluster.patch(admin(), &path, PatchKind::Apply, config).await }
    };
    apply("one", 1).await.unwrap();
    let conflict = apply("two", 2).await.unwrap_err();
    assert_eq!((conflict.code, conflict.reason.as_str()), (409, "Conflict"));
    assert!(conflict.message.contains(".spec.replicas"), "{}", conflict.message);
    cluster.stop().await;
}

#[tokio::test]
async fn discovery_selectors_and_columns_follow_the_definition() {
    let cluster = cluster_with_tabs().await;
    let list = cluster.get(admin(), "/apis/example.com/v1").await.unwrap();
    let names: Vec<&str> = list.items_at(&["resources"]).iter().filter_map(|entry| entry.str_at(&["name"])).collect();
    assert_eq!(names, ["crontabs", "crontabs/scale", "crontabs/status"]);
    cluster.post(admin(), TABS, tab("a", json!({"cron": "*", "image": "one"}))).await.unwrap();
    cluster.post(admin(), TABS, tab("b", json!({"cron": "*"}))).await.unwrap();
    let selected = cluster.get(admin(), &format!("{TABS}?fieldSelector=spec.image%3Done")).await.unwrap();
    assert_eq!(selected, Value::Int(1), "how many there are");
    let unknown = cluster.get(admin(), &format!("{TABS}?fieldSelector=spec.cron%3D*")).await.unwrap_err();
    assert_eq!(unknown.code, 400);
    cluster.stop().await;
}

#[tokio::test]
async fn a_name_is_whose_it_was_first() {
    let cluster = cluster_with_tabs().await;
    cluster.post(admin(), CRDS, definition("cartons", "Carton", "ct")).await.unwrap();
    until(&cluster, "cartons.example.com", |definition| {
        definition.and_then(|it| condition(it, "NamesAccepted")) == Some(("False", "ShortNamesConflict"))
    })
    .await;
    cluster.delete(admin(), &format!("{CRDS}/crontabs.example.com")).await.unwrap();
    until(&cluster, "cartons.example.com", is_established).await;
    assert_eq!(cluster.get(admin(), TABS).await.unwrap_err().code, 404);
    cluster.stop().await;
}

#[tokio::test]
async fn objects_go_with_their_definition_and_do_not_come_back() {
    let cluster = cluster_with_tabs().await;
    let held = json!({"apiVersion": "example.com/v1", "kind": "CronTab",
        "metadata": {"name": "held", "finalizers": ["example.com/wait"]}, "spec": {"cron": "*"}});
    cluster.post(admin(), TABS, held).await.unwrap();
    cluster.post(admin(), TABS, tab("free", json!({"cron": "*"}))).await.unwrap();
    let path = format!("{CRDS}/crontabs.example.com");
    cluster.delete(admin(), &path).await.unwrap();
    until(&cluster, "crontabs.example.com", |definition| {
        definition.and_then(|it| condition(it, "Terminating")) == Some(("True", "InstanceDeletionInProgress"))
    })
    .await;
    let refused = cluster.post(admin(), TABS, tab("late", json!({"cron": "*"}))).await.unwrap_err();
    assert_eq!(refused.message, "create not allowed while custom resource definition is terminating");
    let release = json!({"metadata": {"finalizers": null}});
    cluster.patch(admin(), &format!("{TABS}/held"), PatchKind::Merge, release).await.unwrap();
    until(&cluster, "crontabs.example.com", |definition| definition.is_none()).await;
    cluster.post(admin(), CRDS, definition("crontabs", "CronTab", "ct")).await.unwrap();
    until(&cluster, "crontabs.example.com", is_established).await;
    assert_eq!(cluster.get(admin(), TABS).await.unwrap(), Value::Int(0), "how many there are");
    cluster.stop().await;
}

/// Who watched was told that their version is too old, and listed everything again.
#[tokio::test]
async fn a_watch_ends_without_a_word_when_the_definition_changes() {
    let cluster = cluster_with_tabs().await;
    let client = cluster.client(admin());
    let resource = GroupVersionResource::new("example.com", "v1", "crontabs");
    let watch =
        async || client.watch(Target::collection(&resource, "default"), &WatchOptions::default()).await.unwrap();
    let mut changes = watch().await;
    cluster.post(admin(), TABS, tab("a", json!({"cron": "*"}))).await.unwrap();
    assert!(matches!(changes.next().await, Some(Ok(WatchEvent::Added(_)))));
    let path = format!("{CRDS}/crontabs.example.com");
    let shorter = json!({"spec": {"names": {"shortNames": ["c"]}}});
    cluster.patch(admin(), &path, PatchKind::Merge, shorter).await.unwrap();
    assert!(changes.next().await.is_none());
    let mut changes = watch().await;
    assert!(matches!(changes.next().await, Some(Ok(WatchEvent::Added(_)))), "the new one has all objects");
    cluster.delete(admin(), &path).await.unwrap();
    let change = changes.next().await;
    assert!(matches!(change, Some(Ok(WatchEvent::Deleted(_)))), "objects are seen to go: {change:?}");
    until(&cluster, "crontabs.example.com", |definition| definition.is_none()).await;
    assert!(changes.next().await.is_none(), "and with the definition the watch ends");
    cluster.stop().await;
}

#[tokio::test]
async fn an_object_says_what_it_is() {
    let cluster = cluster_with_tabs().await;
    let refused = async |body: serde_json::Value| {
        let status = cluster.post(admin(), TABS, body).await.unwrap_err();
        (status.code, status.message.to_string())
    };
    let other_kind = json!({"apiVersion": "example.com/v1", "kind": "Foo", "metadata": {"name": "a"}});
    let why = "Foo.example.com \"a\" is invalid: kind: Invalid value: \"Foo\": must be CronTab";
    assert_eq!(refused(other_kind).await, (422, why.to_owned()));
    let other_version = json!({"apiVersion": "example.com/v1beta1", "kind": "CronTab", "metadata": {"name": "a"}});
    let why =
        "the API version in the data (example.com/v1beta1) does not match the expected API version (example.com/v1)";
    assert_eq!(refused(other_version).await, (400, why.to_owned()));
    let no_version = json!({"kind": "CronTab", "metadata": {"name": "a"}});
    let why = "the API version in the data () does not match the expected API version (example.com/v1)";
    assert_eq!(refused(no_version).await, (400, why.to_owned()));
    let why = "the object provided is unrecognized (must be of type CronTab): Object 'Kind' is missing in \
               '{\"metadata\":{\"name\":\"abcdefghijk\"}}' ({\"metadata\":{\"name\":\"abcdefghi ...)";
    assert_eq!(refused(json!({"metadata": {"name": "abcdefghijk"}})).await, (400, why.to_owned()));
    cluster.post(admin(), TABS, tab("a", json!({"cron": "*"}))).await.unwrap();
    let renamed = cluster.patch(admin(), &format!("{TABS}/a"), PatchKind::Merge, json!({"kind": "Foo"})).await;
    assert_eq!(renamed.unwrap_err().code, 422);
    cluster.stop().await;
}

#[tokio::test]
async fn stores_of_custom_resources_are_counted_and_forget() {
    let cluster = cluster_with_tabs().await;
    cluster.post(admin(), TABS, tab("a", json!({"cron": "*"}))).await.unwrap();
    cluster.get(admin(), TABS).await.unwrap();
    let metrics = cluster.get(admin(), "/metrics").await.unwrap();
    let line = "apiserver_storage_objects{resource=\"crontabs.example.com\"} 1";
    assert!(metrics.as_str().unwrap().lines().any(|one| one == line), "{line}");
    let old = cluster.revision().await;
    cluster.post(admin(), TABS, tab("b", json!({"cron": "*"}))).await.unwrap();
    cluster.compact().await;
    let gone = cluster.get(admin(), &format!("{TABS}?resourceVersion={old}&resourceVersionMatch=Exact")).await;
    assert_eq!(gone.unwrap_err().code, 410);
    cluster.stop().await;
}

/// Each change of a definition kept another old store for a minute, with all of its objects.
#[tokio::test]
async fn a_definition_keeps_one_old_store() {
    let cluster = cluster_with_tabs().await;
    let path = format!("{CRDS}/crontabs.example.com");
    let mut caches = Vec::new();
    for short in ["c", "d", "e"] {
        let current = || cluster.server.routes().store("example.com", "crontabs").cloned().unwrap();
        let before = current();
        let shorter = json!({"spec": {"names": {"shortNames": [short]}}});
        cluster.patch(admin(), &path, PatchKind::Merge, shorter).await.unwrap();
        while std::sync::Arc::ptr_eq(&current(), &before) {
            tokio::task::yield_now().await;
        }
        caches.push(before.cacher().clone());
    }
    let made = cluster.post(admin(), TABS, tab("a", json!({"cron": "*"}))).await.unwrap();
    let revision = made.resource_version().parse().unwrap();
    assert!(
        caches[2].not_older_than(revision).await.is_ok(),
        "requests that came before the change still read from it"
    );
    assert!(caches[..2].iter().all(|ended| ended.any().revision() < revision));
    cluster.stop().await;
}

/// The server panicked when the replicas of such an object were set.
#[tokio::test]
async fn there_is_a_place_for_the_replicas() {
    let cluster = Cluster::start().await;
    let mut open = definition("crontabs", "CronTab", "ct");
    open["spec"]["versions"].as_array_mut().unwrap().truncate(1);
    open["spec"]["versions"][0]["selectableFields"].take();
    open["spec"]["versions"][0]["schema"]["openAPIV3Schema"] =
        json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    cluster.post(admin(), CRDS, open).await.unwrap();
    until_established(&cluster, "crontabs.example.com").await;
    let refused = cluster.post(admin(), TABS, tab("a", json!("text"))).await.unwrap_err();
    assert_eq!(
        (refused.code, &*refused.message),
        (
            422,
            "CronTab.example.com \"a\" is invalid: .spec.replicas: Invalid value: 0: .spec.replicas accessor error: text is \
             of the type string, expected map[string]interface{}",
        )
    );
    cluster.stop().await;
}
