//! The places where a crash test stops or fails a write. In production every one of them is an empty call per commit.

use std::{fmt, io};

/// A step of the writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// The transaction is open.
    Begun,
    /// One row of the group has been inserted.
    Inserted,
    /// All rows have been inserted, nothing is durable.
    BeforeCommit,
    /// The group is durable; nobody knows.
    AfterCommit,
    /// Readers and watchers know; the callers do not.
    Published,
    /// The callers know.
    Answered,
    /// A compaction chunk has been deleted, but not committed.
    ChunkDeleted,
    /// A compaction chunk is durable, the index does not know.
    ChunkCommitted,
}

impl Step {
    /// All steps, in the order of a group commit, then those of compaction.
    pub const ALL: [Self; 8] = [
        Self::Begun,
        Self::Inserted,
        Self::BeforeCommit,
        Self::AfterCommit,
        Self::Published,
        Self::Answered,
        Self::ChunkDeleted,
        Self::ChunkCommitted,
    ];
}

/// Interferes with the writer.
pub trait Faults: fmt::Debug + Send + Sync + 'static {
    /// Called at each step, on the writer's thread. An error is treated as if the medium had returned it: after
    /// `AfterCommit`, as if the sync had failed although all is written. What is published (`Published`, `Answered`,
    /// `ChunkCommitted`) cannot fail, there an error is ignored.
    fn reached(&self, step: Step) -> io::Result<()>;
}

/// Lets everything pass.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFaults;

impl Faults for NoFaults {
    fn reached(&self, _step: Step) -> io::Result<()> {
        Ok(())
    }
}
