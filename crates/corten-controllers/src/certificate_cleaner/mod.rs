//! Deletes requests that nobody needs any more, each when its time has come.
//!
//! Upstream: pkg/controller/certificates/cleaner (v1.35), which looks at all of them once an hour instead.

mod plan;

use async_trait::async_trait;
use corten_api::certificates::v1::CertificateSigningRequest;
use corten_base::SharedClock;
use corten_client::{
    Client, Target,
    api::{decode, resource_of},
};
use corten_controller::{ControllerDescriptor, Enqueue, Key, ReconcileError, Reconciler, Requeue};
use corten_informer::Lister;

use crate::{
    Config,
    objects::{from_json, gone_is_fine},
    queue_controller::{QueueController, queue_of},
};

/// The controller.
pub static CONTROLLER: ControllerDescriptor<Config> = ControllerDescriptor {
    name: "certificatesigningrequest-cleaner-controller",
    aliases: &["csrcleaner"],
    identity: "certificate-controller",
    feature_gate: None,
    workers: 1,
    build: |context| {
        let queue = queue_of(&context);
        let requests = context.informers.informer(&resource_of::<CertificateSigningRequest>());
        requests.add_handler(Enqueue::object(&queue).handler());
        let reconciler =
            Cleaner { client: context.client(), clock: context.clock.clone(), requests: requests.lister() };
        QueueController::boxed(&context, queue, reconciler)
    },
};

struct Cleaner {
    client: Client,
    clock: SharedClock,
    requests: Lister,
}

#[async_trait]
impl Reconciler for Cleaner {
    async fn reconcile(&self, key: &Key) -> Result<Requeue, ReconcileError> {
        let Some(stored) = self.requests.get(key) else { return Ok(Requeue::Never) };
        let request: CertificateSigningRequest = decode(&stored)?;
        let Some(due) = plan::due(&request) else { return Ok(Requeue::Never) };
        let left = due.duration_since(self.clock.now());
        if left.is_positive() {
            return Ok(Requeue::After(left.unsigned_abs()));
        }
        let target = Target::object(&resource_of::<CertificateSigningRequest>(), "", key.name.clone());
        let options = from_json(&serde_json::json!({"preconditions": {"uid": stored.uid.as_str()}}));
        match gone_is_fine(self.client.delete(target, options).await) {
            Err(status) if !status.is_conflict() => Err(status.into()),
            _ => Ok(Requeue::Never),
        }
    }
}
