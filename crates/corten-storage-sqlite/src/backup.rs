//! Copies a running store into one file, and makes a store of such a copy.
//!
//! `VACUUM INTO` on a connection of its own reads one snapshot and writes a compact, checkpointed database; SQLite's
//! stepwise backup starts again whenever the writer commits and did not finish under load.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use corten_base::fs::{self, Context as _, FsError};
use corten_storage::kv::Revision;
use rusqlite::{Connection, OpenFlags};
use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::{error::OpenError, format, lock::StoreLock, open};

/// Writes a copy of `database` to the new file `target`, verifies it, and returns its revision. Blocks.
pub(crate) fn write(database: &Path, target: &Path) -> Result<Revision, OpenError> {
    refuse_existing(target)?;
    let partial = with_suffix(target, ".partial");
    // Held until the file has its name, or has gone.
    let file = take_partial(&partial)?;
    let copied = copy_snapshot(database, &partial, &file).and_then(|()| {
        let revision = verify(&partial)?;
        publish(&partial, target)?;
        Ok(revision)
    });
    copied.inspect_err(|_| {
        // What made the copy fail may keep its file from going, too, and is what has to be told: the next backup to this target
        // takes the file as it is.
        drop(std::fs::remove_file(&partial));
    })
}

/// The empty file of a backup that begins: what an interrupted one has left behind is emptied.
///
/// Errors: another backup to the same target is being written.
fn take_partial(path: &Path) -> Result<File, OpenError> {
    // SQLite fills an empty file: made by us, because it holds secrets.
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path).at("create", path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(OpenError::Exists { path: path.to_owned() }),
        Err(TryLockError::Error(error)) => return Err(Err::<(), _>(error).at("lock", path).unwrap_err().into()),
    }
    // Another backup may have been done with it in between: then what is locked is its result.
    let locked = file.metadata().at("look at", path)?;
    if !std::fs::metadata(path).is_ok_and(|there| (there.dev(), there.ino()) == (locked.dev(), locked.ino())) {
        return Err(OpenError::Exists { path: path.to_owned() });
    }
    file.set_len(0).at("truncate", path)?;
    Ok(file)
}

/// Whether `restore` would succeed; its revision. Blocks, changes nothing.
pub(crate) fn check(backup: &Path, directory: &Path) -> Result<Revision, OpenError> {
    let (database, log) = (directory.join(format::DATABASE_FILE), directory.join(format::LOG_FILE));
    if is_in(directory) {
        return Err(OpenError::Exists { path: database });
    }
    if !database.try_exists().at("look for", &database)? {
        refuse_existing(&log)?;
    }
    verify(backup)
}

/// Whether the directory holds a store. An empty file in its place is none.
pub(crate) fn is_in(directory: &Path) -> bool {
    std::fs::metadata(directory.join(format::DATABASE_FILE)).is_ok_and(|database| database.len() > 0)
}

/// Makes a store in `directory` of `backup`. The directory must not hold one; an empty file in its place is replaced.
///
/// Blocks. Errors: `OpenError::Exists`, `InUse`, and whatever is wrong with the backup.
pub(crate) fn restore(backup: &Path, directory: &Path) -> Result<Revision, OpenError> {
    let revision = verify(backup)?;
    open::create_directory(directory)?;
    let _lock = StoreLock::take(directory)?;
    let database = directory.join(format::DATABASE_FILE);
    clear_empty(&database, &directory.join(format::LOG_FILE))?;
    for file in [&database, &directory.join(format::LOG_FILE)] {
        refuse_existing(file)?;
    }
    let partial = with_suffix(&database, ".partial");
    let copy = || -> Result<(), FsError> {
        fs::remove_file(&partial)?;
        let mut source = File::open(backup).at("open", backup)?;
        let mut file = create_private(&partial)?;
        io::copy(&mut source, &mut file).at("write", &partial)?;
        file.sync_all().at("sync", &partial)
    };
    copy()?;
    publish(&partial, &database)?;
    Ok(revision)
}

