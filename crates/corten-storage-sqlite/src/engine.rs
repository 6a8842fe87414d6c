//! The engine as the rest of the program sees it: `KvEngine` over the writer's queue, the key index and the readers.

use std::{
    fmt, io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use corten_base::{SharedClock, Shutdown, ShutdownTrigger, TaskSet};
use corten_storage::{
    kv::{
        self, GetResponse, KeyValue, KvEngine, KvError, ListPage, ListRequest, Outcome, PAGE_BYTES, Revision, Status,
        Watch, Write,
    },
    mvcc::{
        Attach, KeyIndex, Live, WatchHub,
        housekeeping::{self, NextExpiry},
        watch_hub::WatchSender,
    },
};
use parking_lot::RwLock;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::{
    backup,
    ballast::Ballast,
    config::Config,
    error::{Damage, MediumError, OpenError, failed},
    format,
    lock::StoreLock,
    open,
    readers::{self, Readers},
    replay,
    writer::{Command, Disk, Writer},
};

/// How many calls wait for the writer; further callers wait to get in line.
const QUEUE_CALLS: usize = 1_024;

/// How often a read of the current state starts again when compaction has taken a row away under it. Each time means that
/// the object was overwritten and the overwriting compacted within one read.
const READ_ATTEMPTS: usize = 5;

/// So many rows of a page are loaded before its bytes are looked at: it has no more than so many values too much.
const LIST_RUN: usize = 16;

/// The embedded engine. Shutdown closes it, and so does dropping it; its tasks end once all that was accepted is on disk.
pub struct SqliteEngine {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
    tasks: TaskSet,
    closed: Shutdown,
    close: ShutdownTrigger,
}

/// What callers, the writer and replays share. The writer alone changes it.
pub(crate) struct Shared {
    pub(crate) index: RwLock<KeyIndex>,
    pub(crate) hub: Arc<WatchHub>,
    pub(crate) readers: Arc<Readers>,
    pub(crate) next_expiry: Arc<NextExpiry>,
    /// Whether the last value found no room.
    pub(crate) is_full: AtomicBool,
    /// Whether the medium failed the last group of writes.
    pub(crate) writes_fail: AtomicBool,
    /// How many backups are being written: each reads for long from one state, and the log is not written over before it is done.
    pub(crate) backups: AtomicUsize,
}

/// A backup that is being written, until this is dropped.
struct BackupRunning(Arc<Shared>);

impl BackupRunning {
    fn begin(shared: &Arc<Shared>) -> Self {
        shared.backups.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(shared))
    }
}

