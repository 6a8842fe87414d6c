//! What is on disk, version 1: files, tables, the encoding of a row and its checksum. docs/design/store-format.md tells why.
//!
//! A change here is a new version: write down what an old reader does with new data and a new reader with old, then bump.

use bytes::Bytes;
use corten_storage::{kv::Revision, mvcc::Row};
use jiff::Timestamp;
use rusqlite::{Connection, params};

use crate::error::Damage;

/// The version that this build writes, in SQLite's `user_version`.
pub const VERSION: i64 = 1;

/// `Cort` in SQLite's `application_id`, so that the file says whose it is.
pub const APPLICATION_ID: i64 = 0x436f_7274;

/// The database, within the directory of the store.
pub const DATABASE_FILE: &str = "corten.db";

/// The write-ahead log that SQLite keeps beside it.
pub const LOG_FILE: &str = "corten.db-wal";

/// The file whose lock says that a process has the store; holds that process's id.
pub const LOCK_FILE: &str = "lock";

/// Space that is kept to be given up when the disk is full.
pub const BALLAST_FILE: &str = "ballast";

/// The page size of a new store, in bytes: three pods fit into a page, and a commit writes few of them.
pub const PAGE_SIZE: i64 = 8192;

/// The page sizes of stores: those that were made before keep theirs.
pub const PAGE_SIZES: [i64; 2] = [4096, PAGE_SIZE];

/// Set in `flags` of a row that records a deletion.
const FLAG_DELETED: i64 = 1;

/// In the checksum in place of the time of a row that does not expire: no time that an object carries.
const NO_EXPIRY: i64 = i64::MIN;

/// Rows are written once and deleted by compaction; nothing is ever updated. `state` has one row.
pub(crate) const SCHEMA: &str = "
    CREATE TABLE kv (
        rev        INTEGER PRIMARY KEY, -- the store's revision of this write
        key        BLOB NOT NULL,
        value      BLOB,                -- NULL: the key was deleted
        create_rev INTEGER NOT NULL,    -- the revision that created the key
        flags      INTEGER NOT NULL,    -- 1: deleted
        expires_at INTEGER,             -- microseconds since 1970; NULL: never
        crc        INTEGER NOT NULL     -- CRC-32C of all of the above
    );
    CREATE TABLE state (
        id          INTEGER PRIMARY KEY CHECK (id = 1),
        compact_rev INTEGER NOT NULL,   -- history before this revision is forgotten
        base_rows   INTEGER NOT NULL,   -- how many rows have rev <= compact_rev
        crc         INTEGER NOT NULL
    );
";

/// The columns of `kv` in the order that `StoredRow::read` expects.
macro_rules! row_columns {
    () => {
        "rev, key, value, create_rev, flags, expires_at, crc"
    };
}

pub(crate) const INSERT_ROW: &str =
    concat!("INSERT INTO kv (", row_columns!(), ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)");
pub(crate) const SELECT_ROW: &str = concat!("SELECT ", row_columns!(), " FROM kv WHERE rev = ?1");
pub(crate) const SELECT_ROWS_AFTER: &str =
    concat!("SELECT ", row_columns!(), " FROM kv WHERE rev > ?1 AND rev <= ?2 ORDER BY rev");
pub(crate) const DELETE_ROW: &str = "DELETE FROM kv WHERE rev = ?1 RETURNING key";
const SELECT_STATE: &str = "SELECT compact_rev, base_rows, crc FROM state WHERE id = 1";
const REPLACE_STATE: &str = "INSERT OR REPLACE INTO state (id, compact_rev, base_rows, crc) VALUES (1, ?1, ?2, ?3)";

/// A row as it lies in SQLite's page, verified.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StoredRow<'a> {
    pub(crate) revision: Revision,
    pub(crate) key: &'a [u8],
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) create_revision: Revision,
    pub(crate) expires_at: Option<Timestamp>,
}

impl<'a> StoredRow<'a> {
    /// Reads and verifies the row that a statement over the row columns is at.
    pub(crate) fn read(row: &'a rusqlite::Row<'_>) -> Result<Self, Damage> {
        let rev: i64 = row.get(0).map_err(|_| Damage::Row(0))?;
        Self::read_columns(row, rev).ok_or(Damage::Row(rev))
    }

    /// `None` if any column is not what was written: a wrong type is damage as much as a wrong checksum is.
    fn read_columns(row: &'a rusqlite::Row<'_>, rev: i64) -> Option<Self> {
        let key = row.get_ref(1).ok()?.as_blob().ok()?;
        let value = row.get_ref(2).ok()?.as_blob_or_null().ok()?;
        let create_rev: i64 = row.get(3).ok()?;
        let flags: i64 = row.get(4).ok()?;
        let expires_at: Option<i64> = row.get(5).ok()?;
        let crc: i64 = row.get(6).ok()?;
        let intact = crc == i64::from(row_checksum(rev, key, value, create_rev, flags, expires_at))
            && flags == if value.is_none() { FLAG_DELETED } else { 0 }
            && rev > 0
            && (1..=rev).contains(&create_rev);
        let expires_at = match expires_at {
            None => None,
            Some(at) => Some(Timestamp::from_microsecond(at).ok()?),
        };
        intact.then_some(Self { revision: rev as u64, key, value, create_revision: create_rev as u64, expires_at })
    }

