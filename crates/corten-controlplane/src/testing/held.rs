//! A store that takes its time.

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use corten_base::TaskSet;
use corten_storage::{
    kv::{GetResponse, KvEngine, KvError, ListPage, ListRequest, Outcome, Revision, Status, Watch, Write},
    memory::MemoryEngine,
};
use tokio::sync::{mpsc, oneshot, watch};

/// Holds writes, and what watches tell. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Hold(Arc<watch::Sender<Held>>);

#[derive(Debug, Default)]
struct Held {
    /// What the keys of writes end in that are held; `None` holds nothing.
    ending: Option<&'static str>,
    waiting: usize,
    /// What the prefix of watches begins with that are held; `None` holds none.
    watched: Option<&'static str>,
    /// How many writes there were.
    writes: usize,
}

impl Hold {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Held::default())))
    }

    /// Holds writes of keys that end so from now on.
    pub(crate) fn hold(&self, ending: &'static str) {
        self.0.send_modify(|held| held.ending = Some(ending));
    }

    /// Completes once a write is held.
    pub(crate) async fn held(&self) {
        let mut held = self.0.subscribe();
        // The sender lives in `self`.
        let _ = held.wait_for(|held| held.waiting > 0).await;
    }

    /// Holds what watches tell of such a prefix from now on: caches do not hear of what is written.
    pub(crate) fn hold_watches(&self, prefix: &'static str) {
        self.0.send_modify(|held| held.watched = Some(prefix));
    }

    /// Lets all watches tell what they have.
    pub(crate) fn release_watches(&self) {
        self.0.send_modify(|held| held.watched = None);
    }

    async fn pass_watch(&self, prefix: &[u8]) {
        let mut held = self.0.subscribe();
        let is_free = |held: &Held| held.watched.is_none_or(|watched| !prefix.starts_with(watched.as_bytes()));
        // The sender lives in `self`.
        let _ = held.wait_for(is_free).await;
    }

    /// Lets all writes go on.
    pub(crate) fn release(&self) {
        self.0.send_modify(|held| held.ending = None);
    }

    /// How many writes there were so far.
    pub(crate) fn writes(&self) -> usize {
        self.0.borrow().writes
    }

    async fn pass(&self, batch: &[Write]) {
        self.0.send_modify(|held| held.writes += batch.len());
        let is_held = |held: &Held| {
            held.ending.is_some_and(|ending| batch.iter().any(|write| write.key.ends_with(ending.as_bytes())))
        };
        if is_held(&self.0.borrow()) {
            self.0.send_modify(|held| held.waiting += 1);
            let mut held = self.0.subscribe();
            // The sender lives in `self`.
            let _ = held.wait_for(|held| !is_held(held)).await;
        }
    }
}

/// An engine some of whose writes and watches are held. As with one that has a queue, a write happens also if nobody waits for it any more.
#[derive(Debug, Clone)]
pub(super) struct HeldEngine {
    pub(super) engine: Arc<MemoryEngine>,
    pub(super) hold: Hold,
    pub(super) tasks: TaskSet,
}

#[async_trait]
impl KvEngine for HeldEngine {
    async fn get(&self, key: &[u8], revision: Option<Revision>) -> Result<GetResponse, KvError> {
        self.engine.get(key, revision).await
    }

    async fn list(&self, request: ListRequest) -> Result<ListPage, KvError> {
        self.engine.list(request).await
    }

    async fn count(&self, prefix: &[u8]) -> Result<u64, KvError> {
        self.engine.count(prefix).await
    }

    async fn commit(&self, batch: Vec<Write>) -> Result<Vec<Outcome>, KvError> {
        let (queued, (answer, answered)) = (self.clone(), oneshot::channel());
        self.tasks.spawn("held-write", async move {
            queued.hold.pass(&batch).await;
            // Who asked may have gone.
            let _ = answer.send(queued.engine.commit(batch).await);
        });
        answered.await.expect("the task answers")
    }

    async fn watch(&self, prefix: Bytes, after: Revision) -> Result<Watch, KvError> {
        let mut told = self.engine.watch(prefix.clone(), after).await?;
        let (sender, heard) = mpsc::channel(1);
        let hold = self.hold.clone();
        self.tasks.spawn("held-watch", async move {
            while let Some(news) = told.recv().await {
                let tell = async {
                    hold.pass_watch(&prefix).await;
                    sender.send(news).await
                };
                let is_gone = tokio::select! {
                    biased;
                    sent = tell => sent.is_err(),
                    () = sender.closed() => true,
                };
                if is_gone {
                    return;
                }
            }
        });
        Ok(heard)
    }

    async fn request_progress(&self, prefix: &[u8]) -> Result<(), KvError> {
        self.engine.request_progress(prefix).await
    }

    async fn compact(&self, revision: Revision) -> Result<(), KvError> {
        self.engine.compact(revision).await
    }

    async fn status(&self) -> Result<Status, KvError> {
        self.engine.status().await
    }

    async fn backup(&self, target: &Path) -> Result<Revision, KvError> {
        self.engine.backup(target).await
    }
}
