//! PLEG: keeps the runtime's view of every pod up to date, by the runtime's events and by listing.
//!
//! Flow: subscribe -> list -> events (each carries its whole pod) -> `RuntimeCache` -> listener (`pod_workers`).
//! Invariant: what is shown is never older than the last answer; an event that contradicts it makes PLEG ask.
//! Upstream: pkg/kubelet/pleg (v1.35).

pub mod cache;
pub mod records;

use std::{sync::Arc, time::Duration};

use corten_base::{Backoff, SharedClock, SharedRng, Shutdown};
use corten_cri::{Code, CriError, EventStream, RuntimeService, api::GetEventsRequest};
use futures::StreamExt as _;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::pod_ref::go_duration;

pub use cache::{Listener, RuntimeCache};
pub use records::{PodRuntimeStatus, SandboxRecord};

/// How often the runtime is listed although it sends events: events may get lost without anybody knowing.
const RELIST_WITH_EVENTS: Duration = Duration::from_secs(300);
/// How often a runtime without events is listed. Upstream: `genericPlegRelistPeriod`.
const RELIST_WITHOUT_EVENTS: Duration = Duration::from_secs(1);
/// Without news for this long PLEG is not healthy. Upstream: `genericPlegRelistThreshold`.
const UNHEALTHY_AFTER: Duration = Duration::from_secs(180);

/// The task that keeps a `RuntimeCache`.
pub struct Pleg {
    runtime: Arc<dyn RuntimeService>,
    cache: Arc<RuntimeCache>,
    clock: SharedClock,
    rng: SharedRng,
    health: Arc<PlegHealth>,
}

/// Whether the view is fresh; shared with the node's status.
pub struct PlegHealth {
    view: watch::Sender<View>,
}

/// How fresh the view is. Times are of the monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum View {
    /// Nothing has been heard yet.
    Unseen,
    /// The runtime tells of every change: no news is good news.
    Followed,
    /// The last answer came then.
    Seen(Duration),
}

impl PlegHealth {
    fn new() -> Self {
        Self { view: watch::Sender::new(View::Unseen) }
    }

    /// Completes once the first list is in the cache. Cancel-safe.
    pub async fn synced(&self) {
        let mut view = self.view.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        let _ = view.wait_for(|view| *view != View::Unseen).await;
    }

    /// What the node's Ready condition says about PLEG: `None` if all is well.
    #[must_use]
    pub fn problem(&self, clock: &dyn corten_base::Clock) -> Option<String> {
        match *self.view.borrow() {
            View::Unseen => Some("PLEG is not healthy: pleg has yet to be successful".to_owned()),
            View::Followed => None,
            View::Seen(last) => {
                let silent = clock.monotonic().saturating_sub(last);
                (silent >= UNHEALTHY_AFTER).then(|| {
                    let (silent, threshold) = (go_duration(silent), go_duration(UNHEALTHY_AFTER));
                    format!("PLEG is not healthy: pleg was last seen active {silent} ago; threshold is {threshold}")
                })
            }
        }
    }

    /// Tells of the problem whenever it comes or goes, until shutdown is requested: PLEG itself says when it heard from
    /// the runtime, and only the moment at which silence becomes a problem is waited for.
    pub async fn report(&self, clock: &dyn corten_base::Clock, tell: impl Fn(Option<String>), shutdown: Shutdown) {
        let mut view = self.view.subscribe();
        loop {
            let now = *view.borrow_and_update();
            tell(self.problem(clock));
            let due = async {
                match now {
                    View::Seen(last) if clock.monotonic() < last + UNHEALTHY_AFTER => {
                        clock.sleep((last + UNHEALTHY_AFTER).saturating_sub(clock.monotonic())).await;
                    }
                    // Silent for too long already, or nothing to wait for.
                    _ => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = shutdown.requested() => return,
                // The sender lives in `self`.
                _ = view.changed() => {}
                () = due => {}
            }
        }
    }

    /// The runtime was listed, and tells of changes from now on.
    fn following(&self) {
        self.view.send_if_modified(|view| std::mem::replace(view, View::Followed) != View::Followed);
    }

    /// The runtime was listed, and does not tell of changes.
    fn listed(&self, now: Duration) {
        self.view.send_replace(View::Seen(now));
    }

    /// From now on changes may be missed: the runtime has been asked and has not answered yet, or its events ended.
    fn waiting(&self, now: Duration) {
        self.view.send_if_modified(|view| {
            let was_followed = *view == View::Followed;
            if was_followed {
                *view = View::Seen(now);
            }
            was_followed
        });
    }
}

/// How a subscription ended.
enum Ended {
    Shutdown,
    /// The runtime has no events.
    Unsupported,
    Failed(Option<CriError>),
}

impl Pleg {
    /// A PLEG for one runtime.
    #[must_use]
    pub fn new(
        runtime: Arc<dyn RuntimeService>,
        cache: Arc<RuntimeCache>,
        clock: SharedClock,
        rng: SharedRng,
    ) -> (Self, Arc<PlegHealth>) {
        let health = Arc::new(PlegHealth::new());
        (Self { runtime, cache, clock, rng, health: Arc::clone(&health) }, health)
    }

