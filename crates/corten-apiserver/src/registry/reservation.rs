//! What a write takes from elsewhere before it happens, and when that goes back.
//!
//! Flow: hook before the write chooses -> `Reservation` -> validation -> it is taken -> the engine's outcome -> kept or given
//! back. A reservation that is dropped goes back, so that a client that goes away in the middle leaves nothing taken. Taking
//! and, from the commit on, the rest belong to tasks of their own, which know the outcome also when nobody waits for the
//! answer any more.
//! Invariant: what may be stored is never given back.

use std::fmt;

use async_trait::async_trait;
use corten_apimachinery::{status::Status, value::Value};
use corten_base::TaskSet;
use corten_storage::kv::{KvError, Outcome};
use futures::future::BoxFuture;
use tokio::sync::oneshot;

/// What one write needs from elsewhere.
#[async_trait]
pub trait Claim: Send + 'static {
    /// Makes what was chosen known to everybody: `object` is valid now. What somebody else has taken in between may be
    /// exchanged in it for something as good.
    async fn take(&mut self, object: &mut Value) -> Result<(), Status>;

    /// Undoes all of it: the write has not happened, and will not. What takes time is left to the future.
    fn give_back(self: Box<Self>) -> Option<BoxFuture<'static, ()>>;
}

/// Something chosen, and then taken, for a write that has not happened yet. It goes back when this is dropped.
#[derive(Default)]
pub struct Reservation(Option<(Box<dyn Claim>, TaskSet)>);

impl Reservation {
    /// Nothing is needed.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// Something is needed; what goes back without anybody who waits for it does so in `tasks`.
    pub fn new(claim: impl Claim, tasks: TaskSet) -> Self {
        Self(Some((Box::new(claim), tasks)))
    }

    /// Takes it, for `object`, which is the caller's again afterwards. Seen to its end also when nobody waits any more: then
    /// it goes back.
    ///
    /// Errors: it cannot be had; then nothing is taken.
    pub(super) async fn take(mut self, object: &mut Value) -> Result<Self, Status> {
        let Some((mut claim, tasks)) = self.0.take() else { return Ok(self) };
        let (answer, answered) = oneshot::channel();
        let mut taken_for = std::mem::take(object);
        let spawner = tasks.clone();
        spawner.spawn("claim", async move {
            let taken = claim.take(&mut taken_for).await;
            let claim = match taken {
                Ok(()) => Ok(Self(Some((claim, tasks)))),
                Err(status) => {
                    Self(Some((claim, tasks))).give_back().await;
                    Err(status)
                }
            };
            // Dropped unheard, a reservation goes back.
            drop(answer.send((claim, taken_for)));
        });
        let (reservation, taken_for) =
            answered.await.map_err(|_| Status::internal("what a write needs was not taken"))?;
        *object = taken_for;
        reservation
    }

    /// The write has happened, or may have: what was taken stays so.
    pub fn keep(mut self) {
        self.0 = None;
    }

    /// The write has not happened: what was taken goes back, and has when this returns.
    pub async fn give_back(mut self) {
        if let Some(giving_back) = self.0.take().and_then(|(claim, _)| claim.give_back()) {
            giving_back.await;
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some((claim, tasks)) = self.0.take()
            && let Some(giving_back) = claim.give_back()
        {
            tasks.spawn("give-back", giving_back);
        }
    }
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reservation").field("is_some", &self.0.is_some()).finish()
    }
}

/// How a write ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// It is durable.
    Done,
    /// It did not happen, and will not.
    NotDone,
    /// It may have happened: the engine failed in the middle, and may find it when it reads what is there.
    Unknown,
}

impl Ended {
    pub(super) fn of(result: &Result<Outcome, KvError>) -> Self {
        match result {
            Ok(Outcome::Done { .. }) => Self::Done,
            Ok(Outcome::Conflict { .. }) => Self::NotDone,
            Err(
                KvError::Storage { outcome_unknown: false, .. } | KvError::NoSpace { .. } | KvError::TooLarge { .. },
            ) => Self::NotDone,
            Err(_) => Self::Unknown,
        }
    }
}

/// What is done once it is known how a write ended. Where that is unknown it does what it has to at once, and its future is
/// not awaited.
pub(super) type Settle = Box<dyn FnOnce(Ended) -> BoxFuture<'static, ()> + Send>;

/// What is settled once, whatever happens: dropped without an outcome, by a panic of the engine, it counts as unknown.
pub(super) struct Settling {
    settle: Option<Settle>,
    key: String,
}

impl Settling {
    /// For the write of `key`.
    pub(super) fn new(settle: Settle, key: &str) -> Self {
        Self { settle: Some(settle), key: key.to_owned() }
    }

    /// The write has ended.
    pub(super) async fn end(mut self, ended: Ended) {
        if let Some(settling) = self.settle(ended) {
            settling.await;
        }
    }

    fn settle(&mut self, ended: Ended) -> Option<BoxFuture<'static, ()>> {
        let settle = self.settle.take()?;
        if ended == Ended::Unknown {
            tracing::warn!(
                key = self.key,
                "Could not learn how a write ended: what it took, if anything, stays taken until its repair"
            );
        }
        Some(settle(ended))
    }
}

impl Drop for Settling {
    fn drop(&mut self) {
        drop(self.settle(Ended::Unknown));
    }
}

#[cfg(test)]
mod tests;
