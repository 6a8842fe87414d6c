//! The recent events of a resource, from which watchers read at their own pace.

use std::{collections::VecDeque, ops::ControlFlow, sync::Arc, time::Duration};

use super::event::CacheEvent;
use crate::kv::Revision;

/// The ring never holds more: a watcher this far behind is closed and lists again.
const EVENTS_MAX: usize = 16_384;

/// The ring holds at least this many, however old: a quiet resource can be resumed after hours.
const EVENTS_MIN: usize = 256;

/// Younger events are kept while there is room. Upstream's figure: storage/cacher `eventFreshDuration`.
const FRESH: Duration = Duration::from_secs(75);

/// Events with consecutive sequence numbers.
#[derive(Debug, Default)]
pub(super) struct Ring {
    events: VecDeque<(Duration, Arc<CacheEvent>)>,
    /// The sequence number of the first event of `events`.
    first: u64,
    /// Events after this revision are complete.
    complete_after: Revision,
}

impl Ring {
    /// Forgets everything: the ring is complete from `revision` on. Sequence numbers go on, with a gap that closes
    /// every watcher from before.
    pub(super) fn restart(&mut self, revision: Revision) {
        self.first = self.next_sequence() + 1;
        self.events.clear();
        self.complete_after = revision;
    }

    pub(super) fn next_sequence(&self) -> u64 {
        self.first + self.events.len() as u64
    }

    pub(super) fn push(&mut self, now: Duration, event: Arc<CacheEvent>) {
        self.events.push_back((now, event));
        while self.events.len() > EVENTS_MAX
            || (self.events.len() > EVENTS_MIN
                && self.events.front().is_some_and(|(at, _)| now.saturating_sub(*at) > FRESH))
        {
            let (_, dropped) = self.events.pop_front().expect("the loop condition says that there is one");
            self.first += 1;
            self.complete_after = dropped.revision;
        }
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

    /// The events from `sequence` on, at most `limit`; `None` if some of them are gone.
    pub(super) fn read(&self, sequence: u64, limit: usize) -> Option<impl Iterator<Item = &Arc<CacheEvent>>> {
        let skip = usize::try_from(sequence.checked_sub(self.first)?).ok()?;
        Some(self.events.iter().skip(skip).take(limit).map(|(_, event)| event))
    }
}
