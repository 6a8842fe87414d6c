//! The contract of a storage engine: ordered keys, one revision for the whole store, durable before it is acknowledged.
//!
//! Revision: one `u64` for the store, +1 per successful write, never reused and never going back, also after a crash.
//! An acknowledged write is on disk. Expiry makes a revisioned delete like any other, also after a restart.
//! Upstream: the five calls of go.etcd.io/etcd/client/v3/kubernetes, with etcd's meaning.

use std::{fmt, path::Path, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::mpsc;

/// A point in the history of the whole store. 0 is before the first write.
pub type Revision = u64;

/// The most writes that one `commit` takes.
pub const COMMIT_WRITES_MAX: usize = 256;

/// The largest value an engine has to take: etcd's default request limit, which clients know.
pub const VALUE_BYTES_MAX: usize = 1_572_864;

/// A page of a list ends once its values have so many bytes, unless all keys were asked for: whoever reads page by page has
/// no more in memory than this and a few values.
pub const PAGE_BYTES: usize = 4 << 20;

/// One key with its value, as of some revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyValue {
    /// The key.
    pub key: Bytes,
    /// The value.
    pub value: Bytes,
    /// When the key was created (it did not exist just before).
    pub create_revision: Revision,
    /// When the value was written.
    pub mod_revision: Revision,
}

/// The answer of `KvEngine::get`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetResponse {
    /// The key's state at the revision asked for; `None` if it did not exist.
    pub kv: Option<KeyValue>,
    /// The store's revision when the read was done.
    pub revision: Revision,
}

/// What `KvEngine::list` reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListRequest {
    /// Keys that begin with this.
    pub prefix: Bytes,
    /// The first key of the page, inclusive; empty for the first key of the prefix.
    pub start: Bytes,
    /// The most keys to return; 0 for all, whatever `PAGE_BYTES` says.
    pub limit: usize,
    /// The revision to read at; `None` for the current one.
    pub revision: Option<Revision>,
}

/// The answer of `KvEngine::list`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListPage {
    /// The page, in key order.
    pub kvs: Vec<KeyValue>,
    /// Whether further keys of the prefix follow the page.
    pub has_more: bool,
    /// The store's revision when the read was done; the page shows the state at the revision asked for.
    pub revision: Revision,
}

/// What a write expects of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// The key does not exist. Nothing is there to delete then: a `Change::Delete` that expects this is a conflict.
    Absent,
    /// The key exists and was last written at this revision.
    ModRevision(Revision),
}

/// What a write does to its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Stores a value. With `expires_at` the engine deletes the key once that time has passed.
    Put {
        /// The value.
        value: Bytes,
        /// When the key goes by itself.
        expires_at: Option<Timestamp>,
    },
    /// Removes the key.
    Delete,
}

/// One compare-and-set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The key.
    pub key: Bytes,
    /// What must hold for the change to happen.
    pub expected: Expected,
    /// The change.
    pub change: Change,
}

/// What became of one write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The change happened, is durable, and got this revision.
    Done {
        /// The write's revision.
        revision: Revision,
    },
    /// The comparison failed and nothing was written.
    Conflict {
        /// The key as it is; `None` if it does not exist.
        current: Option<KeyValue>,
        /// The store's revision.
        revision: Revision,
    },
}

/// One change of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The key.
    pub key: Bytes,
    /// The new value; `None` for a delete.
    pub value: Option<Bytes>,
    /// The value before; `None` if the key did not exist.
    pub prev_value: Option<Bytes>,
    /// The key's create revision (of the deleted incarnation, for a delete).
    pub create_revision: Revision,
    /// The change's revision.
    pub revision: Revision,
}

impl Event {
    /// Whether the key did not exist before.
    #[must_use]
    pub fn is_create(&self) -> bool {
        self.value.is_some() && self.prev_value.is_none()
    }

    /// Whether the key was removed.
    #[must_use]
    pub fn is_delete(&self) -> bool {
        self.value.is_none()
    }
}

/// A batch of a watch: all events of the prefix with revisions in `(previous batch's revision, revision]`, in order.
/// An empty batch is a progress mark: nothing else happened up to `revision`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchBatch {
    /// The events, by revision.
    pub events: Arc<[Event]>,
    /// The revision up to which the watch is complete.
    pub revision: Revision,
}

/// A running watch. Dropping it ends it. `None` from `recv` means that the engine has closed.
///
/// A consumer that falls behind is sent `KvError::Lagged` once and the watch ends: it resumes from its last revision.
pub type Watch = mpsc::Receiver<Result<WatchBatch, KvError>>;

/// Figures about the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// The revision of the last write.
    pub revision: Revision,
    /// Reads at, and watches after, a revision below this one are refused.
    pub compact_revision: Revision,
    /// The size on disk.
    pub size_bytes: u64,
    /// Whether the last value that somebody wanted to write found no room.
    pub is_full: bool,
    /// Whether the medium failed the last write, for another reason than want of space.
    pub writes_fail: bool,
}

