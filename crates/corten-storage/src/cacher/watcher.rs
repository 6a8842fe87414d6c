//! A cursor into the ring: one per watch, woken when there is more, draining all of it at once.

use std::{ops::ControlFlow, sync::Arc};

use tokio::sync::watch;

use super::{Inner, event::CacheEvent, named::Name};
use crate::kv::Revision;

/// How many events one wake takes: what one watch may hold on to outside the ring.
const BATCH_MAX: usize = 1_024;

/// How many bytes of events one wake takes, unless the first one alone has more: whoever stands still with a batch in hand
/// keeps it from being forgotten with the ring.
const BATCH_BYTES_MAX: usize = 256 << 10;

/// Reads the events of a resource in order, without gap or duplicate.
#[derive(Debug)]
pub struct Watcher {
    inner: Arc<Inner>,
    wake: watch::Receiver<u64>,
    /// Only events of this name are read, and only they wake it.
    name: Option<Name>,
    sequence: u64,
    revision: Revision,
}

/// Why there are no more events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WatcherClosed {
    /// The watcher fell off the ring, or the cache started anew: the client has to resume or list again.
    #[error("too old resource version: {after}")]
    Behind {
        /// The last revision that was delivered.
        after: Revision,
    },
    /// Another cache has taken the place of this one, and there will be no more events: the client has to come to that.
    #[error("the cache was replaced")]
    Replaced,
}

impl Watcher {
    pub(super) fn new(inner: Arc<Inner>, sequence: u64, revision: Revision) -> Self {
        let wake = inner.next_event.subscribe();
        Self { inner, wake, name: None, sequence, revision }
    }

    /// The same watcher, of no other object than `name` in `namespace`: `None` for all namespaces, empty for objects that
    /// are in none. It is not woken for others, and does not fall behind by them.
    #[must_use]
    pub fn only(mut self, namespace: Option<&str>, name: &str) -> Self {
        debug_assert!(self.name.is_none(), "it is of one name already");
        let name = Name::new(namespace, name);
        let joined = {
            let mut state = self.inner.state.write();
            let state = &mut *state;
            state.named.join(&name, self.sequence, &state.ring)
        };
        // If not, events are lost, and the first read says so.
        if let Some(wake) = joined {
            (self.wake, self.name) = (wake, Some(name));
        }
        self
    }

    /// The revision up to which everything was delivered.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Waits for events and appends them to `events`. Cancel-safe.
    ///
    /// Errors: `WatcherClosed` once, if events were lost.
    pub async fn next(&mut self, events: &mut Vec<Arc<CacheEvent>>) -> Result<(), WatcherClosed> {
        loop {
            if self.drain(events)? {
                return Ok(());
            }
            let sequence = self.sequence;
            if self.wake.wait_for(|&next| next > sequence).await.is_err() {
                return Err(WatcherClosed::Behind { after: self.revision });
            }
        }
    }

    /// Takes what is there without waiting; `false` if there is nothing. Afterwards `revision` is what the cache shows,
    /// unless the batch was cut.
    pub fn drain(&mut self, events: &mut Vec<Arc<CacheEvent>>) -> Result<bool, WatcherClosed> {
        let state = self.inner.state.read();
        let before = events.len();
        let mut room = BATCH_BYTES_MAX;
        let after = self.revision;
        let mut take = |event: &Arc<CacheEvent>| {
            // The client knows a later state than this cache did when the watch began: another server's, or its own write's.
            if event.revision <= after {
                return ControlFlow::Continue(());
            }
            let taken = events.len() - before;
            // The first is taken however large it is.
            if room == 0 || taken == BATCH_MAX {
                return ControlFlow::Break(());
            }
            room = room.saturating_sub(event.bytes());
            events.push(Arc::clone(event));
            ControlFlow::Continue(())
        };
        let end = state.ring.next_sequence();
        let read = match &self.name {
            None => state
                .ring
                .read(self.sequence)
                .map(|mut read| read.try_for_each(|(at, event)| take(event).map_break(|()| at))),
            Some(name) => state.named.read(name, self.sequence).map(|mut noted| {
                noted.try_for_each(|at| {
                    state.ring.get(at).map_or(ControlFlow::Continue(()), |event| take(event).map_break(|()| at))
                })
            }),
        };
        let cut_at = read.ok_or(WatcherClosed::Behind { after: self.revision })?.break_value();
        let is_any = events.len() > before;
        if state.is_replaced && !is_any {
            return Err(WatcherClosed::Replaced);
        }
        self.sequence = cut_at.unwrap_or(end);
        self.revision = match events.last().filter(|_| is_any && cut_at.is_some()) {
            Some(last) => last.revision,
            None => self.revision.max(state.snapshot.revision()),
        };
        Ok(is_any)
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            self.inner.state.write().named.leave(name);
        }
    }
}