impl Drop for BackupRunning {
    fn drop(&mut self) {
        self.0.backups.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Shared {
    /// The value that the put at `revision` stored, from recent memory or from the table.
    pub(crate) fn value(&self, connection: &Connection, revision: Revision) -> Result<Bytes, MediumError> {
        if let Some(value) = self.hub.recent_value(revision) {
            return Ok(value);
        }
        readers::row(connection, revision)?.value.ok_or_else(|| Damage::Row(revision as i64).into())
    }
}

impl SqliteEngine {
    /// Opens the store in `config.directory`, or makes one: reads and verifies every row (a quarter of a second for
    /// 100,000). The writer and housekeeping run in `tasks` until `shutdown`; the store is released when `tasks` has ended.
    ///
    /// Errors: somebody else has the store, it is damaged, is lost although it must exist, or cannot be read. Nothing is
    /// changed then.
    pub async fn open(
        config: Config,
        clock: SharedClock,
        tasks: &TaskSet,
        shutdown: &Shutdown,
    ) -> Result<Self, OpenError> {
        let (reply, opened) = oneshot::channel();
        let config = Arc::new(config);
        let opening = Arc::clone(&config);
        tasks.spawn_blocking("storage-open", move || {
            let open = || {
                open::create_directory(&opening.directory)?;
                let lock = StoreLock::take(&opening.directory)?;
                let opened = open::open(&opening)?;
                let ballast = Ballast::new(&opening.directory, opening.ballast_bytes);
                let ballast_is_out = !ballast.restore()?;
                let open::Opened { connection, contents: open::Contents { index, expiry, state } } = opened;
                Ok((index, Disk { connection, state, expiry, ballast, ballast_is_out, lock }))
            };
            // Who wanted the store has gone: it is closed again.
            let _ = reply.send(open());
        });
        let (index, disk) = opened.await.unwrap_or(Err(OpenError::Interrupted))?;
        let database = config.directory.join(format::DATABASE_FILE);
        let shared = Arc::new(Shared {
            hub: Arc::new(WatchHub::new(index.revision())),
            index: RwLock::new(index),
            readers: Arc::new(Readers::new(database, tasks.clone())),
            next_expiry: Arc::default(),
            is_full: AtomicBool::new(false),
            writes_fail: AtomicBool::new(false),
            backups: AtomicUsize::new(0),
        });
        shared.next_expiry.set(disk.expiry.next());
        let (commands, queue) = mpsc::channel(QUEUE_CALLS);
        let writer = Writer::new(Arc::clone(&shared), config, Arc::clone(&clock), queue, disk);
        tasks.spawn_blocking("storage-writer", move || writer.run());
        let (close, closed) = shutdown.child();
        tasks.spawn("storage-housekeeping", keep_house(Arc::clone(&shared), clock, commands.clone(), closed.clone()));
        Ok(Self { shared, commands, tasks: tasks.clone(), closed, close })
    }

    /// Makes a store in `directory` of the file `backup`, and returns its revision. Blocks.
    ///
    /// Errors: the directory holds a store, or the backup is not one.
    pub fn restore(backup: &Path, directory: &Path) -> Result<Revision, OpenError> {
        backup::restore(backup, directory)
    }

    /// Whether `restore` would make a store in `directory`, and its revision. Blocks, changes nothing.
    ///
    /// Errors: as those of `restore`.
    pub fn check_restore(backup: &Path, directory: &Path) -> Result<Revision, OpenError> {
        backup::check(backup, directory)
    }

    /// Whether `directory` holds a store.
    #[must_use]
    pub fn is_in(directory: &Path) -> bool {
        backup::is_in(directory)
    }

    fn check_open(&self) -> Result<(), KvError> {
        if self.closed.is_requested() || self.shared.hub.is_closed() { Err(KvError::Closed) } else { Ok(()) }
    }

    /// Sends the writer a command and waits for its answer.
    async fn ask<T>(
        &self,
        operation: &'static str,
        command: impl FnOnce(oneshot::Sender<Result<T, KvError>>) -> Command,
    ) -> Result<T, KvError> {
        self.check_open()?;
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| KvError::Closed)?;
        // The writer answers whatever it takes: only a panic leaves a caller without.
        answer.await.unwrap_or_else(|_| {
            Err(KvError::Storage { operation, outcome_unknown: true, source: Arc::new(MediumError::Ended) })
        })
    }

    /// Runs a read of the state at `revision`: `find` picks rows from the index, `load` gets them from the table.
    async fn read<P, T>(
        &self,
        revision: Option<Revision>,
        find: impl Fn(&KeyIndex, Revision) -> P,
        load: impl Fn(&Shared, &Connection, P) -> Result<T, MediumError> + Clone + Send + 'static,
    ) -> Result<(T, Revision), KvError>
    where
        P: Send + 'static,
        T: Send + 'static,
    {
        let mut attempt = 1;
        loop {
            self.check_open()?;
            let (found, current) = {
                let index = self.shared.index.read();
                let at = index.readable(revision)?;
                (find(&index, at), index.revision())
            };
            let (shared, load) = (Arc::clone(&self.shared), load.clone());
            match self.shared.readers.run(move |connection| load(&shared, connection, found)).await {
                Ok(loaded) => return Ok((loaded, current)),
                Err(MediumError::Damaged(Damage::MissingRow(row))) => {
                    let index = self.shared.index.read();
                    index.readable(revision)?;
                    // Only what was superseded and compacted since may be missing.
                    if index.compacted() < row || attempt == READ_ATTEMPTS {
                        return Err(readers::read_failed(Damage::MissingRow(row).into()));
                    }
                    attempt += 1;
                }
                Err(error) => return Err(readers::read_failed(error)),
            }
        }
    }
}

/// Expires keys and marks progress until the engine closes, then tells the writer, which finishes what it has.
async fn keep_house(shared: Arc<Shared>, clock: SharedClock, commands: mpsc::Sender<Command>, closed: Shutdown) {
    let (hub, next) = (Arc::clone(&shared.hub), Arc::clone(&shared.next_expiry));
    let expire = || async {
        let (reply, answer) = oneshot::channel();
        // A writer that has gone expires nothing more.
        commands.send(Command::Expire { reply }).await.is_ok() && answer.await.unwrap_or(false)
    };
    housekeeping::run(clock, hub, next, closed, expire).await;
    let _ = commands.send(Command::Close).await;
}

impl Drop for SqliteEngine {
    fn drop(&mut self) {
        self.close.request();
    }
}

#[async_trait]
impl KvEngine for SqliteEngine {
    async fn get(&self, key: &[u8], revision: Option<Revision>) -> Result<GetResponse, KvError> {
        self.check_open()?;
        {
            // What was written just now, or does not exist, needs no thread.
            let index = self.shared.index.read();
            let at = index.readable(revision)?;
            let current = index.revision();
            let Some(live) = index.at(key, at) else {
                return Ok(GetResponse { kv: None, revision: current });
            };
            if let Some(value) = self.shared.hub.recent_value(live.mod_revision) {
                let kv = key_value(Bytes::copy_from_slice(key), live, value);
                return Ok(GetResponse { kv: Some(kv), revision: current });
            }
        }
        let key = Bytes::copy_from_slice(key);
        let wanted = key.clone();
        let load = move |shared: &Shared, connection: &Connection, live: Option<Live>| {
            live.map(|live| load_row(shared, connection, &wanted, live)).transpose()
        };
        let (kv, revision) = self.read(revision, |index, at| index.at(&key, at), load).await?;
        Ok(GetResponse { kv, revision })
    }

