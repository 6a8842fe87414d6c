//! `Scheduler`: the task that owns cache and queue, runs cycles, and sends out what they decide.
//!
//! Flow: `Input` (from informers) -> cache and queue -> cycles while pods are ready -> one batch of writes at a time, not
//! waited for -> outcomes come back and confirm or take back what was assumed.

mod decisions;
mod writes;

use std::sync::Arc;

use corten_apimachinery::{selector::label::Selector, value::Str};
use corten_base::{SharedClock, SharedRng, Shutdown, TaskSet};
use futures::future;
use tokio::sync::mpsc;
use tracing::error;

pub use self::writes::{Cluster, SchedulingEvent};
use self::{
    decisions::Core,
    writes::{ClusterHandle, send},
};
use crate::{
    cache::{ClaimFacts, Labels, NodeFacts, PodInfo, VolumeFacts},
    framework::{Config, plugin::ArgsError},
};

/// A full channel makes the informers' handlers wait: nothing is lost.
const INPUT_BUFFER: usize = 4_096;

/// How many cycles are run before new inputs are looked at.
const CYCLES_PER_BATCH: usize = 64;

/// No more cycles are run while this many writes are not answered: the API server is the slower side then.
const WRITES_IN_FLIGHT_MAX: usize = 1_024;

/// What the scheduler is told. Objects are told in their newest state; what they were before is in the cache.
#[derive(Debug, Clone)]
pub enum Input {
    /// A pod is new or changed.
    PodApplied(Arc<PodInfo>),
    /// The pod of this namespace and name is gone.
    PodDeleted(Str, Str),
    /// A node is new or changed.
    NodeApplied(Box<NodeFacts>),
    /// A node is gone.
    NodeDeleted(Str),
    /// A namespace's labels; `None` if it is gone.
    Namespace(Str, Option<Labels>),
    /// A service's namespace, name and selector; `None` if it is gone.
    Service(Str, Str, Option<Selector>),
    /// Kind, namespace, name and selector of a ReplicaSet, StatefulSet or ReplicationController; `None` if it is gone.
    Workload(Str, Str, Str, Option<Selector>),
    /// A claim's namespace, name and facts; `None` if it is gone.
    Claim(Str, Str, Option<ClaimFacts>),
    /// A volume's name and facts; `None` if it is gone.
    Volume(Str, Option<VolumeFacts>),
    /// A storage class's name, and whether its claims are bound only once a pod uses them; `None` if it is gone.
    StorageClass(Str, Option<bool>),
    /// All objects that existed at the start have been told: scheduling may begin.
    Synced,
}

/// The component.
#[derive(Debug)]
pub struct Scheduler {
    core: Core,
    cluster: ClusterHandle,
    inputs: mpsc::Receiver<Input>,
    clock: SharedClock,
}

impl Scheduler {
    /// Builds the scheduler and the sender of its inputs.
    ///
    /// Errors: a configuration that names unknown plugins or wrong arguments.
    pub fn build(
        config: &Config,
        cluster: Arc<dyn Cluster>,
        clock: SharedClock,
        rng: SharedRng,
    ) -> Result<(Self, mpsc::Sender<Input>), ArgsError> {
        let (sender, inputs) = mpsc::channel(INPUT_BUFFER);
        let core = Core::new(config, rng)?;
        Ok((Self { core, cluster: ClusterHandle(cluster), inputs, clock }, sender))
    }

    /// Schedules until shutdown is requested or all senders of inputs are gone. Returns when all writes are answered.
    pub async fn run(mut self, shutdown: Shutdown) {
        let tasks = TaskSet::new("scheduler");
        let (done, mut outcomes) = mpsc::channel(WRITES_IN_FLIGHT_MAX + CYCLES_PER_BATCH);
        let mut in_flight = 0;
        while !shutdown.is_requested() {
            let now = self.clock.monotonic();
            while let Ok(outcome) = outcomes.try_recv() {
                in_flight -= 1;
                self.core.on_outcome(outcome, now);
            }
            for _ in 0..INPUT_BUFFER {
                let Ok(input) = self.inputs.try_recv() else { break };
                self.core.on_input(input, now);
            }
            self.core.flush(now);
            if in_flight < WRITES_IN_FLIGHT_MAX && self.core.is_synced && self.core.queue.has_active() {
                let writes = self.core.run_cycles(CYCLES_PER_BATCH, now);
                in_flight += writes.len();
                let (cluster, done) = (self.cluster.clone(), done.clone());
                tasks.spawn("writes", async move {
                    future::join_all(writes.into_iter().map(|write| send(&cluster, write, &done))).await;
                });
                // The writes need a turn even on a single thread.
                tokio::task::yield_now().await;
                continue;
            }
            let deadline = self.core.queue.next_deadline();
            tokio::select! {
                biased;
                () = shutdown.requested() => break,
                outcome = tasks.guard(outcomes.recv()) => {
                    in_flight -= 1;
                    // Not `now`: the wait may have been long, and the back-off begins with the failure.
                    self.core.on_outcome(outcome.expect("this task holds a sender"), self.clock.monotonic());
                }
                input = self.inputs.recv() => match input {
                    Some(input) => self.core.on_input(input, self.clock.monotonic()),
                    None => break,
                },
                () = self.clock.sleep_until(deadline.unwrap_or_default()), if deadline.is_some() => {}
            }
        }
        // Nobody reads outcomes any more; the writes of the last batches still fit the channel.
        if let Err(panic) = tasks.join().await {
            error!(err = %panic, "A task of the scheduler panicked");
        }
    }
}

#[cfg(test)]
mod tests;
