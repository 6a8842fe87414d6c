//! Forgetting history: the revision at once, the rows in chunks.
//!
//! Deleting a row costs as much as writing one, and a large transaction stalls every caller behind it; so chunks are small and
//! run when nobody waits, or after so many writes that garbage could pile up otherwise.

use std::collections::BTreeMap;

use corten_base::ErrorChain;
use corten_storage::kv::{KvError, Revision};
use rusqlite::{Connection, OptionalExtension as _};

use super::{Writer, compact_failed, group::Failure};
use crate::{
    error::{Damage, MediumError},
    faults::{Faults, Step},
    format::{self, State},
};

/// How many rows one chunk deletes: 1,000 made requests wait for 24 to 43 ms.
const CHUNK_ROWS: usize = 256;

/// After how many writes without a pause a chunk is deleted all the same. Twice the chunk: callers are served first, and
/// the garbage of a busy time is cleared in the next quiet one.
pub(super) const WRITES_PER_CHUNK: usize = 512;

impl Writer {
    /// Forgets history before `revision`: refused to readers when this returns, removed from disk soon after.
    pub(super) fn compact(&mut self, revision: Revision) -> Result<(), KvError> {
        {
            let index = self.shared.index.read();
            if revision <= index.compacted() {
                return Ok(());
            }
            index.readable(Some(revision))?;
        }
        if self.connection.is_none() {
            self.reopen().map_err(|error| compact_failed(MediumError::Reopen(error)))?;
        }
        self.compaction_failed = false;
        let state = self.state.compacted_at(revision);
        if let Err(failure) = self.with_space(|connection, _| commit_state(connection, state)) {
            return Err(compact_failed(self.give_up(failure)));
        }
        self.state = state;
        // First the revision, then the rows: a reader that misses a row finds the revision compacted.
        self.shared.index.write().compact(revision)
    }

    pub(super) fn chunk_is_due(&self) -> bool {
        !self.compaction_failed && self.shared.index.read().has_garbage()
    }

    /// Deletes the oldest superfluous rows. A failure ends compaction until it is asked for again.
    pub(super) fn compact_chunk(&mut self) {
        if self.connection.is_none()
            && let Err(error) = self.reopen()
        {
            self.compaction_fails(&MediumError::Reopen(error));
            return;
        }
        let garbage = self.shared.index.read().garbage(self.state.compacted, CHUNK_ROWS);
        let state = State { base_rows: self.state.base_rows - garbage.len() as u64, ..self.state };
        match self.with_space(|connection, faults| delete(connection, faults, &garbage, state)) {
            Ok(keys) => {
                self.state = state;
                let removed = garbage.iter().map(|row| (&keys[row][..], *row));
                self.shared.index.write().removed(removed);
            }
            Err(failure) => {
                let error = self.give_up(failure);
                self.compaction_fails(&error);
            }
        }
    }

    fn compaction_fails(&mut self, error: &MediumError) {
        tracing::warn!(err = %ErrorChain(error), "Could not remove rows of the store's history; the next compaction tries again");
        self.compaction_failed = true;
    }

    /// Runs a transaction that makes room; on a full disk once more with the space of the ballast.
    fn with_space<T>(&mut self, work: impl Fn(&Connection, &dyn Faults) -> Result<T, Failure>) -> Result<T, Failure> {
        let connection = self.connection.as_ref().expect("the store is open");
        match work(connection, &*self.config.faults) {
            Err(failure) if failure.error.is_disk_full() && self.make_room() => {
                let connection = self.connection.as_ref().expect("making room needs the connection");
                work(connection, &*self.config.faults)
            }
            result => result,
        }
    }
}

fn commit_state(connection: &Connection, state: State) -> Result<(), Failure> {
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    state.write(connection)?;
    commit(connection)
}

/// Deletes `rows` and returns their keys.
fn delete(
    connection: &Connection,
    faults: &dyn Faults,
    rows: &[Revision],
    state: State,
) -> Result<BTreeMap<Revision, Vec<u8>>, Failure> {
    // In the order of the table, so that each of its pages is visited once.
    let mut sorted = rows.to_vec();
    sorted.sort_unstable();
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    let mut keys = BTreeMap::new();
    {
        let mut delete = connection.prepare_cached(format::DELETE_ROW)?;
        for row in sorted {
            let key = delete.query_row([row as i64], |columns| columns.get::<_, Vec<u8>>(0)).optional()?;
            keys.insert(row, key.ok_or(Damage::MissingRow(row))?);
        }
    }
    state.write(connection)?;
    faults.reached(Step::ChunkDeleted)?;
    commit(connection)?;
    // The chunk is gone: there is nothing left to fail.
    let _ = faults.reached(Step::ChunkCommitted);
    Ok(keys)
}

fn commit(connection: &Connection) -> Result<(), Failure> {
    let committed = connection.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([]));
    committed.map(drop).map_err(|error| Failure { error: error.into(), at_commit: true })
}