    /// The create revision as the index wants it: `None` for a deletion.
    pub(crate) fn created(&self) -> Option<Revision> {
        self.value.map(|_| self.create_revision)
    }

    /// A copy that outlives the statement.
    pub(crate) fn to_row(self, previous: Option<Revision>) -> Row {
        Row {
            key: Bytes::copy_from_slice(self.key),
            value: self.value.map(Bytes::copy_from_slice),
            revision: self.revision,
            create_revision: self.create_revision,
            expires_at: self.expires_at,
            previous,
        }
    }
}

/// Inserts a row.
pub(crate) fn insert(statement: &mut rusqlite::CachedStatement<'_>, row: &Row) -> rusqlite::Result<()> {
    let (rev, create_rev) = (row.revision as i64, row.create_revision as i64);
    assert!(rev > 0 && (1..=rev).contains(&create_rev), "row {rev} is created before it is written");
    let flags = if row.value.is_none() { FLAG_DELETED } else { 0 };
    let expires_at = row.expires_at.map(Timestamp::as_microsecond);
    let value = row.value.as_deref();
    let crc = i64::from(row_checksum(rev, &row.key, value, create_rev, flags, expires_at));
    statement.execute(params![rev, &row.key[..], value, create_rev, flags, expires_at, crc])?;
    Ok(())
}

/// Everything that is stored goes in, and the key's length, so that no byte can move between key and value.
fn row_checksum(
    rev: i64,
    key: &[u8],
    value: Option<&[u8]>,
    create_rev: i64,
    flags: i64,
    expires_at: Option<i64>,
) -> u32 {
    let mut head = [0; 40];
    let numbers = [rev, create_rev, flags, expires_at.unwrap_or(NO_EXPIRY), key.len() as i64];
    for (place, number) in head.chunks_exact_mut(8).zip(numbers) {
        place.copy_from_slice(&number.to_le_bytes());
    }
    let crc = crc32c::crc32c(&head);
    let crc = crc32c::crc32c_append(crc, key);
    crc32c::crc32c_append(crc, value.unwrap_or_default())
}

/// What the store knows about its compacted past.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct State {
    pub(crate) compacted: Revision,
    /// How many rows are left up to `compacted`: so that a lost one is noticed, although there are gaps.
    pub(crate) base_rows: u64,
}

impl State {
    /// Reads the state row.
    pub(crate) fn read(connection: &Connection) -> rusqlite::Result<Result<Self, Damage>> {
        let columns =
            |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?));
        match connection.query_row(SELECT_STATE, [], columns) {
            Ok((compacted, rows, crc)) if compacted >= 0 && rows >= 0 => {
                let state = Self { compacted: compacted as u64, base_rows: rows as u64 };
                Ok(if crc == i64::from(state.checksum()) { Ok(state) } else { Err(Damage::State) })
            }
            Ok(_) | Err(rusqlite::Error::QueryReturnedNoRows | rusqlite::Error::InvalidColumnType(..)) => {
                Ok(Err(Damage::State))
            }
            Err(error) => Err(error),
        }
    }

    /// Replaces the state row, within the caller's transaction.
    pub(crate) fn write(self, connection: &Connection) -> rusqlite::Result<()> {
        let crc = i64::from(self.checksum());
        let numbers = params![self.compacted as i64, self.base_rows as i64, crc];
        connection.prepare_cached(REPLACE_STATE)?.execute(numbers)?;
        Ok(())
    }

    /// The state after compaction at `revision`: every row in between existed.
    pub(crate) fn compacted_at(self, revision: Revision) -> Self {
        assert!(revision >= self.compacted, "compaction goes forward");
        Self { compacted: revision, base_rows: self.base_rows + (revision - self.compacted) }
    }

    fn checksum(self) -> u32 {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.compacted.to_le_bytes());
        bytes[8..].copy_from_slice(&self.base_rows.to_le_bytes());
        crc32c::crc32c(&bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checksum_of(key: &[u8], value: Option<&[u8]>) -> u32 {
        row_checksum(7, key, value, 3, 0, None)
    }

    #[test]
    fn the_checksum_of_version_1_is_fixed() {
        let crc = row_checksum(7, b"/registry/a", Some(b"{}"), 3, 0, Some(1_700_000_000_000_000));
        assert_eq!(crc, 0x4590_2277, "a change of the checksum is a change of the format");
    }

    #[test]
    fn the_checksum_covers_every_field() {
        let base = row_checksum(7, b"ab", Some(b"c"), 3, 0, None);
        for (what, other) in [
            ("rev", row_checksum(6, b"ab", Some(b"c"), 3, 0, None)),
            ("create_rev", row_checksum(7, b"ab", Some(b"c"), 4, 0, None)),
            ("flags", row_checksum(7, b"ab", Some(b"c"), 3, 1, None)),
            ("expires_at", row_checksum(7, b"ab", Some(b"c"), 3, 0, Some(0))),
            ("key", checksum_of(b"ax", Some(b"c"))),
            ("value", checksum_of(b"ab", Some(b"x"))),
            ("the border between key and value", checksum_of(b"a", Some(b"bc"))),
        ] {
            assert_ne!(base, other, "{what}");
        }
    }
}
