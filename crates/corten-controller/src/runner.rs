//! The loop of a controller: workers that take keys, reconcile them, and put back what failed.
//!
//! Invariant: every key taken is given back, also after a panic.

use std::{any::Any, error::Error, fmt, panic::AssertUnwindSafe, sync::Arc};

use corten_apimachinery::status::Status;
use corten_base::{ErrorChain, Shutdown, TaskSet};
use futures::FutureExt as _;
use tracing::{Instrument as _, debug, debug_span, error, info, warn};

use crate::{
    reconciler::{ReconcileError, Reconciler, Requeue},
    workqueue::WorkQueue,
};

/// Runs one reconciler over one queue.
pub struct Runner<K> {
    /// The controller's name, for logs.
    pub name: &'static str,
    /// How many keys are reconciled at the same time.
    pub workers: usize,
    /// Where the keys come from.
    pub queue: Arc<WorkQueue<K>>,
    /// What is done with them.
    pub reconciler: Arc<dyn Reconciler<K>>,
}

impl<K> Runner<K>
where
    K: Ord + Clone + Send + Sync + fmt::Display + 'static,
{
    /// Works until shutdown is requested, then finishes what is in work. Keys that wait are dropped: they are found
    /// again at the next start.
    pub async fn run(self, shutdown: Shutdown) {
        let Self { name, workers, queue, reconciler } = self;
        assert!(workers > 0, "a controller without workers does nothing");
        let tasks = TaskSet::new(name);
        info!(controller = name, workers, "Started controller");
        for _ in 0..workers {
            tasks.spawn("worker", work(name, Arc::clone(&queue), Arc::clone(&reconciler)));
        }
        tasks.guard(shutdown.requested()).await;
        queue.shut_down();
        match tasks.join().await {
            Ok(()) => info!(controller = name, "Stopped controller"),
            Err(panic) => error!(controller = name, err = %panic, "Stopped controller after a panic of a worker"),
        }
    }
}

