//! What writes answer where upstream is particular: versions, names and what a deletion shows.
//!
//! Upstream: k8s.io/apiserver/pkg/endpoints/handlers/{rest,patch}.go and pkg/registry/generic/registry/store.go (v1.35).

use corten_apimachinery::Value;
use serde_json::json;

use super::{
    custom_resources::{TABS, cluster_with_tabs, tab},
    *,
};
use crate::testing::value;

/// A client that copies an object may leave its version in; only one that could have been given out is refused.
#[tokio::test]
async fn a_version_that_was_never_given_out_does_not_hinder_a_creation() {
    let cluster = Cluster::start().await;
    let made = async |name: &str, version: &str| {
        let map = json!({"metadata": {"name": name, "resourceVersion": version}});
        cluster.post(admin(), MAPS, map).await.map_err(|status| (status.code, status.message))
    };
    for (name, version) in [("a", "0"), ("b", "abc"), ("c", "-1")] {
        let object = made(name, version).await.unwrap();
        assert!(object.resource_version().parse::<u64>().unwrap() > 0, "{version}");
    }
    let want = (500, "resourceVersion should not be set on objects to be created".to_owned());
    assert_eq!(made("d", "7").await.unwrap_err(), want);
    cluster.stop().await;
}

#[tokio::test]
async fn the_version_of_an_update_is_a_number_or_nothing() {
    let cluster = Cluster::start().await;
    cluster.post(admin(), MAPS, json!({"metadata": {"name": "a"}})).await.unwrap();
    let path = &format!("{MAPS}/a");
    let failed = |text: &str, why: &str| (500, format!("strconv.ParseUint: parsing {text:?}: {why}"));
    for (version, want) in [
        ("abc", Some(failed("abc", "invalid syntax"))),
        ("+5", Some(failed("+5", "invalid syntax"))),
        ("99999999999999999999", Some(failed("99999999999999999999", "value out of range"))),
        ("0", None),
        ("", None),
    ] {
        let map = json!({"metadata": {"name": "a", "resourceVersion": version}});
        let answer = cluster.put(admin(), path, map).await.map_err(|status| (status.code, status.message));
        assert_eq!(answer.err(), want, "{version}");
    }
    cluster.stop().await;
}

/// A client that renewed a lease which somebody had deleted was told of an error of the server.
#[tokio::test]
async fn an_update_that_makes_an_object_passes_over_its_version() {
    let cluster = Cluster::start().await;
    let leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
    let lease = json!({"metadata": {"name": "a", "resourceVersion": "7"}, "spec": {"holderIdentity": "me"}});
    let made = cluster.put(admin(), &format!("{leases}/a"), lease).await.unwrap();
    assert!(made.resource_version().parse::<u64>().unwrap() > 7, "{made:?}");
    let lease = json!({"metadata": {"name": "b", "resourceVersion": "7", "uid": "u"}});
    let refused = cluster.put(admin(), &format!("{leases}/b"), lease).await.unwrap_err();
    assert!(refused.code == 409 && refused.message.contains("UID in precondition: u"), "{}", refused.message);
    cluster.stop().await;
}

/// They were refused as creations are, with 500.
#[tokio::test]
async fn what_an_update_makes_may_say_any_version() {
    let cluster = Cluster::start().await;
    let leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
    for (version, want) in [
        ("7", None),
        ("0", None),
        ("abc", Some((500, "strconv.ParseUint: parsing \"abc\": invalid syntax".to_owned()))),
    ] {
        let (map, lease) = (format!("m{version}"), format!("l{version}"));
        let metadata = |name: &str| json!({"name": name, "resourceVersion": version});
        let applied = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(&map)});
        let put = json!({"metadata": metadata(&lease)});
        for answer in [
            cluster.patch(admin(), &format!("{MAPS}/{map}?fieldManager=m"), PatchKind::Apply, applied).await,
            cluster.put(admin(), &format!("{leases}/{lease}"), put).await,
        ] {
            match answer {
                Ok(made) => assert!(want.is_none() && made.resource_version() != version, "{made:?}"),
                Err(status) => assert_eq!(Some((status.code, status.message)), want, "{version}"),
            }
        }
    }
    cluster.stop().await;
}

