//! The engine in memory, for tests and the simulator: it keeps history until compaction and does everything at once.
//!
//! A `MemoryStore` plays the disk: it outlives the engines opened on it, one at a time, so that a test can restart one.

use std::{collections::BTreeMap, fmt, path::Path, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use corten_base::{SharedClock, Shutdown, ShutdownTrigger, TaskSet};
use parking_lot::Mutex;

mod dump;

use crate::{
    kv::{
        self, Change, Event, Expected, GetResponse, KeyValue, KvEngine, KvError, ListPage, ListRequest, Outcome,
        Revision, Status, Watch, Write,
    },
    mvcc::{
        Attach, ExpiryQueue, KeyIndex, Live, Plan, Row, Verdict, WatchHub,
        housekeeping::{self, NextExpiry},
        watch_hub::WatchSender,
    },
};

/// How many keys expire in one step.
const EXPIRY_BATCH: usize = 256;

/// What an engine stores; clones share it.
#[derive(Clone, Default)]
pub struct MemoryStore(Arc<Mutex<Data>>);

#[derive(Default)]
struct Data {
    index: KeyIndex,
    rows: BTreeMap<Revision, Row>,
    expiry: ExpiryQueue,
}

/// The engine in memory. Dropping it, or shutdown, closes it.
pub struct MemoryEngine {
    core: Arc<Core>,
    close: ShutdownTrigger,
}

struct Core {
    store: MemoryStore,
    hub: Arc<WatchHub>,
    next_expiry: Arc<NextExpiry>,
}

impl MemoryEngine {
    /// An engine on `store`. Its one task ends with `shutdown` or with the engine.
    #[must_use]
    pub fn open(store: &MemoryStore, clock: SharedClock, tasks: &TaskSet, shutdown: &Shutdown) -> Self {
        let revision = store.0.lock().index.revision();
        let core = Arc::new(Core {
            store: store.clone(),
            hub: Arc::new(WatchHub::new(revision)),
            next_expiry: Arc::default(),
        });
        core.next_expiry.set(store.0.lock().expiry.next());
        let (close, closed) = shutdown.child();
        let keeper = Arc::clone(&core);
        tasks.spawn("memory-engine", async move {
            let (hub, next) = (Arc::clone(&keeper.hub), Arc::clone(&keeper.next_expiry));
            let expire = || std::future::ready(keeper.expire(clock.now()));
            housekeeping::run(Arc::clone(&clock), hub, next, closed, expire).await;
            keeper.hub.close();
        });
        Self { core, close }
    }

    /// The store that `path`, a backup of this engine, holds.
    ///
    /// Errors: the file cannot be read, or is not such a backup.
    pub fn restore(path: &Path) -> Result<MemoryStore, KvError> {
        let (compacted, rows) = dump::read(path).map_err(|source| failed("read backup", source))?;
        let mut data = Data { index: KeyIndex::new(compacted), ..Data::default() };
        rows.into_iter().for_each(|row| data.insert(row));
        Ok(MemoryStore(Arc::new(Mutex::new(data))))
    }
}

impl Drop for MemoryEngine {
    fn drop(&mut self) {
        self.close.request();
    }
}

impl Data {
    fn insert(&mut self, row: Row) {
        self.index.apply(&row.key, row.revision, row.created());
        self.expiry.written(&row.key, row.revision, row.expires_at);
        self.rows.insert(row.revision, row);
    }

    fn key_value(&self, key: &[u8], live: Live) -> KeyValue {
        let row = &self.rows[&live.mod_revision];
        assert_eq!(row.key, key, "the index points to the row of its key");
        KeyValue {
            key: row.key.clone(),
            value: row.value.clone().expect("a live row has a value"),
            create_revision: live.create_revision,
            mod_revision: live.mod_revision,
        }
    }

    fn event(&self, row: &Row) -> Event {
        row.event(row.previous.and_then(|previous| self.rows.get(&previous)?.value.clone()))
    }

    fn collect_garbage(&mut self) {
        let rows = self.index.garbage(self.index.compacted(), usize::MAX);
        let removed: Vec<_> =
            rows.iter().map(|row| self.rows.remove(row).expect("a row is superseded once").key).collect();
        self.index.removed(removed.iter().map(|key| &key[..]).zip(rows));
    }
}

impl Core {
    /// The data, unless the engine is closed.
    fn open(&self) -> Result<parking_lot::MutexGuard<'_, Data>, KvError> {
        if self.hub.is_closed() { Err(KvError::Closed) } else { Ok(self.store.0.lock()) }
    }

    fn write(&self, data: &mut Data, batch: Vec<Write>) -> Vec<Outcome> {
        let mut plan = Plan::new(&data.index);
        let verdicts: Vec<_> = batch.iter().map(|write| (write.key.clone(), plan.decide(write))).collect();
        let rows = plan.into_rows();
        let mut events = Vec::with_capacity(rows.len());
        for row in rows {
            events.push(data.event(&row));
            data.insert(row);
        }
        self.hub.publish(events);
        self.next_expiry.set(data.expiry.next());
        let outcome = |(key, verdict): (Bytes, Verdict)| match verdict {
            Verdict::Done(revision) => Outcome::Done { revision },
            Verdict::Conflict { current, revision } => {
                Outcome::Conflict { current: current.map(|live| data.key_value(&key, live)), revision }
            }
        };
        verdicts.into_iter().map(outcome).collect()
    }

    /// Deletes what has expired: always works.
    fn expire(&self, now: jiff::Timestamp) -> bool {
        let mut guard = self.store.0.lock();
        let data = &mut *guard;
        let due = data.expiry.take_due(now, EXPIRY_BATCH);
        let delete =
            |(_, revision, key)| Write { key, expected: Expected::ModRevision(revision), change: Change::Delete };
        self.write(data, due.into_iter().map(delete).collect());
        true
    }
}

