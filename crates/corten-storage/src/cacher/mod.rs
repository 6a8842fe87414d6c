//! The watch cache of one resource: every read of the API server comes from here, nothing is decoded or copied for it.
//!
//! Flow: engine watch -> `run` -> map of objects + ring of recent events -> snapshots (lists, gets) and watchers.
//! Invariant: objects and events are shared and never changed; the map and the ring always show the same revision.
//! Upstream: k8s.io/apiserver/pkg/storage/cacher (v1.35) for what clients can observe.

mod announced;
mod event;
mod memory;
mod named;
mod paging;
mod ring;
mod snapshot;
mod watcher;

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use bytes::Bytes;
use corten_apimachinery::stored::Stored;
use corten_base::{Backoff, ErrorChain, SharedClock, SharedRng, Shutdown, timeout};
use parking_lot::RwLock;
use tokio::sync::watch;

pub use announced::Announcement;
pub use event::{CacheEvent, Change, Purpose};
pub use memory::EventMemory;
pub use snapshot::Snapshot;
pub use watcher::{Watcher, WatcherClosed};

use self::{
    announced::Announced,
    named::{Named, Wakes},
    paging::KeptSnapshots,
    ring::Ring,
};
use crate::{
    kv::{self, KvEngine, KvError, ListRequest, Revision, WatchBatch},
    object::{CorruptObject, KeySpace, ObjectCodec, Pending, cache_key},
};

/// How long a read waits for the cache to reach a revision. Upstream's bound: storage/cacher `blockTimeout`.
const FRESH_TIMEOUT: Duration = Duration::from_secs(3);

/// How many objects one page of the first list has at most; the engine bounds its bytes.
const INITIAL_PAGE: usize = 1_000;

/// So many bytes of stored objects are decoded between two yields: some milliseconds.
const DECODED_AT_ONCE_BYTES: usize = 256 << 10;

/// For so many events that leave the ring the memory is kept for the next ones: as many as one write replaces, mostly.
const DROPPED_KEPT: usize = 64;

/// About how many bytes an object takes in a map that shares no entries with others, beside its key and itself.
const ENTRY_BYTES: u64 = 100;

/// The watch cache of one resource. Clones share it.
#[derive(Debug, Clone)]
pub struct Cacher {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    keys: KeySpace,
    engine: Arc<dyn KvEngine>,
    codec: Arc<dyn ObjectCodec>,
    clock: SharedClock,
    rng: SharedRng,
    state: RwLock<State>,
    announced: Announced,
    /// The revision that the state shows; 0 until the first list is complete.
    applied: watch::Sender<Revision>,
    /// The sequence number of the next event: what watchers wait for.
    next_event: watch::Sender<u64>,
    /// Held by who reads an old state from the store: one at a time, so that nobody keeps all of the engine's readers busy, and
    /// who wants the same state finds it kept.
    reading: tokio::sync::Mutex<()>,
    /// The highest revision that a writer of this process was told is durable.
    acknowledged: Arc<watch::Sender<Revision>>,
}

#[derive(Debug, Default)]
struct State {
    snapshot: Snapshot,
    ring: Ring,
    /// What stands in the ring of the names that are watched.
    named: Named,
    kept: KeptSnapshots,
    /// States before this revision are forgotten.
    compacted: Revision,
    /// Another cache has taken this one's place: nobody follows it any more.
    is_replaced: bool,
}

impl State {
    fn push(&mut self, now: Duration, event: CacheEvent, after: &mut After) {
        let (ring, named) = (&mut self.ring, &mut self.named);
        named.note(&event.object, ring.next_sequence(), &mut after.wakes);
        let live_bytes = self.snapshot.json_bytes();
        ring.push(now, Arc::new(event), live_bytes, |sequence, dropped| {
            named.forget(&dropped.object, sequence);
            after.dropped.push(dropped);
        });
    }
}