#[tokio::test]
async fn an_object_without_a_name_is_not_written() {
    let cluster = Cluster::start().await;
    cluster.post(admin(), MAPS, json!({"metadata": {"name": "a"}})).await.unwrap();
    let refused = |answer: Result<Value, _>| {
        let status: corten_apimachinery::status::Status = answer.unwrap_err();
        (status.code, status.message)
    };
    let want = |name: &str| {
        (400, format!("the name of the object ({name} based on URL) was undeterminable: name must be provided"))
    };
    let (old, new) = (&format!("{MAPS}/a"), &format!("{MAPS}/b?fieldManager=m"));
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap"});
    assert_eq!(refused(cluster.put(admin(), old, map.clone()).await), want("a"));
    let nameless = json!({"metadata": {"name": null}});
    assert_eq!(refused(cluster.patch(admin(), old, PatchKind::Merge, nameless).await), want("a"));
    assert_eq!(refused(cluster.patch(admin(), new, PatchKind::Apply, map.clone()).await), want("b"));
    // What is there has its name already.
    let applied = cluster.patch(admin(), &format!("{old}?fieldManager=m"), PatchKind::Apply, map).await.unwrap();
    assert_eq!(applied.name(), "a");
    cluster.stop().await;
}

#[tokio::test]
async fn a_deletion_shows_the_revision_at_which_the_object_went() {
    let cluster = Cluster::start().await;
    let pod = cluster.make_pod("p").await;
    let gone = cluster.delete(admin(), "/api/v1/namespaces/default/pods/p?gracePeriodSeconds=0").await.unwrap();
    let revision = |object: &Value| object.resource_version().parse::<u64>().unwrap();
    assert_eq!((gone.kind(), revision(&gone)), ("Pod", cluster.revision().await));
    assert!(revision(&gone) > revision(&pod));
    cluster.stop().await;
}

/// With a limit the answer says where the next request goes on; without one everything goes.
#[tokio::test]
async fn the_deletion_of_a_collection_answers_with_the_list_as_it_was_read() {
    let served = Served::start().await;
    for name in ["a", "b", "c"] {
        let metadata = json!({"name": name, "finalizers": ["example.com/f"], "labels": {"x": "y"}});
        served.cluster.post(admin(), MAPS, json!({"metadata": metadata})).await.unwrap();
    }
    let mut client = served.http2().await;
    let mut ask = async |method: Method, query: &str| {
        let mut request = served.request_for(&format!("{MAPS}?labelSelector=x%3Dy{query}"), "application/json");
        *request.method_mut() = method;
        let answer = client.send_request(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        value(&answer.into_body().collect().await.unwrap().to_bytes())
    };
    let leaves = |list: &Value| -> Vec<(String, bool)> {
        let items = list.get("items").and_then(Value::as_array).unwrap_or_default();
        items.iter().map(|object| (object.name().to_owned(), object.deletion_timestamp().is_some())).collect()
    };
    let want = |want: &[(&str, bool)]| want.iter().map(|&(name, leaves)| (name.to_owned(), leaves)).collect::<Vec<_>>();
    let first = ask(Method::DELETE, "&limit=2").await;
    assert_eq!(leaves(&first), want(&[("a", false), ("b", false)]));
    assert!(!first.str_at(&["metadata", "continue"]).unwrap_or_default().is_empty());
    let left = ask(Method::GET, "").await;
    assert_eq!(leaves(&left), want(&[("a", true), ("b", true), ("c", false)]));
    let rest = ask(Method::DELETE, "").await;
    assert_eq!(leaves(&rest), want(&[("a", true), ("b", true), ("c", false)]));
    assert_eq!(rest.at(&["metadata", "continue"]), None);
    drop(client);
    served.stop().await;
}

/// 0 is left out of the canonical form of a `Scale`, and owned all the same.
#[tokio::test]
async fn who_applies_a_scale_of_nothing_owns_the_replicas() {
    let cluster = Cluster::start().await;
    let base = "/apis/apps/v1/namespaces/default/deployments";
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let spec = json!({"replicas": 3, "selector": {"matchLabels": {"a": "b"}}, "template": template});
    cluster.post(admin(), base, json!({"metadata": {"name": "d"}, "spec": spec})).await.unwrap();
    let scale = json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "spec": {"replicas": 0}});
    let path = format!("{base}/d/scale?fieldManager=scaler&force=true");
    cluster.patch(admin(), &path, PatchKind::Apply, scale).await.unwrap();
    let mut deployment = cluster.get(admin(), &format!("{base}/d")).await.unwrap();
    deployment.expand_raw();
    assert_eq!(deployment.i64_at(&["spec", "replicas"]), Some(0));
    let entry = deployment
        .items_at(&["metadata", "managedFields"])
        .iter()
        .find(|entry| entry.str_at(&["manager"]) == Some("scaler"));
    let entry = entry.expect("the scaler is an owner");
    assert_eq!((entry.str_at(&["operation"]), entry.str_at(&["subresource"])), (Some("Apply"), Some("scale")));
    assert!(entry.at(&["fieldsV1", "f:spec", "f:replicas"]).is_some());
    cluster.stop().await;
}

