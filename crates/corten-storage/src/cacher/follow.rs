//! How a cache follows the store: one read of everything, then one watch, whose events change the state that readers see.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use corten_apimachinery::stored::Stored;
use corten_base::{Backoff, ErrorChain, Shutdown};

use super::{
    Cacher, State,
    event::{CacheEvent, Change},
    named::{self, Wakes},
    pages::Source,
    snapshot::Snapshot,
};
use crate::{
    kv::{self, KvError, Revision, WatchBatch},
    object::CorruptObject,
};

/// For so many events that leave the ring the memory is kept for the next ones: as many as one write replaces, mostly.
const DROPPED_KEPT: usize = 64;

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

impl Cacher {
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
                if !shutdown.is_requested() {
                    tracing::error!(
                        keys = self.inner.keys.prefix(),
                        "Watch cache lost its store for good: it shows what it last heard"
                    );
                }
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

    pub(super) async fn read_all(&self) -> Result<(), KvError> {
        // Events of writes that are under way may be skipped by the list.
        self.inner.announced.clear();
        let (before, mut shared_bytes) = (self.any(), 0);
        let mut snapshot = Snapshot::default();
        let revision = self
            .read_pages(None, "", &before, |key, decoded| match decoded {
                Ok((object, source)) => {
                    if source == Source::Known {
                        shared_bytes += object.json.len();
                    }
                    snapshot.insert(key, object);
                }
                Err(error) => {
                    tracing::error!(err = %error, "Stored object could not be decoded: nobody can list or watch its kind");
                    snapshot.insert_corrupt(key, error);
                }
            })
            .await?;
        snapshot.read_at(revision);
        let mut wakes = Wakes::new();
        let now = self.inner.clock.monotonic();
        let (next, dropped, _replaced) = {
            let mut state = self.inner.state.write();
            let replaced = std::mem::replace(&mut state.snapshot, snapshot);
            state.kept.replaced(now, (before.json_bytes() - shared_bytes) as u64);
            let dropped = state.ring.restart(revision);
            let next = state.ring.next_sequence();
            state.named.restart(next, &mut wakes);
            (next, dropped, replaced)
        };
        dropped.for_each(|event| event.leave());
        self.inner.applied.send_replace(revision);
        named::wake_up_to(&self.inner.next_event, next);
        named::wake(wakes);
        Ok(())
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
        named::wake_up_to(&self.inner.next_event, next);
        named::wake(std::mem::take(&mut after.wakes));
        // Neither the locks of events nor their memory are of interest to whoever reads the state.
        after.dropped.drain(..).for_each(|event| event.leave());
        after.dropped.shrink_to(DROPPED_KEPT);
        let state = self.inner.state.read();
        state.ring.forget_made(state.snapshot.json_bytes());
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
}
