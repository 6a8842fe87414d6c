//! Discovery: which resources a server has, as components need it that work on all of them.
//!
//! Upstream: k8s.io/client-go/discovery (v1.35).

use corten_apimachinery::{
    gvk::{GroupVersion, GroupVersionKind, GroupVersionResource},
    status::Status,
    value::{Str, Value},
};

use crate::client::Client;

/// One resource in one version, without subresources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiResource {
    /// The resource.
    pub resource: GroupVersionResource,
    /// The kind of its objects.
    pub kind: GroupVersionKind,
    /// Whether its objects are in namespaces.
    pub is_namespaced: bool,
    /// What can be done: `get`, `list`, `deletecollection` ...
    pub verbs: Vec<Str>,
}

impl ApiResource {
    /// Whether all of these can be done.
    #[must_use]
    pub fn supports(&self, verbs: &[&str]) -> bool {
        verbs.iter().all(|verb| self.verbs.iter().any(|known| known == verb))
    }
}

/// What a server has.
#[derive(Debug, Clone, Default)]
pub struct Discovery {
    /// Its resources, each in the version that its group prefers, or else in another that has it.
    pub resources: Vec<ApiResource>,
    /// Groups that could not be asked: those of servers that are not reachable now.
    pub failures: Vec<(GroupVersion, Status)>,
}

impl Client {
    /// Reads a path that is no resource, such as `/apis` or `/version`.
    pub async fn get_path(&self, path: &str) -> Result<Value, Status> {
        self.get_tree(path).await
    }

    /// Asks for all resources, each once in the version that its group prefers.
    ///
    /// Errors: the list of groups cannot be read. A group that cannot be asked is among `failures`.
    pub async fn discover(&self) -> Result<Discovery, Status> {
        let mut versions: Vec<Vec<GroupVersion>> = vec![vec![GroupVersion::new("", "v1")]];
        let groups = self.get_path("/apis").await?;
        for group in groups.items_at(&["groups"]) {
            let preferred = group.str_at(&["preferredVersion", "groupVersion"]).unwrap_or_default();
            let others = group.items_at(&["versions"]).iter().filter_map(|version| version.str_at(&["groupVersion"]));
            let all = std::iter::once(preferred).chain(others.filter(|version| *version != preferred));
            versions.push(all.filter_map(GroupVersion::parse).collect());
        }
        let mut discovery = Discovery::default();
        for group in versions {
            for version in group {
                let prefix = if version.group.is_empty() { "/api" } else { "/apis" };
                match self.get_path(&format!("{prefix}/{version}")).await {
                    Ok(list) => discovery.add(&version, &list),
                    Err(status) => discovery.failures.push((version, status)),
                }
            }
        }
        Ok(discovery)
    }
}

impl Discovery {
    fn add(&mut self, version: &GroupVersion, list: &Value) {
        for entry in list.items_at(&["resources"]) {
            let text = |field: &str| entry.str_at(&[field]).unwrap_or_default();
            let name = text("name");
            let is_known =
                |known: &ApiResource| known.resource.group == version.group && known.resource.resource == name;
            // Subresources have a slash in their names; versions that come later are not preferred.
            if name.contains('/') || self.resources.iter().any(is_known) {
                continue;
            }
            let verbs = entry.items_at(&["verbs"]).iter().filter_map(Value::as_str).map(Str::from);
            self.resources.push(ApiResource {
                resource: version.with_resource(name),
                kind: version.with_kind(text("kind")),
                is_namespaced: entry.bool_at(&["namespaced"]) == Some(true),
                verbs: verbs.collect(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use corten_apimachinery::codec::{FieldValidation, json};

    use super::*;

    #[test]
    fn resources_are_known_once_in_the_version_that_comes_first() {
        let list = |text: &str| json::decode(text.as_bytes(), None, FieldValidation::Ignore).unwrap().value;
        let mut discovery = Discovery::default();
        let pods = r#"{"name":"pods","kind":"Pod","namespaced":true,"verbs":["get","delete"]}"#;
        let logs = r#"{"name":"pods/log","kind":"Pod","namespaced":true,"verbs":["get"]}"#;
        for version in ["acme/v2", "acme/v1"] {
            let version = GroupVersion::parse(version).unwrap();
            discovery.add(&version, &list(&format!(r#"{{"resources":[{pods},{logs}]}}"#)));
        }
        let [pods] = &discovery.resources[..] else { panic!("one resource: {discovery:?}") };
        assert_eq!(pods.resource, GroupVersionResource::new("acme", "v2", "pods"));
        assert!(pods.is_namespaced && pods.supports(&["get", "delete"]) && !pods.supports(&["list"]));
    }
}
