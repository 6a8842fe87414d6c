use std::{cmp::Reverse, collections::BTreeMap, path::PathBuf};

use corten_apimachinery::{meta::ObjectMeta as _, value::Value};
use corten_resources::catalog::{GROUPS, RESOURCES};
use serde_json::json;

use super::{
    plan::{Action, api_service, custom_api_service, plan, plan_custom},
    priorities::PRIORITIES,
};
use crate::testing::{Cluster, admin, tree};

const PATH: &str = "/apis/apiregistration.k8s.io/v1/apiservices";

/// By priority, and by name where it is the same, the groups stand as discovery lists them.
#[test]
fn places_are_those_of_discovery() {
    assert!(PRIORITIES.is_sorted_by_key(|place| (
        Reverse(place.group_priority),
        place.group,
        Reverse(place.version_priority)
    )));
    let mut groups: Vec<&str> = PRIORITIES.iter().map(|place| place.group).collect();
    groups.dedup();
    let others: Vec<&str> = GROUPS.iter().copied().filter(|group| *group != "apiregistration.k8s.io").collect();
    assert_eq!(groups, others);
    for resource in RESOURCES.iter().filter(|resource| resource.group != "apiregistration.k8s.io") {
        for version in resource.versions {
            let has = PRIORITIES.iter().any(|place| (place.group, place.version) == (resource.group, version.name));
            assert!(has, "{} {}", resource.group, version.name);
        }
    }
}

#[test]
fn versions_are_in_upstreams_order() {
    let Some(folder) = std::env::var_os("CORTEN_UPSTREAM_DATA").map(PathBuf::from) else {
        println!("skipped: CORTEN_UPSTREAM_DATA is not set");
        return;
    };
    let bytes = std::fs::read(folder.join("discovery/aggregated_v2.json")).unwrap();
    let upstream: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    for group in upstream["items"].as_array().unwrap() {
        let name = group["metadata"]["name"].as_str().unwrap();
        let versions: Vec<&str> =
            group["versions"].as_array().unwrap().iter().map(|version| version["version"].as_str().unwrap()).collect();
        let ours: Vec<&str> = PRIORITIES
            .iter()
            .filter(|place| place.group == name && versions.contains(&place.version))
            .map(|place| place.version)
            .collect();
        if name != "apiregistration.k8s.io" {
            assert_eq!(ours, versions, "{name}");
        }
    }
}

#[test]
fn only_what_is_the_servers_is_changed() {
    let place = &PRIORITIES[1];
    let wanted = || std::iter::once(api_service(place));
    let object = |label: &str, priority: i64, name: &str| {
        tree(json!({
            "metadata": {"name": name, "uid": "u", "labels": {"kube-aggregator.kubernetes.io/automanaged": label}},
            "spec": {"group": "apps", "version": "v1", "groupPriorityMinimum": priority, "versionPriority": 15},
        }))
    };
    let outcome = |found: Vec<Value>| {
        plan(wanted(), found.into_iter().map(|object| (object.name().into(), object)).collect::<BTreeMap<_, _>>())
    };
    assert_eq!(outcome(vec![]), [Action::Create(api_service(place))]);
    assert_eq!(outcome(vec![object("onstart", 17_800, "v1.apps")]), []);
    assert_eq!(outcome(vec![object("onstart", 7, "v1.apps")]), [Action::Update(object("onstart", 17_800, "v1.apps"))]);
    assert_eq!(outcome(vec![object("", 7, "v1.apps"), object("true", 7, "v1.acme.example")]), []);
    assert_eq!(
        outcome(vec![object("onstart", 17_800, "v1.apps"), object("onstart", 7, "v1beta1.old")]),
        [Action::Delete { name: "v1beta1.old".into(), uid: "u".into() }]
    );
}

