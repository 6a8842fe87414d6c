//! Approves the requests of kubelets for client certificates, if who asks may have them.
//!
//! Flow: requests -> `plan` (what it would have to be allowed to do) -> `SubjectAccessReview` -> condition `Approved`.
//! Upstream: pkg/controller/certificates/approver/sarapprove.go (v1.35).

mod plan;

use async_trait::async_trait;
use corten_api::{authorization::v1::SubjectAccessReview, certificates::v1::CertificateSigningRequest};
use corten_apimachinery::{
    status::Status,
    value::{Str, Value},
};
use corten_client::{
    Client, Target,
    api::{decode, resource_of},
};
use corten_controller::{ControllerDescriptor, Enqueue, Key, ReconcileError, Reconciler, Requeue};
use corten_informer::Lister;

use crate::{
    Config,
    objects::{from_json, tree},
    queue_controller::{QueueController, queue_of},
};

/// The controller.
pub static CONTROLLER: ControllerDescriptor<Config> = ControllerDescriptor {
    name: "certificatesigningrequest-approving-controller",
    aliases: &["csrapproving"],
    identity: "certificate-controller",
    feature_gate: None,
    workers: 5,
    build: |context| {
        let queue = queue_of(&context);
        let requests = context.informers.informer(&resource_of::<CertificateSigningRequest>());
        requests.add_handler(Enqueue::object(&queue).handler());
        let reconciler = Approver { client: context.client(), requests: requests.lister() };
        QueueController::boxed(&context, queue, reconciler)
    },
};

struct Approver {
    client: Client,
    requests: Lister,
}

#[async_trait]
impl Reconciler for Approver {
    async fn reconcile(&self, key: &Key) -> Result<Requeue, ReconcileError> {
        let Some(stored) = self.requests.get(key) else { return Ok(Requeue::Never) };
        let request: CertificateSigningRequest = decode(&stored)?;
        let permissions = plan::permissions(&request).map_err(ReconcileError::terminal)?;
        for permission in permissions {
            if self.is_allowed(&request, permission.subresource).await? {
                let mut approved = tree(&stored)?;
                let mut conditions = approved.items_at(&["status", "conditions"]).to_vec();
                conditions.push(from_json(&serde_json::json!({
                    "type": "Approved", "status": "True", "reason": "AutoApproved", "message": permission.message,
                })));
                approved.set(&["status", "conditions"], conditions);
                let target = Target::object(&resource_of::<CertificateSigningRequest>(), "", key.name.clone());
                return match self.client.update(target.subresource("approval"), approved).await {
                    // Somebody else has decided; the event brings it back.
                    Err(status) if status.is_not_found() || status.is_conflict() => Ok(Requeue::Never),
                    other => other.map(|_| Requeue::Never).map_err(Into::into),
                };
            }
        }
        let is_waiting = !plan::permissions(&request).unwrap_or_default().is_empty();
        // The permission may come later, and nobody tells of that.
        Ok(if is_waiting { Requeue::Backoff } else { Requeue::Never })
    }
}

impl Approver {
    async fn is_allowed(&self, request: &CertificateSigningRequest, subresource: &str) -> Result<bool, Status> {
        let spec = &request.spec;
        let review = from_json(&serde_json::json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": spec.username,
                "uid": spec.uid,
                "groups": spec.groups,
                "extra": spec.extra,
                "resourceAttributes": {
                    "group": "certificates.k8s.io", "resource": "certificatesigningrequests",
                    "verb": "create", "version": "*", "subresource": subresource,
                },
            },
        }));
        let target = Target::collection(&resource_of::<SubjectAccessReview>(), Str::default());
        let answer: Value = self.client.post(target, review).await?;
        Ok(answer.bool_at(&["status", "allowed"]) == Some(true))
    }
}
