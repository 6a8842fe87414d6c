//! The API services of versions in which there are custom resources: each comes with the first definition of its version
//! and goes with the last.
//!
//! Flow: a definition or an API service changes -> the versions that this is about are looked at (`plan_custom`, pure) ->
//! writes. Nothing is taken away before all definitions are known.
//! Upstream: pkg/controlplane/controller/crdregistration, k8s.io/kube-aggregator/pkg/controllers/autoregister (v1.35).

use std::collections::{BTreeMap, BTreeSet};

use corten_apimachinery::{
    gvk::{GroupVersion, GroupVersionResource},
    status::Status,
    stored::Stored,
    value::{Str, Value},
};
use corten_apiserver::customresources::DEFINITIONS;
use corten_client::{Client, ListOptions, Target, WatchEvent, WatchOptions, WatchStream};
use futures::{StreamExt as _, future};

use super::{
    apply,
    plan::{custom_api_service, plan_custom},
    priorities::PRIORITIES,
    resource,
};
use crate::{bootstrap::served, caches::tree};

fn definitions() -> GroupVersionResource {
    let (group, plural) = DEFINITIONS;
    GroupVersionResource::new(group, "v1", plural)
}

/// What there is.
#[derive(Debug, Default)]
struct Known {
    /// The served versions of each definition, by its name.
    definitions: BTreeMap<Str, BTreeSet<GroupVersion>>,
    /// API services by name.
    services: BTreeMap<Str, Value>,
}

/// The name of the API service of a version.
fn name_of(version: &GroupVersion) -> Str {
    format!("{}.{}", version.version, version.group).into()
}

/// The versions that a definition serves, less those that are the server's own.
fn served_versions(definition: &Value) -> BTreeSet<GroupVersion> {
    let group = definition.str_at(&["spec", "group"]).unwrap_or_default();
    let served =
        definition.items_at(&["spec", "versions"]).iter().filter(|version| version.bool_at(&["served"]) == Some(true));
    let names = served.filter_map(|version| version.str_at(&["name"]));
    let is_own = |version: &&str| PRIORITIES.iter().any(|place| (place.group, place.version) == (group, *version));
    names.filter(|version| !is_own(version)).map(|version| GroupVersion::new(group, version)).collect()
}

impl Known {
    /// Notes a definition, or that it has gone; gives the versions that this is about.
    fn learn_definition(&mut self, stored: &Stored, is_there: bool) -> Result<BTreeSet<GroupVersion>, Status> {
        let before = if is_there {
            self.definitions.insert(stored.name.clone(), served_versions(&tree(stored)?))
        } else {
            self.definitions.remove(&stored.name)
        };
        let mut versions = before.unwrap_or_default();
        versions.extend(self.definitions.get(&stored.name).into_iter().flatten().cloned());
        Ok(versions)
    }

    /// Notes an API service, or that it has gone; gives the version that it is of.
    fn learn_service(&mut self, stored: &Stored, is_there: bool) -> Result<BTreeSet<GroupVersion>, Status> {
        if is_there {
            self.services.insert(stored.name.clone(), tree(stored)?);
        } else {
            self.services.remove(&stored.name);
        }
        let of = stored.name.split_once('.').map(|(version, group)| GroupVersion::new(group, version));
        Ok(of.into_iter().collect())
    }

    fn is_wanted(&self, version: &GroupVersion) -> bool {
        self.definitions.values().any(|served| served.contains(version))
    }

    /// Brings the API services of `versions` to what definitions say.
    async fn settle(&self, client: &Client, versions: BTreeSet<GroupVersion>) -> Result<(), Status> {
        for version in versions {
            let wanted = self.is_wanted(&version).then(|| custom_api_service(&version.group, &version.version));
            if let Some(action) = plan_custom(wanted, self.services.get(&name_of(&version))) {
                apply(client, action).await?;
            }
        }
        Ok(())
    }
}

/// All objects of a resource, and what happens to them from there on.
async fn follow(
    client: &Client,
    resource: &GroupVersionResource,
    mut learn: impl FnMut(&Stored) -> Result<BTreeSet<GroupVersion>, Status>,
) -> Result<(BTreeSet<GroupVersion>, WatchStream), Status> {
    let list = client.list(Target::collection(resource, ""), &ListOptions::default()).await?;
    let mut versions = BTreeSet::new();
    for item in &list.items {
        versions.extend(learn(item)?);
    }
    let options = WatchOptions { resource_version: list.revision.to_string(), ..WatchOptions::default() };
    Ok((versions, client.watch(Target::collection(resource, ""), &options).await?))
}

/// Keeps them until a watch ends: then it is to be called again.
///
/// Cancel-safe: every step is repeated at the next call.
pub(in crate::bootstrap) async fn keep(client: &Client) -> Result<(), Status> {
    let (definitions, services) = (definitions(), resource());
    for resource in [&definitions, &services] {
        if !served::has(client, resource).await? {
            return future::pending().await;
        }
    }
    let mut known = Known::default();
    let (mut versions, mut services) = follow(client, &services, |stored| known.learn_service(stored, true)).await?;
    let (of_definitions, mut definitions) =
        follow(client, &definitions, |stored| known.learn_definition(stored, true)).await?;
    versions.extend(of_definitions);
    known.settle(client, versions).await?;
    loop {
        let (is_definition, change) = tokio::select! {
            biased;
            change = definitions.next() => (true, change),
            change = services.next() => (false, change),
        };
        let Some(change) = change else { return Ok(()) };
        let (stored, is_there) = match change? {
            WatchEvent::Added(stored) | WatchEvent::Modified(stored) => (stored, true),
            WatchEvent::Deleted(stored) => (stored, false),
            WatchEvent::Bookmark { .. } => continue,
        };
        let versions = if is_definition {
            known.learn_definition(&stored, is_there)?
        } else {
            known.learn_service(&stored, is_there)?
        };
        known.settle(client, versions).await?;
    }
}
