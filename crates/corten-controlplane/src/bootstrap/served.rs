//! Which versions of which groups and which of their resources this server has: as its own discovery says, so that nothing is
//! made, kept or waited for that is switched off (`--runtime-config`).

use std::collections::BTreeSet;

use corten_apimachinery::{
    gvk::{GroupVersion, GroupVersionResource},
    status::Status,
};
use corten_client::Client;

/// The versions that are served, the core group's too.
pub(super) async fn group_versions(client: &Client) -> Result<BTreeSet<(String, String)>, Status> {
    let groups = client.get_path("/apis").await?;
    let mut served = BTreeSet::from([(String::new(), "v1".to_owned())]);
    for version in groups.items_at(&["groups"]).iter().flat_map(|group| group.items_at(&["versions"])) {
        let parsed = version.str_at(&["groupVersion"]).and_then(GroupVersion::parse);
        served.extend(parsed.map(|version| (version.group.to_string(), version.version.to_string())));
    }
    Ok(served)
}

/// Whether a resource is served.
pub(super) async fn has(client: &Client, resource: &GroupVersionResource) -> Result<bool, Status> {
    let GroupVersionResource { group, version, resource } = resource;
    let path = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
    match client.get_path(&path).await {
        Ok(known) => Ok(known.items_at(&["resources"]).iter().any(|known| known.str_at(&["name"]) == Some(resource))),
        // Nothing of the version is served.
        Err(status) if status.is_not_found() => Ok(false),
        Err(status) => Err(status),
    }
}

/// Whether a resource is served whose objects are in namespaces: without these, none can be made.
pub(super) async fn has_namespaced(client: &Client, resource: &GroupVersionResource) -> Result<bool, Status> {
    Ok(has(client, &GroupVersionResource::new("", "v1", "namespaces")).await? && has(client, resource).await?)
}
