//! What a write takes from elsewhere before it happens, and when that goes back.
//!
//! Flow: hook before the write -> `Reservation` -> the engine's outcome -> kept or given back. A reservation that is dropped
//! goes back, so that a client that goes away in the middle leaves nothing taken. From the commit on it belongs to a task of
//! its own, which knows the outcome also when nobody waits for the answer any more.
//! Invariant: what may be stored is never given back.

use std::fmt;

use corten_storage::kv::{KvError, Outcome};

/// Something taken for a write that has not happened yet. It goes back when this is dropped.
#[derive(Default)]
pub struct Reservation(Option<Box<dyn FnOnce() + Send>>);

impl Reservation {
    /// Nothing was taken.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// Something was taken; `give_back` undoes that.
    pub fn new(give_back: impl FnOnce() + Send + 'static) -> Self {
        Self(Some(Box::new(give_back)))
    }

    /// The write has happened, or may have: what was taken stays so.
    pub fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(give_back) = self.0.take() {
            give_back();
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

/// What is done once it is known how a write ended.
pub(super) type Settle = Box<dyn FnOnce(Ended) + Send>;

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
    pub(super) fn end(mut self, ended: Ended) {
        self.settle(ended);
    }

    fn settle(&mut self, ended: Ended) {
        let Some(settle) = self.settle.take() else { return };
        if ended == Ended::Unknown {
            tracing::warn!(
                key = self.key,
                "Could not learn how a write ended: what it took stays taken until a restart"
            );
        }
        settle(ended);
    }
}

impl Drop for Settling {
    fn drop(&mut self) {
        self.settle(Ended::Unknown);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };

    use super::*;

    fn reservation() -> (Reservation, Arc<AtomicBool>) {
        let is_back = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&is_back);
        (Reservation::new(move || seen.store(true, Ordering::Relaxed)), is_back)
    }

    #[test]
    fn what_is_not_kept_goes_back() {
        let (dropped, is_back) = reservation();
        drop(dropped);
        assert!(is_back.load(Ordering::Relaxed));
        let (kept, is_back) = reservation();
        kept.keep();
        assert!(!is_back.load(Ordering::Relaxed));
    }

    /// A panic of the engine dropped what settles, and with it the reservation: what may be stored was given back.
    #[test]
    fn a_write_that_never_ended_may_have_happened() {
        let (reservation, is_back) = reservation();
        let settle: Settle = Box::new(move |ended| match ended {
            Ended::Done | Ended::Unknown => reservation.keep(),
            Ended::NotDone => drop(reservation),
        });
        let settling = Settling::new(settle, "services/default/web");
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _settling = settling;
            panic!("in the engine");
        }))
        .unwrap_err();
        assert!(!is_back.load(Ordering::Relaxed));
        let (seen, ends) = std::sync::mpsc::channel();
        Settling::new(Box::new(move |ended| seen.send(ended).unwrap()), "x").end(Ended::Done);
        assert_eq!(ends.iter().collect::<Vec<_>>(), [Ended::Done]);
    }

    /// An address was given back after a failed write that the engine then found on its medium: two services had it.
    #[test]
    fn an_outcome_that_is_unknown_is_none() {
        let failed = |outcome_unknown| {
            let source = Arc::new(std::io::Error::other("disk full"));
            Ended::of(&Err(KvError::Storage { operation: "commit", outcome_unknown, source }))
        };
        assert_eq!((failed(true), failed(false)), (Ended::Unknown, Ended::NotDone));
        let source = Arc::new(std::io::Error::other("full"));
        assert_eq!(Ended::of(&Err(KvError::NoSpace { source })), Ended::NotDone);
        assert_eq!(Ended::of(&Err(KvError::Closed)), Ended::Unknown);
        assert_eq!(Ended::of(&Ok(Outcome::Done { revision: 1 })), Ended::Done);
    }
}
