//! Opens a store: configures SQLite, makes the tables of a new one, reads and verifies every row of an old one.

use std::{
    fs::{self, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
    time::Duration,
};

use bytes::Bytes;
use corten_base::fs::{Context as _, FsError};
use corten_storage::{
    kv::Revision,
    mvcc::{ExpiryQueue, KeyIndex},
};
use rusqlite::{Connection, OpenFlags};

use crate::{
    config::Config,
    error::{Damage, OpenError},
    format::{self, State, StoredRow},
    wal,
};

/// How long a connection waits for a lock that another one holds: somebody inspecting the file, or a checkpoint.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection with what its rows say.
pub(crate) struct Opened {
    pub(crate) connection: Connection,
    pub(crate) contents: Contents,
}

/// What a scan of all rows found.
pub(crate) struct Contents {
    pub(crate) index: KeyIndex,
    pub(crate) expiry: ExpiryQueue,
    pub(crate) state: State,
}

/// Opens the store of `config`, or makes it unless it has to exist. The caller holds the lock.
pub(crate) fn open(config: &Config) -> Result<Opened, OpenError> {
    let Config { directory, must_exist, log_pages, .. } = config;
    let (directory, must_exist) = (&**directory, *must_exist);
    let database = directory.join(format::DATABASE_FILE);
    let log = directory.join(format::LOG_FILE);
    if must_exist {
        expect_content(&database, &log)?;
    }
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&database) {
        Ok(_) if log.exists() => {
            // SQLite would apply a log without its database to the new one.
            fs::remove_file(&database).at("remove", &database)?;
            let reason = format!("{} is there, but not its database", log.display());
            return Err(OpenError::NotAStore { path: database, reason });
        }
        Ok(_) => sync_directory(directory)?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => wal::check(&log, &database)?,
        Err(error) => return Err(Err::<(), _>(error).at("create", &database).unwrap_err().into()),
    }
    let connection = connect(&database, must_exist, *log_pages)?;
    let contents = scan(&connection, &database)?;
    Ok(Opened { connection, contents })
}

/// Refuses a database that is missing or has no content.
///
/// An empty one never waits for its log to be applied: SQLite writes the first page before it begins a log, and removes the
/// log of an empty database. A log without any database is refused further on.
fn expect_content(database: &Path, log: &Path) -> Result<(), OpenError> {
    match fs::metadata(database) {
        Ok(metadata) if metadata.len() == 0 => Err(OpenError::Lost { path: database.to_owned(), state: "is empty" }),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound && log.exists() => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(OpenError::Lost { path: database.to_owned(), state: "is missing" })
        }
        Err(error) => Err(Err::<(), _>(error).at("look at", database).unwrap_err().into()),
    }
}

/// Makes the directory of a store; only its owner may look into it, for it holds secrets.
pub(crate) fn create_directory(directory: &Path) -> Result<(), FsError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).at("create directory", directory)
}

/// Makes renames and new files in `directory` durable.
pub(crate) fn sync_directory(directory: &Path) -> Result<(), FsError> {
    fs::File::open(directory).and_then(|file| file.sync_all()).at("sync", directory)
}

/// The writer's connection, configured as it was measured; makes the tables if the database is new.
fn connect(database: &Path, must_exist: bool, log_pages: u32) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection =
        Connection::open_with_flags(database, flags).map_err(|source| OpenError::sqlite("open", database, source))?;
    configure(&connection, log_pages).map_err(|source| OpenError::sqlite("configure", database, source))?;
    match identify(&connection, database)? {
        Identity::Store => {}
        Identity::New if must_exist => {
            return Err(OpenError::Lost { path: database.to_owned(), state: "has no tables" });
        }
        Identity::New => {
            create(&connection).map_err(|source| OpenError::sqlite("create tables in", database, source))?
        }
    }
    let sizes = format::PAGE_SIZES.map(|size| size.to_string());
    for (pragma, wanted) in [("page_size", &sizes[..]), ("journal_mode", &["wal".to_owned()])] {
        let found = connection
            .pragma_query_value(None, pragma, |row| row.get::<_, rusqlite::types::Value>(0))
            .map_err(|source| OpenError::sqlite("configure", database, source))?;
        let found = match found {
            rusqlite::types::Value::Integer(number) => number.to_string(),
            rusqlite::types::Value::Text(text) => text,
            other => format!("{other:?}"),
        };
        if !wanted.contains(&found) {
            let reason = format!("{pragma} is {found}, not {}", wanted.join(" or "));
            return Err(OpenError::NotAStore { path: database.to_owned(), reason });
        }
    }
    Ok(connection)
}

fn configure(connection: &Connection, log_pages: u32) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // The page size counts only for a new file, the log for every one: a backup is written without.
    connection.pragma_update(None, "page_size", format::PAGE_SIZE)?;
    connection.pragma_update(None, "cell_size_check", "ON")?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update_and_check(None, "wal_autocheckpoint", log_pages, |_| Ok(()))?;
    connection.pragma_update_and_check(None, "journal_size_limit", 64 << 20, |_| Ok(()))?;
    connection.pragma_update(None, "cache_size", -1_000)?;
    connection.pragma_update_and_check(None, "mmap_size", 0, |_| Ok(()))?;
    connection.pragma_update_and_check(None, "locking_mode", "NORMAL", |_| Ok(()))
}

