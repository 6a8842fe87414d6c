//! A queue of keys: each is in it once, is worked on by one worker at a time, and comes back later if asked.
//!
//! A key that is added while it is worked on waits until that work is done. Delayed keys sit in a timer table that the
//! waiting workers watch themselves; there is no task of its own and nothing wakes without a reason.
//! Capacity: the number of different keys, so at most the objects that the informers behind it hold. A full queue cannot
//! refuse: a key that is dropped would be a change that nobody acts on.
//! Upstream: k8s.io/client-go/util/workqueue (v1.35).

mod metrics;
mod rate_limit;

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    time::Duration,
};

use corten_base::SharedClock;
use parking_lot::Mutex;
use tokio::sync::Notify;

pub use metrics::Snapshot;
pub use rate_limit::{Bucket, RateLimit};

use metrics::Metrics;
use rate_limit::RateLimiter;

/// A queue of keys of type `K`. Shared by reference between handlers and workers.
pub struct WorkQueue<K> {
    name: String,
    clock: SharedClock,
    state: Mutex<State<K>>,
    /// Told when a worker that waits may have something to do. One waiter is woken at a time; whoever takes a key passes
    /// the word on if there is more.
    wake: Notify,
    /// Told when the last key in work is done.
    idle: Notify,
    metrics: Metrics,
}

struct State<K> {
    /// Keys to hand out, in order; every one of them is in `dirty`.
    queue: VecDeque<K>,
    /// Keys that need work, with the time since which they do.
    dirty: BTreeMap<K, Duration>,
    /// Keys that are worked on, with the time since which they are. A key that is also dirty is queued when it is done.
    processing: BTreeMap<K, Duration>,
    /// Keys to add later, by time; the number keeps those of one time apart and in order.
    delayed: BTreeMap<(Duration, u64), K>,
    /// Where a key is in `delayed`.
    delayed_at: BTreeMap<K, (Duration, u64)>,
    sequence: u64,
    limiter: RateLimiter<K>,
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// Nothing comes in; what is queued is still handed out.
    Draining,
    /// Nothing comes in and nothing is handed out.
    Closed,
}

impl<K: Ord + Clone + Send> WorkQueue<K> {
    /// An empty queue; `name` is the metrics' label.
    pub fn new(name: impl Into<String>, rate_limit: RateLimit, clock: SharedClock) -> Self {
        Self {
            name: name.into(),
            clock,
            state: Mutex::new(State {
                queue: VecDeque::new(),
                dirty: BTreeMap::new(),
                processing: BTreeMap::new(),
                delayed: BTreeMap::new(),
                delayed_at: BTreeMap::new(),
                sequence: 0,
                limiter: RateLimiter::new(rate_limit),
                phase: Phase::Open,
            }),
            wake: Notify::new(),
            idle: Notify::new(),
            metrics: Metrics::default(),
        }
    }

    /// The metrics' label.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Marks `key` as in need of work, now. Does nothing if it is waiting already, or after shutdown.
    pub fn add(&self, key: K) {
        let mut state = self.state.lock();
        if state.phase == Phase::Open && state.mark_dirty(key, self.clock.monotonic()) {
            self.metrics.added();
            drop(state);
            self.wake.notify_one();
        }
    }

    /// Like `add`, after `delay`. Of two delays of one key the earlier holds.
    pub fn add_after(&self, key: K, delay: Duration) {
        if delay.is_zero() {
            return self.add(key);
        }
        let mut state = self.state.lock();
        if state.phase != Phase::Open {
            return;
        }
        let due = self.clock.monotonic().saturating_add(delay);
        if let Some(earlier) = state.delayed_at.get(&key).copied() {
            if earlier.0 <= due {
                return;
            }
            state.delayed.remove(&earlier);
        }
        state.sequence += 1;
        let at = (due, state.sequence);
        state.delayed.insert(at, key.clone());
        state.delayed_at.insert(key, at);
        // Whoever waits may wait for a later time.
        drop(state);
        self.wake.notify_one();
    }

    /// Like `add`, after the delay that the number of this key's failures asks for; returns it.
    pub fn add_rate_limited(&self, key: K) -> Duration {
        let delay = self.state.lock().limiter.next_delay(&key, self.clock.monotonic());
        self.metrics.retried();
        self.add_after(key, delay);
        delay
    }

    /// Forgets the failures of `key`: call it after success, and when giving up.
    pub fn forget(&self, key: &K) {
        self.state.lock().limiter.forget(key);
    }

    /// How often `key` was added with `add_rate_limited` since the last `forget`.
    #[must_use]
    pub fn failures(&self, key: &K) -> u32 {
        self.state.lock().limiter.failures(key)
    }

