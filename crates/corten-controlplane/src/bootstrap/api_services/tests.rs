use std::{cmp::Reverse, collections::BTreeMap, path::PathBuf};

use corten_apimachinery::{meta::ObjectMeta as _, value::Value};
use corten_resources::catalog::{GROUPS, RESOURCES};
use serde_json::json;

use super::{
    plan::{Action, api_service, plan},
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
