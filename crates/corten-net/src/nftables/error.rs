//! Why a transaction was not committed.

use std::io;

use crate::netlink;

/// A transaction that changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The kernel refused at least one operation.
    #[error("commit packet rules: {}", describe(failures))]
    Refused {
        /// What was refused, in the order of the transaction. Later failures may follow from the first.
        failures: Vec<Failure>,
    },
    /// Somebody changed the rules since the expected generation.
    #[error("packet rules changed since generation {expected}")]
    GenerationChanged {
        /// The generation that the transaction was made for.
        expected: u32,
    },
    /// The batch could not be built, sent, or its answer read.
    #[error(transparent)]
    Transfer(#[from] netlink::Error),
}

/// One refused operation.
#[derive(Debug)]
pub struct Failure {
    /// Position of the operation in the transaction; none if the kernel refused the batch as a whole.
    pub operation: Option<usize>,
    /// What it was about: `add element 10.0.0.1 to set ip corten services`.
    pub object: String,
    /// The kernel's own words.
    pub message: Option<String>,
    /// The error number.
    pub source: io::Error,
}

impl CommitError {
    /// The first refused operation.
    #[must_use]
    pub fn first(&self) -> Option<&Failure> {
        match self {
            Self::Refused { failures } => failures.first(),
            _ => None,
        }
    }

    /// The error number of the first refused operation.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        self.first()?.source.raw_os_error()
    }

    /// Whether the first refused operation is about something that is not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.errno() == Some(libc::ENOENT)
    }
}

fn describe(failures: &[Failure]) -> String {
    let mut out = String::new();
    if let Some(first) = failures.first() {
        out = format!("{}: {}", first.object, first.source);
        if let Some(message) = &first.message {
            out.push_str(&format!(" ({message})"));
        }
    }
    if failures.len() > 1 {
        out.push_str(&format!(", and {} more", failures.len() - 1));
    }
    out
}