/// They stayed as they were: who wanted to have them go could only say `[{}]`.
#[tokio::test]
async fn no_managed_fields_are_another_thing_than_none_said() {
    let cluster = Cluster::start().await;
    let managers = |object: &Value| object.items_at(&["metadata", "managedFields"]).len();
    let none = json!({"metadata": {"name": "a", "managedFields": []}});
    let made = cluster.post(admin(), MAPS, none.clone()).await.unwrap();
    assert_eq!(managers(&made), 0, "there is nothing to own");
    let path = &format!("{MAPS}/a");
    let owned = json!({"metadata": {"name": "a", "labels": {"a": "b"}}, "data": {"c": "d"}});
    let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"e": "f"}});
    let apply = format!("{path}?fieldManager=m&force=true");
    let remove = json!([{"op": "replace", "path": "/metadata/managedFields", "value": []}]);
    for (kind, patch, want) in [
        (None, none.clone(), 0),
        (Some(PatchKind::Merge), none.clone(), 0),
        (Some(PatchKind::Strategic), none.clone(), 0),
        (Some(PatchKind::Json), remove, 0),
        (Some(PatchKind::Merge), json!({"metadata": {"managedFields": null}}), 2),
    ] {
        cluster.patch(admin(), &apply, PatchKind::Apply, config.clone()).await.unwrap();
        let of_put = cluster.put(admin(), path, owned.clone()).await.unwrap();
        let both = cluster.patch(admin(), &apply, PatchKind::Apply, config.clone()).await.unwrap();
        assert_eq!((managers(&of_put) > 0, managers(&both)), (true, 2));
        let changed = match kind {
            None => cluster.put(admin(), path, patch.clone()).await.unwrap(),
            Some(kind) => cluster.patch(admin(), path, kind, patch.clone()).await.unwrap(),
        };
        assert_eq!(managers(&changed), want, "{kind:?} {patch}");
        assert_eq!(cluster.get(admin(), path).await.unwrap(), changed, "{kind:?} {patch}");
        cluster.delete(admin(), path).await.unwrap();
        cluster.post(admin(), MAPS, json!({"metadata": {"name": "a"}})).await.unwrap();
    }
    // Through a part of an object they cannot be set.
    let pod = cluster.make_pod("p").await;
    let status = cluster.patch(
        admin(),
        "/api/v1/namespaces/default/pods/p/status",
        PatchKind::Merge,
        json!({"metadata": {"managedFields": []}}),
    );
    assert_eq!(managers(&status.await.unwrap()), managers(&pod));
    cluster.stop().await;
}

