//! Tells watchers what happened: one list of events per prefix and commit, shared by all watchers of that prefix.
//!
//! The hub keeps the most recent events, so that a watch from a little while ago starts without reading the store, and so
//! that the engine finds recent values without reading them back.
//! Invariant: revisions are dense, so the event of a revision sits at a known place in `recent`.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
    sync::Arc,
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{
    Notify,
    mpsc::{self, error::TrySendError},
};

use crate::kv::{Event, KvError, Revision, Watch, WatchBatch};

/// How many batches wait for a slow watcher. One batch holds all that one group commit changed under the prefix: at the
/// engine's top speed this is most of a second, and whoever is slower than that reads from its revision again.
pub const WATCH_BUFFER: usize = 1_024;

/// How many recent events are kept, at most.
const RECENT_EVENTS_MAX: usize = 4_096;

/// How many bytes of recent events are kept, at most: enough for the objects that are being worked on right now.
const RECENT_BYTES_MAX: usize = 1 << 20;

/// What a watch is sent: batches, and at its end, if it has one, why.
type Message = Result<WatchBatch, KvError>;

/// The sending half of a watch. One place of its buffer is kept for the news that the consumer fell behind: however full the
/// buffer is, that is never taken for the end of the engine.
#[derive(Debug)]
pub struct WatchSender {
    sender: mpsc::Sender<Message>,
    last_word: mpsc::OwnedPermit<Message>,
}

impl WatchSender {
    /// Both halves of a watch with the buffer that every watch has.
    #[must_use]
    pub fn new() -> (Self, Watch) {
        Self::with_buffer(WATCH_BUFFER)
    }

    fn with_buffer(size: usize) -> (Self, Watch) {
        let (sender, watch) = mpsc::channel(size);
        let last_word = sender.clone().try_reserve_owned().expect("nobody has sent anything");
        (Self { sender, last_word }, watch)
    }

    /// Sends a message as soon as there is room. Says whether anybody receives it. Cancel-safe: then it was not sent.
    pub async fn send(&self, message: Result<WatchBatch, KvError>) -> bool {
        self.sender.send(message).await.is_ok()
    }

    /// Sends a batch; gives this back unless that was the end of the watch.
    #[must_use]
    pub fn send_now(self, batch: WatchBatch) -> Option<Self> {
        match self.sender.try_send(Ok(batch)) {
            Ok(()) => Some(self),
            Err(TrySendError::Full(_)) => {
                self.last_word.send(Err(KvError::Lagged));
                None
            }
            // The consumer has gone: there is nobody to tell.
            Err(TrySendError::Closed(_)) => None,
        }
    }
}

/// The watchers of a store, and its recent events.
#[derive(Debug)]
pub struct WatchHub {
    state: Mutex<State>,
    moved: Notify,
}

#[derive(Debug)]
struct State {
    revision: Revision,
    watchers: BTreeMap<Bytes, Vec<Watcher>>,
    recent: VecDeque<Event>,
    recent_bytes: usize,
    closed: bool,
}

#[derive(Debug)]
struct Watcher {
    /// `None` once the watch has ended.
    sender: Option<WatchSender>,
    sent: Revision,
}

/// The answer of `WatchHub::attach`.
#[derive(Debug)]
pub enum Attach {
    /// The watcher has been sent everything up to now and will be sent the rest.
    Attached,
    /// The watcher has to be brought up to `until` from the store first; the hub remembers what came later.
    Behind {
        /// The revision before the oldest that the hub remembers.
        until: Revision,
        /// What was to be attached.
        sender: WatchSender,
    },
    /// The hub is closed.
    Closed,
}

impl WatchHub {
    /// A hub of a store at `revision`.
    #[must_use]
    pub fn new(revision: Revision) -> Self {
        let state =
            State { revision, watchers: BTreeMap::new(), recent: VecDeque::new(), recent_bytes: 0, closed: false };
        Self { state: Mutex::new(state), moved: Notify::new() }
    }

    /// Starts to feed `sender` with the events under `prefix` after the revision `after`, which it has seen or does not want.
    pub fn attach(&self, prefix: &Bytes, after: Revision, sender: WatchSender) -> Attach {
        let mut state = self.state.lock();
        if state.closed {
            return Attach::Closed;
        }
        assert!(after <= state.revision, "a watch starts at or before the revision of the store");
        let until = state.revision - state.recent.len() as Revision;
        if after < until {
            return Attach::Behind { until, sender };
        }
        let missed = state.recent.range((after - until) as usize..);
        let events: Arc<[Event]> = missed.filter(|event| event.key.starts_with(prefix)).cloned().collect();
        let mut watcher = Watcher { sender: Some(sender), sent: after };
        if watcher.send(events, state.revision) {
            let group = state.watchers.entry(prefix.clone()).or_default();
            group.retain(Watcher::is_followed);
            group.push(watcher);
        }
        Attach::Attached
    }

