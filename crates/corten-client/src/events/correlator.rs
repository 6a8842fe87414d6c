//! Makes few events of many: equal ones become a count, similar ones become one, and floods are dropped.
//!
//! Pure: what is known is in the correlator, the time comes in with the event.
//! Upstream: k8s.io/client-go/tools/record/events_cache.go (v1.35), with its figures.

use std::hash::{BuildHasher as _, RandomState};

use corten_apimachinery::{
    meta::format_time,
    value::{Str, Value},
};
use jiff::Timestamp;
use smallvec::SmallVec;

use super::{Event, lru::Lru};

/// How many events, groups and sources are remembered. Upstream: `maxLruCacheEntries`.
const CACHE_CAPACITY: usize = 4_096;

/// From this many different messages on, similar events are written as one. Upstream: `defaultAggregateMaxEvents`.
const AGGREGATE_AT: usize = 10;

/// Similar events further apart than this are not. Upstream: `defaultAggregateIntervalInSeconds`.
const AGGREGATE_INTERVAL_SECONDS: i64 = 600;

/// How many events about one object a source may write at once. Upstream: `defaultSpamBurst`.
const SPAM_BURST: f64 = 25.0;

/// How many it may write each second after that. Upstream: `defaultSpamQPS`.
const SPAM_PER_SECOND: f64 = 1.0 / 300.0;

/// What to do with an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Nothing: its source floods.
    Skip,
    /// Write it.
    Create(Event),
    /// Bring the event object that says the same up to date, by a strategic merge patch.
    Patch(Event, Value),
}

/// What is known of the events written so far.
#[derive(Debug)]
pub struct Correlator {
    hasher: RandomState,
    groups: Lru<Group>,
    written: Lru<Option<Written>>,
    sources: Lru<Bucket>,
}

/// Events that differ in their message only.
#[derive(Debug, Default)]
struct Group {
    /// The hashes of different ones, in order; at most `AGGREGATE_AT`.
    messages: SmallVec<[u64; 2]>,
    last: Option<Timestamp>,
}

/// An event object that exists.
#[derive(Debug, Clone)]
struct Written {
    name: Str,
    first: Timestamp,
    count: u32,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at: Timestamp,
}

impl Default for Correlator {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            groups: Lru::new(CACHE_CAPACITY),
            written: Lru::new(CACHE_CAPACITY),
            sources: Lru::new(CACHE_CAPACITY),
        }
    }
}

impl Correlator {
    /// Decides about `event`, which happened at `event.last`. A patch assumes that the object was written; if it was
    /// not, the event in the decision is what to create.
    pub fn correlate(&mut self, event: Event) -> Decision {
        let now = event.last;
        let event = self.aggregate(event, now);
        let known = self.written.entry(&event.key, || None);
        let mut observed = event.event;
        let patch = known.as_ref().map(|written| {
            observed.name = written.name.clone();
            observed.first = written.first;
            observed.count = written.count + 1;
            Value::object_of([
                ("count", Value::from(observed.count)),
                ("lastTimestamp", Value::String(format_time(observed.last))),
                ("message", observed.message.as_str().into()),
            ])
        });
        // Known from now on, written or not: equal events that follow count on.
        *known = Some(Written { name: observed.name.clone(), first: observed.first, count: observed.count });
        if !self.sources.entry(&source_key(&observed), || Bucket { tokens: SPAM_BURST, at: now }).take(now) {
            return Decision::Skip;
        }
        match patch {
            Some(patch) => Decision::Patch(observed, patch),
            None => Decision::Create(observed),
        }
    }

    fn aggregate(&mut self, mut event: Event, now: Timestamp) -> Keyed {
        let key = group_key(&event);
        let group = self.groups.entry(&key, Group::default);
        if group.last.is_some_and(|last| now.as_second() - last.as_second() > AGGREGATE_INTERVAL_SECONDS) {
            group.messages.clear();
        }
        group.last = Some(now);
        let message = self.hasher.hash_one(&event.message);
        if let Err(at) = group.messages.binary_search(&message) {
            group.messages.insert(at, message);
        }
        if group.messages.len() < AGGREGATE_AT {
            let key = format!("{key}\0{}\0{}", event.object.field_path, event.message);
            return Keyed { event, key };
        }
        // Keeps the set at its size, and the group aggregated.
        group.messages.remove(0);
        event.message = format!("(combined from similar events): {}", event.message);
        Keyed { event, key }
    }
}

struct Keyed {
    event: Event,
    key: String,
}

impl Bucket {
    fn take(&mut self, now: Timestamp) -> bool {
        let seconds = (now.as_millisecond() - self.at.as_millisecond()).max(0) as f64 / 1_000.0;
        self.tokens = (self.tokens + seconds * SPAM_PER_SECOND).min(SPAM_BURST);
        self.at = now;
        let may = self.tokens >= 1.0;
        if may {
            self.tokens -= 1.0;
        }
        may
    }
}

/// Who reports about what. NUL is in none of the parts.
fn source_key(event: &Event) -> String {
    let object = &event.object;
    [&event.component, &event.host, &object.kind, &object.namespace, &object.name, &object.uid, &object.api_version]
        .map(Str::as_str)
        .join("\0")
}

fn group_key(event: &Event) -> String {
    format!("{}\0{}\0{}", source_key(event), event.event_type.as_str(), event.reason)
}