/// What is left to do once the state has changed and nobody waits for it any more.
#[derive(Default)]
struct After {
    wakes: Wakes,
    /// Events that have left the ring, and with them the last of many an object.
    dropped: Vec<Arc<CacheEvent>>,
}

/// An event of the engine, by cache key and decoded; without object for a delete.
struct DecodedEvent {
    key: Box<str>,
    revision: Revision,
    object: Option<Arc<Stored>>,
}

/// Where `read_pages` has an object from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Known,
    Store,
}

/// Why a read cannot be answered.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// The cache has not reached the revision in time.
    #[error("Too large resource version: {requested}, current: {current}")]
    TooLarge {
        /// What was asked for.
        requested: Revision,
        /// Where the cache is.
        current: Revision,
    },
    /// The revision is no longer kept.
    #[error("too old resource version: {requested} ({oldest})")]
    TooOld {
        /// What was asked for.
        requested: Revision,
        /// The oldest that is kept.
        oldest: Revision,
    },
    /// The engine failed.
    #[error(transparent)]
    Engine(KvError),
    /// The store has not been read yet.
    #[error("storage is (re)initializing")]
    NotReady,
}

impl Cacher {
    /// A cache of the objects under `keys`. It serves once `run` has read them.
    #[must_use]
    pub fn new(
        keys: KeySpace,
        engine: Arc<dyn KvEngine>,
        codec: Arc<dyn ObjectCodec>,
        clock: SharedClock,
        rng: SharedRng,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                keys,
                engine,
                codec,
                clock,
                rng,
                state: RwLock::default(),
                announced: Announced::default(),
                applied: watch::Sender::new(0),
                next_event: watch::Sender::new(0),
                reading: tokio::sync::Mutex::default(),
                acknowledged: Arc::new(watch::Sender::new(0)),
            }),
        }
    }

    /// The same cache, whose recent events count among those of `all`. Called before anything else.
    #[must_use]
    pub fn among(mut self, all: &Arc<EventMemory>) -> Self {
        let inner = Arc::get_mut(&mut self.inner).expect("nobody else has it yet");
        inner.state.get_mut().ring = Ring::among(all);
        self
    }

    /// The same cache, in the place of `old`, through which writes may still be acknowledged for a while: consistent reads wait
    /// for those, too. Called before anything else.
    #[must_use]
    pub fn in_place_of(mut self, old: &Self) -> Self {
        let inner = Arc::get_mut(&mut self.inner).expect("nobody else has it yet");
        inner.acknowledged = Arc::clone(&old.inner.acknowledged);
        self
    }

    /// Follows the store until shutdown. A broken watch is resumed where it broke; if that is no longer possible the
    /// objects are read anew and watchers are closed, so that their clients list again.
    pub async fn run(self, shutdown: Shutdown) {
        let mut backoff = Backoff::doubling(Duration::from_millis(100), Duration::from_secs(10)).with_jitter(0.2);
        loop {
            let broken = tokio::select! {
                biased;
                () = shutdown.requested() => return,
                broken = self.follow(&mut backoff) => broken,
            };
            if matches!(broken, KvError::Closed) {
                return;
            }
            if matches!(broken, KvError::Compacted { .. }) {
                self.inner.applied.send_replace(0);
            }
            tracing::warn!(keys = self.inner.keys.prefix(), err = %ErrorChain(&broken), "Watch cache lost its store; it tries again");
            let delay = backoff.next(&*self.inner.rng);
            tokio::select! {
                biased;
                () = shutdown.requested() => return,
                () = self.inner.clock.sleep(delay) => {}
            }
        }
    }

    async fn follow(&self, backoff: &mut Backoff) -> KvError {
        if *self.inner.applied.borrow() == 0
            && let Err(error) = self.read_all().await
        {
            return error;
        }
        let after = *self.inner.applied.borrow();
        let mut watch = match self.inner.engine.watch(Bytes::from(self.inner.keys.prefix().to_owned()), after).await {
            Ok(watch) => watch,
            Err(error) => return error,
        };
        let mut after = After::default();
        loop {
            match watch.recv().await {
                Some(Ok(batch)) => {
                    backoff.reset();
                    self.apply(&batch, &mut after);
                }
                Some(Err(error)) => return error,
                None => return KvError::Closed,
            }
        }
    }

    async fn read_all(&self) -> Result<(), KvError> {
        // Events of writes that are under way may be skipped by the list.
        self.inner.announced.clear();
        let mut snapshot = Snapshot::default();
        let revision = self
            .read_pages(None, "", &Snapshot::default(), |key, decoded| match decoded {
                Ok((object, _)) => drop(snapshot.insert(key, object)),
                Err(error) => {
                    tracing::error!(err = %error, "Stored object could not be decoded: nobody can list or watch its kind");
                    snapshot.insert_corrupt(key, error);
                }
            })
            .await?;
        snapshot.read_at(revision);
        let mut wakes = Wakes::new();
        let (next, dropped, _replaced) = {
            let mut state = self.inner.state.write();
            let replaced = std::mem::replace(&mut state.snapshot, snapshot);
            let dropped = state.ring.restart(revision);
            let next = state.ring.next_sequence();
            state.named.restart(next, &mut wakes);
            (next, dropped, replaced)
        };
        dropped.for_each(|event| event.leave());
        self.inner.applied.send_replace(revision);
        self.inner.next_event.send_replace(next);
        named::wake(wakes);
        Ok(())
    }

    fn decode(
        &self,
        full_key: &[u8],
        value: &Bytes,
        revision: Revision,
    ) -> Result<(Box<str>, Arc<Stored>), CorruptObject> {
        let key = self.inner.keys.relative(full_key).ok_or_else(|| CorruptObject {
            key: String::from_utf8_lossy(full_key).into_owned(),
            revision,
            why: "the key is not one of this resource".to_owned(),
        })?;
        let object = match self.inner.announced.take(key, value) {
            Some(pending) => pending.at(revision),
            None => self.inner.codec.decode(key, value, revision)?,
        };
        Ok((key.into(), object))
    }

    /// Shows what `batch` says. `after` is empty before and afterwards: only its memory is used again.
    fn apply(&self, batch: &WatchBatch, after: &mut After) {
        let now = self.inner.clock.monotonic();
        // Decoding is done before the lock is taken: what readers wait for is at most a copy of each text that is deleted.
        let changes: Vec<_> = batch
            .events
            .iter()
            .map(|event| self.decode_event(event).map_err(|corrupt| (self.key_of(&event.key), event.revision, corrupt)))
            .collect();
        let next = {
            let mut state = self.inner.state.write();
            let state = &mut *state;
            let mut replaced = 0;
            let mut is_replaced = |object: &Stored| replaced += object.json.len() as u64;
            for change in changes {
                match change {
                    Ok(DecodedEvent { key, revision, object: Some(object) }) => {
                        state.snapshot.remove_corrupt(&key);
                        let previous = state.snapshot.insert(key, Arc::clone(&object));
                        previous.as_deref().into_iter().for_each(&mut is_replaced);
                        let event = CacheEvent::new(Change::Put, revision, object, previous);
                        state.push(now, event, after);
                    }
                    Ok(DecodedEvent { key, revision, object: None }) => {
                        if let Some(previous) = state.snapshot.remove(&key, revision) {
                            is_replaced(&previous);
                            let last = self.inner.codec.at_revision(&previous, revision);
                            let event = CacheEvent::new(Change::Delete, revision, last, Some(previous));
                            state.push(now, event, after);
                        }
                        state.snapshot.remove_corrupt(&key);
                    }
                    Err((key, revision, corrupt)) => {
                        tracing::error!(err = %corrupt, "Stored object could not be decoded: nobody can list or watch its kind");
                        // What it was before is not what it is: better none than a stale one.
                        if let Some(previous) = state.snapshot.remove(&key, revision) {
                            is_replaced(&previous);
                            let last = self.inner.codec.at_revision(&previous, revision);
                            let event = CacheEvent::new(Change::Delete, revision, last, Some(previous));
                            state.push(now, event, after);
                        }
                        state.snapshot.insert_corrupt(key, corrupt);
                    }
                }
            }
            state.kept.replaced(now, replaced);
            state.snapshot.set_revision(batch.revision);
            state.ring.next_sequence()
        };
        self.inner.applied.send_replace(batch.revision);
        self.inner.next_event.send_if_modified(|sequence| std::mem::replace(sequence, next) != next);
        named::wake(std::mem::take(&mut after.wakes));
        // Neither the locks of events nor their memory are of interest to whoever reads the state.
        after.dropped.drain(..).for_each(|event| event.leave());
        after.dropped.shrink_to(DROPPED_KEPT);
        let state = self.inner.state.read();
        state.ring.forget_made(state.snapshot.json_bytes());
    }

    /// The cache key of a full key, or whatever stands there instead.
    fn key_of(&self, full_key: &[u8]) -> Box<str> {
        match self.inner.keys.relative(full_key) {
            Some(key) => key.into(),
            None => String::from_utf8_lossy(full_key).into(),
        }
    }

    fn decode_event(&self, event: &kv::Event) -> Result<DecodedEvent, CorruptObject> {
        match &event.value {
            Some(value) => {
                let (key, object) = self.decode(&event.key, value, event.revision)?;
                Ok(DecodedEvent { key, revision: event.revision, object: Some(object) })
            }
            None => {
                let key = self.inner.keys.relative(&event.key).ok_or_else(|| CorruptObject {
                    key: String::from_utf8_lossy(&event.key).into_owned(),
                    revision: event.revision,
                    why: "the key is not one of this resource".to_owned(),
                })?;
                Ok(DecodedEvent { key: key.into(), revision: event.revision, object: None })
            }
        }
    }

    /// Completes once the objects have been read from the store. Cancel-safe.
    pub async fn ready(&self) {
        let mut applied = self.inner.applied.subscribe();
        // The sender lives in `self`.
        let _ = applied.wait_for(|&revision| revision > 0).await;
    }

    /// Whether the objects have been read from the store.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        *self.inner.applied.borrow() > 0
    }

    /// Stored objects that could not be decoded.
    #[must_use]
    pub fn corrupt(&self) -> Vec<CorruptObject> {
        self.any().corrupt("", "").map(|(_, corrupt)| corrupt.clone()).collect()
    }

    /// Says that `pending` is about to be written under the cache key `key`: the cache takes it from there when its event
    /// comes. The caller keeps the announcement until it knows what became of the write.
    pub fn announce(&self, key: &str, pending: &Arc<Pending>) -> Announcement<'_> {
        Announcement::new(&self.inner.announced, key, pending)
    }

    /// Notes that a write of this process at `revision` is durable: consistent reads wait for it from now on.
    pub fn acknowledge(&self, revision: Revision) {
        self.inner.acknowledged.send_if_modified(|highest| {
            let higher = revision > *highest;
            if higher {
                *highest = revision;
            }
            higher
        });
    }

    /// The newest state: every write acknowledged before the call is in it.
    ///
    /// Errors: `NotReady`; `TooLarge` if the cache does not catch up.
    pub async fn consistent(&self) -> Result<Snapshot, ReadError> {
        let target = *self.inner.acknowledged.borrow();
        self.not_older_than(target).await
    }

    /// A state at `revision` or later.
    ///
    /// Errors: as `consistent`; `Engine`.
    /// Upstream: the progress that waiting readers ask for, `conditionalProgressRequester` in
    /// k8s.io/apiserver/pkg/storage/cacher/progress (v1.35).
    pub async fn not_older_than(&self, revision: Revision) -> Result<Snapshot, ReadError> {
        let current = *self.inner.applied.borrow();
        if current > 0 && current >= revision {
            return Ok(self.any());
        }
        let mut applied = self.inner.applied.subscribe();
        // What was written through this cache comes as an event. Any other revision may have touched nothing here: then there
        // is no event to wait for, and the next mark may be a while away.
        if current > 0 && revision > *self.inner.acknowledged.borrow() {
            let prefix = self.inner.keys.prefix().as_bytes();
            self.inner.engine.request_progress(prefix).await.map_err(ReadError::Engine)?;
        }
        let reached = applied.wait_for(|&applied| applied > 0 && applied >= revision);
        match timeout(&*self.inner.clock, FRESH_TIMEOUT, reached).await {
            Ok(_) => Ok(self.any()),
            Err(_) => match *self.inner.applied.borrow() {
                0 => Err(ReadError::NotReady),
                current => Err(ReadError::TooLarge { requested: revision, current }),
            },
        }
    }

    /// Whatever state is at hand.
    #[must_use]
    pub fn any(&self) -> Snapshot {
        self.inner.state.read().snapshot.clone()
    }

    /// Whether the objects at hand are those at `revision`. Cheap: for what is derived from them and kept.
    #[must_use]
    pub fn is_at(&self, revision: Revision) -> bool {
        self.inner.state.read().snapshot.is_at(revision)
    }

    /// Keeps `snapshot` for a while, so that later pages of a list show the same state.
    pub fn keep(&self, snapshot: &Snapshot) {
        let now = self.inner.clock.monotonic();
        self.inner.state.write().kept.keep(now, snapshot);
    }

    /// Lets go of states before `revision`: the engine has forgotten them, and who asks for one has to hear so.
    pub fn forget_before(&self, revision: Revision) {
        let mut state = self.inner.state.write();
        state.compacted = state.compacted.max(revision);
        state.kept.forget_before(revision);
    }

    /// The state at exactly `revision`: of `namespace` alone, unless that is empty, and whatever else is at hand.
    ///
    /// Errors: `TooOld` if neither the cache nor the engine has it any more; `TooLarge` if it is yet to come; `Engine`.
    pub async fn exact(&self, revision: Revision, namespace: &str) -> Result<Snapshot, ReadError> {
        // Each page of a list says the revision of the first one, whatever else was written meanwhile.
        Ok(self.state_at(revision, namespace).await?.said_at(revision))
    }

    async fn state_at(&self, revision: Revision, namespace: &str) -> Result<Snapshot, ReadError> {
        let newest = self.not_older_than(revision).await?;
        // Also when nothing has changed since: what is forgotten does not depend on the resource.
        let oldest = self.inner.state.read().compacted;
        if revision < oldest {
            return Err(ReadError::TooOld { requested: revision, oldest });
        }
        if newest.is_at(revision) {
            return Ok(newest);
        }
        let kept = || self.inner.state.write().kept.get(self.inner.clock.monotonic(), revision, namespace);
        if let Some(kept) = kept() {
            return Ok(kept);
        }
        let _reading = self.inner.reading.lock().await;
        // Who was before this one may have read just that.
        if let Some(kept) = kept() {
            return Ok(kept);
        }
        match self.read_at(revision, namespace).await {
            Err(KvError::Compacted { compacted, .. }) => {
                Err(ReadError::TooOld { requested: revision, oldest: compacted })
            }
            read => read.map_err(ReadError::Engine),
        }
    }

    async fn read_at(&self, revision: Revision, namespace: &str) -> Result<Snapshot, KvError> {
        let (mut snapshot, mut own) = (Snapshot::of(namespace), 0);
        self.read_pages(Some(revision), namespace, &self.any(), |key, decoded| {
            own += ENTRY_BYTES + key.len() as u64;
            match decoded {
                Ok((object, source)) => {
                    if source == Source::Store {
                        own += object.json.len() as u64;
                    }
                    snapshot.insert(key, object);
                }
                Err(corrupt) => snapshot.insert_corrupt(key, corrupt),
            }
        })
        .await?;
        // Not `set_revision`: an object that was deleted before is not there to say that the state was another one.
        snapshot.read_at(revision);
        let now = self.inner.clock.monotonic();
        snapshot.set_own_bytes(own);
        self.inner.state.write().kept.keep(now, &snapshot);
        Ok(snapshot)
    }

    /// Reads all objects, those of `namespace` unless it is empty, as of one revision, the newest for `None`, page by page;
    /// returns the revision. Objects that `known` has in the same version are shared with it.
    async fn read_pages(
        &self,
        mut at: Option<Revision>,
        namespace: &str,
        known: &Snapshot,
        mut take: impl FnMut(Box<str>, Result<(Arc<Stored>, Source), CorruptObject>) + Send,
    ) -> Result<Revision, KvError> {
        let mut start = Bytes::new();
        let prefix = match namespace {
            "" => Bytes::from(self.inner.keys.prefix().to_owned()),
            namespace => self.inner.keys.full(&cache_key(namespace, "")),
        };
        loop {
            let request = ListRequest { prefix: prefix.clone(), start, limit: INITIAL_PAGE, revision: at };
            let page = self.inner.engine.list(request).await?;
            let revision = *at.get_or_insert(page.revision);
            let mut decoded = 0;
            for kv in &page.kvs {
                if decoded >= DECODED_AT_ONCE_BYTES {
                    decoded = 0;
                    tokio::task::yield_now().await;
                }
                let key = self.key_of(&kv.key);
                match known.get(&key).filter(|object| object.revision == kv.mod_revision) {
                    Some(object) => take(key, Ok((Arc::clone(object), Source::Known))),
                    None => {
                        decoded += kv.value.len();
                        match self.decode(&kv.key, &kv.value, kv.mod_revision) {
                            Ok((key, object)) => take(key, Ok((object, Source::Store))),
                            Err(corrupt) => take(key, Err(corrupt)),
                        }
                    }
                }
            }
            let Some(last) = page.kvs.last().filter(|_| page.has_more) else { return Ok(revision) };
            // The smallest key after the last one of the page.
            start = [&last.key[..], b"\0"].concat().into();
        }
    }

    /// One object in whatever state is at hand.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Arc<Stored>> {
        self.inner.state.read().snapshot.get(key).cloned()
    }

    /// Ends all watches once they have read what there is, also those that begin later: another cache takes this one's place,
    /// and their clients have to come to that.
    pub fn close_watchers(&self) {
        let mut wakes = Wakes::new();
        {
            let mut state = self.inner.state.write();
            state.is_replaced = true;
            state.named.wake_all(&mut wakes);
        }
        // Later than any event: whoever waits looks again.
        self.inner.next_event.send_replace(u64::MAX);
        named::wake(wakes);
    }

    /// The current objects together with a watcher of everything that happens after them.
    ///
    /// Errors: `NotReady`; `TooLarge` if the cache does not reach `not_older_than`.
    pub async fn watch_from_now(&self, not_older_than: Revision) -> Result<(Snapshot, Watcher), ReadError> {
        self.not_older_than(not_older_than).await?;
        let state = self.inner.state.read();
        let watcher = Watcher::new(Arc::clone(&self.inner), state.ring.next_sequence(), state.snapshot.revision());
        Ok((state.snapshot.clone(), watcher))
    }

    /// A watcher of everything that happens after `revision`, which may be yet to come: what comes before it is known to
    /// whoever knows of it.
    ///
    /// Errors: `TooOld` if the ring no longer goes back that far; `NotReady`.
    pub async fn watch_after(&self, revision: Revision) -> Result<Watcher, ReadError> {
        if *self.inner.applied.borrow() == 0 {
            self.not_older_than(0).await?;
        }
        let state = self.inner.state.read();
        match state.ring.sequence_after(revision) {
            ControlFlow::Continue(sequence) => Ok(Watcher::new(Arc::clone(&self.inner), sequence, revision)),
            ControlFlow::Break(oldest) => Err(ReadError::TooOld { requested: revision, oldest }),
        }
    }
}

#[cfg(test)]
mod tests;
