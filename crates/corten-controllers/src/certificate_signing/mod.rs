//! Signs approved requests of the signers that are Kubernetes' own, with the cluster's certificate authority.
//!
//! Flow: requests -> checks of the signer (`certificate_requests`) -> `sign` -> certificate, or condition `Failed`.
//! Upstream: pkg/controller/certificates/signer (v1.35).

mod der;
mod sign;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use corten_api::certificates::v1::CertificateSigningRequest;
use corten_base::{SharedClock, SharedRng};
use corten_client::{
    Client, Target,
    api::{decode, resource_of},
};
use corten_controller::{ControllerDescriptor, Enqueue, Key, ReconcileError, Reconciler, Requeue};
use corten_informer::Lister;

use self::sign::{Authority, Terms};
use crate::{
    Config,
    certificate_requests::{
        API_CLIENT, Asked, KUBELET_CLIENT, KUBELET_SERVING, LEGACY_UNKNOWN, check, der_of, has, is_issued,
    },
    objects::{from_json, tree},
    queue_controller::{QueueController, queue_of},
};

/// The shortest life of a certificate: less than twice the time it begins in the past would hardly be one.
const SHORTEST: Duration = Duration::from_secs(600);

/// The controller.
pub static CONTROLLER: ControllerDescriptor<Config> = ControllerDescriptor {
    name: "certificatesigningrequest-signing-controller",
    aliases: &["csrsigning"],
    identity: "certificate-controller",
    feature_gate: None,
    workers: 5,
    build: |context| {
        let queue = queue_of(&context);
        let requests = context.informers.informer(&resource_of::<CertificateSigningRequest>());
        let authority = context.config.signing.as_ref().and_then(|signing| match Authority::read(signing) {
            Ok(authority) => Some(authority),
            Err(error) => {
                tracing::error!(err = %error, "Could not read the certificate authority; nothing is signed");
                None
            }
        });
        if authority.is_some() {
            requests.add_handler(Enqueue::object(&queue).handler());
        }
        let reconciler = Signer {
            client: context.client(),
            config: Arc::clone(&context.config),
            clock: Arc::clone(&context.clock),
            rng: Arc::clone(&context.rng),
            requests: requests.lister(),
            authority,
        };
        QueueController::boxed(&context, queue, reconciler)
    },
};

struct Signer {
    client: Client,
    config: Arc<Config>,
    clock: SharedClock,
    rng: SharedRng,
    requests: Lister,
    authority: Option<Authority>,
}

#[async_trait]
impl Reconciler for Signer {
    async fn reconcile(&self, key: &Key) -> Result<Requeue, ReconcileError> {
        let (Some(stored), Some(authority)) = (self.requests.get(key), &self.authority) else {
            return Ok(Requeue::Never);
        };
        let request: CertificateSigningRequest = decode(&stored)?;
        let spec = &request.spec;
        let is_ours =
            [API_CLIENT, KUBELET_CLIENT, KUBELET_SERVING, LEGACY_UNKNOWN].contains(&spec.signer_name.as_str());
        let is_decided = has(&request, "Failed") || has(&request, "Denied") || is_issued(&request);
        if !is_ours || is_decided || !has(&request, "Approved") {
            return Ok(Requeue::Never);
        }
        let unreadable = |error: String| ReconcileError::terminal(format!("unable to parse csr {key}: {error}"));
        let der = der_of(&request).map_err(unreadable)?;
        let asked = Asked::parse(&der).map_err(unreadable)?;
        let usages = spec.usages.as_deref().unwrap_or_default();
        let mut answer = tree(&stored)?;
        match check(&spec.signer_name, &asked, usages) {
            Err(message) => {
                let mut conditions = answer.items_at(&["status", "conditions"]).to_vec();
                conditions.push(from_json(&serde_json::json!({
                    "type": "Failed", "status": "True", "reason": "SignerValidationFailure", "message": message,
                })));
                answer.set(&["status", "conditions"], conditions);
            }
            Ok(()) => {
                let asked_for = spec.expiration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
                let longest = self.config.signing_duration;
                let valid = asked_for
                    .map_or(longest, |seconds| Duration::from_secs(seconds).max(SHORTEST).min(longest.max(SHORTEST)));
                let terms = Terms { now: self.clock.now(), valid, usages };
                let certificate =
                    sign::sign(authority, &asked, &terms, &*self.rng).map_err(ReconcileError::terminal)?;
                answer.set(&["status", "certificate"], STANDARD.encode(certificate));
            }
        }
        let target = Target::object(&resource_of::<CertificateSigningRequest>(), "", key.name.clone());
        match self.client.update(target.subresource("status"), answer).await {
            // The newer state is on its way to us.
            Err(status) if status.is_not_found() || status.is_conflict() => Ok(Requeue::Never),
            other => other.map(|_| Requeue::Never).map_err(Into::into),
        }
    }
}
