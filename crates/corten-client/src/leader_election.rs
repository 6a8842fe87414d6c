//! Leader election: of several replicas, the one that holds a Lease works.
//!
//! A replica that holds the lease renews it; the others watch it age by their own clocks, so that clocks need not agree,
//! and take it when it has not been renewed for its whole duration. A leader that cannot renew in time stops by itself
//! before the others may start.
//! Upstream: k8s.io/client-go/tools/leaderelection (v1.35).

use std::{future::Future, time::Duration};

use corten_apimachinery::{
    codec::{FieldValidation, json},
    gvk::GroupVersionResource,
    meta::format_micro_time,
    status::Status,
    stored::Stored,
    value::{Str, Value},
};
use corten_base::{SharedClock, SharedRng, Shutdown, timeout};
use jiff::Timestamp;
use tracing::{info, warn};

use crate::client::{Client, Target};

/// Up to how much longer than the retry period a candidate waits, by chance. Upstream: `JitterFactor`.
const JITTER: f64 = 1.2;

/// How long the work of a leader may take to end once the lease is lost: about what is left of it then. Upstream ends the
/// process at once.
const STOP_WITHIN: Duration = Duration::from_secs(1);

/// The times of an election. `lease > renew_deadline > 1.2 * retry`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// How long a lease that is not renewed keeps the others away; whole seconds.
    pub lease: Duration,
    /// How long a leader tries to renew before it gives up.
    pub renew_deadline: Duration,
    /// The time between two tries.
    pub retry: Duration,
}

impl Default for Timing {
    /// Upstream's defaults: 15 s, 10 s, 2 s.
    fn default() -> Self {
        Self { lease: Duration::from_secs(15), renew_deadline: Duration::from_secs(10), retry: Duration::from_secs(2) }
    }
}

/// How an election ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Shutdown came before this replica was elected.
    NeverLed,
    /// The work ended, by itself or by shutdown, and the lease was given back.
    Finished,
    /// The lease could not be renewed, so the work was stopped, or cut off where it did not stop. Tasks that it has spawned
    /// may still run: the process has to end.
    Lost,
}

/// One replica's part in an election.
#[derive(Debug)]
pub struct LeaderElection {
    client: Client,
    target: Target,
    identity: Str,
    timing: Timing,
    clock: SharedClock,
    rng: SharedRng,
    observed: Option<Observed>,
}

/// The lease as it was last seen.
#[derive(Debug)]
struct Observed {
    lease: Value,
    /// When its record was first seen as it is, by our own monotonic clock.
    since: Duration,
}

impl LeaderElection {
    /// A candidate for the lease `namespace/name`. `identity` must differ between replicas.
    ///
    /// Panics if the times do not leave room for a leader to notice in time that it cannot renew.
    pub fn new(
        client: Client,
        (namespace, name): (&str, &str),
        identity: impl Into<Str>,
        timing: Timing,
        clock: SharedClock,
        rng: SharedRng,
    ) -> Self {
        assert!(timing.lease > timing.renew_deadline, "a lease outlives the attempts to renew it");
        assert!(timing.renew_deadline > timing.retry.mul_f64(JITTER), "a leader can try more than once");
        let target = Target::object(&resource(), namespace, name);
        Self { client, target, identity: identity.into(), timing, clock, rng, observed: None }
    }

    /// Waits to be elected, then runs `lead` until it ends. The signal that `lead` gets is that of `shutdown`, or comes
    /// earlier when the lease is lost; the lease is renewed until `lead` has ended. A second after the lease is lost `lead` is
    /// dropped, because another one leads by then.
    pub async fn run<F>(mut self, lead: impl FnOnce(Shutdown) -> F, shutdown: Shutdown) -> Outcome
    where
        F: Future<Output = ()>,
    {
        tokio::select! {
            biased;
            () = shutdown.requested() => return Outcome::NeverLed,
            () = self.acquire() => {}
        }
        info!(lease = %self.target.name, identity = %self.identity, "Became leader");
        let (trigger, signal) = shutdown.child();
        let lead = lead(signal);
        tokio::pin!(lead);
        let is_lost = tokio::select! {
            biased;
            () = &mut lead => false,
            () = self.renew_until_lost() => true,
        };
        if is_lost {
            warn!(lease = %self.target.name, identity = %self.identity, "Lost leadership");
            trigger.request();
            if timeout(&*self.clock, STOP_WITHIN, lead).await.is_err() {
                warn!(lease = %self.target.name, identity = %self.identity, "Cut off work that did not end with leadership");
            }
            return Outcome::Lost;
        }
        if let Err(status) = self.release().await {
            warn!(lease = %self.target.name, err = %status, "Could not give the lease back");
        }
        Outcome::Finished
    }

    async fn acquire(&mut self) {
        while !self.attempt().await {
            let delay = self.timing.retry + self.timing.retry.mul_f64(JITTER * self.rng.fraction());
            self.clock.sleep(delay).await;
        }
    }

    async fn renew_until_lost(&mut self) {
        let (clock, timing) = (SharedClock::clone(&self.clock), self.timing);
        loop {
            clock.sleep(timing.retry).await;
            let renewed = async {
                while !self.attempt().await {
                    clock.sleep(timing.retry).await;
                }
            };
            if timeout(&*clock, timing.renew_deadline, renewed).await.is_err() {
                return;
            }
        }
    }

