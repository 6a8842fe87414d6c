//! What an engine does without being asked: expiry, and progress marks for watchers of quiet prefixes.
//!
//! At rest this task sleeps: it wakes for the next expiry, for a commit that follows a quiet time, and for shutdown.

use std::{future::Future, sync::Arc, time::Duration};

use corten_base::{SharedClock, Shutdown};
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::watch_hub::WatchHub;

/// The least time between two rounds of progress marks.
const MARK_INTERVAL: Duration = Duration::from_millis(250);

/// The longest sleep before an expiry: the wall clock can jump, for example when a laptop wakes up.
const EXPIRY_SLEEP_MAX: Duration = Duration::from_secs(60);

/// How long to wait after expiry failed (the disk is full) before trying again.
const EXPIRY_RETRY: Duration = Duration::from_secs(5);

/// When the next key expires: set by the writer, awaited by the task.
#[derive(Debug, Default)]
pub struct NextExpiry {
    at: Mutex<Option<Timestamp>>,
    changed: Notify,
}

impl NextExpiry {
    /// Says when the next key expires. Wakes the task only if that is earlier than it knew.
    pub fn set(&self, next: Option<Timestamp>) {
        let previous = std::mem::replace(&mut *self.at.lock(), next);
        if next.is_some_and(|next| previous.is_none_or(|previous| next < previous)) {
            self.changed.notify_one();
        }
    }

    fn get(&self) -> Option<Timestamp> {
        *self.at.lock()
    }
}

/// Runs until `shutdown`. `expire` deletes what has expired and sets `next`; false if that failed.
pub async fn run<F>(
    clock: SharedClock,
    hub: Arc<WatchHub>,
    next: Arc<NextExpiry>,
    shutdown: Shutdown,
    expire: impl Fn() -> F,
) where
    F: Future<Output = bool>,
{
    let mut pause = None;
    let mut expiry_failed = false;
    loop {
        let due = next.get().map(|at| {
            // In this order, time that passes between the two questions makes the task wake early, not late.
            let elapsed = clock.monotonic();
            let until = at.duration_since(clock.now());
            let until = if until.is_negative() { Duration::ZERO } else { until.unsigned_abs() };
            clock.sleep_until(elapsed + if expiry_failed { EXPIRY_RETRY } else { until.min(EXPIRY_SLEEP_MAX) })
        });
        let quiet = pause.is_none();
        tokio::select! {
            biased;
            () = shutdown.requested() => return,
            () = next.changed.notified() => {}
            () = sleep_or_never(due) => {
                if next.get().is_some_and(|at| at <= clock.now()) {
                    expiry_failed = !expire().await;
                }
            }
            () = sleep_or_never(pause.as_mut()) => pause = None,
            () = hub.moved(), if quiet => {
                hub.mark_all();
                pause = Some(clock.sleep(MARK_INTERVAL));
            }
        }
    }
}

async fn sleep_or_never(sleep: Option<impl Future<Output = ()> + Unpin>) {
    match sleep {
        Some(sleep) => sleep.await,
        None => std::future::pending().await,
    }
}
