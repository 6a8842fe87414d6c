//! How much the past of objects takes in memory, in each cache and in all together: recent events, and states that are kept for
//! lists.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

/// All rings together keep no more than this, beside what each keeps in any case: four rings that are full.
const ALL_EVENTS_BYTES_MAX: u64 = 256 << 20;

/// All states kept for lists keep no more than this together, beside what each cache keeps in any case: two caches that keep all
/// they may, so that no resource alone leaves others without.
const ALL_STATES_BYTES_MAX: u64 = 512 << 20;

/// What all caches of a server keep in memory of the past. Clones of the `Arc` share it.
#[derive(Debug)]
pub struct PastMemory {
    events: Account,
    states: Account,
}

impl Default for PastMemory {
    fn default() -> Self {
        Self::new(ALL_EVENTS_BYTES_MAX, ALL_STATES_BYTES_MAX)
    }
}

impl PastMemory {
    /// With bounds of the caller's.
    #[must_use]
    pub fn new(events_bytes_max: u64, states_bytes_max: u64) -> Self {
        Self { events: Account::new(events_bytes_max), states: Account::new(states_bytes_max) }
    }

    /// How much recent events are now.
    #[must_use]
    pub fn events_bytes(&self) -> u64 {
        self.events.bytes.load(Ordering::Relaxed)
    }

    /// How much states that are kept for lists are now, beside what is current.
    #[must_use]
    pub fn states_bytes(&self) -> u64 {
        self.states.bytes.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
struct Account {
    bytes: AtomicU64,
    bytes_max: u64,
}

impl Account {
    fn new(bytes_max: u64) -> Self {
        Self { bytes: AtomicU64::new(0), bytes_max }
    }

    fn add(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn subtract(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn is_too_much(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) > self.bytes_max
    }
}

/// What one cache keeps in memory for lists that are read page by page.
#[derive(Debug, Default)]
pub(super) struct StatesMemory {
    bytes: u64,
    all: Arc<PastMemory>,
}

impl StatesMemory {
    /// Nothing yet, among `all`.
    pub(super) fn among(all: &Arc<PastMemory>) -> Self {
        Self { bytes: 0, all: Arc::clone(all) }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// It is so much now.
    pub(super) fn set(&mut self, bytes: u64) {
        if bytes > self.bytes {
            self.all.states.add(bytes - self.bytes);
        } else if bytes < self.bytes {
            self.all.states.subtract(self.bytes - bytes);
        }
        self.bytes = bytes;
    }

    /// Whether all caches together have too much.
    pub(super) fn is_too_much(&self) -> bool {
        self.all.states.is_too_much()
    }
}

impl Drop for StatesMemory {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// What one ring keeps in memory. Its events count themselves here, and what watchers have made of them.
#[derive(Debug, Default)]
pub(super) struct RingMemory {
    kept: AtomicUsize,
    made: AtomicUsize,
    all: Arc<PastMemory>,
}

/// What bytes are kept for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The past of objects: who is behind cannot do without it.
    Kept,
    /// Forms of events, which can be made again.
    Made,
}

impl RingMemory {
    /// Nothing yet, among `all`.
    pub(super) fn among(all: &Arc<PastMemory>) -> Self {
        Self { all: Arc::clone(all), ..Self::default() }
    }

    fn of(&self, kind: Kind) -> &AtomicUsize {
        match kind {
            Kind::Kept => &self.kept,
            Kind::Made => &self.made,
        }
    }

    pub(super) fn add(&self, kind: Kind, bytes: usize) {
        self.of(kind).fetch_add(bytes, Ordering::Relaxed);
        self.all.events.add(bytes as u64);
    }

    pub(super) fn subtract(&self, kind: Kind, bytes: usize) {
        self.of(kind).fetch_sub(bytes, Ordering::Relaxed);
        self.all.events.subtract(bytes as u64);
    }

    pub(super) fn bytes(&self, kind: Kind) -> usize {
        self.of(kind).load(Ordering::Relaxed)
    }

    /// Whether all rings together have too much.
    pub(super) fn is_too_much(&self) -> bool {
        self.all.events.is_too_much()
    }
}