/// A patch that sets the UID was taken for one of another object.
#[tokio::test]
async fn the_uid_is_a_precondition_where_an_object_is_put_and_a_change_where_it_is_patched() {
    let cluster = Cluster::start().await;
    let made = cluster.post(admin(), MAPS, json!({"metadata": {"name": "a"}})).await.unwrap();
    let path = &format!("{MAPS}/a");
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "uid": "abc"}});
    let refused = |answer: Result<Value, _>| {
        let status: corten_apimachinery::status::Status = answer.unwrap_err();
        (status.code, status.message)
    };
    let put = refused(cluster.put(admin(), path, map.clone()).await);
    let why = format!(
        "Operation cannot be fulfilled on configmaps \"a\": StorageError: invalid object, Code: 4, Key: \
         /registry/configmaps/default/a, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: \
         abc, UID in object meta: {}",
        made.uid()
    );
    assert_eq!(put, (409, why));
    let why = "ConfigMap \"a\" is invalid: metadata.uid: Invalid value: \"abc\": field is immutable";
    let apply = format!("{path}?fieldManager=m");
    for answer in [
        cluster.patch(admin(), path, PatchKind::Merge, map.clone()).await,
        cluster.patch(admin(), path, PatchKind::Strategic, map.clone()).await,
        cluster.patch(admin(), &apply, PatchKind::Apply, map.clone()).await,
    ] {
        assert_eq!(refused(answer), (422, why.to_owned()));
    }
    let other = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b", "uid": "abc"}});
    let apply = format!("{MAPS}/b?fieldManager=m");
    let other = refused(cluster.patch(admin(), &apply, PatchKind::Apply, other).await);
    let why = "uid mismatch: the provided object specified uid abc, and no existing object was found";
    assert_eq!(other, (409, format!("Operation cannot be fulfilled on configmaps \"b\": {why}")));
    cluster.stop().await;
}

/// The kind stood for the resource, and a text for the number.
#[tokio::test]
async fn a_put_without_a_version_is_refused_where_it_needs_one() {
    let cluster = cluster_with_tabs().await;
    let budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
    let budget = json!({"metadata": {"name": "b"}, "spec": {"minAvailable": 1}});
    cluster.post(admin(), budgets, budget.clone()).await.unwrap();
    cluster.post(admin(), TABS, tab("b", json!({"cron": "*"}))).await.unwrap();
    for (path, object, resource, kind) in [
        (budgets, budget, "poddisruptionbudgets.policy", "poddisruptionbudgets"),
        (TABS, tab("b", json!({"cron": "*"})), "crontabs.example.com", "crontabs"),
    ] {
        let refused = cluster.put(admin(), &format!("{path}/b"), object).await.unwrap_err();
        let why = format!(
            "{resource} \"b\" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update"
        );
        assert_eq!((refused.code, refused.message), (422, why));
        assert_eq!(refused.details.unwrap().kind, kind);
    }
    cluster.stop().await;
}

/// The annotation was nobody's: upstream makes it as it reads a set, so that whoever puts one without it sets it.
#[tokio::test]
async fn who_puts_a_daemon_set_owns_how_often_its_template_was_changed() {
    let cluster = Cluster::start().await;
    let sets = "/apis/apps/v1/namespaces/default/daemonsets";
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let spec = json!({"selector": {"matchLabels": {"a": "b"}}, "template": template});
    let object = |name: &str| json!({"metadata": {"name": name}, "spec": spec});
    let owners = |object: &Value| {
        let mut object = object.clone();
        object.expand_raw();
        let path = ["fieldsV1", "f:metadata", "f:annotations", "f:deprecated.daemonset.template.generation"];
        let entries = object.items_at(&["metadata", "managedFields"]).iter().filter(|entry| entry.at(&path).is_some());
        entries.filter_map(|entry| entry.str_at(&["manager"]).map(str::to_owned)).collect::<Vec<_>>()
    };
    let made = cluster.post(admin(), format!("{sets}?fieldManager=create"), object("s")).await.unwrap();
    assert_eq!(owners(&made), ["create"]);
    let put = cluster.put(admin(), &format!("{sets}/s?fieldManager=update"), object("s")).await.unwrap();
    assert_eq!(owners(&put), ["update"]);
    assert_eq!(put.annotation("deprecated.daemonset.template.generation"), Some("1"));
    let mut config = object("t");
    (config["apiVersion"], config["kind"]) = (json!("apps/v1"), json!("DaemonSet"));
    let path = format!("{sets}/t?fieldManager=apply");
    for _ in 0..2 {
        let applied = cluster.patch(admin(), &path, PatchKind::Apply, config.clone()).await.unwrap();
        assert_eq!(owners(&applied), [""; 0]);
        assert_eq!(applied.annotation("deprecated.daemonset.template.generation"), Some("1"));
    }
    cluster.stop().await;
}

