use std::{collections::BTreeSet, path::PathBuf};

use corten_apimachinery::resource::{RowContext, Scope, SubresourceKind, Verb};
use serde_json::Value;

use super::{GROUPS, RESOURCES};
use crate::testing;

#[test]
fn names_are_unique_and_every_resource_has_one_hub() {
    let mut seen = BTreeSet::new();
    for resource in RESOURCES {
        let key = (resource.group, resource.plural);
        assert!(seen.insert(key), "{key:?} twice");
        let hubs = resource.versions.iter().filter(|version| version.is_hub).count();
        assert_eq!(hubs, usize::from(resource.stored_as.is_none()), "{key:?}");
        assert!(!resource.versions.is_empty(), "{key:?}");
    }
}

#[test]
fn lists_are_sorted() {
    let keys: Vec<_> = RESOURCES.iter().map(|resource| (group_order(resource.group), resource.plural)).collect();
    assert!(keys.is_sorted(), "{keys:?}");
    for resource in RESOURCES {
        assert!(resource.verbs.is_sorted(), "{}", resource.plural);
        assert!(resource.subresources.is_sorted_by_key(|sub| &sub.name), "{}", resource.plural);
    }
}

fn group_order(group: &str) -> usize {
    GROUPS.iter().position(|known| *known == group).unwrap_or_else(|| panic!("{group} has no place"))
}

#[test]
fn groups_are_in_upstreams_order() {
    let Some(folder) = std::env::var_os("CORTEN_UPSTREAM_DATA").map(PathBuf::from) else {
        println!("skipped: CORTEN_UPSTREAM_DATA is not set");
        return;
    };
    let bytes = std::fs::read(folder.join("discovery/aggregated_v2.json")).unwrap();
    let upstream: Value = serde_json::from_slice(&bytes).unwrap();
    let items = upstream["items"].as_array().unwrap();
    let want: Vec<&str> = items.iter().map(|group| group["metadata"]["name"].as_str().unwrap()).collect();
    assert_eq!(GROUPS[0], "", "the core group is in a document of its own, before all others");
    assert_eq!(GROUPS[1..], want);
}

/// Definitions were kept without their group: a store was not one that upstream's server could open.
/// Upstream: `SpecialDefaultResourcePrefixes` in pkg/kubeapiserver/default_storage_factory_builder.go, `ResourcePrefix` in
/// k8s.io/apiserver/pkg/server/storage/storage_factory.go and, with the group, `SimpleRestOptionsFactory` in
/// pkg/server/options/etcd.go, by which the servers of definitions and of API services keep theirs (v1.35).
#[test]
fn objects_are_kept_where_upstream_keeps_them() {
    let special = RESOURCES.iter().filter(|resource| resource.storage_prefix != resource.plural);
    let mut special: Vec<_> =
        special.map(|resource| (resource.group, resource.plural, resource.storage_prefix)).collect();
    special.sort_unstable();
    let want = [
        ("", "endpoints", "services/endpoints"),
        ("", "nodes", "minions"),
        ("", "replicationcontrollers", "controllers"),
        ("", "services", "services/specs"),
        ("apiextensions.k8s.io", "customresourcedefinitions", "apiextensions.k8s.io/customresourcedefinitions"),
        ("apiregistration.k8s.io", "apiservices", "apiregistration.k8s.io/apiservices"),
        ("networking.k8s.io", "ingresses", "ingress"),
    ];
    assert_eq!(special, want);
}

#[test]
fn tables_start_with_the_name() {
    for resource in
        RESOURCES.iter().filter(|resource| resource.plural != "events" && !resource.table.columns.is_empty())
    {
        assert_eq!(resource.table.columns[0].name, "Name", "{}", resource.plural);
    }
}

/// Everything that discovery says of a resource or subresource, as one comparable line.
fn line(resource: &Value) -> String {
    let text = |key: &str| resource[key].as_str().unwrap_or_default().to_owned();
    let list = |key: &str| {
        let items: Vec<&str> = resource[key].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        items.join(",")
    };
    format!(
        "{} singular={} kind={}/{}/{} namespaced={} verbs={} short={} categories={}",
        text("name"),
        text("singularName"),
        text("group"),
        text("version"),
        text("kind"),
        resource["namespaced"],
        list("verbs"),
        list("shortNames"),
        list("categories"),
    )
}

fn words(verbs: &[Verb]) -> Vec<&'static str> {
    verbs.iter().map(|verb| verb.as_str()).collect()
}

