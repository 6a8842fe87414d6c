//! Counters of an informer, read by whoever exposes metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a reflector has done so far. Reading and counting are independent: a snapshot is not atomic over its fields.
#[derive(Debug, Default)]
pub struct Metrics {
    pub(crate) lists: AtomicU64,
    pub(crate) watches: AtomicU64,
    pub(crate) events: AtomicU64,
    pub(crate) failures: AtomicU64,
}

/// The counters at one time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Complete lists received (by LIST, or as the first part of a watch).
    pub lists: u64,
    /// Watches opened.
    pub watches: u64,
    /// Events received, progress marks included.
    pub events: u64,
    /// Lists and watches that failed.
    pub failures: u64,
}

impl Metrics {
    /// The counters now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Snapshot {
            lists: read(&self.lists),
            watches: read(&self.watches),
            events: read(&self.events),
            failures: read(&self.failures),
        }
    }

    pub(crate) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
