//! Owned tasks: everything that is spawned belongs to a set, is awaited at shutdown, and its panic is reported.

use std::{any::Any, future::Future, panic::AssertUnwindSafe, sync::Arc};

use futures::FutureExt;
use parking_lot::Mutex;
use tokio_util::task::TaskTracker;

/// A set of running tasks. Clones share the set, so that a task can add tasks to the set it runs in.
#[derive(Debug, Clone)]
pub struct TaskSet {
    name: &'static str,
    tracker: TaskTracker,
    panics: Arc<Mutex<Vec<TaskPanic>>>,
}

/// A task of a set ended by a panic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("task {set}/{task} panicked: {message}")]
pub struct TaskPanic {
    /// The set's name.
    pub set: &'static str,
    /// The task's name.
    pub task: &'static str,
    /// What the panic said.
    pub message: String,
}

impl TaskSet {
    /// An empty set.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self { name, tracker: TaskTracker::new(), panics: Arc::default() }
    }

    /// Runs `future` as a task of this set.
    pub fn spawn<F>(&self, task: &'static str, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (set, panics) = (self.name, Arc::clone(&self.panics));
        self.tracker.spawn(async move {
            if let Err(payload) = AssertUnwindSafe(future).catch_unwind().await {
                panics.lock().push(TaskPanic { set, task, message: panic_message(&*payload) });
            }
        });
    }

    /// Runs `work`, which blocks (file system, netlink, unpacking), on a thread of its own kind.
    pub fn spawn_blocking<F>(&self, task: &'static str, work: F)
    where
        F: FnOnce() + Send + 'static,
    {
        let (set, panics) = (self.name, Arc::clone(&self.panics));
        self.tracker.spawn_blocking(move || {
            if let Err(payload) = std::panic::catch_unwind(AssertUnwindSafe(work)) {
                panics.lock().push(TaskPanic { set, task, message: panic_message(&*payload) });
            }
        });
    }

    /// How many tasks run.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tracker.len()
    }

    /// Whether no task runs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tracker.is_empty()
    }

    /// Waits until every task of the set has ended, those spawned while waiting included.
    ///
    /// Errors: the first panic of any task. Cancel-safe: the tasks go on.
    pub async fn join(&self) -> Result<(), TaskPanic> {
        self.tracker.close();
        self.tracker.wait().await;
        match self.panics.lock().first() {
            Some(panic) => Err(panic.clone()),
            None => Ok(()),
        }
    }
}

fn panic_message(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without text".to_owned())
}

#[cfg(test)]
mod tests {
    use super::TaskSet;

    #[tokio::test]
    async fn join_waits_for_tasks_that_tasks_spawn() {
        let (tasks, (done, finished)) = (TaskSet::new("test"), tokio::sync::oneshot::channel());
        let inner = tasks.clone();
        tasks.spawn("outer", async move {
            inner.spawn("inner", async move { done.send(()).unwrap() });
        });
        tasks.join().await.unwrap();
        finished.await.unwrap();
        assert!(tasks.is_empty());
    }

    #[tokio::test]
    async fn a_panic_is_reported_with_its_task() {
        let tasks = TaskSet::new("test");
        tasks.spawn("bad", async { panic!("the reason") });
        let panic = tasks.join().await.unwrap_err();
        assert_eq!(panic.to_string(), "task test/bad panicked: the reason");
    }
}