#[test]
fn discovery_says_what_upstreams_says() {
    let Some(folder) = std::env::var_os("CORTEN_UPSTREAM_DATA").map(PathBuf::from) else {
        println!("skipped: CORTEN_UPSTREAM_DATA is not set");
        return;
    };
    for resource in RESOURCES {
        for version in resource.versions {
            let file = if resource.group.is_empty() {
                format!("api__{}.json", version.name)
            } else {
                format!("apis__{}__{}.json", resource.group, version.name)
            };
            let path = folder.join("discovery").join(file);
            let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let upstream: Value = serde_json::from_slice(&bytes).unwrap();
            let prefix = format!("{}/", resource.plural);
            let want: BTreeSet<String> = upstream["resources"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|entry| {
                    let name = entry["name"].as_str().unwrap();
                    name == resource.plural || name.starts_with(&prefix)
                })
                .map(line)
                .collect();
            let namespaced = resource.scope == Scope::Namespaced;
            let mut have = BTreeSet::from([line(&serde_json::json!({
                "name": resource.plural, "singularName": resource.singular, "kind": resource.kind,
                "namespaced": namespaced, "verbs": words(resource.verbs), "shortNames": resource.short_names,
                "categories": resource.categories,
            }))]);
            for sub in resource.subresources {
                let ((group, version, kind), verbs) = match &sub.kind {
                    SubresourceKind::Object { verbs, .. } => (("", "", resource.kind), *verbs),
                    SubresourceKind::Scale(_) => {
                        (("autoscaling", "v1", "Scale"), &[Verb::Get, Verb::Patch, Verb::Update] as &[Verb])
                    }
                    SubresourceKind::Custom { kind, verbs } => (*kind, *verbs),
                };
                have.insert(line(&serde_json::json!({
                    "name": format!("{}/{}", resource.plural, sub.name), "kind": kind, "group": group, "version": version,
                    "namespaced": namespaced, "verbs": words(verbs),
                })));
            }
            assert_eq!(have, want, "{}", resource.plural);
        }
    }
}

/// Upstream's round-trip files set every field of a kind to something, often to nonsense: the worst input that decodes.
#[test]
fn no_rule_breaks_on_an_object_with_every_field() {
    let Some(folder) = std::env::var_os("CORTEN_UPSTREAM_DATA").map(PathBuf::from) else {
        println!("skipped: CORTEN_UPSTREAM_DATA is not set");
        return;
    };
    let mut seen = 0;
    // Upstream has no files of the aggregator's kinds.
    for resource in RESOURCES.iter().filter(|resource| resource.group != "apiregistration.k8s.io") {
        for version in resource.versions {
            let group = if resource.group.is_empty() { "core" } else { resource.group };
            let file = format!("{group}.{}.{}.json", version.name, resource.kind);
            let of = if group == "apiextensions.k8s.io" { "apiextensions-v1.35" } else { "v1.35" };
            let path = folder.join("api-roundtrip").join(of).join(file);
            let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let mut object = testing::value(serde_json::from_slice(&bytes).unwrap());
            (version.defaults)(&mut object);
            if let Some(to_hub) = version.to_hub {
                to_hub(&mut object);
                // As the server does.
                object.set(&["apiVersion"], resource.hub_api_version());
            }
            let cx = testing::context(version.name);
            let old = object.clone();
            let others = resource.subresources.iter().filter_map(|sub| match &sub.kind {
                SubresourceKind::Object { strategy, .. } => Some(&**strategy),
                _ => None,
            });
            for strategy in others.chain([resource.strategy]) {
                let mut new = old.clone();
                strategy.prepare_for_update(&cx, &mut new, &old);
                let errors = strategy.validate_update(&cx, &new, &old);
                let internal =
                    errors.iter().find(|error| error.kind == corten_apimachinery::field::ErrorType::Internal);
                assert_eq!(internal, None, "{}: the typed view takes what decodes", resource.plural);
                strategy.canonicalize(&mut new);
                testing::assert_fits(resource, &new);
                let _ = strategy.warnings_on_update(&cx, &new, &old);
            }
            resource.strategy.prepare_for_create(&cx, &mut object);
            testing::assert_fits(resource, &object);
            let _ = (resource.strategy.validate(&cx, &object), resource.strategy.warnings_on_create(&cx, &object));
            let cells = (resource.table.row)(&object, &RowContext { now: testing::now() });
            assert_eq!(cells.len(), resource.table.columns.len(), "{}", resource.plural);
            for field in resource.selectable_fields {
                let _ = field.read(&object);
            }
            seen += 1;
        }
    }
    assert!(seen >= RESOURCES.len() - 1);
}
