//! The embedded storage engine: SQLite, one append-only table keyed by revision.
//!
//! Flow of a write: `engine` (any task) -> bounded queue -> `writer` (one thread: group commit, fsync) -> key index, watchers,
//! answers. Flow of a read: key index (in memory) -> row by revision through `readers`.
//! Invariants: an acknowledged write is on disk; a row is verified against its checksum whenever it is read, all rows at open;
//! one process at a time (`lock`). The format, and why it is so: docs/design/store-format.md.
#![forbid(unsafe_code)]

mod engine;
mod replay;

mod writer;

mod open;
mod readers;

mod backup;

pub mod format;

mod ballast;
mod lock;
mod wal;

mod config;
mod error;
pub mod faults;

pub use config::Config;
pub use engine::SqliteEngine;
pub use error::{MediumError, OpenError};
