//! Time by value: the wall clock for what is written into objects, a monotonic clock for durations and deadlines.
//!
//! `SystemClock` is the machine's; `SimClock` stands still until a test advances it.

use std::{collections::BTreeMap, fmt, future::Future, pin::Pin, sync::Arc, task::Poll, time::Duration};

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::oneshot;

/// A clock shared by all parts of a component.
pub type SharedClock = Arc<dyn Clock>;

/// The future that `Clock::sleep` gives. Dropping it forgets the timer.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send + 'static>>;

/// The source of time.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The wall clock, for timestamps in objects and logs. It can jump in both directions.
    fn now(&self) -> Timestamp;

    /// Time since the clock was made; never goes back. For durations, deadlines and back-off.
    fn monotonic(&self) -> Duration;

    /// Completes once `monotonic()` has reached `deadline`; at once if it has already.
    fn sleep_until(&self, deadline: Duration) -> Sleep;

    /// Completes after `duration`.
    fn sleep(&self, duration: Duration) -> Sleep {
        self.sleep_until(self.monotonic().saturating_add(duration))
    }
}

/// The error of `timeout`: the deadline came first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("deadline of {0:?} exceeded")]
pub struct Elapsed(pub Duration);

/// Runs `future` for at most `duration` of `clock`'s time.
///
/// Cancellation: `future` is dropped when the time is up.
pub async fn timeout<F: Future>(clock: &dyn Clock, duration: Duration, future: F) -> Result<F::Output, Elapsed> {
    let deadline = clock.monotonic().saturating_add(duration);
    let mut future = std::pin::pin!(future);
    // Most are ready at once and need no timer.
    let mut sleep: Option<Sleep> = None;
    std::future::poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Ok(output));
        }
        sleep.get_or_insert_with(|| clock.sleep_until(deadline)).as_mut().poll(cx).map(|()| Err(Elapsed(duration)))
    })
    .await
}

/// The machine's clocks.
#[derive(Debug, Clone)]
pub struct SystemClock {
    start: std::time::Instant,
}

impl SystemClock {
    /// A clock whose monotonic time starts at zero now.
    #[must_use]
    pub fn shared() -> SharedClock {
        #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the machine")]
        let start = std::time::Instant::now();
        Arc::new(Self { start })
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the machine")]
        Timestamp::now()
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }

    fn sleep_until(&self, deadline: Duration) -> Sleep {
        let remaining = deadline.saturating_sub(self.monotonic());
        #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the machine")]
        let sleep = tokio::time::sleep(remaining);
        Box::pin(sleep)
    }
}

/// A clock that moves only when told to, for tests and the simulator.
#[derive(Debug)]
pub struct SimClock {
    state: Mutex<SimState>,
}

#[derive(Debug)]
struct SimState {
    epoch: Timestamp,
    elapsed: Duration,
    sequence: u64,
    timers: BTreeMap<(Duration, u64), oneshot::Sender<()>>,
}

impl SimClock {
    /// A clock that shows `epoch` and zero monotonic time.
    #[must_use]
    pub fn new(epoch: Timestamp) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(SimState { epoch, elapsed: Duration::ZERO, sequence: 0, timers: BTreeMap::new() }),
        })
    }

    /// Moves both clocks forward and wakes, in order, every sleeper whose deadline has come.
    pub fn advance(&self, duration: Duration) {
        let mut state = self.state.lock();
        state.elapsed += duration;
        let now = state.elapsed;
        let later = state.timers.split_off(&(now + Duration::from_nanos(1), 0));
        for (_, sleeper) in std::mem::replace(&mut state.timers, later) {
            // A sleeper that was dropped no longer listens: nothing to wake.
            let _ = sleeper.send(());
        }
    }

    /// The deadline of the next sleeper, if there is one: where a simulator jumps to.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        self.state.lock().timers.keys().next().map(|(deadline, _)| *deadline)
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        let state = self.state.lock();
        state.epoch + state.elapsed
    }

    fn monotonic(&self) -> Duration {
        self.state.lock().elapsed
    }

    fn sleep_until(&self, deadline: Duration) -> Sleep {
        let mut state = self.state.lock();
        if deadline <= state.elapsed {
            return Box::pin(std::future::ready(()));
        }
        let (wake, woken) = oneshot::channel();
        state.sequence += 1;
        let key = (deadline, state.sequence);
        state.timers.insert(key, wake);
        Box::pin(async move {
            // The clock went away: time stands still for ever, so this sleeper never ends.
            if woken.await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }
}

#[cfg(test)]
mod tests;