/// A storage engine.
///
/// Every call may be made from any task. Dropping a future of `commit` does not undo it: the outcome is then unknown.
#[async_trait]
pub trait KvEngine: fmt::Debug + Send + Sync + 'static {
    /// Reads one key, at `revision` or now.
    ///
    /// Errors: `Compacted`, `FutureRevision`.
    async fn get(&self, key: &[u8], revision: Option<Revision>) -> Result<GetResponse, KvError>;

    /// Reads a page of a prefix in key order. All pages read at one revision show one state of the store.
    ///
    /// Errors: `Compacted`, `FutureRevision`.
    async fn list(&self, request: ListRequest) -> Result<ListPage, KvError>;

    /// Counts the keys of a prefix.
    async fn count(&self, prefix: &[u8]) -> Result<u64, KvError>;

    /// Performs the writes in order, each on its own: one outcome each, in the order given. Revisions rise in that
    /// order. When the call returns, every `Done` is durable.
    ///
    /// Errors: `TooLarge` before anything is written; `NoSpace`; `Storage` when the medium failed: then no write happened, or
    /// (only if the error says so) the outcome is unknown. Panics on more than `COMMIT_WRITES_MAX` writes and on an empty
    /// key: see `check_batch`.
    async fn commit(&self, batch: Vec<Write>) -> Result<Vec<Outcome>, KvError>;

    /// Delivers every change of keys under `prefix` with a revision greater than `after`, without gap or duplicate, and
    /// a progress mark whenever the store has moved on without touching the prefix (at most a few times per second).
    ///
    /// Errors: `Compacted` if changes after `after` are no longer kept (here or, once it is known, in the watch);
    /// `FutureRevision` if the store has not come to `after`, as when it was restored from an older backup.
    async fn watch(&self, prefix: Bytes, after: Revision) -> Result<Watch, KvError>;

    /// Has every watch of exactly `prefix` hear at once how far the store is, so that who waits for a revision need not
    /// wait for the next progress mark: a watch gets a batch whose revision is at least the store's at the call. The watch cache
    /// asks for it when a read waits for a revision that no write through this cache has made.
    async fn request_progress(&self, prefix: &[u8]) -> Result<(), KvError>;

    /// Forgets history before `revision`: superseded values and deletions. The state at `revision` and all that came later
    /// stay. A revision that is compacted already changes nothing.
    ///
    /// Errors: `FutureRevision`.
    async fn compact(&self, revision: Revision) -> Result<(), KvError>;

    /// Figures about the store.
    async fn status(&self) -> Result<Status, KvError>;

    /// Writes a consistent copy of the store to the file `target`, which must not exist, while serving, and verifies it.
    /// Returns the revision of the copy. Dropping the future does not stop the copying.
    async fn backup(&self, target: &Path) -> Result<Revision, KvError>;
}

/// What every engine asks of a batch before it writes anything.
///
/// Errors: `TooLarge`. Panics on more than `COMMIT_WRITES_MAX` writes and on an empty key: callers make neither from input.
pub fn check_batch(batch: &[Write]) -> Result<(), KvError> {
    assert!(batch.len() <= COMMIT_WRITES_MAX, "a batch has at most {COMMIT_WRITES_MAX} writes, not {}", batch.len());
    for write in batch {
        assert!(!write.key.is_empty(), "a key is not empty");
        if let Change::Put { value, .. } = &write.change
            && value.len() > VALUE_BYTES_MAX
        {
            return Err(KvError::TooLarge { size_bytes: value.len(), limit_bytes: VALUE_BYTES_MAX });
        }
    }
    Ok(())
}

/// Why an engine refused.
#[derive(Debug, Clone, thiserror::Error)]
pub enum KvError {
    /// The revision is gone.
    #[error("required revision {requested} has been compacted; the oldest kept is after {compacted}")]
    Compacted {
        /// What was asked for.
        requested: Revision,
        /// What was compacted.
        compacted: Revision,
    },
    /// The revision has not come yet.
    #[error("required revision {requested} is in the future; the store is at {current}")]
    FutureRevision {
        /// What was asked for.
        requested: Revision,
        /// Where the store is.
        current: Revision,
    },
    /// A watch fell behind what the engine keeps for it.
    #[error("watcher fell behind and was closed")]
    Lagged,
    /// A write is too large.
    #[error("value of {size_bytes} bytes exceeds the limit of {limit_bytes}")]
    TooLarge {
        /// The value's size.
        size_bytes: usize,
        /// What is allowed.
        limit_bytes: usize,
    },
    /// There is no space for the write, which has not happened. Reads go on, and so do deletions as long as the engine has
    /// kept space for them.
    #[error("there is no space for the write")]
    NoSpace {
        /// What is free and what is needed, as far as the engine knows.
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// The engine is shutting down.
    #[error("storage engine is closed")]
    Closed,
    /// The medium failed: I/O error, corruption.
    #[error("storage engine failed to {operation}")]
    Storage {
        /// What was tried.
        operation: &'static str,
        /// Whether the write may have happened all the same.
        outcome_unknown: bool,
        /// The cause.
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
}
