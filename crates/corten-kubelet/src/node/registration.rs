//! The node object at its start: made anew, or taken over with what may have changed.

use std::{collections::BTreeMap, sync::Arc};

use corten_api::{
    core::v1::{Node, NodeSpec, NodeStatus},
    meta::v1::ObjectMeta,
};
use corten_apimachinery::{status::Status, stored::Stored};
use corten_base::platform;
use corten_client::{Api, PatchKind, api::encode};
use serde_json::{Value as Json, json};

use crate::Config;

/// Says that the volume controller attaches for this node. Upstream always sets it since v1.27.
const CONTROLLER_ATTACHES: &str = "volumes.kubernetes.io/controller-managed-attach-detach";

/// A registered node.
pub(super) struct Registered {
    /// The object as it is then.
    pub(super) node: Arc<Stored>,
    /// Whether it was made now: what is served of its status then was said by nobody before.
    pub(super) is_new: bool,
}

/// Makes the node, or brings the labels of an existing one up to date.
pub(super) async fn register(api: &Api<Node>, config: &Config, status: NodeStatus) -> Result<Registered, Status> {
    let taints = config.register_with_taints.clone();
    let initial = Node {
        metadata: ObjectMeta {
            name: Some(config.node_name.clone()),
            labels: Some(labels(config)),
            annotations: Some([(CONTROLLER_ATTACHES.to_owned(), "true".to_owned())].into()),
            ..ObjectMeta::default()
        },
        spec: Some(NodeSpec { taints: (!taints.is_empty()).then_some(taints), ..NodeSpec::default() }),
        status: Some(status),
    };
    match api.create(&initial).await {
        Err(error) if error.is_already_exists() => {
            Ok(Registered { node: take_over(api, config).await?, is_new: false })
        }
        made => Ok(Registered { node: made?, is_new: true }),
    }
}

async fn take_over(api: &Api<Node>, config: &Config) -> Result<Arc<Stored>, Status> {
    let name = &config.node_name;
    let existing = api.get(name).await?;
    let has = existing.metadata.labels.clone().unwrap_or_default();
    let changed: BTreeMap<_, _> =
        default_labels(config).into_iter().filter(|(key, value)| has.get(key) != Some(value)).collect();
    let annotated = existing.metadata.annotations.as_ref().and_then(|all| all.get(CONTROLLER_ATTACHES));
    let mut meta = json!({});
    if !changed.is_empty() {
        // Only the default ones: what an administrator changed since stays.
        meta["labels"] = json!(changed);
    }
    if annotated.map(String::as_str) != Some("true") {
        meta["annotations"] = json!({ CONTROLLER_ATTACHES: "true" });
    }
    api.patch(name, PatchKind::Strategic, encode(&json!({ "metadata": meta }))?).await
}

fn default_labels(config: &Config) -> BTreeMap<String, String> {
    let pairs = [
        ("beta.kubernetes.io/arch", platform::architecture()),
        ("beta.kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", platform::architecture()),
        ("kubernetes.io/hostname", config.hostname.as_str()),
        ("kubernetes.io/os", "linux"),
    ];
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// The labels a new node gets: those of the configuration win.
fn labels(config: &Config) -> BTreeMap<String, String> {
    let mut labels = default_labels(config);
    labels.extend(config.node_labels.iter().cloned());
    labels
}

/// The patch that brings the served status to `status`. Addresses are replaced as a whole: their merge key is their
/// type, of which a node with two families has two. Of the resources it holds what differs, since others change them, too.
pub(super) fn status_patch(status: &NodeStatus, served: &NodeStatus) -> Json {
    let mut patch = json!(status);
    if let Some(Json::Array(addresses)) = patch.get_mut("addresses") {
        addresses.insert(0, json!({ "$patch": "replace" }));
    }
    for (name, now, before) in
        [("capacity", &status.capacity, &served.capacity), ("allocatable", &status.allocatable, &served.allocatable)]
    {
        let (now, before) = (now.clone().unwrap_or_default(), before.clone().unwrap_or_default());
        let gone = before.keys().filter(|resource| !now.contains_key(*resource)).map(|gone| (gone.clone(), Json::Null));
        let changed = now.iter().filter(|(resource, amount)| before.get(*resource) != Some(*amount));
        let changed = changed.map(|(resource, amount)| (resource.clone(), json!(amount.0)));
        patch[name] = Json::Object(gone.chain(changed).collect());
    }
    json!({ "status": patch })
}
