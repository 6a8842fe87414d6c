//! What the allocators have given and refused: the figures of their metrics.
//!
//! Invariant: a range is counted as long as some object has it, so that nobody can make the list grow.
//! Upstream: pkg/registry/core/service/{ipallocator,portallocator}/metrics.go (v1.35).

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use ipnet::IpNet;
use parking_lot::Mutex;

use super::{range::Range, service_ranges::ServiceRanges};

/// The upper ends of the histogram's buckets, in milliseconds.
pub(crate) const BUCKETS_MS: [u32; 11] = [5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000];

/// Who chose what was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The client.
    Static,
    /// The server.
    Dynamic,
}

impl Scope {
    pub(crate) const ALL: [Self; 2] = [Self::Static, Self::Dynamic];

    /// Its name in metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::Dynamic => "dynamic",
        }
    }

    fn index(self) -> usize {
        usize::from(self == Self::Dynamic)
    }
}

/// What one allocator has done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    given: [u64; 2],
    refused: [u64; 2],
    /// How many were given within each bucket, not within the ones below it, too.
    pub(crate) buckets: [u64; BUCKETS_MS.len()],
    /// How long all that were given took together.
    pub(crate) took: Duration,
}

impl Tally {
    /// How often something was given.
    pub(crate) fn given(&self, scope: Scope) -> u64 {
        self.given[scope.index()]
    }

    /// How often nothing was given.
    pub(crate) fn refused(&self, scope: Scope) -> u64 {
        self.refused[scope.index()]
    }

    fn give(&mut self, scope: Scope, took: Duration) {
        self.given[scope.index()] += 1;
        self.took += took;
        if let Some(bucket) = BUCKETS_MS.iter().position(|end| took <= Duration::from_millis((*end).into())) {
            self.buckets[bucket] += 1;
        }
    }

    fn refuse(&mut self, scope: Scope) {
        self.refused[scope.index()] += 1;
    }
}

/// The addresses of one range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RangeCounts {
    pub(crate) range: IpNet,
    pub(crate) allocated: u64,
    pub(crate) available: u64,
    pub(crate) tally: Tally,
}

/// The node ports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PortCounts {
    pub(crate) allocated: u64,
    pub(crate) available: u64,
    pub(crate) tally: Tally,
}

/// All figures at one time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct AllocatorCounts {
    pub(crate) ranges: Vec<RangeCounts>,
    pub(crate) ports: PortCounts,
}

/// The figures since the server started.
#[derive(Debug, Default)]
pub(super) struct Counts {
    ranges: Mutex<BTreeMap<IpNet, Tally>>,
    ports: Mutex<Tally>,
}

impl Counts {
    /// An address was given.
    pub(super) fn gave(&self, ranges: &ServiceRanges, address: IpAddr, scope: Scope, took: Duration) {
        if let Some(range) = ranges.all().into_iter().find(|range| range.contains(address)) {
            self.ranges.lock().entry(range.net()).or_default().give(scope, took);
        }
    }

    /// An address was not given. One that no range has is nobody's failure.
    pub(super) fn refused(&self, ranges: &ServiceRanges, address: IpAddr, scope: Scope) {
        if let Some(range) = ranges.all().into_iter().find(|range| range.contains(address)) {
            self.ranges.lock().entry(range.net()).or_default().refuse(scope);
        }
    }

    /// No range has an address left.
    pub(super) fn exhausted(&self, ranges: &ServiceRanges, family: &str) {
        let mut counted = self.ranges.lock();
        for range in ranges.ready(family) {
            counted.entry(range.net()).or_default().refuse(Scope::Dynamic);
        }
    }

    /// A node port was given, or not.
    pub(super) fn port(&self, scope: Scope, is_given: bool) {
        let mut ports = self.ports.lock();
        if is_given { ports.give(scope, Duration::ZERO) } else { ports.refuse(scope) }
    }

    /// The figures of node ports.
    pub(super) fn of_ports(&self) -> Tally {
        self.ports.lock().clone()
    }

    /// The figures of each of `ranges`, with how many of its addresses are `taken`.
    pub(super) fn of_ranges(&self, ranges: &ServiceRanges, taken: &[IpAddr]) -> Vec<RangeCounts> {
        let all = ranges.all();
        let mut counted = self.ranges.lock();
        counted.retain(|net, _| all.iter().any(|range| range.net() == *net));
        let count = |range: Range| {
            let allocated = taken.iter().filter(|address| range.net().contains(*address)).count() as u64;
            RangeCounts {
                range: range.net(),
                allocated,
                available: range.size().saturating_sub(allocated),
                tally: counted.get(&range.net()).cloned().unwrap_or_default(),
            }
        };
        all.into_iter().map(count).collect()
    }
}
