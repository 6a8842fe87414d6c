//! Why a store cannot be opened, and why a write failed.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use corten_base::fs::FsError;
use corten_storage::kv::{KvError, Revision};

/// A store that cannot be opened, backed up or restored.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error(
        "store {} is in use by process {pid}: stop that process (`corten down`), or choose another data directory",
        directory.display()
    )]
    InUse {
        /// The store.
        directory: PathBuf,
        /// Who holds the lock, as it wrote it; `unknown` if it has not yet.
        pid: String,
    },
    /// The file is something else.
    #[error("{} is not a store of corten: {reason}", path.display())]
    NotAStore {
        /// The file.
        path: PathBuf,
        /// What gave it away.
        reason: String,
    },
    /// The file is gone or empty, although there has been a store.
    #[error(
        "the store {} {state}, although a cluster has been kept in it; no new one was made: bring a backup back \
         (`corten restore`), or begin anew after `corten delete`",
        path.display()
    )]
    Lost {
        /// The file.
        path: PathBuf,
        /// `is missing`, `is empty`, or the like.
        state: &'static str,
    },
    /// The file is from a newer version.
    #[error("store {} has format {found}, this version reads up to {supported}: start the newer version again", path.display())]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// What this version reads.
        supported: i64,
    },
    /// Stored bytes have changed.
    #[error(
        "store {} is damaged: {damage}; nothing was changed: move the directory away and restore the latest backup \
         (`corten restore`)",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        damage: Damage,
    },
    /// A store is there already.
    #[error("{} exists already", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// SQLite failed.
    #[error("{operation} {}", path.display())]
    Sqlite {
        /// What was tried.
        operation: &'static str,
        /// On which file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },
    /// A file operation failed.
    #[error(transparent)]
    File(#[from] FsError),
    /// The work was given up because the process shuts down.
    #[error("opening was interrupted by shutdown")]
    Interrupted,
}

/// What is wrong with stored bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// A row does not match its checksum, or cannot be what was written.
    #[error("row {0} does not match its checksum")]
    Row(i64),
    /// The row of a revision that must exist does not.
    #[error("row {0} is missing")]
    MissingRow(Revision),
    /// The number of rows up to the compacted revision is not what was recorded.
    #[error("{found} rows up to revision {compacted} where {recorded} were recorded")]
    RowCount {
        /// The compacted revision.
        compacted: Revision,
        /// How many rows are there.
        found: u64,
        /// How many were recorded.
        recorded: u64,
    },
    /// SQLite cannot make sense of the file.
    #[error("{0}")]
    Structure(String),
    /// The state row is missing or does not match its checksum.
    #[error("the state row does not match its checksum")]
    State,
    /// The write-ahead log goes on after a bad frame: that is no torn tail.
    #[error("frame {frame} of the write-ahead log is bad, but {commits} commits follow it")]
    Log {
        /// The first bad frame, from 1; 0 for the header.
        frame: u64,
        /// How many commits would be lost.
        commits: u64,
    },
}

/// A read or write that failed at the medium.
#[derive(Debug, thiserror::Error)]
pub enum MediumError {
    /// The disk is full. Deletions and compaction still work.
    #[error("disk is full ({free_bytes} bytes free, writes need {needed_bytes}): delete objects or make room")]
    DiskFull {
        /// What is free.
        free_bytes: u64,
        /// What must be free before values are taken again.
        needed_bytes: u64,
    },
    /// SQLite failed.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// A row is not what was written.
    #[error("store is damaged: {0}; restore the latest backup")]
    Damaged(Damage),
    /// The store could not be opened again after a failure; the next write tries again.
    #[error("open the store again")]
    Reopen(#[source] Arc<OpenError>),
    /// A file operation failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The thread that did the work has panicked.
    #[error("the thread of the storage engine ended")]
    Ended,
}

impl From<Damage> for MediumError {
    fn from(damage: Damage) -> Self {
        Self::Damaged(damage)
    }
}

impl MediumError {
    /// Whether there was no space: the one failure after which the connection stays usable.
    pub(crate) fn is_disk_full(&self) -> bool {
        match self {
            Self::Sqlite(error) => error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull),
            Self::Io(error) => error.kind() == io::ErrorKind::StorageFull,
            Self::DiskFull { .. } => true,
            Self::Damaged(_) | Self::Reopen(_) | Self::Ended => false,
        }
    }
}

impl OpenError {
    /// Says what SQLite's error means for a store.
    pub(crate) fn sqlite(operation: &'static str, path: &Path, source: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(rusqlite::ErrorCode::NotADatabase) => Self::NotAStore { path, reason: source.to_string() },
            Some(rusqlite::ErrorCode::DatabaseCorrupt) => {
                Self::Damaged { path, damage: Damage::Structure(source.to_string()) }
            }
            _ => Self::Sqlite { operation, path, source },
        }
    }
}

/// An engine error of the medium, after which no write has happened.
pub(crate) fn failed(operation: &'static str, source: impl Into<Arc<dyn std::error::Error + Send + Sync>>) -> KvError {
    KvError::Storage { operation, outcome_unknown: false, source: source.into() }
}
