//! Pods that the API server has bound to this node.
//!
//! Flow: informer with `spec.nodeName=<node>` -> keys into the table's queue -> the table reads the lister.

use std::sync::Arc;

use corten_apimachinery::{gvk::GroupVersionResource, stored::Stored};
use corten_controller::WorkQueue;
use corten_informer::{Handler, InformerFactory, InformerId, Key, SharedInformer};

use crate::pod_workers::Change;

/// The informer of the pods of `node`.
#[must_use]
pub fn pods(informers: &InformerFactory, node: &str) -> Arc<SharedInformer> {
    let resource = GroupVersionResource::new("", "v1", "pods");
    informers.informer_of(&InformerId::all(&resource).fields(format!("spec.nodeName={node}")))
}

/// The informer of the node's own object.
#[must_use]
pub fn node(informers: &InformerFactory, node: &str) -> Arc<SharedInformer> {
    let resource = GroupVersionResource::new("", "v1", "nodes");
    informers.informer_of(&InformerId::all(&resource).fields(format!("metadata.name={node}")))
}

/// Puts every change of a pod into the table's queue.
pub struct PodChanges(pub Arc<WorkQueue<Change>>);

impl PodChanges {
    fn changed(&self, object: &Stored) {
        self.0.add(Change::Source(Key::of(object)));
    }
}

impl Handler for PodChanges {
    fn on_add(&self, object: &Arc<Stored>) {
        self.changed(object);
    }

    fn on_update(&self, _old: &Arc<Stored>, new: &Arc<Stored>) {
        self.changed(new);
    }

    fn on_delete(&self, object: &Arc<Stored>, _final_state_unknown: bool) {
        self.changed(object);
    }
}
