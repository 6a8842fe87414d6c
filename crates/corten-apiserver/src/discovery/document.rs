//! The documents of discovery, from resource definitions. Pure.

use std::{cmp::Ordering, collections::HashMap, sync::Arc};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use corten_apimachinery::{
    gvk,
    resource::{Resource, ResourceVersion, Verb},
    value::{Str, Value},
};
use sha2::{Digest as _, Sha256};

/// A served group with its versions, preferred one first.
#[derive(Debug, Clone)]
pub struct Group {
    /// The name; empty for the core group.
    pub name: Str,
    /// The versions.
    pub versions: Vec<GroupVersion>,
}

/// One version of a group.
#[derive(Debug, Clone)]
pub struct GroupVersion {
    /// The version.
    pub name: Str,
    /// Its resources, sorted by name.
    pub resources: Vec<(Arc<Resource>, Arc<ResourceVersion>)>,
}

/// The groups in the order in which their first resources were installed, which is their order of preference.
#[must_use]
pub fn documents(resources: &[Arc<Resource>]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut by_name: HashMap<&str, usize> = HashMap::new();
    for resource in resources {
        for version in resource.served_versions() {
            let at = *by_name.entry(&resource.group).or_insert_with(|| {
                groups.push(Group { name: resource.group.clone(), versions: Vec::new() });
                groups.len() - 1
            });
            let versions = &mut groups[at].versions;
            let at = versions.iter().position(|known| known.name == version.name).unwrap_or_else(|| {
                versions.push(GroupVersion { name: version.name.clone(), resources: Vec::new() });
                versions.len() - 1
            });
            versions[at].resources.push((Arc::clone(resource), Arc::clone(version)));
        }
    }
    for group in &mut groups {
        group.versions.sort_by(|a, b| by_preference(&a.name, &b.name));
        for version in &mut group.versions {
            version.resources.sort_by(|(a, _), (b, _)| a.plural.cmp(&b.plural));
        }
    }
    groups
}

/// Stable versions before betas before alphas, higher numbers first; behind them what is called otherwise, by name.
///
/// Upstream: `CompareKubeAwareVersionStrings` in k8s.io/apimachinery/pkg/version (v1.35), the other way round.
pub(crate) fn by_preference(a: &str, b: &str) -> Ordering {
    match (maturity(a), maturity(b)) {
        (Some(a), Some(b)) => b.cmp(&a),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.cmp(b),
    }
}

/// What `v1`, `v1beta2` and the like say of themselves: greater is better.
fn maturity(version: &str) -> Option<(u8, u64, u64)> {
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    let rest = version.strip_prefix('v')?;
    match (rest.split_once("beta"), rest.split_once("alpha")) {
        (Some((major, minor)), _) => Some((1, number(major)?, number(minor)?)),
        (_, Some((major, minor))) => Some((0, number(major)?, number(minor)?)),
        _ => Some((2, number(rest)?, 0)),
    }
}

impl Group {
    /// Whether `other` is of the same resources, and not only of like ones.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let all = |group: &Self| -> Vec<_> {
            let versions = group.versions.iter().flat_map(|version| &version.resources);
            versions.map(|(resource, version)| (Arc::as_ptr(resource), Arc::as_ptr(version))).collect()
        };
        self.name == other.name && all(self) == all(other)
    }

    /// `APIGroup`, as `/apis/<group>` answers it; with type only when it stands alone.
    #[must_use]
    pub fn legacy(&self, alone: bool) -> Value {
        let version = |version: &GroupVersion| {
            Value::object_of([
                ("groupVersion", Value::from(group_version(&self.name, &version.name))),
                ("version", version.name.clone().into()),
            ])
        };
        let mut group = Value::object_of([
            ("name", Value::from(self.name.clone())),
            ("versions", Value::array(self.versions.iter().map(version))),
        ]);
        if let Some(preferred) = self.versions.first() {
            group.set(&["preferredVersion"], version(preferred));
        }
        if alone {
            group.set(&["kind"], "APIGroup");
            group.set(&["apiVersion"], "v1");
        }
        group
    }

    /// `APIGroupDiscovery`, one item of the aggregated document.
    #[must_use]
    pub fn aggregated(&self) -> Value {
        let versions = self.versions.iter().map(|version| {
            Value::object_of([
                ("version", Value::from(version.name.clone())),
                (
                    "resources",
                    Value::array(version.resources.iter().map(|(resource, version)| aggregated(resource, version))),
                ),
                ("freshness", "Current".into()),
            ])
        });
        let mut metadata = Value::object();
        if !self.name.is_empty() {
            metadata.set(&["name"], self.name.clone());
        }
        Value::object_of([("metadata", metadata), ("versions", Value::array(versions))])
    }

    /// `APIResourceList` of one version. `has_hashes`: whether built-in resources tell the form in which they are stored.
    #[must_use]
    pub fn resource_list(&self, version: &GroupVersion, has_hashes: bool) -> Value {
        let resources = version.resources.iter().flat_map(|(resource, version)| legacy(resource, version, has_hashes));
        let mut list = Value::object_of([
            ("kind", Value::from("APIResourceList")),
            ("groupVersion", group_version(&self.name, &version.name).into()),
            ("resources", Value::array(resources)),
        ]);
        // Clients older than named groups know only lists that do not say it.
        if !self.name.is_empty() {
            list.set(&["apiVersion"], "v1");
        }
        list
    }
}

/// `v1`, or `apps/v1`.
pub(super) fn group_version(group: &str, version: &str) -> String {
    corten_apimachinery::gvk::GroupVersion::new(group, version).to_string()
}