    async fn attempt(&mut self) -> bool {
        self.try_acquire_or_renew().await.unwrap_or_else(|status| {
            warn!(lease = %self.target.name, err = %status, "Could not acquire or renew lease");
            false
        })
    }

    /// Whether this replica holds the lease now.
    async fn try_acquire_or_renew(&mut self) -> Result<bool, Status> {
        let now = self.clock.now();
        if let Some(observed) = &self.observed
            && holder(&observed.lease) == self.identity
            && observed.is_valid(self.clock.monotonic())
        {
            let renewed = self.claimed(observed.lease.clone(), now);
            // A refusal may mean no more than an old resource version; the newest state decides.
            if let Ok(lease) = self.client.update(self.target.clone(), renewed).await {
                self.observe(decode(&lease)?);
                return Ok(true);
            }
        }
        let current = match self.client.get(self.target.clone()).await {
            Ok(lease) => decode(&lease)?,
            Err(status) if status.is_not_found() => {
                let collection = Target { name: Str::default(), ..self.target.clone() };
                let lease = self.client.create(collection, self.first_lease(now)).await?;
                self.observe(decode(&lease)?);
                return Ok(true);
            }
            Err(status) => return Err(status),
        };
        self.observe(current);
        let observed = self.observed.as_ref().expect("it was observed on the line above");
        let holder = holder(&observed.lease);
        if !holder.is_empty() && holder != self.identity && observed.is_valid(self.clock.monotonic()) {
            return Ok(false);
        }
        let claimed = self.claimed(observed.lease.clone(), now);
        let lease = self.client.update(self.target.clone(), claimed).await?;
        self.observe(decode(&lease)?);
        Ok(true)
    }

    /// Gives the lease back, so that the next leader need not wait for its end.
    async fn release(&mut self) -> Result<(), Status> {
        let mut lease = decode(&*self.client.get(self.target.clone()).await?)?;
        if holder(&lease) != self.identity {
            return Ok(());
        }
        let now = format_micro_time(self.clock.now());
        lease.set(&["spec", "holderIdentity"], "");
        lease.set(&["spec", "leaseDurationSeconds"], 1);
        lease.set(&["spec", "renewTime"], now.clone());
        lease.set(&["spec", "acquireTime"], now);
        self.client.update(self.target.clone(), lease).await.map(drop)
    }

    /// Notes what the lease looks like; its age counts on unless its record changed.
    fn observe(&mut self, lease: Value) {
        let since = match &self.observed {
            Some(observed) if observed.lease.get("spec") == lease.get("spec") => observed.since,
            _ => self.clock.monotonic(),
        };
        self.observed = Some(Observed { lease, since });
    }

    /// `lease` with this replica as its holder from `now`.
    fn claimed(&self, mut lease: Value, now: Timestamp) -> Value {
        let now = format_micro_time(now);
        if holder(&lease) != self.identity {
            let transitions = lease.i64_at(&["spec", "leaseTransitions"]).unwrap_or_default();
            lease.set(&["spec", "leaseTransitions"], transitions + 1);
            lease.set(&["spec", "acquireTime"], now.clone());
        }
        lease.set(&["spec", "holderIdentity"], self.identity.clone());
        lease.set(&["spec", "leaseDurationSeconds"], self.lease_seconds());
        lease.set(&["spec", "renewTime"], now);
        lease
    }

    fn first_lease(&self, now: Timestamp) -> Value {
        let mut lease = Value::object();
        lease.set(&["apiVersion"], "coordination.k8s.io/v1");
        lease.set(&["kind"], "Lease");
        lease.set(&["metadata", "name"], self.target.name.clone());
        lease.set(&["metadata", "namespace"], self.target.namespace.clone());
        lease.set(&["spec", "acquireTime"], format_micro_time(now));
        lease.set(&["spec", "renewTime"], format_micro_time(now));
        lease.set(&["spec", "holderIdentity"], self.identity.clone());
        lease.set(&["spec", "leaseDurationSeconds"], self.lease_seconds());
        lease.set(&["spec", "leaseTransitions"], 0);
        lease
    }

    fn lease_seconds(&self) -> i64 {
        i64::try_from(self.timing.lease.as_secs()).expect("a lease does not last 2^63 seconds")
    }
}

impl Observed {
    fn is_valid(&self, now: Duration) -> bool {
        let seconds = self.lease.i64_at(&["spec", "leaseDurationSeconds"]).unwrap_or_default();
        self.since + Duration::from_secs(seconds.try_into().unwrap_or(0)) > now
    }
}

fn resource() -> GroupVersionResource {
    GroupVersionResource::new("coordination.k8s.io", "v1", "leases")
}

fn holder(lease: &Value) -> &str {
    lease.str_at(&["spec", "holderIdentity"]).unwrap_or_default()
}

fn decode(lease: &Stored) -> Result<Value, Status> {
    json::decode(&lease.json, None, FieldValidation::Ignore).map(|decoded| decoded.value).map_err(Status::internal)
}

#[cfg(test)]
mod tests;
