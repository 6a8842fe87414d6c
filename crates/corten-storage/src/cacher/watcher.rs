//! A cursor into the ring: one per watch, woken when there is more, draining all of it at once.

use std::sync::Arc;

use tokio::sync::watch;

use super::{Inner, event::CacheEvent};
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
    sequence: u64,
    revision: Revision,
}

/// The watcher fell off the ring, or the cache started anew: the client has to resume or list again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too old resource version: {after}")]
pub struct WatcherClosed {
    /// The last revision that was delivered.
    pub after: Revision,
}

impl Watcher {
    pub(super) fn new(inner: Arc<Inner>, sequence: u64, revision: Revision) -> Self {
        let wake = inner.next_event.subscribe();
        Self { inner, wake, sequence, revision }
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
                return Err(WatcherClosed { after: self.revision });
            }
        }
    }

    /// Takes what is there without waiting; `false` if there is nothing. Afterwards `revision` is what the cache shows,
    /// unless the batch was cut.
    pub fn drain(&mut self, events: &mut Vec<Arc<CacheEvent>>) -> Result<bool, WatcherClosed> {
        let state = self.inner.state.read();
        let before = events.len();
        let read = state.ring.read(self.sequence, BATCH_MAX).ok_or(WatcherClosed { after: self.revision })?;
        let mut room = BATCH_BYTES_MAX;
        for event in read {
            // The first is taken however large it is.
            if room == 0 {
                break;
            }
            room = room.saturating_sub(event.bytes());
            events.push(Arc::clone(event));
        }
        let taken = events.len() - before;
        self.sequence += taken as u64;
        self.revision = if self.sequence < state.ring.next_sequence() {
            events.last().map_or(self.revision, |event| event.revision)
        } else {
            self.revision.max(state.snapshot.revision())
        };
        Ok(taken > 0)
    }
}
