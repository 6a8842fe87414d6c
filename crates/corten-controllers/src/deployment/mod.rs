//! Rolls the pods of every Deployment over to its newest template, through one ReplicaSet per template.
//!
//! Flow: informers of deployments, ReplicaSets and (for `Recreate`) pods -> workqueue -> `sync` takes one step, as
//! `plan` says, and writes the `status`; the ReplicaSets' own changes bring the next one.
//! Invariant: a step is written with the version of the ReplicaSet that it was decided on, so a stale cache is refused
//! by the server instead of acting twice.
//! Upstream: pkg/controller/deployment (v1.35).

pub mod hash;
pub mod plan;
pub mod status;
mod sync;
pub mod view;

use std::sync::Arc;

use corten_apimachinery::{gvk::GroupVersionResource, stored::Stored};
use corten_controller::{Context, Controller, ControllerDescriptor, Enqueue, Key, Predicate, predicate::Change};
use corten_informer::{Indexer, InformerId, Lister, Projected, indexer};

use self::{sync::Deployments, view::Deployment};
use crate::{
    config::Config,
    objects::part,
    pods::Pods,
    queue_controller::{QueueController, queue_of},
    replicaset,
    selectors::{ObjectSelector, of_spec},
};

/// The controller.
pub static CONTROLLER: ControllerDescriptor<Config> = ControllerDescriptor {
    name: "deployment-controller",
    aliases: &["deployment"],
    identity: "deployment-controller",
    feature_gate: None,
    workers: 5,
    build,
};

/// The resource.
#[must_use]
pub fn resource() -> GroupVersionResource {
    GroupVersionResource::new("apps", "v1", "deployments")
}

fn build(context: Context<Config>) -> Box<dyn Controller> {
    let queue = queue_of(&context);
    let deployments = context.informers.informer(&resource());
    deployments.add_index(Indexer::by_uid());
    let sets = context.informers.informer(&replicaset::resource());
    sets.add_index(Indexer::by_uid());
    sets.add_index(Indexer::by_controller());
    let pods = Pods::new(&context.informers);

    deployments.add_handler(Enqueue::object(&queue).handler());
    let of_set = Enqueue::mapped(&queue, {
        let selectors = context.informers.projected(&InformerId::all(&resource()), |deployment, before| {
            ObjectSelector::of(deployment, before, of_spec)
        });
        let deployments = deployments.lister();
        move |set, add| deployments_of_set(&deployments, &selectors, set, add)
    });
    sets.add_handler(of_set.when(Predicate::new(is_about_a_deployment)).handler());
    let of_pod = Enqueue::mapped(&queue, {
        let (deployments, sets) = (deployments.lister(), sets.lister());
        move |pod, add| recreated_deployment_of_pod(&deployments, &sets, pod, add)
    });
    pods.informer.add_handler(of_pod.when(Predicate::new(|change| matches!(change, Change::Deleted(_)))).handler());

    let reconciler = Deployments {
        deployments: deployments.lister(),
        sets: sets.lister(),
        pods,
        client: context.client(),
        recorder: context.recorder.for_component("deployment-controller"),
        clock: Arc::clone(&context.clock),
    };
    QueueController::boxed(&context, queue, reconciler)
}

/// A ReplicaSet without an owner is worth a look only when it may match another deployment than before.
fn is_about_a_deployment(change: Change<'_>) -> bool {
    let is_owned = |set: &Stored| !set.facts.controller_uid.is_empty();
    match change {
        Change::Updated(old, new) => {
            old.revision != new.revision && (is_owned(old) || is_owned(new) || old.facts.labels != new.facts.labels)
        }
        Change::Added(_) => true,
        Change::Deleted(set) => is_owned(set),
    }
}

fn deployments_of_set(
    deployments: &Lister,
    selectors: &Projected<ObjectSelector>,
    set: &Stored,
    add: &mut dyn FnMut(Key),
) {
    if !set.facts.controller_uid.is_empty() {
        let owners = deployments.by_index_in(indexer::UID, &set.facts.controller_uid, &set.namespace);
        return owners.iter().for_each(|owner| add(Key::of(owner)));
    }
    if set.facts.labels.is_empty() || set.facts.is_deleting {
        return;
    }
    for deployment in selectors.in_namespace(&set.namespace) {
        if deployment.value.matches(&set.facts.labels) {
            add(deployment.key());
        }
    }
}

/// `Recreate` waits for the last old pod to be gone, which changes nothing of its ReplicaSet.
fn recreated_deployment_of_pod(deployments: &Lister, sets: &Lister, pod: &Stored, add: &mut dyn FnMut(Key)) {
    if pod.facts.controller_uid.is_empty() {
        return;
    }
    for set in sets.by_index_in(indexer::UID, &pod.facts.controller_uid, &pod.namespace) {
        for deployment in deployments.by_index_in(indexer::UID, &set.facts.controller_uid, &pod.namespace) {
            let strategy = Deployment { tree: part(&deployment, &[&["spec", "strategy"]]) };
            if strategy.is_recreate() {
                add(Key::of(&deployment));
            }
        }
    }
}

#[cfg(test)]
mod tests;
