//! The recent events of a resource, from which watchers read at their own pace.

use std::{
    collections::VecDeque,
    ops::{ControlFlow, RangeInclusive},
    sync::Arc,
    time::Duration,
};

use super::{
    event::CacheEvent,
    memory::{Kind, PastMemory, RingMemory},
};
use crate::kv::Revision;

/// The ring never holds more: a watcher this far behind is closed and lists again.
const EVENTS_MAX: usize = 16_384;

/// The past of a resource takes half the bytes of its present at most, within these bounds: what the ring keeps of objects that
/// were replaced or deleted. What is live is not its own, and does not count. What watchers have made of events may take as much
/// again, and is forgotten before an event is.
const BYTES: RangeInclusive<usize> = 2 << 20..=64 << 20;

/// Where all rings together keep too much, each that grows goes down to this.
const BYTES_MIN: usize = 1 << 20;

/// Of large objects the ring holds at least this many events all the same, unless all rings together keep too much: who reads
/// them is behind by a few in no time.
const LARGE_EVENTS_MIN: usize = 16;

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
    /// What the events keep, with what watchers have made of them.
    memory: Arc<RingMemory>,
    /// Events after this revision are complete.
    complete_after: Revision,
}

impl Ring {
    /// An empty one, whose events count among those of `all`.
    pub(super) fn among(all: &Arc<PastMemory>) -> Self {
        let mut ring = Self::default();
        ring.memory = Arc::new(RingMemory::among(all));
        ring
    }

    /// Forgets everything: the ring is complete from `revision` on. Sequence numbers go on, with a gap that closes
    /// every watcher from before. The events that were here have to `leave` yet.
    pub(super) fn restart(&mut self, revision: Revision) -> impl Iterator<Item = Arc<CacheEvent>> + use<> {
        self.first = self.next_sequence() + 1;
        self.complete_after = revision;
        std::mem::take(&mut self.events).into_iter().map(|(_, event)| event)
    }

    pub(super) fn next_sequence(&self) -> u64 {
        self.first + self.events.len() as u64
    }

    /// The sequence number of the first event that is still there.
    pub(super) fn first_sequence(&self) -> u64 {
        self.first
    }

    /// `live_bytes`: how much the objects are together. `dropped` is given each event that goes for it, with its number: it has
    /// to `leave` yet, and its memory is free once the caller has let go of it.
    pub(super) fn push(
        &mut self,
        now: Duration,
        event: Arc<CacheEvent>,
        live_bytes: usize,
        mut dropped: impl FnMut(u64, Arc<CacheEvent>),
    ) {
        event.enter(&self.memory);
        self.events.push_back((now, event));
        let bytes_max = bytes_max(live_bytes);
        while self.is_over(now, bytes_max) {
            let (_, event) = self.events.pop_front().expect("a ring with too much in it is not empty");
            event.leave_at_once();
            self.complete_after = event.revision;
            dropped(self.first, event);
            self.first += 1;
        }
    }

    /// Forgets half of what watchers have made, that of old events first, if it is too much.
    pub(super) fn forget_made(&self, live_bytes: usize) {
        let bytes_max = if self.memory.is_too_much() { BYTES_MIN } else { bytes_max(live_bytes) };
        if self.memory.bytes(Kind::Made) <= bytes_max {
            return;
        }
        for (_, event) in &self.events {
            if self.memory.bytes(Kind::Made) <= bytes_max / 2 {
                break;
            }
            event.forget_made();
        }
    }