/// A connection that only reads.
pub(crate) fn connect_reader(database: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(database, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "cell_size_check", "ON")?;
    connection.pragma_update(None, "cache_size", -500)?;
    Ok(connection)
}

enum Identity {
    Store,
    New,
}

/// Tells a store from a new file and from somebody else's.
fn identify(connection: &Connection, database: &Path) -> Result<Identity, OpenError> {
    let pragma = |name| {
        connection
            .pragma_query_value(None, name, |row| row.get::<_, i64>(0))
            .map_err(|source| OpenError::sqlite("identify", database, source))
    };
    match (pragma("application_id")?, pragma("user_version")?) {
        (format::APPLICATION_ID, found) if found > format::VERSION => {
            Err(OpenError::NewerFormat { path: database.to_owned(), found, supported: format::VERSION })
        }
        (format::APPLICATION_ID, format::VERSION) => Ok(Identity::Store),
        // `schema_version` counts changes of tables: there were none.
        (0, 0) if pragma("schema_version")? == 0 => Ok(Identity::New),
        (application, version) => {
            let reason = format!("it says application {application:#x}, format {version}");
            Err(OpenError::NotAStore { path: database.to_owned(), reason })
        }
    }
}

/// Refuses a file that is not a store of this format.
pub(crate) fn expect_store(connection: &Connection, database: &Path) -> Result<(), OpenError> {
    match identify(connection, database)? {
        Identity::Store => Ok(()),
        Identity::New => {
            let reason = "it is empty".to_owned();
            Err(OpenError::NotAStore { path: database.to_owned(), reason })
        }
    }
}

/// Makes the tables and says whose they are, in one transaction: a crash leaves a new file or a store.
fn create(connection: &Connection) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    transaction.execute_batch(format::SCHEMA)?;
    State::default().write(&transaction)?;
    transaction.pragma_update(None, "application_id", format::APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", format::VERSION)?;
    transaction.commit()
}

/// Reads every row in the order of revisions and verifies it, and that none is missing: above the compacted revision there
/// is one for each revision, up to it as many as were recorded.
pub(crate) fn scan(connection: &Connection, database: &Path) -> Result<Contents, OpenError> {
    let failed = |source| OpenError::sqlite("read", database, source);
    let damaged = |damage| OpenError::Damaged { path: database.to_owned(), damage };
    // One snapshot for the state and the rows, although nobody else should write.
    let transaction = connection.unchecked_transaction().map_err(failed)?;
    let state = State::read(&transaction).map_err(failed)?.map_err(damaged)?;
    let mut contents = Contents { index: KeyIndex::new(state.compacted), expiry: ExpiryQueue::default(), state };
    let mut base_rows = 0;
    let mut statement = transaction.prepare(format::SELECT_ROWS_AFTER).map_err(failed)?;
    let mut rows = statement.query([0, i64::MAX]).map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        let row = StoredRow::read(row).map_err(damaged)?;
        if row.revision <= state.compacted {
            base_rows += 1;
        } else if row.revision != contents.index.revision() + 1 {
            return Err(damaged(Damage::MissingRow(contents.index.revision() + 1)));
        }
        contents.index.apply(row.key, row.revision, row.created());
        match row.expires_at {
            Some(at) => contents.expiry.push(at, row.revision, Bytes::copy_from_slice(row.key)),
            None => contents.expiry.remove(row.key, row.revision),
        }
    }
    if base_rows != state.base_rows {
        let count = Damage::RowCount { compacted: state.compacted, found: base_rows, recorded: state.base_rows };
        return Err(damaged(count));
    }
    drop(rows);
    drop(statement);
    transaction.commit().map_err(failed)?;
    Ok(contents)
}

/// Opens a store again whose medium has failed: everything that the log holds is made durable, or this fails. The store
/// must have come to `revision`, which was acknowledged.
pub(crate) fn reopen(config: &Config, revision: Revision) -> Result<Opened, OpenError> {
    let database = config.directory.join(format::DATABASE_FILE);
    if !database.exists() {
        return Err(OpenError::NotAStore { path: database, reason: "it has been removed".to_owned() });
    }
    let opened = open(&Config { must_exist: true, ..config.clone() })?;
    let failed = |source| OpenError::sqlite("checkpoint", &database, source);
    // What a failed sync left in the log may never get to the disk; copying it into the database writes it again.
    let busy: i64 =
        opened.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).map_err(failed)?;
    if busy != 0 {
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
        return Err(failed(rusqlite::Error::SqliteFailure(code, None)));
    }
    if opened.contents.index.revision() < revision {
        return Err(OpenError::Damaged { path: database, damage: Damage::MissingRow(revision) });
    }
    Ok(opened)
}
