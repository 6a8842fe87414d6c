//! Counters of a workqueue, under the names that upstream's metrics have without their prefix `workqueue_`.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// The counters at one time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Keys that wait for a worker.
    pub depth: u64,
    /// Keys that are worked on.
    pub in_work: u64,
    /// Keys that wait for their time.
    pub delayed: u64,
    /// Keys that were put in, duplicates not counted (`adds_total`).
    pub adds: u64,
    /// Keys that were put in with a back-off (`retries_total`).
    pub retries: u64,
    /// Keys that were handed out.
    pub gets: u64,
    /// How long all keys handed out had waited (sum of `queue_duration_seconds`).
    pub queue_duration: Duration,
    /// How many keys were done.
    pub works: u64,
    /// How long all keys done were worked on (sum of `work_duration_seconds`).
    pub work_duration: Duration,
    /// How long the keys in work have been in work, together (`unfinished_work_seconds`).
    pub unfinished_work: Duration,
    /// How long the oldest of them has (`longest_running_processor_seconds`).
    pub longest_running: Duration,
}

#[derive(Debug, Default)]
pub(super) struct Metrics {
    adds: AtomicU64,
    retries: AtomicU64,
    gets: AtomicU64,
    queue_micros: AtomicU64,
    works: AtomicU64,
    work_micros: AtomicU64,
}

impl Metrics {
    pub(super) fn added(&self) {
        self.adds.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn retried(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn waited(&self, duration: Duration) {
        self.gets.fetch_add(1, Ordering::Relaxed);
        self.queue_micros.fetch_add(duration.as_micros() as u64, Ordering::Relaxed);
    }

    pub(super) fn worked(&self, duration: Duration) {
        self.works.fetch_add(1, Ordering::Relaxed);
        self.work_micros.fetch_add(duration.as_micros() as u64, Ordering::Relaxed);
    }

    /// The plain counters; what depends on the queue's state is left zero.
    pub(super) fn snapshot(&self) -> Snapshot {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Snapshot {
            adds: read(&self.adds),
            retries: read(&self.retries),
            gets: read(&self.gets),
            queue_duration: Duration::from_micros(read(&self.queue_micros)),
            works: read(&self.works),
            work_duration: Duration::from_micros(read(&self.work_micros)),
            ..Snapshot::default()
        }
    }
}
