//! Keeps the wanted number of pods of every ReplicaSet; the core also does so for ReplicationControllers.
//!
//! Flow: informers of sets and pods (`handlers`) -> workqueue -> `core` reconciles: claim pods, make or delete what
//! differs (`plan`), write the status.
//! Invariant: between asking for pods and seeing them, expectations keep the next reconcile from asking again.
//! Upstream: pkg/controller/replicaset (v1.35).

pub(crate) mod core;
mod handlers;
pub mod plan;

use corten_apimachinery::gvk::GroupVersionResource;
use corten_controller::ControllerDescriptor;

use self::core::Flavor;
use crate::{config::Config, selectors::of_spec};

/// The controller.
pub static CONTROLLER: ControllerDescriptor<Config> = ControllerDescriptor {
    name: "replicaset-controller",
    aliases: &["replicaset"],
    identity: "replicaset-controller",
    feature_gate: None,
    workers: 5,
    build: |context| core::build(context, &FLAVOR),
};

static FLAVOR: Flavor = Flavor {
    api_version: "apps/v1",
    kind: "ReplicaSet",
    resource,
    component: "replicaset-controller",
    selector: of_spec,
    counts_terminating: true,
};

/// The resource.
#[must_use]
pub fn resource() -> GroupVersionResource {
    GroupVersionResource::new("apps", "v1", "replicasets")
}

#[cfg(test)]
mod tests;
