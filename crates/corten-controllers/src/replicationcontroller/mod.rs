//! Keeps the wanted number of pods of every ReplicationController: the core of `replicaset` over another kind.
//!
//! Upstream: pkg/controller/replication (v1.35), which is an adapter of the ReplicaSet controller, too.

use corten_apimachinery::{gvk::GroupVersionResource, selector::label::Selector, value::Value};
use corten_controller::ControllerDescriptor;

use crate::{
    config::Config,
    replicaset::core::{self, Flavor},
};

/// The controller.
pub static CONTROLLER: ControllerDescriptor<Config> = ControllerDescriptor {
    name: "replicationcontroller-controller",
    aliases: &["replicationcontroller"],
    identity: "replication-controller",
    feature_gate: None,
    workers: 5,
    build: |context| core::build(context, &FLAVOR),
};

static FLAVOR: Flavor = Flavor {
    api_version: "v1",
    kind: "ReplicationController",
    resource,
    component: "replication-controller",
    selector: |set| {
        let labels = set.at(&["spec", "selector"]).and_then(Value::as_object);
        let pairs = labels.into_iter().flat_map(|map| map.iter());
        Ok(Selector::from_map(pairs.map(|(key, value)| (key, value.as_str().unwrap_or_default()))))
    },
    counts_terminating: false,
};

/// The resource.
#[must_use]
pub fn resource() -> GroupVersionResource {
    GroupVersionResource::new("", "v1", "replicationcontrollers")
}
