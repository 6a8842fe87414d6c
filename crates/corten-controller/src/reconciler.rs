//! What a controller does with one key.

use std::{error::Error, fmt, time::Duration};

use async_trait::async_trait;
use corten_apimachinery::status::Status;
use corten_informer::Key;

/// Brings one object closer to what is wanted.
#[async_trait]
pub trait Reconciler<K: Sync = Key>: Send + Sync + 'static {
    /// Looks at the present state of `key` and acts. Called by one worker at a time for each key; a panic counts as a
    /// failure to be retried.
    ///
    /// Cancellation: runs to its end also during shutdown, so it must not wait for events.
    async fn reconcile(&self, key: &K) -> Result<Requeue, ReconcileError>;
}

/// When a key that was reconciled is looked at again without a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requeue {
    /// Not at all.
    Never,
    /// After this time.
    After(Duration),
    /// Soon, with the same growing delays as after a failure, but without counting as one.
    Backoff,
}

/// Any error, with its sources.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// A reconcile did not succeed.
#[derive(Debug)]
pub enum ReconcileError {
    /// Try again, with growing delays.
    Retry(BoxError),
    /// Trying again does not help; the next change of the object does.
    Terminal(BoxError),
}

impl ReconcileError {
    /// An error to try again after.
    pub fn retry(error: impl Into<BoxError>) -> Self {
        Self::Retry(error.into())
    }

    /// An error that stays until the object changes.
    pub fn terminal(error: impl Into<BoxError>) -> Self {
        Self::Terminal(error.into())
    }
}

impl fmt::Display for ReconcileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry(error) | Self::Terminal(error) => error.fmt(f),
        }
    }
}

impl Error for ReconcileError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Retry(error) | Self::Terminal(error) => error.source(),
        }
    }
}

impl From<Status> for ReconcileError {
    /// What an API server refuses today it may accept tomorrow.
    fn from(status: Status) -> Self {
        Self::retry(status)
    }
}
