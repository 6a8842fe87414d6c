//! What an operator or a test can set.

use std::{path::PathBuf, sync::Arc};

use crate::faults::{Faults, NoFaults};

/// How big the ballast file is unless set otherwise: room for some thousand deletions and their compaction.
const BALLAST_BYTES: u64 = 64 << 20;

/// How many pages the log holds unless set otherwise: fewer make copying more frequent, more make it a longer stall.
const LOG_PAGES: u32 = 500;

/// The settings of an engine.
#[derive(Debug, Clone)]
pub struct Config {
    /// The directory of the store. Made if it does not exist; nothing else should live in it.
    pub directory: PathBuf,
    /// There has been a store before: one that is missing or empty now is refused, in place of a new one being made.
    pub must_exist: bool,
    /// The size of the ballast file, which is released when the disk is full so that deletions still work. 0 for none.
    pub ballast_bytes: u64,
    /// How many pages the write-ahead log holds before it is copied into the database.
    pub log_pages: u32,
    /// Where crash tests interfere.
    pub faults: Arc<dyn Faults>,
}

impl Config {
    /// The defaults for a store in `directory`.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            must_exist: false,
            ballast_bytes: BALLAST_BYTES,
            log_pages: LOG_PAGES,
            faults: Arc::new(NoFaults),
        }
    }
}
