use std::{path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use corten_base::{Clock as _, Shutdown, ShutdownTrigger, SimClock, TaskSet};
use jiff::Timestamp;
use parking_lot::Mutex;

use super::{MemoryEngine, MemoryStore};
use crate::{conformance::Subject, kv::KvEngine};

struct Memory {
    store: MemoryStore,
    clock: Arc<SimClock>,
    open: Mutex<Option<(TaskSet, ShutdownTrigger)>>,
    scratch: tempfile::TempDir,
}

impl Memory {
    fn new() -> Self {
        Self {
            store: MemoryStore::default(),
            clock: SimClock::new("2026-01-01T00:00:00Z".parse().unwrap()),
            open: Mutex::default(),
            scratch: tempfile::tempdir().unwrap(),
        }
    }

    fn engine(&self, store: &MemoryStore) -> (Arc<dyn KvEngine>, TaskSet, ShutdownTrigger) {
        let (tasks, (trigger, shutdown)) = (TaskSet::new("memory"), Shutdown::new());
        (Arc::new(MemoryEngine::open(store, self.clock.clone(), &tasks, &shutdown)), tasks, trigger)
    }
}

#[async_trait]
impl Subject for Memory {
    async fn open(&self) -> Arc<dyn KvEngine> {
        let (engine, tasks, trigger) = self.engine(&self.store);
        assert!(self.open.lock().replace((tasks, trigger)).is_none(), "one engine at a time");
        engine
    }

    async fn close(&self) {
        let (tasks, trigger) = self.open.lock().take().unwrap();
        trigger.request();
        tasks.join().await.unwrap();
    }

    async fn open_backup(&self, backup: &Path) -> Arc<dyn KvEngine> {
        self.engine(&MemoryEngine::restore(backup).unwrap()).0
    }

    fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn pass_time(&self, duration: Duration) {
        tokio::task::yield_now().await;
        self.clock.advance(duration);
    }
}

crate::kv_conformance!(Memory::new());
