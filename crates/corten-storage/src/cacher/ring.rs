//! The recent events of a resource, from which watchers read at their own pace.

use std::{collections::VecDeque, ops::ControlFlow, sync::Arc, time::Duration};

use super::event::CacheEvent;
use crate::kv::Revision;

/// The ring never holds more: a watcher this far behind is closed and lists again.
const EVENTS_MAX: usize = 16_384;

/// The ring holds no more bytes of events (unless a single one has more): about 12,000 pods of 2.5 KB.
const BYTES_MAX: usize = 64 << 20;

/// The ring holds at least this many, if they are small, however old: a quiet resource can be resumed after hours.
const EVENTS_MIN: usize = 256;

/// Younger events are kept while there is room. Upstream's figure: storage/cacher `eventFreshDuration`.
const FRESH: Duration = Duration::from_secs(75);

/// Events with consecutive sequence numbers.
#[derive(Debug, Default)]
pub(super) struct Ring {
    events: VecDeque<(Duration, Arc<CacheEvent>)>,
    /// The sequence number of the first event of `events`.
    first: u64,
    /// The sum of `CacheEvent::bytes`.
    bytes: usize,
    /// Events after this revision are complete.
    complete_after: Revision,
}

impl Ring {
    /// Forgets everything: the ring is complete from `revision` on. Sequence numbers go on, with a gap that closes
    /// every watcher from before.
    pub(super) fn restart(&mut self, revision: Revision) {
        self.first = self.next_sequence() + 1;
        self.events.clear();
        self.bytes = 0;
        self.complete_after = revision;
    }

    pub(super) fn next_sequence(&self) -> u64 {
        self.first + self.events.len() as u64
    }

    /// The sequence number of the first event that is still there.
    pub(super) fn first_sequence(&self) -> u64 {
        self.first
    }

    /// `dropped` hears of each event that goes for it, with its number.
    pub(super) fn push(&mut self, now: Duration, event: Arc<CacheEvent>, mut dropped: impl FnMut(u64, &CacheEvent)) {
        self.bytes += event.bytes();
        self.events.push_back((now, event));
        while self.is_over(now) {
            let (_, event) = self.events.pop_front().expect("a ring with too much in it is not empty");
            dropped(self.first, &event);
            self.bytes -= event.bytes();
            self.first += 1;
            self.complete_after = event.revision;
        }
    }

    /// Whether the oldest event has to go.
    fn is_over(&self, now: Duration) -> bool {
        let is_stale = |(at, _): &(Duration, _)| now.saturating_sub(*at) > FRESH;
        self.events.len() > EVENTS_MAX
            || (self.bytes > BYTES_MAX && self.events.len() > 1)
            || (self.events.len() > EVENTS_MIN && self.events.front().is_some_and(is_stale))
    }

    /// The sequence number of the first event after `revision`; breaks with the oldest usable revision if events after
    /// `revision` are missing.
    pub(super) fn sequence_after(&self, revision: Revision) -> ControlFlow<Revision, u64> {
        if revision < self.complete_after {
            return ControlFlow::Break(self.complete_after);
        }
        let skipped = self.events.partition_point(|(_, event)| event.revision <= revision);
        ControlFlow::Continue(self.first + skipped as u64)
    }

    /// The events from `sequence` on, with their numbers; `None` if some of them are gone.
    pub(super) fn read(&self, sequence: u64) -> Option<impl Iterator<Item = (u64, &Arc<CacheEvent>)>> {
        let skip = usize::try_from(sequence.checked_sub(self.first)?).ok()?;
        Some((sequence..).zip(self.events.range(skip.min(self.events.len())..)).map(|(at, (_, event))| (at, event)))
    }

    /// The event with this number, if it is still there.
    pub(super) fn get(&self, sequence: u64) -> Option<&Arc<CacheEvent>> {
        let at = usize::try_from(sequence.checked_sub(self.first)?).ok()?;
        self.events.get(at).map(|(_, event)| event)
    }
}

#[cfg(test)]
mod tests {
    use corten_apimachinery::stored::{Facts, Stored};

    use super::*;
    use crate::cacher::event::Change;

    fn event(revision: Revision, bytes: usize) -> Arc<CacheEvent> {
        let object = Stored {
            revision,
            namespace: "".into(),
            name: "a".into(),
            uid: "u".into(),
            json: vec![b' '; bytes].into(),
            facts: Facts::default(),
        };
        Arc::new(CacheEvent::new(Change::Put, revision, Arc::new(object), None))
    }

    #[track_caller]
    fn check(seconds_between: u64, bytes: usize, count: u64, kept: usize) {
        let mut ring = Ring::default();
        for n in 1..=count {
            ring.push(Duration::from_secs(n * seconds_between), event(n, bytes), |_, _| {});
        }
        assert_eq!(ring.events.len(), kept);
        assert_eq!(ring.complete_after, count - kept as u64, "what was dropped is known to be missing");
        assert_eq!(ring.bytes, ring.events.iter().map(|(_, event)| event.bytes()).sum::<usize>());
        assert_eq!(ring.next_sequence(), count);
    }

    #[test]
    fn the_ring_is_bounded_by_count_age_and_bytes() {
        check(0, 0, EVENTS_MAX as u64 + 10, EVENTS_MAX);
        check(1, 0, 300, EVENTS_MIN);
        check(0, 1 << 20, 100, 31);
        check(0, BYTES_MAX, 3, 1);
    }
}
