//! Where the requests of an HTTP/2 connection run: what is answered at once runs where it was read, the rest as a task.
//!
//! A task of its own costs more than a read from the cache: it is made, woken on another thread, and wakes the connection.
//! Answers that are made in the connection's turn also leave together, in one write.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    task::{Context, Poll, Waker},
};

use corten_base::{SharedClock, TaskSet};
use hyper::rt::Executor;

use super::send_deadline::Bounded;

/// Runs streams: their first turn in the connection's task, all others in tasks of a set; each no longer than it says.
#[derive(Debug, Clone)]
pub(super) struct StreamExecutor {
    tasks: TaskSet,
    clock: SharedClock,
}

impl StreamExecutor {
    pub(super) fn new(tasks: TaskSet, clock: SharedClock) -> Self {
        Self { tasks, clock }
    }
}

impl<F> Executor<F> for StreamExecutor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        // One that is given up is dropped, which resets it.
        let mut future = Box::pin(Bounded::new(future, SharedClock::clone(&self.clock)));
        // Whoever is polled by another task next has to take that one's waker: this one need not wake anybody.
        let mut cx = Context::from_waker(Waker::noop());
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut cx))) {
            Ok(Poll::Ready(_)) => {}
            Ok(Poll::Pending) => self.tasks.spawn("request", async { _ = future.await }),
            // Reported like that of any other task; the connection goes on.
            Err(panic) => self.tasks.spawn("request", async { resume_unwind(panic) }),
        }
    }
}

/// Completes in the second turn: what follows does not run in the connection's task, where it would keep other requests
/// waiting.
#[derive(Debug, Default)]
pub struct OwnTask {
    asked: bool,
}

impl Future for OwnTask {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.asked {
            return Poll::Ready(());
        }
        self.asked = true;
        // HTTP/1 has one task per connection, which is to come back.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use corten_base::SystemClock;

    use super::*;

    #[tokio::test]
    async fn what_is_ready_runs_at_once_and_the_rest_as_a_task() {
        let tasks = TaskSet::new("test");
        let streams = StreamExecutor::new(tasks.clone(), SystemClock::shared());
        let (at_once, mut was_at_once) = tokio::sync::oneshot::channel();
        streams.execute(async move { at_once.send(()).unwrap() });
        was_at_once.try_recv().unwrap();
        let (later, mut was_later) = tokio::sync::oneshot::channel();
        streams.execute(async move {
            OwnTask::default().await;
            later.send(()).unwrap();
        });
        was_later.try_recv().unwrap_err();
        was_later.await.unwrap();
        tasks.join().await.unwrap();
    }

    #[tokio::test]
    async fn a_panic_is_that_of_a_task() {
        let tasks = TaskSet::new("test");
        StreamExecutor::new(tasks.clone(), SystemClock::shared()).execute(async { panic!("the reason") });
        assert_eq!(tasks.join().await.unwrap_err().to_string(), "task test/request panicked: the reason");
    }
}