fn verbs(verbs: &[Verb]) -> Value {
    Value::array(verbs.iter().map(|verb| verb.as_str().into()))
}

fn texts(texts: &[Str]) -> Value {
    Value::array(texts.iter().map(|text| text.clone().into()))
}

/// The verbs of a subresource, in order.
fn sorted(shown: &[Verb]) -> Value {
    let mut sorted = shown.to_vec();
    sorted.sort_unstable();
    verbs(&sorted)
}

fn legacy(resource: &Resource, version: &ResourceVersion, has_hashes: bool) -> Vec<Value> {
    let namespaced = resource.is_namespaced();
    let mut main = Value::object_of([
        ("name", Value::from(resource.plural.clone())),
        ("singularName", resource.singular.clone().into()),
        ("namespaced", namespaced.into()),
        ("kind", resource.kind.clone().into()),
        ("verbs", verbs(resource.verbs)),
    ]);
    if !resource.short_names.is_empty() {
        main.set(&["shortNames"], texts(&resource.short_names));
    }
    if !resource.categories.is_empty() {
        main.set(&["categories"], texts(&resource.categories));
    }
    // What is stored has a hash by which clients notice a change of the stored version.
    let is_custom = version.published.is_some();
    if resource.verbs.contains(&Verb::Watch) && (has_hashes || is_custom) {
        main.set(&["storageVersionHash"], storage_version_hash(resource));
    }
    let mut subresources: Vec<_> = version.subresources.iter().collect();
    subresources.sort_by(|a, b| a.name.cmp(&b.name));
    let own = gvk::GroupVersion::new(resource.group.clone(), version.name.clone());
    let subresources = subresources.into_iter().map(|subresource| {
        let (shown, verbs) = subresource.shown(&own, &resource.kind);
        let mut entry = Value::object_of([
            ("name", Value::from(format!("{}/{}", resource.plural, subresource.name))),
            ("singularName", "".into()),
            ("namespaced", namespaced.into()),
            ("kind", shown.kind.clone().into()),
            ("verbs", sorted(verbs)),
        ]);
        if shown.group_version() != own {
            entry.set(&["version"], shown.version);
            if !shown.group.is_empty() {
                entry.set(&["group"], shown.group);
            }
        }
        entry
    });
    std::iter::once(main).chain(subresources).collect()
}

fn aggregated(resource: &Resource, version: &ResourceVersion) -> Value {
    let kind = |group: &str, version: &str, kind: &str| {
        Value::object_of([("group", Value::from(group)), ("version", version.into()), ("kind", kind.into())])
    };
    let mut entry = Value::object_of([
        ("resource", Value::from(resource.plural.clone())),
        ("responseKind", kind("", "", &resource.kind)),
        ("scope", if resource.is_namespaced() { "Namespaced" } else { "Cluster" }.into()),
        ("singularResource", resource.singular.clone().into()),
        ("verbs", verbs(resource.verbs)),
    ]);
    if !resource.short_names.is_empty() {
        entry.set(&["shortNames"], texts(&resource.short_names));
    }
    if !resource.categories.is_empty() {
        entry.set(&["categories"], texts(&resource.categories));
    }
    let mut subresources: Vec<_> = version.subresources.iter().collect();
    subresources.sort_by(|a, b| a.name.cmp(&b.name));
    let own = gvk::GroupVersion::new(resource.group.clone(), version.name.clone());
    let subresources: Vec<Value> = subresources
        .into_iter()
        .map(|subresource| {
            let (shown, verbs) = subresource.shown(&own, &resource.kind);
            let kind = if shown.group_version() == own {
                kind("", "", &shown.kind)
            } else {
                kind(&shown.group, &shown.version, &shown.kind)
            };
            Value::object_of([
                ("subresource", Value::from(subresource.name.clone())),
                ("responseKind", kind),
                ("verbs", sorted(verbs)),
            ])
        })
        .collect();
    if !subresources.is_empty() {
        entry.set(&["subresources"], subresources);
    }
    entry
}

/// What upstream stores in an older version than its hub: (group, kind, version).
static STORED_OLDER: [(&str, &str, &str); 2] = [
    ("apiextensions.k8s.io", "CustomResourceDefinition", "v1beta1"),
    ("storage.k8s.io", "VolumeAttributesClass", "v1beta1"),
];

/// The hash of the form in which upstream stores a resource: that of one group may be that of another.
fn storage_version_hash(resource: &Resource) -> String {
    let stored = resource.stored_as.as_deref().unwrap_or(resource);
    let older = STORED_OLDER.iter().find(|(group, kind, _)| (*group, *kind) == (&*stored.group, &*stored.kind));
    let version = older.map_or(resource.hub().name.as_str(), |(.., version)| version);
    let text = format!("{}/{version}/{}", stored.group, stored.kind);
    BASE64_STANDARD.encode(&Sha256::digest(text.as_bytes())[..8])
}

#[cfg(test)]
mod tests {
    use super::by_preference;

    #[test]
    fn stable_versions_come_first_and_higher_numbers_before_lower() {
        let mut versions = ["v1alpha1", "foo1", "v2", "v1beta1", "v10", "v1", "v1beta2", "bar", "v2beta1", "v1rc1"];
        versions.sort_by(|a, b| by_preference(a, b));
        let want = ["v10", "v2", "v1", "v2beta1", "v1beta2", "v1beta1", "v1alpha1", "bar", "foo1", "v1rc1"];
        assert_eq!(versions, want);
    }
}
