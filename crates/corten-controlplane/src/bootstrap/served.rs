//! Which versions of which groups this server has: as its own discovery says, so that nothing is made for what is switched
//! off.

use std::collections::BTreeSet;

use corten_apimachinery::{gvk::GroupVersion, status::Status};
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

/// Whether a version is served.
pub(super) async fn has(client: &Client, group: &str, version: &str) -> Result<bool, Status> {
    Ok(group_versions(client).await?.contains(&(group.to_owned(), version.to_owned())))
}
