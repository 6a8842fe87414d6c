//! The node's lease: a small object whose renewal says that the kubelet lives.
//!
//! Upstream: k8s.io/component-helpers/apimachinery/lease (v1.35).

use std::{sync::Arc, time::Duration};

use corten_api::{
    coordination::v1::{Lease, LeaseSpec},
    meta::v1::{MicroTime, ObjectMeta, OwnerReference},
};
use corten_apimachinery::status::Status;
use corten_base::{Backoff, ErrorChain, SharedClock, SharedRng, Shutdown};
use corten_client::{Api, Client, api::decode};
use tokio::sync::watch;
use tracing::warn;

/// Where nodes' leases are.
const NAMESPACE: &str = "kube-node-lease";
/// Renewals come four times in a lease's life.
const RENEWALS_PER_LEASE: u32 = 4;
/// How much renewals are spread, as a part of their interval.
const JITTER: f64 = 0.04;
/// The first and the longest wait after a failure.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(7));

/// Keeps one node's lease.
pub(super) struct LeaseKeeper {
    pub(super) api: Api<Lease>,
    pub(super) node_name: String,
    /// The UID of the node as it is registered now.
    pub(super) node_uid: watch::Receiver<String>,
    pub(super) duration: Duration,
    pub(super) clock: SharedClock,
    pub(super) rng: SharedRng,
}

impl LeaseKeeper {
    pub(super) fn api(client: &Client) -> Api<Lease> {
        Api::namespaced(client, NAMESPACE)
    }

    /// Renews until shutdown.
    pub(super) async fn run(self, shutdown: Shutdown) {
        let this = Arc::new(self);
        let mut backoff = Backoff::doubling(RETRY.0, RETRY.1);
        let mut known: Option<Lease> = None;
        loop {
            let renewed = tokio::select! {
                biased;
                () = shutdown.requested() => return,
                renewed = this.renew(known.take()) => renewed,
            };
            let wait = match renewed {
                Ok(lease) => {
                    known = Some(lease);
                    backoff.reset();
                    let interval = this.duration / RENEWALS_PER_LEASE;
                    interval + interval.mul_f64(JITTER * this.rng.fraction())
                }
                Err(error) => {
                    let wait = backoff.next(&*this.rng);
                    warn!(node = %this.node_name, err = %ErrorChain(&error), retry_in_ms = wait.as_millis() as u64,
                        "Could not renew the node's lease");
                    wait
                }
            };
            tokio::select! {
                biased;
                () = shutdown.requested() => return,
                () = this.clock.sleep(wait) => {}
            }
        }
    }

    /// Renews what is known, or what is there, or makes it.
    async fn renew(&self, known: Option<Lease>) -> Result<Lease, Status> {
        if let Some(known) = known {
            match self.update(known).await {
                Err(error) if error.is_conflict() || error.is_not_found() => {}
                done => return done,
            }
        }
        match self.api.get(&self.node_name).await {
            Ok(lease) => self.update(lease).await,
            Err(error) if error.is_not_found() => decode(&*self.api.create(&self.renewed(Lease::default())).await?),
            Err(error) => Err(error),
        }
    }

    async fn update(&self, lease: Lease) -> Result<Lease, Status> {
        decode(&*self.api.update(&self.renewed(lease)).await?)
    }

    fn renewed(&self, mut lease: Lease) -> Lease {
        let meta = ObjectMeta {
            name: Some(self.node_name.clone()),
            namespace: Some(NAMESPACE.to_owned()),
            ..std::mem::take(&mut lease.metadata)
        };
        // A node that was deleted and made anew has another UID; what belongs to the old one is collected as garbage.
        let of_other = |owner: &OwnerReference| owner.kind == "Node" && owner.uid != *self.node_uid.borrow();
        let owners = meta.owner_references.as_ref();
        let has_owner = owners.is_some_and(|owners| !owners.is_empty() && !owners.iter().any(of_other));
        let owner = || {
            vec![OwnerReference {
                api_version: "v1".to_owned(),
                kind: "Node".to_owned(),
                name: self.node_name.clone(),
                uid: self.node_uid.borrow().clone(),
                ..OwnerReference::default()
            }]
        };
        let owners = if has_owner { meta.owner_references.clone() } else { Some(owner()) };
        lease.metadata = ObjectMeta { owner_references: owners, ..meta };
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(self.node_name.clone()),
            lease_duration_seconds: i32::try_from(self.duration.as_secs()).ok(),
            renew_time: Some(MicroTime(self.clock.now())),
            ..lease.spec.unwrap_or_default()
        });
        lease
    }
}