    /// Tells watchers what happened, in the order of revisions and without a gap.
    pub fn publish(&self, events: Vec<Event>) {
        let Some(last) = events.last() else { return };
        let mut guard = self.state.lock();
        let state = &mut *guard;
        assert_eq!(events[0].revision, state.revision + 1, "events are published without a gap");
        state.revision = last.revision;
        let mut by_prefix: BTreeMap<&[u8], Vec<Event>> = BTreeMap::new();
        for event in &events {
            for prefix in prefixes_of(&state.watchers, &event.key) {
                by_prefix.entry(prefix).or_default().push(event.clone());
            }
        }
        let batches: Vec<_> =
            by_prefix.into_iter().map(|(prefix, events)| (Bytes::copy_from_slice(prefix), events)).collect();
        for (prefix, events) in batches {
            let (events, revision): (Arc<[Event]>, _) = (events.into(), state.revision);
            let group = state.watchers.get_mut(&prefix).expect("the prefix came from the map");
            group.retain_mut(|watcher| watcher.send(Arc::clone(&events), revision));
            if group.is_empty() {
                state.watchers.remove(&prefix);
            }
        }
        state.remember(events);
        drop(guard);
        self.moved.notify_one();
    }

    /// Sends a progress mark to every watcher that has not heard of the current revision.
    pub fn mark_all(&self) {
        let mut state = self.state.lock();
        let revision = state.revision;
        state.watchers.retain(|_, group| {
            group.retain_mut(|watcher| watcher.send(Arc::default(), revision));
            !group.is_empty()
        });
    }

    /// Sends a progress mark to the watchers of exactly `prefix` that have not heard of the current revision.
    pub fn mark(&self, prefix: &[u8]) {
        let mut state = self.state.lock();
        let revision = state.revision;
        if let Some(group) = state.watchers.get_mut(prefix) {
            group.retain_mut(|watcher| watcher.send(Arc::default(), revision));
        }
    }

    /// Completes when something was published since the last call. For one caller. Cancel-safe.
    pub async fn moved(&self) {
        self.moved.notified().await;
    }

    /// The value that the write at `revision` stored, if that write is recent.
    #[must_use]
    pub fn recent_value(&self, revision: Revision) -> Option<Bytes> {
        let state = self.state.lock();
        let oldest = state.recent.front()?.revision;
        state.recent.get(revision.checked_sub(oldest)? as usize)?.value.clone()
    }

    /// Ends every watch.
    pub fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        state.watchers.clear();
        state.recent.clear();
    }

    /// Whether `close` was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state.lock().closed
    }
}

impl State {
    fn remember(&mut self, events: Vec<Event>) {
        self.recent_bytes += events.iter().map(size_bytes).sum::<usize>();
        self.recent.extend(events);
        while self.recent.len() > RECENT_EVENTS_MAX || self.recent_bytes > RECENT_BYTES_MAX {
            let Some(event) = self.recent.pop_front() else { break };
            self.recent_bytes -= size_bytes(&event);
        }
    }
}

impl Watcher {
    /// Sends a batch; false if the watch has ended.
    fn send(&mut self, events: Arc<[Event]>, revision: Revision) -> bool {
        if revision != self.sent {
            self.sent = revision;
            self.sender = self.sender.take().and_then(|sender| sender.send_now(WatchBatch { events, revision }));
        }
        self.is_followed()
    }

    /// Whether anybody receives what is sent.
    fn is_followed(&self) -> bool {
        self.sender.as_ref().is_some_and(|sender| !sender.sender.is_closed())
    }
}

fn size_bytes(event: &Event) -> usize {
    event.key.len() + event.value.as_ref().map_or(0, Bytes::len) + event.prev_value.as_ref().map_or(0, Bytes::len)
}

/// The keys of `map` that `key` begins with, longest first.
///
/// The greatest entry up to `key` is either a prefix of it, or shares a shorter beginning with it, and then no prefix of
/// `key` that is longer than this beginning exists. So the search makes few steps, however many prefixes are watched.
fn prefixes_of<'a, V>(map: &'a BTreeMap<Bytes, V>, key: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut upper = Some(Bound::Included(key));
    std::iter::from_fn(move || {
        loop {
            let (candidate, _) = map.range::<[u8], _>((Bound::Unbounded, upper?)).next_back()?;
            let common = candidate.iter().zip(key).take_while(|(a, b)| a == b).count();
            if common == candidate.len() {
                upper = Some(Bound::Excluded(&key[..common]));
                return Some(&key[..common]);
            }
            upper = Some(Bound::Included(&key[..common]));
        }
    })
}

#[cfg(test)]
mod tests;