#[async_trait]
impl KvEngine for MemoryEngine {
    async fn get(&self, key: &[u8], revision: Option<Revision>) -> Result<GetResponse, KvError> {
        let data = self.core.open()?;
        let at = data.index.readable(revision)?;
        let kv = data.index.at(key, at).map(|live| data.key_value(key, live));
        Ok(GetResponse { kv, revision: data.index.revision() })
    }

    async fn list(&self, request: ListRequest) -> Result<ListPage, KvError> {
        let data = self.core.open()?;
        let at = data.index.readable(request.revision)?;
        let (keys, has_more) = data.index.page(&request.prefix, &request.start, request.limit, at);
        let (mut kvs, mut bytes) = (Vec::with_capacity(keys.len()), 0);
        for (key, live) in &keys {
            if request.limit > 0 && bytes >= kv::PAGE_BYTES {
                break;
            }
            let found = data.key_value(key, *live);
            bytes += found.value.len();
            kvs.push(found);
        }
        let has_more = has_more || kvs.len() < keys.len();
        Ok(ListPage { kvs, has_more, revision: data.index.revision() })
    }

    async fn count(&self, prefix: &[u8]) -> Result<u64, KvError> {
        Ok(self.core.open()?.index.count(prefix))
    }

    async fn commit(&self, batch: Vec<Write>) -> Result<Vec<Outcome>, KvError> {
        kv::check_batch(&batch)?;
        let mut data = self.core.open()?;
        Ok(self.core.write(&mut data, batch))
    }

    async fn watch(&self, prefix: Bytes, after: Revision) -> Result<Watch, KvError> {
        let data = self.core.open()?;
        data.index.readable(Some(after))?;
        let (sender, receiver) = WatchSender::new();
        let (from, sender) = match self.core.hub.attach(&prefix, after, sender) {
            Attach::Attached => return Ok(receiver),
            Attach::Closed => return Err(KvError::Closed),
            Attach::Behind { until, sender } => (until, sender),
        };
        // The store cannot move while it is locked, so one batch of history closes the gap.
        let missed = data.rows.range(after + 1..=from).map(|(_, row)| row);
        let events = missed.filter(|row| row.key.starts_with(&prefix)).map(|row| data.event(row)).collect();
        let sender = sender.send_now(kv::WatchBatch { events, revision: from });
        let sender = sender.expect("the receiver is here and its buffer empty");
        match self.core.hub.attach(&prefix, from, sender) {
            Attach::Attached => Ok(receiver),
            Attach::Closed => Err(KvError::Closed),
            Attach::Behind { until, .. } => unreachable!("the hub forgot up to {until} while the store was locked"),
        }
    }

    async fn request_progress(&self, prefix: &[u8]) -> Result<(), KvError> {
        let _data = self.core.open()?;
        self.core.hub.mark(prefix);
        Ok(())
    }

    async fn compact(&self, revision: Revision) -> Result<(), KvError> {
        let mut data = self.core.open()?;
        data.index.compact(revision)?;
        data.collect_garbage();
        Ok(())
    }

    async fn status(&self) -> Result<Status, KvError> {
        let data = self.core.open()?;
        let size = |row: &Row| row.key.len() + row.value.as_ref().map_or(0, Bytes::len);
        Ok(Status {
            revision: data.index.revision(),
            compact_revision: data.index.compacted(),
            size_bytes: data.rows.values().map(size).sum::<usize>() as u64,
            is_full: false,
            writes_fail: false,
        })
    }

    async fn backup(&self, target: &Path) -> Result<Revision, KvError> {
        let (compacted, rows, revision) = {
            let data = self.core.open()?;
            (data.index.compacted(), data.rows.values().cloned().collect::<Vec<_>>(), data.index.revision())
        };
        let copied = dump::write(target, compacted, &rows).and_then(|()| dump::read(target));
        match copied {
            Ok(copy) if copy == (compacted, rows) => Ok(revision),
            Ok(_) => Err(failed("verify backup", std::io::Error::other("the copy differs"))),
            Err(source) => Err(failed("write backup", source)),
        }
    }
}

fn failed(operation: &'static str, source: std::io::Error) -> KvError {
    KvError::Storage { operation, outcome_unknown: false, source: Arc::new(source) }
}

impl fmt::Debug for MemoryEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryEngine({:?})", self.core.store)
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let data = self.0.lock();
        write!(f, "MemoryStore {{ revision: {}, rows: {} }}", data.index.revision(), data.rows.len())
    }
}

#[cfg(test)]
mod tests;
