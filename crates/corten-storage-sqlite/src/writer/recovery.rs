//! What the writer does when the medium fails.

use std::sync::{Arc, atomic::Ordering};

use corten_base::fs::{Context as _, FsError};
use corten_storage::{kv::Revision, mvcc::Row};
use rusqlite::{Connection, ErrorCode};

use super::{Request, Writer, group::Failure};
use crate::{
    error::{MediumError, OpenError},
    format::{self, StoredRow},
    open, readers,
};

impl Writer {
    /// Answers a group that failed. On a full disk what only deletes gets a second chance, on the space of the ballast.
    pub(super) fn recover_from(&mut self, failure: Failure, group: Vec<Request>) {
        if failure.error.is_disk_full() && self.make_room() {
            let mut deletes = self.refuse_values(group);
            if deletes.is_empty() {
                return;
            }
            match self.try_commit(&mut deletes) {
                Ok(outcomes) => self.answer(deletes, outcomes),
                Err(failure) => self.fail_for_good(failure, deletes),
            }
        } else {
            self.fail_for_good(failure, group);
        }
    }

    fn fail_for_good(&mut self, failure: Failure, group: Vec<Request>) {
        let outcome_unknown = failure.at_commit;
        let error = Arc::new(self.give_up(failure));
        // A roll-back that succeeded and left nothing behind settles it.
        let outcome_unknown = outcome_unknown && self.connection.is_none();
        self.fail(group, &error, outcome_unknown);
    }

    /// Takes back a transaction that hit a full disk, and gives up the ballast. False if the connection is in doubt now.
    pub(super) fn make_room(&mut self) -> bool {
        self.ballast_is_out = true;
        // A ballast that cannot be removed leaves less space, which shows at once.
        let _ = self.ballast.release();
        self.roll_back()
    }

    /// Sets the ballast aside again, or finds that values can be taken without: what was deleted and compacted leaves free
    /// pages in the database, not free space on the disk.
    pub(super) fn has_room(&mut self) -> Result<bool, FsError> {
        if self.ballast.restore()? {
            self.ballast_is_out = false;
            return Ok(true);
        }
        let room = Room {
            free_bytes: self.ballast.free_bytes()?,
            reusable_bytes: self.reusable_bytes(),
            log_bytes: self.log_bytes()?,
            is_log_held: self.shared.backups.load(Ordering::Relaxed) > 0,
        };
        Ok(room.is_enough_for(self.ballast.needed_bytes()))
    }

    /// The size of the log; 0 for one that is not there.
    fn log_bytes(&self) -> Result<u64, FsError> {
        let log = self.config.directory.join(format::LOG_FILE);
        match std::fs::metadata(&log) {
            Ok(file) => Ok(file.len()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error).at("stat", &log),
        }
    }

