//! The watch cache of one resource: every read of the API server comes from here, nothing is decoded or copied for it.
//!
//! Flow: engine watch -> `run` -> map of objects + ring of recent events -> snapshots (lists, gets) and watchers.
//! Invariant: objects and events are shared and never changed; the map and the ring always show the same revision.
//! Upstream: k8s.io/apiserver/pkg/storage/cacher (v1.35) for what clients can observe.

mod announced;
mod event;
mod follow;
mod memory;
mod named;
mod pages;
mod paging;
mod ring;
mod snapshot;
mod watcher;

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use corten_apimachinery::stored::Stored;
use corten_base::{SharedClock, SharedRng, timeout};
use parking_lot::RwLock;
use tokio::sync::watch;

pub use announced::Announcement;
pub use event::{CacheEvent, Change, Purpose};
pub use memory::PastMemory;
pub use snapshot::Snapshot;
pub use watcher::{Watcher, WatcherClosed};

use self::{
    announced::Announced,
    named::{Named, Wakes},
    pages::Source,
    paging::KeptSnapshots,
    ring::Ring,
};
use crate::{
    kv::{KvEngine, KvError, Revision},
    object::{KeySpace, ObjectCodec, Pending},
};

/// How long a read waits for the cache to reach a revision. Upstream's bound: storage/cacher `blockTimeout`.
const FRESH_TIMEOUT: Duration = Duration::from_secs(3);

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
    /// The sequence number of the next event: what watchers wait for. It only grows.
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

    /// The same cache, whose past counts among that of `all`. Called before anything else.
    #[must_use]
    pub fn among(mut self, all: &Arc<PastMemory>) -> Self {
        let inner = Arc::get_mut(&mut self.inner).expect("nobody else has it yet");
        let state = inner.state.get_mut();
        state.ring = Ring::among(all);
        state.kept = KeptSnapshots::among(all);
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
        // Later than any event: whoever waits looks again, and goes on looking.
        named::wake_up_to(&self.inner.next_event, u64::MAX);
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