    /// How many keys wait for a worker, without delayed ones.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state.lock().queue.len()
    }

    /// Whether no key waits for a worker.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The next key to work on; the worker must call `done` with it. `None` after shutdown.
    ///
    /// Cancel-safe: a key is handed out only by completing.
    pub async fn next(&self) -> Option<K> {
        loop {
            // Made before looking, so that an `add` after the look is not missed.
            let woken = self.wake.notified();
            let due = {
                let mut state = self.state.lock();
                let now = self.clock.monotonic();
                state.promote_due(now, &self.metrics);
                if let Some(key) = state.take_next(now, &self.metrics) {
                    let more = !state.queue.is_empty() || !state.delayed.is_empty();
                    drop(state);
                    if more {
                        self.wake.notify_one();
                    }
                    return Some(key);
                }
                if state.phase != Phase::Open {
                    drop(state);
                    // The next worker has to learn it too.
                    self.wake.notify_one();
                    return None;
                }
                state.delayed.first_key_value().map(|((due, _), _)| *due)
            };
            match due {
                None => woken.await,
                Some(due) => {
                    let sleep = self.clock.sleep_until(due);
                    tokio::select! { biased; () = woken => {}, () = sleep => {} }
                }
            }
        }
    }

    /// The next key if one waits now.
    pub fn try_next(&self) -> Option<K> {
        let mut state = self.state.lock();
        let now = self.clock.monotonic();
        state.promote_due(now, &self.metrics);
        state.take_next(now, &self.metrics)
    }

    /// Ends the work on `key`. If it was added meanwhile, it waits for a worker again.
    pub fn done(&self, key: &K) {
        let mut state = self.state.lock();
        let now = self.clock.monotonic();
        if let Some(since) = state.processing.remove(key) {
            self.metrics.worked(now.saturating_sub(since));
        }
        if state.phase != Phase::Closed && state.dirty.contains_key(key) {
            state.queue.push_back(key.clone());
        }
        let is_idle = state.processing.is_empty() && state.queue.is_empty();
        drop(state);
        self.wake.notify_one();
        if is_idle {
            self.idle.notify_waiters();
        }
    }

    /// Takes nothing more in and hands nothing more out. What is dropped is found again at the next start, since
    /// controllers are level driven.
    pub fn shut_down(&self) {
        let mut state = self.state.lock();
        state.phase = Phase::Closed;
        state.queue.clear();
        state.dirty.clear();
        state.drop_delayed();
        drop(state);
        self.wake.notify_one();
        self.idle.notify_waiters();
    }

    /// Takes nothing more in; completes when all that waited without a delay is done. Cancel-safe: the queue stays in
    /// this phase.
    pub async fn shut_down_with_drain(&self) {
        {
            let mut state = self.state.lock();
            if state.phase == Phase::Open {
                state.phase = Phase::Draining;
            }
            state.drop_delayed();
        }
        self.wake.notify_one();
        loop {
            let idle = self.idle.notified();
            tokio::pin!(idle);
            // Registers the waiter before looking: `notify_waiters` leaves nothing behind for those who come later.
            idle.as_mut().enable();
            {
                let state = self.state.lock();
                if state.processing.is_empty() && state.queue.is_empty() {
                    return;
                }
            }
            idle.await;
        }
    }

    /// The counters now.
    #[must_use]
    pub fn metrics(&self) -> Snapshot {
        let state = self.state.lock();
        let now = self.clock.monotonic();
        let ages = || state.processing.values().map(|since| now.saturating_sub(*since));
        Snapshot {
            depth: state.queue.len() as u64,
            in_work: state.processing.len() as u64,
            delayed: state.delayed.len() as u64,
            unfinished_work: ages().sum(),
            longest_running: ages().max().unwrap_or_default(),
            ..self.metrics.snapshot()
        }
    }
}

impl<K: Ord + Clone> State<K> {
    /// Whether `key` was not waiting yet.
    fn mark_dirty(&mut self, key: K, now: Duration) -> bool {
        if self.dirty.contains_key(&key) {
            return false;
        }
        if !self.processing.contains_key(&key) {
            self.queue.push_back(key.clone());
        }
        self.dirty.insert(key, now);
        true
    }

    fn promote_due(&mut self, now: Duration, metrics: &Metrics) {
        while let Some(entry) = self.delayed.first_entry().filter(|entry| entry.key().0 <= now) {
            let key = entry.remove();
            self.delayed_at.remove(&key);
            if self.mark_dirty(key, now) {
                metrics.added();
            }
        }
    }

    fn take_next(&mut self, now: Duration, metrics: &Metrics) -> Option<K> {
        let key = self.queue.pop_front()?;
        let since = self.dirty.remove(&key).expect("every queued key is dirty");
        let other = self.processing.insert(key.clone(), now);
        assert!(other.is_none(), "a key is worked on once at a time");
        metrics.waited(now.saturating_sub(since));
        Some(key)
    }

    fn drop_delayed(&mut self) {
        self.delayed.clear();
        self.delayed_at.clear();
    }
}

impl<K> fmt::Debug for WorkQueue<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkQueue").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
