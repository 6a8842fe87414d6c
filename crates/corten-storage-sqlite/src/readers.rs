//! Reads of rows by revision, on a few connections of their own: a read never waits for the writer, nor the writer for it.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use corten_base::TaskSet;
use corten_storage::{
    kv::{KvError, Revision},
    mvcc::Row,
};
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension as _};
use tokio::sync::{Semaphore, oneshot};

use crate::{
    error::{Damage, MediumError, failed},
    format::{self, StoredRow},
    open,
};

/// How many reads run at once; further ones wait. The watch cache answers nearly all reads, so this is about starts.
const READERS_MAX: usize = 4;

/// The connections.
#[derive(Debug)]
pub(crate) struct Readers {
    database: PathBuf,
    tasks: TaskSet,
    permits: Semaphore,
    idle: Mutex<Vec<Connection>>,
    /// Counts how often connections were thrown away, so that one in use then does not come back.
    generation: AtomicU64,
}

impl Readers {
    /// No connection yet to `database`; reads will run as tasks of `tasks`.
    pub(crate) fn new(database: PathBuf, tasks: TaskSet) -> Self {
        let permits = Semaphore::new(READERS_MAX);
        Self { database, tasks, permits, idle: Mutex::default(), generation: AtomicU64::new(0) }
    }

    /// Runs `work` on a connection, off the async threads, in one read transaction.
    ///
    /// Errors: `Damage::MissingRow` is for the caller to explain, who knows whether it was compacted. Dropping the future
    /// lets the work end by itself.
    pub(crate) async fn run<T, F>(self: &std::sync::Arc<Self>, work: F) -> Result<T, MediumError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, MediumError> + Send + 'static,
    {
        let _permit = self.permits.acquire().await.expect("the semaphore is never closed");
        let (reply, answer) = oneshot::channel();
        let readers = std::sync::Arc::clone(self);
        self.tasks.spawn_blocking("storage-read", move || {
            // Who asked has gone: nobody wants the answer.
            let _ = reply.send(readers.run_blocking(work));
        });
        answer.await.unwrap_or(Err(MediumError::Ended))
    }

    fn run_blocking<T>(&self, work: impl FnOnce(&Connection) -> Result<T, MediumError>) -> Result<T, MediumError> {
        let generation = self.generation.load(Ordering::Acquire);
        let idle = self.idle.lock().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => open::connect_reader(&self.database)?,
        };
        let transaction = connection.unchecked_transaction()?;
        let result = work(&transaction)?;
        transaction.commit()?;
        let mut idle = self.idle.lock();
        if self.generation.load(Ordering::Acquire) == generation {
            idle.push(connection);
        }
        Ok(result)
    }

    /// Closes the connections, those in use once they are free: the database is closed or opened anew.
    pub(crate) fn discard(&self) {
        let mut idle = self.idle.lock();
        self.generation.fetch_add(1, Ordering::AcqRel);
        idle.clear();
    }

    /// The file that is read.
    pub(crate) fn database(&self) -> &Path {
        &self.database
    }
}

/// The row of `revision`, which must exist.
pub(crate) fn row(connection: &Connection, revision: Revision) -> Result<Row, MediumError> {
    let mut statement = connection.prepare_cached(format::SELECT_ROW)?;
    let row = statement.query_row([revision as i64], |row| Ok(StoredRow::read(row).map(|row| row.to_row(None))));
    match row.optional()? {
        Some(row) => Ok(row?),
        None => Err(Damage::MissingRow(revision).into()),
    }
}

/// A failed read as the caller of the engine sees it.
pub(crate) fn read_failed(error: MediumError) -> KvError {
    failed("read", Box::new(error) as Box<dyn std::error::Error + Send + Sync>)
}