    async fn list(&self, request: ListRequest) -> Result<ListPage, KvError> {
        let ListRequest { prefix, start, limit, revision } = request;
        let find = |index: &KeyIndex, at| index.page(&prefix, &start, limit, at);
        let load = move |shared: &Shared, connection: &Connection, page: (Vec<(Box<[u8]>, Live)>, bool)| {
            let (keys, has_more) = page;
            let (mut kvs, mut bytes) = (Vec::with_capacity(keys.len()), 0);
            for keys in keys.chunks(if limit == 0 { usize::MAX } else { LIST_RUN }) {
                if limit > 0 && bytes >= PAGE_BYTES {
                    break;
                }
                let run = load_run(shared, connection, keys)?;
                bytes += run.iter().map(|kv| kv.value.len()).sum::<usize>();
                kvs.extend(run);
            }
            let has_more = has_more || kvs.len() < keys.len();
            Ok((kvs, has_more))
        };
        let ((kvs, has_more), revision) = self.read(revision, find, load).await?;
        Ok(ListPage { kvs, has_more, revision })
    }

    async fn count(&self, prefix: &[u8]) -> Result<u64, KvError> {
        self.check_open()?;
        Ok(self.shared.index.read().count(prefix))
    }

    async fn commit(&self, batch: Vec<Write>) -> Result<Vec<Outcome>, KvError> {
        kv::check_batch(&batch)?;
        self.ask("commit", |reply| Command::Commit { batch, reply }).await
    }

    async fn watch(&self, prefix: Bytes, after: Revision) -> Result<Watch, KvError> {
        self.check_open()?;
        self.shared.index.read().readable(Some(after))?;
        let (sender, receiver) = WatchSender::new();
        match self.shared.hub.attach(&prefix, after, sender) {
            Attach::Attached => {}
            Attach::Closed => return Err(KvError::Closed),
            Attach::Behind { sender, .. } => {
                let (shared, closed) = (Arc::clone(&self.shared), self.closed.clone());
                self.tasks.spawn("storage-replay", replay::run(shared, prefix, after, sender, closed));
            }
        }
        Ok(receiver)
    }

