//! Tells kubelets by an annotation of their nodes how long they may use a secret or config map without asking again: the
//! more nodes, the longer.
//!
//! Flow: nodes -> queue -> `ttl_for` the number of nodes -> patch of the annotation.
//! Upstream: pkg/controller/ttl (v1.35), with its figures.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use corten_api::core::v1::Node;
use corten_apimachinery::meta::ObjectMeta as _;
use corten_client::{Client, PatchKind, Target, api::resource_of};
use corten_controller::{ControllerDescriptor, Enqueue, Key, ReconcileError, Reconciler, Requeue};
use corten_informer::Lister;

use crate::{
    Config,
    objects::{from_json, gone_is_fine, tree},
    queue_controller::{QueueController, queue_of},
};

const ANNOTATION: &str = "node.alpha.kubernetes.io/ttl";

/// From how many nodes up to how many it is how many seconds. The ranges overlap, so that a cluster at an edge does not
/// go to and fro.
const STEPS: [(usize, usize, u32); 5] =
    [(0, 100, 0), (90, 500, 15), (450, 1_000, 30), (900, 2_000, 60), (1_800, usize::MAX, 300)];

/// The controller.
pub static CONTROLLER: ControllerDescriptor<Config> = ControllerDescriptor {
    name: "ttl-controller",
    aliases: &["ttl"],
    identity: "ttl-controller",
    feature_gate: None,
    workers: 5,
    build: |context| {
        let queue = queue_of(&context);
        let nodes = context.informers.informer(&resource_of::<Node>());
        nodes.add_handler(Enqueue::object(&queue).handler());
        let reconciler = Ttl { client: context.client(), nodes: nodes.lister(), step: AtomicUsize::new(0) };
        QueueController::boxed(&context, Arc::clone(&queue), reconciler)
    },
};

struct Ttl {
    client: Client,
    nodes: Lister,
    /// The index in `STEPS` that was right last.
    step: AtomicUsize,
}

/// The index in `STEPS` for `count` nodes, when it was `step` before.
fn next_step(mut step: usize, count: usize) -> usize {
    while count > STEPS[step].1 {
        step += 1;
    }
    while count < STEPS[step].0 {
        step -= 1;
    }
    step
}

#[async_trait]
impl Reconciler for Ttl {
    async fn reconcile(&self, key: &Key) -> Result<Requeue, ReconcileError> {
        let Some(stored) = self.nodes.get(key) else { return Ok(Requeue::Never) };
        let step = next_step(self.step.load(Ordering::Relaxed), self.nodes.len());
        self.step.store(step, Ordering::Relaxed);
        let wanted = STEPS[step].2.to_string();
        if tree(&stored)?.annotation(ANNOTATION) == Some(wanted.as_str()) {
            return Ok(Requeue::Never);
        }
        let patch = from_json(&serde_json::json!({"metadata": {"annotations": {ANNOTATION: wanted}}}));
        let target = Target::object(&resource_of::<Node>(), "", key.name.clone());
        gone_is_fine(self.client.patch(target, PatchKind::Strategic, patch).await.map(drop))?;
        Ok(Requeue::Never)
    }
}

#[cfg(test)]
mod tests {
    use super::{STEPS, next_step};

    #[test]
    fn the_time_grows_with_the_number_of_nodes_and_does_not_go_to_and_fro() {
        let check = |before: usize, count: usize, seconds: u32| {
            assert_eq!(STEPS[next_step(before, count)].2, seconds, "{count} after step {before}");
        };
        check(0, 1, 0);
        check(0, 100, 0);
        check(0, 101, 15);
        check(1, 95, 15);
        check(1, 89, 0);
        check(0, 5_000, 300);
        check(4, 1, 0);
    }
}
