//! How much the rings of events keep in memory, each and all together.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// All rings together keep no more than this, beside what each keeps in any case: four rings that are full.
const ALL_BYTES_MAX: usize = 256 << 20;

/// What all rings of a server keep in memory. Clones of the `Arc` share it.
#[derive(Debug)]
pub struct EventMemory {
    bytes: AtomicUsize,
    bytes_max: usize,
}

impl Default for EventMemory {
    fn default() -> Self {
        Self::new(ALL_BYTES_MAX)
    }
}

impl EventMemory {
    /// With a bound of the caller's.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes: AtomicUsize::new(0), bytes_max }
    }

    /// How much it is now.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// What one ring keeps in memory. Its events count themselves here, and what watchers have made of them.
#[derive(Debug, Default)]
pub(super) struct RingMemory {
    kept: AtomicUsize,
    made: AtomicUsize,
    all: Arc<EventMemory>,
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
    pub(super) fn among(all: &Arc<EventMemory>) -> Self {
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
        self.all.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn subtract(&self, kind: Kind, bytes: usize) {
        self.of(kind).fetch_sub(bytes, Ordering::Relaxed);
        self.all.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(super) fn bytes(&self, kind: Kind) -> usize {
        self.of(kind).load(Ordering::Relaxed)
    }

    /// Whether all rings together have too much.
    pub(super) fn is_too_much(&self) -> bool {
        self.all.bytes() > self.all.bytes_max
    }
}