    /// Whether the oldest event has to go.
    fn is_over(&self, now: Duration, bytes_max: usize) -> bool {
        let (bytes, count) = (self.memory.bytes(Kind::Kept), self.events.len());
        let has_too_many_bytes = if self.memory.is_too_much() {
            bytes > BYTES_MIN
        } else {
            bytes > *BYTES.end() || (bytes > bytes_max && count > LARGE_EVENTS_MIN)
        };
        let is_stale = |(at, _): &(Duration, _)| now.saturating_sub(*at) > FRESH;
        count > EVENTS_MAX
            || (has_too_many_bytes && count > 1)
            || (count > EVENTS_MIN && self.events.front().is_some_and(is_stale))
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

/// How many bytes a ring may keep of the past of objects that are so much together.
fn bytes_max(live_bytes: usize) -> usize {
    (live_bytes / 2).clamp(*BYTES.start(), *BYTES.end())
}

impl Drop for Ring {
    fn drop(&mut self) {
        self.events.drain(..).for_each(|(_, event)| event.leave());
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use corten_apimachinery::stored::{Facts, Stored};

    use super::*;
    use crate::cacher::event::{Change, Purpose};

    fn object(revision: Revision, bytes: usize) -> Arc<Stored> {
        Arc::new(Stored {
            revision,
            namespace: "".into(),
            name: "a".into(),
            uid: "u".into(),
            json: " ".repeat(bytes).into(),
            facts: Facts::default(),
        })
    }

    /// A change of an object that had as many bytes before.
    fn event(revision: Revision, bytes: usize) -> Arc<CacheEvent> {
        let previous = (bytes > 0).then(|| object(revision - 1, bytes));
        Arc::new(CacheEvent::new(Change::Put, revision, object(revision, bytes), previous))
    }

    #[track_caller]
    fn check(seconds_between: u64, bytes: usize, live_bytes: usize, count: u64, kept: usize) {
        let mut ring = Ring::default();
        for n in 1..=count {
            ring.push(Duration::from_secs(n * seconds_between), event(n, bytes), live_bytes, |_, event| event.leave());
        }
        assert_eq!(ring.events.len(), kept);
        assert_eq!(ring.complete_after, count - kept as u64, "what was dropped is known to be missing");
        assert_eq!(ring.memory.bytes(Kind::Kept), kept * (bytes + size_of::<CacheEvent>()));
        assert_eq!(ring.next_sequence(), count);
    }

    #[test]
    fn the_ring_is_bounded_by_count_age_and_bytes() {
        const MIB: usize = 1 << 20;
        check(0, 0, 0, EVENTS_MAX as u64 + 10, EVENTS_MAX);
        check(1, 0, 0, 300, EVENTS_MIN);
        check(0, MIB / 16, 0, 100, 31);
        check(0, MIB / 16, 8 * MIB, 100, 63);
        check(0, MIB, 1_000 * MIB, 100, 63);
        check(0, MIB, 0, 100, LARGE_EVENTS_MIN);
        check(0, 32 * MIB, 0, 3, 1);
    }

    #[test]
    fn only_what_is_no_longer_live_counts() {
        let mut ring = Ring::default();
        let own = size_of::<CacheEvent>();
        let (first, second, third) = (object(1, 1_000), object(2, 2_000), object(3, 2_000));
        let created = CacheEvent::new(Change::Put, 1, Arc::clone(&first), None);
        let changed = CacheEvent::new(Change::Put, 2, Arc::clone(&second), Some(first));
        let deleted = CacheEvent::new(Change::Delete, 3, third, Some(second));
        for (event, bytes) in [(created, own), (changed, 2 * own + 1_000), (deleted, 3 * own + 5_000)] {
            ring.push(Duration::ZERO, Arc::new(event), 0, |_, event| event.leave());
            assert_eq!(ring.memory.bytes(Kind::Kept), bytes);
        }
    }

    fn purpose(form: u32) -> Purpose {
        Purpose { api_version: "v1".into(), form }
    }

    /// One frame was counted of each event, however many were made of it: a resource with several versions and encodings
    /// kept several times the ring's bound. Then frames that somebody had read took the place of events that others had not.
    #[test]
    fn what_watchers_make_of_events_is_counted_and_goes_first() {
        let mut ring = Ring::default();
        let now = Duration::ZERO;
        let first = event(1, 100);
        ring.push(now, Arc::clone(&first), 0, |_, event| event.leave());
        let made = |ring: &Ring| ring.memory.bytes(Kind::Made);
        let half = || Ok::<_, ()>(vec![b' '; BYTES.start() / 2].into());
        for form in [1, 2, 1] {
            first.frame(&purpose(form), half).unwrap();
        }
        assert_eq!(made(&ring), *BYTES.start());
        ring.push(now, event(2, 100), 0, |_, event| event.leave());
        ring.forget_made(0);
        assert_eq!((ring.events.len(), made(&ring)), (2, *BYTES.start()), "as much as it may be");
        first.frame(&purpose(3), half).unwrap();
        ring.push(now, event(3, 100), 0, |_, event| event.leave());
        ring.forget_made(0);
        assert_eq!((ring.events.len(), made(&ring)), (3, 0), "frames go, events stay");
        first.frame(&purpose(3), half).unwrap();
        ring.restart(3).for_each(|event| event.leave());
        assert_eq!((made(&ring), ring.memory.bytes(Kind::Kept)), (0, 0));
        // What a watcher makes of it now is no longer the ring's.
        first.frame(&purpose(4), half).unwrap();
        assert_eq!(made(&ring), 0);
    }

    #[test]
    fn what_watchers_share_is_made_once_for_each_purpose() {
        let event = event(1, 100);
        let shown = |form| event.shown(&purpose(form), || Ok::<_, ()>(Arc::new(Stored::clone(&event.object)))).unwrap();
        assert!(Arc::ptr_eq(&shown(1), &shown(1)) && !Arc::ptr_eq(&shown(1), &shown(2)));
        let frame = |api_version: &str, text: &'static [u8]| {
            let purpose = Purpose { api_version: api_version.into(), form: 1 };
            event.frame(&purpose, || Ok::<_, ()>(Bytes::from_static(text))).unwrap()
        };
        assert_eq!(
            (frame("v1", b"a"), frame("events.k8s.io/v1", b"b"), frame("v1", b"c")),
            ("a".into(), "b".into(), "a".into())
        );
        assert_eq!(event.frame(&purpose(7), || Err::<Bytes, _>("no")), Err("no"));
        assert_eq!(event.frame(&purpose(7), || Ok::<_, ()>("d".into())), Ok("d".into()));
    }

    /// Each resource and definition had a bound of its own, and there was none for all of them.
    #[test]
    fn all_rings_have_a_bound_together() {
        let all = Arc::new(PastMemory::new(8 * BYTES_MIN as u64, 0));
        let mut rings: Vec<Ring> = (0..4).map(|_| Ring::among(&all)).collect();
        for revision in 1..=100 {
            for ring in &mut rings {
                ring.push(Duration::ZERO, event(revision, BYTES_MIN / 16), 0, |_, event| event.leave());
            }
        }
        let bytes = all.events_bytes() as usize;
        assert!((7 * BYTES_MIN..=9 * BYTES_MIN).contains(&bytes), "{bytes}");
        assert!(rings.iter().all(|ring| !ring.events.is_empty()));
        drop(rings);
        assert_eq!(all.events_bytes(), 0);
    }
}