async fn work<K>(name: &'static str, queue: Arc<WorkQueue<K>>, reconciler: Arc<dyn Reconciler<K>>)
where
    K: Ord + Clone + Send + Sync + fmt::Display + 'static,
{
    while let Some(key) = queue.next().await {
        let span = debug_span!("reconcile", controller = name, key = %key);
        // The state behind the reconciler is the API's: a half-done reconcile is what the next one starts from.
        let outcome = AssertUnwindSafe(reconciler.reconcile(&key)).catch_unwind().instrument(span).await;
        settle(name, &queue, &key, outcome);
        queue.done(&key);
    }
}

type Outcome = Result<Result<Requeue, ReconcileError>, Box<dyn Any + Send>>;

fn settle<K>(name: &'static str, queue: &WorkQueue<K>, key: &K, outcome: Outcome)
where
    K: Ord + Clone + Send + fmt::Display,
{
    match outcome {
        Ok(Ok(Requeue::Never)) => queue.forget(key),
        Ok(Ok(Requeue::After(delay))) => {
            queue.forget(key);
            queue.add_after(key.clone(), delay);
        }
        Ok(Ok(Requeue::Backoff)) => {
            let delay = queue.add_rate_limited(key.clone());
            debug!(controller = name, key = %key, retry_in_ms = delay.as_millis() as u64, "Requeued");
        }
        Ok(Err(ReconcileError::Retry(failure))) if is_conflict(&*failure) => {
            // The cache was behind: the newer version comes by itself, and nobody has to act.
            let delay = queue.add_rate_limited(key.clone());
            debug!(
                controller = name,
                key = %key,
                err = %ErrorChain(&*failure),
                retry_in_ms = delay.as_millis() as u64,
                "Requeued after a conflict"
            );
        }
        Ok(Err(ReconcileError::Retry(failure))) => {
            let delay = queue.add_rate_limited(key.clone());
            warn!(
                controller = name,
                key = %key,
                err = %ErrorChain(&*failure),
                attempt = queue.failures(key),
                retry_in_ms = delay.as_millis() as u64,
                "Could not reconcile"
            );
        }
        Ok(Err(ReconcileError::Terminal(failure))) => {
            queue.forget(key);
            warn!(controller = name, key = %key, err = %ErrorChain(&*failure), "Gave up reconciling until the next change");
        }
        Err(payload) => {
            let delay = queue.add_rate_limited(key.clone());
            error!(
                controller = name,
                key = %key,
                err = %panic_text(&*payload),
                retry_in_ms = delay.as_millis() as u64,
                "Reconciler panicked"
            );
        }
    }
}

/// Whether the API server refused a write because the object is newer than what was read.
fn is_conflict(failure: &(dyn Error + Send + Sync + 'static)) -> bool {
    let first: &(dyn Error + 'static) = failure;
    std::iter::successors(Some(first), |error| (**error).source())
        .any(|error| error.downcast_ref::<Status>().is_some_and(Status::is_conflict))
}

fn panic_text(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic without text")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use async_trait::async_trait;
    use corten_apimachinery::status::Reason;
    use corten_base::{Clock as _, SimClock};
    use corten_informer::testutil::advance_to_next_deadline;
    use tokio::sync::mpsc;

    use super::*;
    use crate::workqueue::RateLimit;

    type Outcome = fn() -> Result<Requeue, ReconcileError>;

    /// Gives each call to the test, which says how it ends.
    struct Scripted {
        calls: mpsc::UnboundedSender<String>,
        outcomes: parking_lot::Mutex<Vec<Outcome>>,
    }

    #[async_trait]
    impl Reconciler<String> for Scripted {
        async fn reconcile(&self, key: &String) -> Result<Requeue, ReconcileError> {
            self.calls.send(key.clone()).unwrap();
            let outcome = self.outcomes.lock().remove(0);
            outcome()
        }
    }

    #[test]
    fn conflicts_are_told_from_other_failures() {
        #[track_caller]
        fn check(error: ReconcileError, want: bool) {
            let (ReconcileError::Retry(failure) | ReconcileError::Terminal(failure)) = &error;
            assert_eq!(is_conflict(&**failure), want, "{error}");
        }
        check(Status::new(Reason::Conflict, "the object has been modified").into(), true);
        check(Status::new(Reason::InternalError, "no").into(), false);
        check(ReconcileError::retry("no status"), false);
    }

    #[tokio::test]
    async fn outcomes_decide_when_a_key_comes_back() {
        let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
        let queue = Arc::new(WorkQueue::new("test", RateLimit::per_key(), clock.clone()));
        let (calls, mut called) = mpsc::unbounded_channel();
        let (trigger, shutdown) = Shutdown::new();
        let outcomes: Vec<Outcome> = vec![
            || Err(ReconcileError::retry("first")),
            || panic!("second"),
            || Ok(Requeue::After(Duration::from_secs(60))),
            || Err(ReconcileError::retry("the count starts again")),
            || Err(ReconcileError::terminal("no use")),
            || Ok(Requeue::Never),
        ];
        let reconciler = Arc::new(Scripted { calls, outcomes: parking_lot::Mutex::new(outcomes) });
        let runner = Runner { name: "test", workers: 2, queue: Arc::clone(&queue), reconciler };
        let tasks = TaskSet::new("test");
        tasks.spawn("runner", runner.run(shutdown));
        queue.add("a".to_owned());
        called.recv().await.unwrap();
        for want in
            [Duration::from_millis(5), Duration::from_millis(10), Duration::from_secs(60), Duration::from_millis(5)]
        {
            let before = clock.monotonic();
            advance_to_next_deadline(&clock).await;
            called.recv().await.unwrap();
            assert_eq!(clock.monotonic() - before, want);
        }
        // The terminal error asked for nothing; a change brings the key back.
        while queue.metrics().in_work > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!((queue.metrics().delayed, queue.failures(&"a".to_owned())), (0, 0));
        queue.add("a".to_owned());
        called.recv().await.unwrap();
        trigger.request();
        tasks.join().await.unwrap();
    }
}
