//! What built-in resources have, and custom ones cannot get.
//!
//! Upstream: a group and version that is built in is answered by its own server, and what another one has in it is neither
//! reached nor told of (the order of delegation in k8s.io/kube-aggregator, `Source` in
//! k8s.io/apiserver/pkg/endpoints/discovery/aggregated, v1.35). The definition is established all the same.

use std::collections::BTreeSet;

use corten_apimachinery::{resource::Resource, value::Str};

/// What built-in resources have.
#[derive(Debug, Default)]
pub struct BuiltIn {
    /// Groups with their versions: whatever a definition says, these are served as they are.
    versions: BTreeSet<(Str, Str)>,
    /// Where their objects are kept, as `Resource::storage_prefix` says.
    prefixes: BTreeSet<Str>,
}

impl BuiltIn {
    /// What `served` have; `prefixes` are those of all built-in resources, of which objects may be stored.
    pub fn new<'a>(
        served: impl IntoIterator<Item = &'a Resource>,
        prefixes: impl IntoIterator<Item = &'static str>,
    ) -> Self {
        let versions = served.into_iter().flat_map(|resource| {
            resource.served_versions().map(|version| (resource.group.clone(), version.name.clone()))
        });
        Self { versions: versions.collect(), prefixes: prefixes.into_iter().map(Str::const_new).collect() }
    }

    /// Whether the version of a group is built in.
    pub(super) fn serves(&self, group: &str, version: &str) -> bool {
        self.versions.contains(&(Str::from(group), Str::from(version)))
    }

    /// Whether a built-in resource keeps its objects there.
    pub(super) fn keeps(&self, storage_prefix: &str) -> bool {
        self.prefixes.contains(storage_prefix)
    }
}