/// Takes an empty database out of the way, which holds nothing. A log beside it may be of use to somebody, and is put aside.
fn clear_empty(database: &Path, log: &Path) -> Result<(), FsError> {
    if !std::fs::metadata(database).is_ok_and(|metadata| metadata.len() == 0) {
        return Ok(());
    }
    if log.try_exists().at("look for", log)? {
        let aside = with_suffix(log, ".lost");
        std::fs::rename(log, &aside).at("rename to", &aside)?;
    }
    fs::remove_file(database)
}

fn copy_snapshot(database: &Path, partial: &Path, file: &File) -> Result<(), OpenError> {
    let connection = open::connect_reader(database).map_err(|source| OpenError::sqlite("open", database, source))?;
    let path = partial.to_str().ok_or_else(|| {
        let reason = "the path is not UTF-8".to_owned();
        OpenError::NotAStore { path: partial.to_owned(), reason }
    })?;
    connection.execute("VACUUM INTO ?1", [path]).map_err(|source| OpenError::sqlite("copy into", partial, source))?;
    Ok(file.sync_all().at("sync", partial)?)
}

/// Reads and verifies all rows of a copy, without changing it.
fn verify(copy: &Path) -> Result<Revision, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection =
        Connection::open_with_flags(copy, flags).map_err(|source| OpenError::sqlite("open", copy, source))?;
    open::expect_store(&connection, copy)?;
    Ok(open::scan(&connection, copy)?.index.revision())
}

fn create_private(path: &Path) -> Result<File, FsError> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).at("create", path)
}

fn refuse_existing(path: &Path) -> Result<(), OpenError> {
    if path.try_exists().at("look for", path)? { Err(OpenError::Exists { path: path.to_owned() }) } else { Ok(()) }
}

/// Gives a finished file its name, unless something has it.
fn publish(partial: &Path, target: &Path) -> Result<(), OpenError> {
    match renameat_with(CWD, partial, CWD, target, RenameFlags::NOREPLACE) {
        Ok(()) => {}
        Err(rustix::io::Errno::EXIST) => return Err(OpenError::Exists { path: target.to_owned() }),
        // Not every file system knows the flag.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            refuse_existing(target)?;
            std::fs::rename(partial, target).at("rename to", target)?;
        }
        Err(error) => return Err(Err::<(), _>(io::Error::from(error)).at("rename to", target).unwrap_err().into()),
    }
    let directory = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    open::sync_directory(directory)?;
    Ok(())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The second took the file of the first away, and both ended with one half of a store or the other.
    #[test]
    fn two_backups_to_one_target_do_not_disturb_each_other() {
        let directory = tempfile::tempdir().unwrap();
        let (database, target) = (directory.path().join("no-store"), directory.path().join("backup"));
        let partial = with_suffix(&target, ".partial");
        let first = take_partial(&partial).unwrap();
        first.set_len(7).unwrap();
        let second = write(&database, &target).unwrap_err();
        assert!(matches!(&second, OpenError::Exists { path } if *path == partial), "{second}");
        assert_eq!(std::fs::metadata(&partial).unwrap().len(), 7);
        // The first is done; the second had opened its file before.
        publish(&partial, &target).unwrap();
        drop(first);
        assert_eq!(std::fs::metadata(&target).unwrap().len(), 7);
        assert_eq!(take_partial(&partial).unwrap().metadata().unwrap().len(), 0, "the next begins with a new file");
    }

    /// What an interrupted one has left behind was removed, which is not always possible; and why a copy failed was not told if
    /// its file could not be removed.
    #[test]
    fn a_backup_that_fails_says_why() {
        let directory = tempfile::tempdir().unwrap();
        let (database, target) = (directory.path().join("no-store"), directory.path().join("backup"));
        let partial = with_suffix(&target, ".partial");
        std::fs::write(&partial, "half a store").unwrap();
        let why = write(&database, &target).unwrap_err();
        assert!(matches!(&why, OpenError::Sqlite { operation: "open", path, .. } if *path == database), "{why}");
        assert!(!partial.exists() && !target.exists());
    }
}
