//! Keeps a claim that is being deleted for as long as pods use it.
//!
//! Flow: claims -> queue; pods that go or end -> `usage` -> the claims that wait for them -> queue -> `plan` -> the finalizer
//! is added or removed. That no pod uses a claim is asked of the API server as well: the cache may not have seen the newest pod.
//! Upstream: pkg/controller/volume/pvcprotection (v1.35).

mod plan;
mod usage;

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use corten_api::core::v1::{PersistentVolumeClaim, Pod};
use corten_apimachinery::{
    meta::ObjectMeta as _,
    status::Status,
    stored::Stored,
    value::{Str, Value},
};
use corten_client::{Client, ListOptions, Target, api::resource_of};
use corten_controller::{ControllerDescriptor, Enqueue, Key, ReconcileError, Reconciler, Requeue};
use corten_informer::{Handler, Lister};

use self::{
    plan::{PodClaims, Use},
    usage::Usage,
};
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
        let usage = Arc::new(Usage::new(Arc::clone(&queue), claims_of));
        claims.add_handler(Enqueue::object(&queue).handler());
        pods.add_handler(Arc::clone(&usage) as Arc<dyn Handler>);
        let live = tokio::sync::Mutex::default();
        let protection = Protection { client: context.client(), claims: claims.lister(), usage, live };
        QueueController::boxed(&context, queue, protection)
    },
};

/// How many pods are read until others have their turn: each can have a megabyte.
const READ_AT_ONCE: usize = 16;

/// The claims of a pod for the index. That of a pod that cannot be read has none: the list that is asked for before a claim
/// goes finds the fault.
fn claims_of(pod: &Stored) -> PodClaims {
    if !PodClaims::are_possible(pod) {
        return PodClaims::default();
    }
    PodClaims::of(pod).unwrap_or_else(|error| {
        tracing::error!(pod = %Key::of(pod), err = %error, "Read a pod that is none");
        PodClaims::default()
    })
}

struct Protection {
    client: Client,
    claims: Lister,
    usage: Arc<Usage>,
    live: tokio::sync::Mutex<Live>,
}

/// What the API server said last of the pods of a namespace: of many claims that go together each would list them anew.
#[derive(Default)]
struct Live {
    namespace: Str,
    /// The revision of the list; 0 for none.
    revision: u64,
    uses: BTreeSet<Use>,
}

#[async_trait]
impl Reconciler for Protection {
    async fn reconcile(&self, key: &Key) -> Result<Requeue, ReconcileError> {
        // Before the pods are looked at: one that goes from now on has its claim looked at again.
        self.usage.wait(key);
        let is_waiting = self.protect(key).await;
        if !matches!(is_waiting, Ok(true)) {
            self.usage.forget(key);
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
        let step = plan::plan(&claim, || self.usage.is_used(key, &claim));
        let target = Target::object(&resource_of::<PersistentVolumeClaim>(), key.namespace.clone(), key.name.clone());
        if step == Step::Remove && self.is_used_live(&stored, &claim).await? {
            return Ok(true);
        }
        settle(&self.client, target, claim, plan::FINALIZER, step).await?;
        Ok(step == Step::Wait)
    }

    /// Whether the API server has a pod that uses the claim. That nobody does is known from a list that shows the claim's
    /// deletion to have begun, whenever it was made: from then on no kubelet starts a pod that uses it. Who did may be gone.
    async fn is_used_live(&self, stored: &Stored, claim: &Value) -> Result<bool, Status> {
        let mut live = self.live.lock().await;
        let shows_deletion = live.namespace == stored.namespace && live.revision >= stored.revision;
        if shows_deletion && !live.has(claim) {
            return Ok(false);
        }
        *live = self.list(&stored.namespace).await?;
        Ok(live.has(claim))
    }

    async fn list(&self, namespace: &Str) -> Result<Live, Status> {
        let pods = Target::collection(&resource_of::<Pod>(), namespace.clone());
        let newest = self.client.list(pods, &ListOptions::default()).await?;
        let mut uses = BTreeSet::new();
        for pods in newest.items.chunks(READ_AT_ONCE) {
            for pod in pods {
                // One that cannot be read may be a user: what is kept can go later.
                uses.extend(PodClaims::of(pod).map_err(Status::internal)?.0);
            }
            tokio::task::yield_now().await;
        }
        Ok(Live { namespace: namespace.clone(), revision: newest.revision, uses })
    }
}

impl Live {
    /// Whether a pod of the list uses the claim.
    fn has(&self, claim: &Value) -> bool {
        let of_name = Use::of_name(claim.name());
        self.uses.range(of_name..).take_while(|using| using.claim == claim.name()).any(|using| using.is_of(claim))
    }
}
