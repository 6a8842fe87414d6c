//! Keeps a claim that is being deleted for as long as pods use it.
//!
//! Flow: claims -> queue; pods that go or end -> the claims that wait for them -> queue -> `plan` -> the finalizer is added
//! or removed. That no pod uses a claim is asked of the API server as well: the cache may not have seen the newest pod.
//! Upstream: pkg/controller/volume/pvcprotection (v1.35).

mod plan;

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use corten_api::core::v1::{PersistentVolumeClaim, Pod};
use corten_apimachinery::{status::Status, stored::Stored, value::Value};
use corten_client::{Client, ListOptions, Target, api::resource_of};
use corten_controller::{ControllerDescriptor, Enqueue, Key, ReconcileError, Reconciler, Requeue, WorkQueue};
use corten_informer::{Handler, Lister};
use parking_lot::Mutex;

use crate::{
    Config,
    objects::tree,
    protection::{Step, settle},
    queue_controller::{QueueController, queue_of},
};

/// The controller.
pub static CONTROLLER: ControllerDescriptor<Config> = ControllerDescriptor {
    name: "persistentvolumeclaim-protection-controller",
    aliases: &["pvc-protection"],
    identity: "pvc-protection-controller",
    feature_gate: None,
    workers: 1,
    build: |context| {
        let queue = queue_of(&context);
        let claims = context.informers.informer(&resource_of::<PersistentVolumeClaim>());
        let pods = context.informers.informer(&resource_of::<Pod>());
        let waiting = Arc::new(Waiting::default());
        claims.add_handler(Enqueue::object(&queue).handler());
        pods.add_handler(Arc::new(Pods { queue: Arc::clone(&queue), waiting: Arc::clone(&waiting) }));
        let (claims, pods) = (claims.lister(), pods.lister());
        QueueController::boxed(&context, queue, Protection { client: context.client(), claims, pods, waiting })
    },
};

/// The claims that would be gone if no pod used them: as many as there are such claims at most.
#[derive(Default)]
struct Waiting(Mutex<BTreeSet<Key>>);

/// Hears of pods.
struct Pods {
    queue: Arc<WorkQueue<Key>>,
    waiting: Arc<Waiting>,
}

impl Pods {
    /// Something about a pod has changed: claims of its namespace may have become free.
    fn changed(&self, pod: &Stored) {
        // Mostly there are none, and pods change often.
        let waiting = self.waiting.0.lock();
        for claim in waiting.iter().filter(|claim| claim.namespace == pod.namespace) {
            self.queue.add(claim.clone());
        }
    }
}

impl Handler for Pods {
    fn on_add(&self, _pod: &Arc<Stored>) {}

    fn on_update(&self, _old: &Arc<Stored>, pod: &Arc<Stored>) {
        self.changed(pod);
    }

    fn on_delete(&self, pod: &Arc<Stored>, _final_state_unknown: bool) {
        self.changed(pod);
    }
}

struct Protection {
    client: Client,
    claims: Lister,
    pods: Lister,
    waiting: Arc<Waiting>,
}

#[async_trait]
impl Reconciler for Protection {
    async fn reconcile(&self, key: &Key) -> Result<Requeue, ReconcileError> {
        // Before the pods are looked at: one that goes from now on has its claim looked at again.
        self.waiting.0.lock().insert(key.clone());
        let is_waiting = self.protect(key).await;
        if !matches!(is_waiting, Ok(true)) {
            self.waiting.0.lock().remove(key);
        }
        is_waiting?;
        Ok(Requeue::Never)
    }
}

impl Protection {
    /// Does what is to be done. Returns whether a claim has to wait for pods.
    async fn protect(&self, key: &Key) -> Result<bool, Status> {
        let Some(stored) = self.claims.get(key) else { return Ok(false) };
        let claim = tree(&stored)?;
        let known = self.pods.in_namespace(&key.namespace);
        let step = plan::plan(&claim, || is_used(&known, &claim));
        let target = Target::object(&resource_of::<PersistentVolumeClaim>(), key.namespace.clone(), key.name.clone());
        if step == Step::Remove {
            let pods = Target::collection(&resource_of::<Pod>(), key.namespace.clone());
            let newest = self.client.list(pods, &ListOptions::default()).await?;
            if is_used(&newest.items, &claim) {
                return Ok(true);
            }
        }
        settle(&self.client, target, claim, plan::FINALIZER, step).await?;
        Ok(step == Step::Wait)
    }
}

fn is_used(pods: &[Arc<Stored>], claim: &Value) -> bool {
    // A pod that cannot be read, which no server sends, is taken for a user: what is kept can go later.
    pods.iter().any(|pod| tree(pod).map_or(true, |pod| plan::uses(&pod, claim)))
}
