//! Writes events to the API server, one after the other, with patience but not without end.

use std::time::Duration;

use corten_apimachinery::{
    gvk::GroupVersionResource,
    status::{Reason, Status},
    value::Value,
};
use corten_base::{SharedClock, SharedRng, Shutdown, timeout};
use tracing::{debug, warn};

use super::{
    Event, EventQueue,
    correlator::{Correlator, Decision},
    series::{self, Series},
};
use crate::{
    call::PatchKind,
    client::{Client, Target},
};

/// How often an event is tried. Upstream: `maxTriesPerEvent`.
const TRIES_MAX: u32 = 12;

/// The time between two tries. Upstream: `defaultSleepDuration`.
const RETRY_DELAY: Duration = Duration::from_secs(10);

/// How long a component that ends waits for its last events to be written: they are not worth a slow end.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// The task between recorders and the API server.
#[derive(Debug)]
pub struct EventWriter {
    client: Client,
    queue: EventQueue,
    correlator: Correlator,
    series: Series,
    /// When series are looked through next, if there are any.
    look_through_at: Option<Duration>,
    clock: SharedClock,
    rng: SharedRng,
}

impl EventWriter {
    /// A writer for one queue.
    #[must_use]
    pub fn new(client: Client, queue: EventQueue, clock: SharedClock, rng: SharedRng) -> Self {
        let (correlator, series) = (Correlator::default(), Series::default());
        Self { client, queue, correlator, series, look_through_at: None, clock, rng }
    }

    /// Writes until all recorders are gone, or shutdown is requested; then tries what still waits once, for a moment.
    pub async fn run(mut self, shutdown: Shutdown) {
        loop {
            let look_through_at = self.look_through_at;
            let decisions = tokio::select! {
                biased;
                () = shutdown.requested() => break,
                event = self.queue.next() => match event {
                    Some(event) => vec![self.correlate(event)],
                    None => return,
                },
                () = self.clock.sleep_until(look_through_at.unwrap_or_default()), if look_through_at.is_some() => {
                    self.look_through()
                }
            };
            for decision in decisions {
                tokio::select! {
                    biased;
                    () = shutdown.requested() => break,
                    () = self.record(&decision) => {}
                }
            }
        }
        let clock = SharedClock::clone(&self.clock);
        match timeout(&*clock, LAST_WORDS, self.write_rest()).await {
            Ok(Ok(())) => {}
            Ok(Err(status)) => debug!(err = %status, "Dropped the events that were left at shutdown"),
            Err(elapsed) => debug!(err = %elapsed, "Dropped the events that were left at shutdown"),
        }
    }

    async fn write_rest(&mut self) -> Result<(), Status> {
        while let Some(event) = self.queue.try_next() {
            let decision = self.correlate(event);
            self.write(&decision).await?;
        }
        Ok(())
    }

    fn correlate(&mut self, event: Event) -> Decision {
        if event.action.is_empty() {
            return self.correlator.correlate(event);
        }
        let decision = self.series.correlate(event);
        self.look_through_at.get_or_insert(self.clock.monotonic() + series::FINISH);
        decision
    }

    fn look_through(&mut self) -> Vec<Decision> {
        let due = self.series.due(self.clock.now());
        self.look_through_at = (!self.series.is_empty()).then(|| self.clock.monotonic() + series::FINISH);
        due
    }

    async fn record(&self, decision: &Decision) {
        for attempt in 1..=TRIES_MAX {
            let Err(status) = self.write(decision).await else { return };
            if !is_transient(&status) {
                warn!(err = %status, "Server rejected event");
                return;
            }
            if attempt == TRIES_MAX {
                warn!(err = %status, attempt, "Could not write event");
                return;
            }
            // By chance the first time, so that components that lost their server together do not come back together.
            let delay = if attempt == 1 { RETRY_DELAY.mul_f64(self.rng.fraction()) } else { RETRY_DELAY };
            self.clock.sleep(delay).await;
        }
    }

    async fn write(&self, decision: &Decision) -> Result<(), Status> {
        match decision {
            Decision::Skip => Ok(()),
            Decision::Create(event) => self.create(event).await,
            Decision::Patch(event, patch) => match self.patch(event, patch.clone()).await {
                // Events expire, and the first one may never have been written.
                Err(status) if status.is_not_found() => self.create(event).await,
                other => other,
            },
        }
    }

    async fn create(&self, event: &Event) -> Result<(), Status> {
        let target = Target::collection(&resource(event), event.namespace());
        self.client.create(target, event.to_value()).await.map(drop)
    }

    async fn patch(&self, event: &Event, patch: Value) -> Result<(), Status> {
        let target = Target::object(&resource(event), event.namespace(), event.name.clone());
        self.client.patch(target, PatchKind::Strategic, patch).await.map(drop)
    }
}

fn resource(event: &Event) -> GroupVersionResource {
    GroupVersionResource::new(if event.action.is_empty() { "" } else { "events.k8s.io" }, "v1", "events")
}

fn is_transient(status: &Status) -> bool {
    matches!(
        status.reason,
        Reason::ServiceUnavailable | Reason::Timeout | Reason::ServerTimeout | Reason::TooManyRequests
    )
}
