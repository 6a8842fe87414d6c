//! Keeps a volume that is being deleted for as long as a claim is bound to it.
//!
//! Flow: volumes -> queue -> the finalizer is added or removed.
//! Upstream: pkg/controller/volume/pvprotection (v1.35).

use std::sync::Arc;

use async_trait::async_trait;
use corten_api::core::v1::PersistentVolume;
use corten_apimachinery::value::Value;
use corten_client::{Client, Target, api::resource_of};
use corten_controller::{ControllerDescriptor, Enqueue, Key, ReconcileError, Reconciler, Requeue};
use corten_informer::Lister;

use crate::{
    Config,
    objects::tree,
    protection::{settle, step},
    queue_controller::{QueueController, queue_of},
};

/// What keeps a volume until no claim is bound to it any more.
const FINALIZER: &str = "kubernetes.io/pv-protection";

/// The controller.
pub static CONTROLLER: ControllerDescriptor<Config> = ControllerDescriptor {
    name: "persistentvolume-protection-controller",
    aliases: &["pv-protection"],
    identity: "pv-protection-controller",
    feature_gate: None,
    workers: 1,
    build: |context| {
        let queue = queue_of(&context);
        let volumes = context.informers.informer(&resource_of::<PersistentVolume>());
        volumes.add_handler(Enqueue::object(&queue).handler());
        let reconciler = Protection { client: context.client(), volumes: volumes.lister() };
        QueueController::boxed(&context, Arc::clone(&queue), reconciler)
    },
};

struct Protection {
    client: Client,
    volumes: Lister,
}

/// Whether a claim is bound to a volume.
fn is_used(volume: &Value) -> bool {
    volume.str_at(&["status", "phase"]) == Some("Bound")
}

#[async_trait]
impl Reconciler for Protection {
    async fn reconcile(&self, key: &Key) -> Result<Requeue, ReconcileError> {
        let Some(stored) = self.volumes.get(key) else { return Ok(Requeue::Never) };
        let volume = tree(&stored)?;
        let step = step(&volume, FINALIZER, || is_used(&volume));
        let target = Target::object(&resource_of::<PersistentVolume>(), "", key.name.clone());
        settle(&self.client, target, volume, FINALIZER, step).await?;
        Ok(Requeue::Never)
    }
}