/// It was refused for its fields, which it has none of as what it says it is.
#[tokio::test]
async fn what_says_that_it_is_another_kind_is_read_as_that() {
    let cluster = Cluster::start().await;
    let path = &format!("{MAPS}?fieldValidation=Strict");
    for (object, want) in [
        (
            json!({"kind": "PodList", "apiVersion": "v1", "items": []}),
            "converting (v1.PodList) to (core.ConfigMap): unknown conversion",
        ),
        (
            json!({"kind": "PodList", "apiVersion": "v1", "items": {}}),
            "json: cannot unmarshal object into Go struct field PodList.items of type []v1.Pod",
        ),
        (json!({"kind": "PodList", "apiVersion": "v1", "odd": 1}), "strict decoding error: unknown field \"odd\""),
        (
            json!({"kind": "Odd", "apiVersion": "v1", "items": []}),
            "no kind \"Odd\" is registered for version \"v1\" in scheme \"pkg/api/legacyscheme/scheme.go:30\"",
        ),
        (json!({"kind": "ConfigMap", "items": []}), "strict decoding error: unknown field \"items\""),
    ] {
        let kind = object["kind"].as_str().unwrap().to_owned();
        let refused = cluster.post(admin(), path, object).await.unwrap_err();
        let want = format!("{kind} in version \"v1\" cannot be handled as a ConfigMap: {want}");
        assert_eq!((refused.code, refused.message), (400, want));
    }
    cluster.stop().await;
}

/// It was an object that breaks a rule.
#[tokio::test]
async fn a_daemon_set_that_counts_in_words_cannot_be_read() {
    let cluster = Cluster::start().await;
    let sets = "/apis/apps/v1/namespaces/default/daemonsets";
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let spec = json!({"selector": {"matchLabels": {"a": "b"}}, "template": template});
    let counting = |text: &str| {
        json!({"metadata": {"name": "s", "annotations": {
        "deprecated.daemonset.template.generation": text}}, "spec": spec})
    };
    let refused = cluster.post(admin(), sets, counting("x")).await.unwrap_err();
    let why = "strconv.ParseInt: parsing \"x\": invalid syntax";
    let want = format!("DaemonSet in version \"v1\" cannot be handled as a DaemonSet: {why}");
    assert_eq!((refused.code, &refused.message), (400, &want));
    cluster.post(admin(), sets, counting("3")).await.unwrap();
    let at = &format!("{sets}/s");
    assert_eq!(cluster.put(admin(), at, counting("x")).await.unwrap_err().message, want);
    let metadata = json!({"metadata": counting("x")["metadata"]});
    let refused = cluster.patch(admin(), at, PatchKind::Merge, metadata.clone()).await.unwrap_err();
    assert!(refused.code == 422 && refused.message.contains("patch: Invalid value: "), "{}", refused.message);
    let refused = cluster.patch(admin(), at, PatchKind::Strategic, metadata).await.unwrap_err();
    assert_eq!((refused.code, &*refused.message), (500, why));
    cluster.stop().await;
}
