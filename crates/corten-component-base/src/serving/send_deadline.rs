//! Until when an answer has to be sent: a client that does not read must not hold it for ever.
//!
//! hyper asks a body for more only when there is room for it, so that no body can end itself once its client has stopped
//! reading. Whoever polls the answer from outside can: an HTTP/2 stream is reset then, an HTTP/1 connection closed.
//! Upstream: `baseTimeoutWriter.timeout` in k8s.io/apiserver/pkg/server/filters/timeout.go (v1.35).

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use corten_base::{SharedClock, clock::Sleep};
use pin_project_lite::pin_project;

/// No deadline.
const NEVER: u64 = u64::MAX;

tokio::task_local! {
    /// The deadline of what is being polled.
    static CURRENT: Cell;
}

/// Milliseconds of the clock, or `NEVER`.
#[derive(Debug, Clone)]
struct Cell(Arc<AtomicU64>);

/// Bounds an answer until it is dropped: to be held by its body.
#[derive(Debug)]
pub struct SendDeadline(Cell);

impl SendDeadline {
    /// Bounds the answer to the request that this is called for: at `at` of the clock's monotonic time it is given up, sent or
    /// not. `None` where no [`super::TlsListener`] serves the request.
    #[must_use]
    pub fn begin(at: Duration) -> Option<Self> {
        let deadline = Self(CURRENT.try_with(Cell::clone).ok()?);
        deadline.set(at);
        Some(deadline)
    }

    /// Moves the deadline to `at`. To be called while the body is polled: nobody looks at it otherwise.
    pub fn set(&self, at: Duration) {
        self.0.0.store(u64::try_from(at.as_millis()).unwrap_or(NEVER), Ordering::Relaxed);
    }
}

impl Drop for SendDeadline {
    fn drop(&mut self) {
        self.0.0.store(NEVER, Ordering::Relaxed);
    }
}

pin_project! {
    /// An HTTP/2 stream, or a connection with one request at a time. Gives `None` if it was given up.
    pub(super) struct Bounded<F> {
        #[pin]
        inner: F,
        cell: Cell,
        clock: SharedClock,
        sleep: Option<(u64, Sleep)>,
    }
}

impl<F> Bounded<F> {
    pub(super) fn new(inner: F, clock: SharedClock) -> Self {
        Self { inner, cell: Cell(Arc::new(AtomicU64::new(NEVER))), clock, sleep: None }
    }
}

impl<F: Future> Future for Bounded<F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = CURRENT.sync_scope(this.cell.clone(), || this.inner.poll(cx)) {
            return Poll::Ready(Some(output));
        }
        // Most answers are sent at once and need no timer.
        let at = this.cell.0.load(Ordering::Relaxed);
        if at == NEVER {
            *this.sleep = None;
            return Poll::Pending;
        }
        let (_, sleep) = match this.sleep.take().filter(|(of, _)| *of == at) {
            Some(sleep) => this.sleep.insert(sleep),
            None => this.sleep.insert((at, this.clock.sleep_until(Duration::from_millis(at)))),
        };
        ready!(sleep.as_mut().poll(cx));
        Poll::Ready(None)
    }
}

#[cfg(test)]
mod tests {
    use corten_base::SimClock;
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn an_answer_that_is_not_taken_is_given_up() {
        let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
        assert!(SendDeadline::begin(Duration::ZERO).is_none());
        let (next, mut requests) = tokio::sync::mpsc::channel(1);
        let answers = async move {
            let mut body = None;
            while let Some(seconds) = requests.recv().await {
                body = Option::map(seconds, |seconds| SendDeadline::begin(Duration::from_secs(seconds)).unwrap());
            }
            drop(body);
        };
        let mut connection = Box::pin(Bounded::new(answers, clock.clone()));
        let mut ends = |seconds: u64, then: Option<Option<u64>>| {
            clock.advance(Duration::from_secs(seconds));
            if let Some(body) = then {
                next.try_send(body).unwrap();
            }
            (&mut connection).now_or_never().map(|ended| ended.is_none())
        };
        assert_eq!(ends(60, Some(Some(70))), None);
        assert_eq!(ends(9, None), None);
        assert_eq!(ends(0, Some(None)), None, "sent in time");
        assert_eq!(ends(100, None), None, "between two requests there is no deadline");
        assert_eq!(ends(0, Some(Some(180))), None);
        assert_eq!(ends(11, None), Some(true));
    }
}