    async fn request_progress(&self, prefix: &[u8]) -> Result<(), KvError> {
        self.check_open()?;
        self.shared.hub.mark(prefix);
        Ok(())
    }

    async fn compact(&self, revision: Revision) -> Result<(), KvError> {
        self.ask("compact", |reply| Command::Compact { revision, reply }).await
    }

    async fn status(&self) -> Result<Status, KvError> {
        self.check_open()?;
        let (revision, compact_revision) = {
            let index = self.shared.index.read();
            (index.revision(), index.compacted())
        };
        let (reply, answer) = oneshot::channel();
        let shared = Arc::clone(&self.shared);
        self.tasks.spawn_blocking("storage-size", move || {
            // Who asked may have gone.
            let _ = reply.send(size_on_disk(shared.readers.database()));
        });
        let size_bytes = match answer.await {
            Ok(size) => size.map_err(|error| failed("stat store", Arc::new(error) as Arc<_>))?,
            Err(_) => return Err(failed("stat store", Arc::new(MediumError::Ended) as Arc<_>)),
        };
        let is_full = self.shared.is_full.load(Ordering::Relaxed);
        let writes_fail = self.shared.writes_fail.load(Ordering::Relaxed);
        Ok(Status { revision, compact_revision, size_bytes, is_full, writes_fail })
    }

    async fn backup(&self, target: &Path) -> Result<Revision, KvError> {
        self.check_open()?;
        let (reply, answer) = oneshot::channel();
        let (running, target) = (BackupRunning::begin(&self.shared), target.to_owned());
        self.tasks.spawn_blocking("storage-backup", move || {
            let written = backup::write(running.0.readers.database(), &target);
            drop(running);
            // Who asked has gone: the copy is there all the same.
            let _ = reply.send(written);
        });
        match answer.await {
            Ok(Ok(revision)) => Ok(revision),
            Ok(Err(error)) => Err(failed("write backup", Arc::new(error) as Arc<_>)),
            Err(_) => Err(failed("write backup", Arc::new(MediumError::Ended) as Arc<_>)),
        }
    }
}

/// Bytes of the database and its log; a log that is not there has none.
fn size_on_disk(database: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for file in [database, &database.with_file_name(format::LOG_FILE)] {
        bytes += match std::fs::metadata(file) {
            Ok(file) => file.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
    }
    Ok(bytes)
}

/// Loads the rows of `keys`.
fn load_run(
    shared: &Shared,
    connection: &Connection,
    keys: &[(Box<[u8]>, Live)],
) -> Result<Vec<KeyValue>, MediumError> {
    // Rows lie in the order of revisions: reading them so touches each page of the file once.
    let mut order: Vec<usize> = (0..keys.len()).collect();
    order.sort_unstable_by_key(|n| keys[*n].1.mod_revision);
    let mut kvs: Vec<Option<KeyValue>> = vec![None; keys.len()];
    for n in order {
        kvs[n] = Some(load_row(shared, connection, &keys[n].0, keys[n].1)?);
    }
    Ok(kvs.into_iter().flatten().collect())
}

/// Loads a row that the index has pointed to, and checks that it is that one.
fn load_row(shared: &Shared, connection: &Connection, key: &[u8], live: Live) -> Result<KeyValue, MediumError> {
    if let Some(value) = shared.hub.recent_value(live.mod_revision) {
        return Ok(key_value(Bytes::copy_from_slice(key), live, value));
    }
    let row = readers::row(connection, live.mod_revision)?;
    match row.value {
        Some(value) if row.key == key && row.create_revision == live.create_revision => {
            Ok(key_value(row.key, live, value))
        }
        _ => Err(Damage::Row(live.mod_revision as i64).into()),
    }
}

pub(crate) fn key_value(key: Bytes, live: Live, value: Bytes) -> KeyValue {
    KeyValue { key, value, create_revision: live.create_revision, mod_revision: live.mod_revision }
}

impl fmt::Debug for SqliteEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SqliteEngine({})", self.shared.readers.database().display())
    }
}
