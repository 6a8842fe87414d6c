//! The ranges that addresses are given of: those of all objects `ServiceCIDR`, with whether they are ready; where the kind is
//! switched off, the configured ones.
//!
//! What was read of the objects is kept for as long as they are the same ones: an allocation decodes nothing.
//! Upstream: pkg/registry/core/service/ipallocator/cidrallocator.go (v1.35).

use std::{net::IpAddr, sync::Arc};

use corten_apimachinery::{meta::ObjectMeta as _, status::Status, value::Value};
use corten_base::Rng;
use corten_storage::cacher::Snapshot;
use ipnet::IpNet;
use parking_lot::Mutex;

use super::range::Range;
use crate::caches::tree;

/// One range of one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ServiceRange {
    range: Range,
    is_ready: bool,
}

/// The ranges at one time.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ServiceRanges {
    /// Which objects they were read of: revisions are unique.
    revisions: Vec<u64>,
    ranges: Vec<ServiceRange>,
}

impl ServiceRanges {
    /// Ranges that no object tells of, all of them ready.
    pub(super) fn of(nets: &[IpNet]) -> Self {
        let ranges = nets.iter().filter_map(|net| Range::new(*net));
        let ranges = ranges.map(|range| ServiceRange { range, is_ready: true }).collect();
        Self { revisions: Vec::new(), ranges }
    }

    /// Whether some range has `address`, ready or not.
    pub(super) fn contain(&self, address: IpAddr) -> bool {
        self.ranges.iter().any(|range| range.range.contains(address))
    }

    /// Whether services can be given `address`.
    pub(super) fn give(&self, address: IpAddr) -> bool {
        self.ranges.iter().any(|range| range.is_ready && range.range.contains(address))
    }

    /// The ranges of a family that services can be given addresses of.
    pub(super) fn ready(&self, family: &str) -> impl Iterator<Item = Range> {
        let is_usable = move |range: &&ServiceRange| range.is_ready && range.range.family() == family;
        self.ranges.iter().filter(is_usable).map(|range| range.range)
    }

    /// All ranges, each once.
    pub(super) fn all(&self) -> Vec<Range> {
        let mut all: Vec<Range> = Vec::new();
        for range in &self.ranges {
            if !all.iter().any(|known| known.net() == range.range.net()) {
                all.push(range.range);
            }
        }
        all
    }

    /// The addresses of a family in the order in which they are tried, range by range; which one is first is random.
    pub(super) fn search(&self, family: &str, rng: &dyn Rng) -> Box<dyn Iterator<Item = IpAddr> + Send> {
        let mut ranges: Vec<Range> = Vec::new();
        for range in self.ready(family) {
            // Several objects may have the same one.
            if !ranges.iter().any(|known| known.net() == range.net()) {
                let at = usize::try_from(rng.below(ranges.len() as u64 + 1)).unwrap_or_default();
                ranges.insert(at, range);
            }
        }
        let searches: Vec<_> = ranges.into_iter().map(|range| range.search(|bound| rng.below(bound))).collect();
        Box::new(searches.into_iter().flatten())
    }
}

/// The ranges as they were read last.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<Arc<ServiceRanges>>);

impl Known {
    /// The ranges as they were read last.
    pub(super) fn last(&self) -> Arc<ServiceRanges> {
        Arc::clone(&self.0.lock())
    }

    /// The ranges that `objects` have.
    pub(super) fn read(&self, objects: &Snapshot) -> Result<Arc<ServiceRanges>, Status> {
        let known = Arc::clone(&self.0.lock());
        let revisions = || objects.range("", "").map(|(_, object)| object.revision);
        if revisions().eq(known.revisions.iter().copied()) {
            return Ok(known);
        }
        let mut read = ServiceRanges { revisions: revisions().collect(), ranges: Vec::new() };
        for (_, object) in objects.range("", "") {
            read.ranges.extend(ranges_of(&tree(object)?));
        }
        let read = Arc::new(read);
        *self.0.lock() = Arc::clone(&read);
        Ok(read)
    }
}

/// The ranges of one object. Those that nobody has spoken of yet are ready: there may be no controller that does.
fn ranges_of(object: &Value) -> Vec<ServiceRange> {
    let conditions = object.items_at(&["status", "conditions"]);
    let ready = conditions.iter().find(|condition| condition.str_at(&["type"]) == Some("Ready"));
    let is_ready =
        object.deletion_timestamp().is_none() && ready.is_none_or(|ready| ready.str_at(&["status"]) == Some("True"));
    let nets = object.items_at(&["spec", "cidrs"]).iter().filter_map(|cidr| cidr.as_str()?.parse().ok());
    nets.filter_map(Range::new).map(|range| ServiceRange { range, is_ready }).collect()
}

#[cfg(test)]
mod tests;
