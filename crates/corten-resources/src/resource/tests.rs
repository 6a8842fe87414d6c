//! What holds for all kinds of the group.

use std::path::PathBuf;

use corten_apimachinery::{Value, resource::ResourceDefinition};

use crate::{catalog::RESOURCES, testing::value};

fn resources() -> impl Iterator<Item = &'static &'static ResourceDefinition> {
    RESOURCES.iter().filter(|resource| resource.group == "resource.k8s.io")
}

/// Upstream's files of a kind hold the same in each version.
#[test]
fn versions_hold_the_same() {
    let Some(folder) = std::env::var_os("CORTEN_UPSTREAM_DATA").map(PathBuf::from) else {
        println!("skipped: CORTEN_UPSTREAM_DATA is not set");
        return;
    };
    let read = |resource: &ResourceDefinition, version: &str| -> Value {
        let file = format!("resource.k8s.io.{version}.{}.json", resource.kind);
        let path = folder.join("api-roundtrip").join("v1.35").join(file);
        let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut object = value(serde_json::from_slice(&bytes).unwrap());
        object.unset(&["apiVersion"]);
        without_places(&mut object);
        object
    };
    let mut seen = 0;
    for resource in resources() {
        let hub = read(resource, resource.hub().name);
        for version in resource.versions.iter().filter(|version| !version.is_hub) {
            let (mut to, mut from) = (read(resource, version.name), hub.clone());
            if let (Some(to_hub), Some(from_hub)) = (version.to_hub, version.from_hub) {
                to_hub(&mut to);
                from_hub(&mut from);
            }
            assert_eq!(to, hub, "{} of {}", resource.plural, version.name);
            assert_eq!(from, read(resource, version.name), "{} as {}", resource.plural, version.name);
            seen += 1;
        }
    }
    assert_eq!(seen, 8);
}

/// Upstream's files fill numbers and times by the place of their field, which differs between versions.
fn without_places(node: &mut Value) {
    match node {
        Value::Int(number) => *number = 1,
        Value::String(text) if text.ends_with("-01-01T01:01:01Z") => *node = "a time".into(),
        Value::Array(_) => node.as_array_mut().unwrap().iter_mut().for_each(without_places),
        Value::Object(map) => map.iter_mut().for_each(|(_, item)| without_places(item)),
        _ => {}
    }
}

#[test]
fn what_an_object_has_survives_each_version() {
    use serde_json::json;
    let claims = [
        json!({"spec": {"devices": {"requests": [{"name": "a", "exactly": {"deviceClassName": "c", "count": 1}}]}}}),
        json!({"spec": {"devices": {"requests": [{"name": "a", "firstAvailable": [{"name": "b"}]}]}}}),
        json!({"spec": {"devices": {}}}),
    ];
    let slices = [
        json!({"spec": {"driver": "d", "nodeName": "n", "devices": [{"name": "a"}, {"name": "b", "allNodes": true}]}}),
        json!({"spec": {"driver": "d", "allNodes": true}}),
    ];
    for (resource, objects) in
        [(&super::resource_claim::RESOURCE, claims.as_slice()), (&super::resource_slice::RESOURCE, &slices)]
    {
        let version = resource.versions.iter().find(|version| version.name == "v1beta1").unwrap();
        for object in objects {
            let hub = value(object.clone());
            let mut other = hub.clone();
            version.from_hub.unwrap()(&mut other);
            version.to_hub.unwrap()(&mut other);
            assert_eq!(other, hub);
        }
    }
}

/// In v1beta1, zero means that nothing selects nodes.
#[test]
fn zeros_of_v1beta1_are_unset() {
    let version = super::resource_slice::RESOURCE.versions[2];
    let mut slice = value(serde_json::json!({"spec": {"driver": "d", "nodeName": "", "allNodes": false}}));
    version.to_hub.unwrap()(&mut slice);
    assert_eq!(slice, value(serde_json::json!({"spec": {"driver": "d"}})));
}

/// A request of v1beta1 without a class has alternatives, and counts nothing itself.
#[test]
fn only_a_request_with_a_class_counts() {
    let version = super::resource_claim::RESOURCE.versions[2];
    let check = |request: serde_json::Value, want: serde_json::Value| {
        let mut claim = value(serde_json::json!({"spec": {"devices": {"requests": [request]}}}));
        (version.defaults)(&mut claim);
        version.to_hub.unwrap()(&mut claim);
        assert_eq!(claim.items_at(&["spec", "devices", "requests"])[0], value(want));
    };
    check(
        serde_json::json!({"name": "a", "deviceClassName": "c"}),
        serde_json::json!({"name": "a",
            "exactly": {"deviceClassName": "c", "allocationMode": "ExactCount", "count": 1}}),
    );
    check(
        serde_json::json!({"name": "a", "deviceClassName": "", "firstAvailable": [{"name": "b", "allocationMode": "All"}]}),
        serde_json::json!({"name": "a", "firstAvailable": [{"name": "b", "allocationMode": "All"}]}),
    );
    check(
        serde_json::json!({"name": "a", "deviceClassName": "", "adminAccess": false}),
        serde_json::json!({"name": "a", "exactly": {"deviceClassName": "", "adminAccess": false}}),
    );
}