    /// The size of the free pages in the database; 0 if it cannot be read.
    pub(super) fn reusable_bytes(&self) -> u64 {
        let read = |connection: &Connection, pragma| {
            connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0)).unwrap_or(0).unsigned_abs()
        };
        let bytes = |connection| read(connection, "freelist_count") * read(connection, "page_size");
        self.connection.as_ref().map_or(0, bytes)
    }

    /// Takes back a transaction that failed. Unless the failure says nothing about the medium, or left no doubt, the store
    /// is opened again before the next write.
    pub(super) fn give_up(&mut self, failure: Failure) -> MediumError {
        let harmless = match &failure.error {
            MediumError::Sqlite(error) => {
                matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
            }
            MediumError::Damaged(_) => true,
            _ => failure.error.is_disk_full(),
        };
        if failure.error.is_disk_full() {
            self.ballast_is_out = true;
        }
        if !harmless || !self.roll_back() {
            self.connection = None;
            self.shared.readers.discard();
        }
        failure.error
    }

    /// Takes back what is open. True if the connection then shows the store as it was.
    fn roll_back(&mut self) -> bool {
        let Some(connection) = &self.connection else { return false };
        // SQLite rolls back by itself on some errors.
        let rolled_back = connection.is_autocommit() || connection.execute_batch("ROLLBACK").is_ok();
        let revision = self.shared.index.read().revision();
        let as_it_was = rolled_back && last_row(connection).is_ok_and(|last| last.is_none_or(|last| last <= revision));
        if !as_it_was {
            self.connection = None;
            self.shared.readers.discard();
        }
        as_it_was
    }

    /// Opens the store again and takes in what an earlier commit of unknown outcome has left in it.
    pub(super) fn reopen(&mut self) -> Result<(), Arc<OpenError>> {
        self.shared.readers.discard();
        let known = self.shared.index.read().revision();
        let open::Opened { connection, contents } = open::reopen(&self.config, known)?;
        let rows = rows_after(&connection, known).map_err(|source| {
            let database = self.config.directory.join(format::DATABASE_FILE);
            match source {
                MediumError::Sqlite(source) => OpenError::sqlite("read", &database, source),
                MediumError::Damaged(damage) => OpenError::Damaged { path: database, damage },
                other => unreachable!("reading rows does not end in {other:?}"),
            }
        })?;
        let mut events = Vec::with_capacity(rows.len());
        for row in &rows {
            let before = contents.index.at(&row.key, row.revision - 1);
            let previous = match before {
                None => None,
                Some(live) => {
                    readers::row(&connection, live.mod_revision)
                        .map_err(|_| OpenError::Damaged {
                            path: self.config.directory.join(format::DATABASE_FILE),
                            damage: crate::error::Damage::MissingRow(live.mod_revision),
                        })?
                        .value
                }
            };
            events.push(row.event(previous));
        }
        self.state = contents.state;
        self.expiry = contents.expiry;
        self.shared.next_expiry.set(self.expiry.next());
        self.connection = Some(connection);
        self.compaction_failed = false;
        let mut index = self.shared.index.write();
        *index = contents.index;
        self.shared.hub.publish(events);
        Ok(())
    }
}

/// What is at hand while the ballast cannot be set aside.
#[derive(Debug, Clone, Copy)]
struct Room {
    /// On the disk.
    free_bytes: u64,
    /// In the database.
    reusable_bytes: u64,
    log_bytes: u64,
    /// Somebody reads from an old state for long: until that is over, the log grows at its end.
    is_log_held: bool,
}

impl Room {
    /// Whether values can be taken where a ballast of `needed_bytes` was.
    fn is_enough_for(self, needed_bytes: u64) -> bool {
        // There must be room for the log, or deletions would be stuck after all. What it takes already it is written over, unless
        // it is held.
        let log_bytes = if self.is_log_held { 0 } else { self.log_bytes };
        self.free_bytes + log_bytes >= needed_bytes / 4 && self.free_bytes + self.reusable_bytes >= needed_bytes
    }
}

/// The highest revision in the table.
fn last_row(connection: &Connection) -> rusqlite::Result<Option<Revision>> {
    connection.query_row("SELECT max(rev) FROM kv", [], |row| Ok(row.get::<_, Option<i64>>(0)?.map(|rev| rev as u64)))
}

fn rows_after(connection: &Connection, revision: Revision) -> Result<Vec<Row>, MediumError> {
    let mut statement = connection.prepare_cached(format::SELECT_ROWS_AFTER)?;
    let mut rows = statement.query([revision as i64, i64::MAX])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(StoredRow::read(row)?.to_row(None));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// While a backup was written the log counted as room that it was not: values were taken, and deletions failed with the ballast
    /// already spent.
    #[test]
    fn a_log_that_is_held_is_no_room() {
        #[track_caller]
        fn check(free_bytes: u64, log_bytes: u64, is_log_held: bool, want: bool) {
            let room = Room { free_bytes, reusable_bytes: 100, log_bytes, is_log_held };
            assert_eq!(room.is_enough_for(100), want, "{room:?}");
        }
        check(0, 25, false, true);
        check(0, 25, true, false);
        check(0, 24, false, false);
        check(25, 0, true, true);
        check(24, 1, false, true);
        check(24, 1, true, false);
        let no_pages = Room { free_bytes: 25, reusable_bytes: 74, log_bytes: 1_000, is_log_held: false };
        assert!(!no_pages.is_enough_for(100));
    }
}
