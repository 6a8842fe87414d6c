//! A store in a temporary directory, opened and closed as often as a test needs.

#![allow(dead_code, reason = "every test file uses its own part of this module")]

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use corten_base::{Clock as _, Shutdown, ShutdownTrigger, SimClock, TaskSet};
use corten_storage::{
    conformance::Subject,
    kv::{Change, Expected, KvEngine, KvError, ListRequest, Outcome, Revision, Write},
};
use corten_storage_sqlite::{Config, OpenError, SqliteEngine};
use jiff::Timestamp;
use parking_lot::Mutex;

/// A ballast that does not fill small disks.
pub(crate) const BALLAST_BYTES: u64 = 1 << 20;

/// An engine with what ends it.
pub(crate) struct Open {
    pub(crate) engine: Arc<dyn KvEngine>,
    pub(crate) tasks: TaskSet,
    pub(crate) trigger: ShutdownTrigger,
}

impl Open {
    /// Opens the store of `config`.
    pub(crate) async fn try_new(config: Config, clock: Arc<SimClock>) -> Result<Self, OpenError> {
        let (tasks, (trigger, shutdown)) = (TaskSet::new("store"), Shutdown::new());
        let engine: Arc<dyn KvEngine> = Arc::new(SqliteEngine::open(config, clock, &tasks, &shutdown).await?);
        Ok(Self { engine, tasks, trigger })
    }

    /// Opens the store in `directory`, which must work.
    pub(crate) async fn new(directory: &Path) -> Self {
        Self::try_new(config(directory), clock()).await.unwrap()
    }

    /// Closes and waits until the store is released.
    pub(crate) async fn close(self) {
        self.trigger.request();
        self.tasks.join().await.unwrap();
    }
}

pub(crate) fn clock() -> Arc<SimClock> {
    SimClock::new("2026-01-01T00:00:00Z".parse().unwrap())
}

pub(crate) fn config(directory: &Path) -> Config {
    Config { ballast_bytes: BALLAST_BYTES, ..Config::new(directory) }
}

pub(crate) fn put(key: &str, expected: Expected, value: impl Into<Bytes>) -> Write {
    let change = Change::Put { value: value.into(), expires_at: None };
    Write { key: Bytes::copy_from_slice(key.as_bytes()), expected, change }
}

pub(crate) fn delete(key: &str, revision: Revision) -> Write {
    let expected = Expected::ModRevision(revision);
    Write { key: Bytes::copy_from_slice(key.as_bytes()), expected, change: Change::Delete }
}

pub(crate) async fn try_commit(engine: &dyn KvEngine, write: Write) -> Result<Revision, KvError> {
    match engine.commit(vec![write]).await?.remove(0) {
        Outcome::Done { revision } => Ok(revision),
        conflict => panic!("no conflict was expected: {conflict:?}"),
    }
}

pub(crate) async fn commit(engine: &dyn KvEngine, write: Write) -> Revision {
    try_commit(engine, write).await.unwrap()
}

pub(crate) fn whole() -> ListRequest {
    ListRequest { prefix: Bytes::new(), start: Bytes::new(), limit: 0, revision: None }
}

/// The conformance suite's view of a store.
pub(crate) struct Sqlite {
    directory: tempfile::TempDir,
    store: PathBuf,
    clock: Arc<SimClock>,
    open: Mutex<Option<(TaskSet, ShutdownTrigger)>>,
}

impl Sqlite {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = directory.path().join("store");
        Self { directory, store, clock: clock(), open: Mutex::default() }
    }
}

#[async_trait]
impl Subject for Sqlite {
    async fn open(&self) -> Arc<dyn KvEngine> {
        let open = Open::try_new(config(&self.store), self.clock.clone()).await.unwrap();
        assert!(self.open.lock().replace((open.tasks, open.trigger)).is_none(), "one engine at a time");
        open.engine
    }

    async fn close(&self) {
        let (tasks, trigger) = self.open.lock().take().unwrap();
        trigger.request();
        tasks.join().await.unwrap();
    }

    async fn open_backup(&self, backup: &Path) -> Arc<dyn KvEngine> {
        let directory = self.directory.path().join("restored");
        SqliteEngine::restore(backup, &directory).unwrap();
        Open::try_new(config(&directory), self.clock.clone()).await.unwrap().engine
    }

    fn scratch(&self) -> &Path {
        self.directory.path()
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn pass_time(&self, duration: Duration) {
        tokio::task::yield_now().await;
        self.clock.advance(duration);
    }
}