    /// Follows the runtime until shutdown is requested.
    pub async fn run(self, shutdown: Shutdown) {
        // 100 ms to 5 s: a runtime that is started anew is back within that time.
        let mut backoff = Backoff::doubling(Duration::from_millis(100), Duration::from_secs(5)).with_jitter(0.5);
        loop {
            let ended = self.follow(&shutdown, &mut backoff).await;
            self.health.waiting(self.clock.monotonic());
            match ended {
                Ended::Shutdown => return,
                Ended::Unsupported => {
                    info!("Container runtime has no events, listing it instead");
                    return self.poll(&shutdown).await;
                }
                Ended::Failed(error) => {
                    let delay = backoff.next(&*self.rng);
                    let retry_in_ms = delay.as_millis() as u64;
                    match error {
                        Some(err) => warn!(%err, retry_in_ms, "Lost the container runtime's events"),
                        None => info!(retry_in_ms, "Container runtime ended its events"),
                    }
                    tokio::select! {
                        biased;
                        () = shutdown.requested() => return,
                        () = self.clock.sleep(delay) => {}
                    }
                }
            }
        }
    }

    async fn follow(&self, shutdown: &Shutdown, backoff: &mut Backoff) -> Ended {
        let subscribed = tokio::select! {
            biased;
            () = shutdown.requested() => return Ended::Shutdown,
            subscribed = self.runtime.get_container_events(GetEventsRequest {}) => subscribed,
        };
        let mut events = match subscribed {
            Ok(events) => events,
            Err(error) if error.code == Code::Unimplemented => return Ended::Unsupported,
            Err(error) => return Ended::Failed(Some(error)),
        };
        loop {
            self.health.waiting(self.clock.monotonic());
            tokio::select! {
                biased;
                () = shutdown.requested() => return Ended::Shutdown,
                listed = self.cache.relist() => if let Err(error) = listed {
                    return Ended::Failed(Some(error));
                },
            }
            self.health.following();
            backoff.reset();
            let due = self.clock.sleep(RELIST_WITH_EVENTS);
            if let Some(ended) = self.take_events(&mut events, due, shutdown).await {
                return ended;
            }
        }
    }

    /// Applies events until it is time to list again (`None`) or the stream is over.
    async fn take_events(
        &self,
        events: &mut EventStream,
        mut due: corten_base::clock::Sleep,
        shutdown: &Shutdown,
    ) -> Option<Ended> {
        loop {
            let event = tokio::select! {
                biased;
                () = shutdown.requested() => return Some(Ended::Shutdown),
                event = events.next() => event,
                () = &mut due => return None,
            };
            match event {
                Some(Ok(event)) => {
                    let doubtful = records::change_of(event).and_then(|change| self.cache.apply(change));
                    if let Some(uid) = doubtful {
                        self.health.waiting(self.clock.monotonic());
                        let refreshed = tokio::select! {
                            biased;
                            () = shutdown.requested() => return Some(Ended::Shutdown),
                            refreshed = self.cache.refresh(&uid) => refreshed,
                        };
                        if let Err(error) = refreshed {
                            return Some(Ended::Failed(Some(error)));
                        }
                        self.health.following();
                    }
                }
                Some(Err(error)) => return Some(Ended::Failed(Some(error))),
                None => return Some(Ended::Failed(None)),
            }
        }
    }

    async fn poll(&self, shutdown: &Shutdown) {
        loop {
            let listed = tokio::select! {
                biased;
                () = shutdown.requested() => return,
                listed = self.cache.relist() => listed,
            };
            match listed {
                Ok(()) => self.health.listed(self.clock.monotonic()),
                Err(err) => warn!(%err, "Could not list the container runtime's pods"),
            }
            tokio::select! {
                biased;
                () = shutdown.requested() => return,
                () = self.clock.sleep(RELIST_WITHOUT_EVENTS) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