#[tokio::test]
async fn every_version_has_one_that_is_available() {
    let cluster = Cluster::start().await;
    let object = cluster.get(admin(), &format!("{PATH}/v1.apps")).await.unwrap();
    assert_eq!(object.label("kube-aggregator.kubernetes.io/automanaged"), Some("onstart"));
    assert_eq!(object.i64_at(&["spec", "groupPriorityMinimum"]), Some(17_800));
    let condition = &object.items_at(&["status", "conditions"])[0];
    assert_eq!((condition.str_at(&["status"]), condition.str_at(&["reason"])), (Some("True"), Some("Local")));
    let core = cluster.get(admin(), &format!("{PATH}/v1.")).await.unwrap();
    assert_eq!((core.at(&["spec", "group"]), core.str_at(&["spec", "version"])), (None, Some("v1")));
    assert!(cluster.get(admin(), &format!("{PATH}/v1.apiregistration.k8s.io")).await.is_err());
    cluster.stop().await;
}

#[test]
fn those_of_custom_resources_follow_what_is_defined() {
    let wanted = || Some(custom_api_service("acme.example", "v1"));
    let labelled = |label: &str, priority: i64| {
        tree(json!({
            "metadata": {"name": "v1.acme.example", "uid": "u", "labels": {"kube-aggregator.kubernetes.io/automanaged": label}},
            "spec": {"group": "acme.example", "version": "v1", "groupPriorityMinimum": priority, "versionPriority": 100},
        }))
    };
    assert_eq!(plan_custom(wanted(), None), wanted().map(Action::Create));
    assert_eq!(plan_custom(wanted(), Some(&labelled("true", 1_000))), None);
    assert_eq!(plan_custom(wanted(), Some(&labelled("true", 7))), Some(Action::Update(labelled("true", 1_000))));
    let gone = Action::Delete { name: "v1.acme.example".into(), uid: "u".into() };
    assert_eq!(plan_custom(None, Some(&labelled("true", 1_000))), Some(gone));
    for others in [labelled("onstart", 7), labelled("", 7)] {
        assert_eq!((plan_custom(wanted(), Some(&others)), plan_custom(None, Some(&others))), (None, None));
    }
}

#[tokio::test]
async fn a_version_of_custom_resources_has_one_as_long_as_it_is_defined() {
    const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let cluster = Cluster::start().await;
    cluster.keep_bootstrapped();
    let definition = |plural: &str| {
        let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        json!({"metadata": {"name": format!("{plural}.acme.example")}, "spec": {
        "group": "acme.example", "scope": "Cluster", "names": {"plural": plural, "kind": format!("Kind{plural}")},
        "versions": [
            {"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}},
            {"name": "v1beta1", "served": false, "storage": false, "schema": {"openAPIV3Schema": schema}},
        ]}})
    };
    let path = format!("{PATH}/v1.acme.example");
    let until = async |is_there: bool| {
        while cluster.get(admin(), &path).await.is_ok() != is_there {
            // The keeper runs when this task lets it.
            tokio::task::yield_now().await;
        }
    };
    for plural in ["ones", "twos"] {
        cluster.post(admin(), CRDS, definition(plural)).await.unwrap();
    }
    until(true).await;
    let made = cluster.get(admin(), &path).await.unwrap();
    assert_eq!(made.label("kube-aggregator.kubernetes.io/automanaged"), Some("true"));
    assert_eq!(made.get("spec"), custom_api_service("acme.example", "v1").get("spec"));
    assert_eq!(made.items_at(&["status", "conditions"])[0].str_at(&["reason"]), Some("Local"));
    assert!(cluster.get(admin(), &format!("{PATH}/v1beta1.acme.example")).await.is_err(), "it is not served");
    cluster.delete(admin(), &path).await.unwrap();
    until(true).await;
    cluster.delete(admin(), &format!("{CRDS}/ones.acme.example")).await.unwrap();
    cluster.delete(admin(), &format!("{CRDS}/twos.acme.example")).await.unwrap();
    until(false).await;
    cluster.stop().await;
}
