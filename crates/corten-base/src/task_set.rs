//! Owned tasks: everything that is spawned belongs to a set, is awaited at shutdown, and its panic is reported.

use std::{any::Any, future::Future, panic::AssertUnwindSafe, sync::Arc};

use futures::FutureExt;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

/// A set of running tasks. Clones share the set, so that a task can add tasks to the set it runs in.
#[derive(Debug, Clone)]
pub struct TaskSet {
    name: &'static str,
    tracker: TaskTracker,
    panics: Arc<watch::Sender<Panics>>,
}

/// The first panic, and how many there were: a set that lives as long as the process must not grow with them.
#[derive(Debug, Clone, Default)]
struct Panics {
    first: Option<TaskPanic>,
    count: u64,
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
        Self { name, tracker: TaskTracker::new(), panics: Arc::new(watch::Sender::new(Panics::default())) }
    }

    /// The name it was made with.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Runs `future` as a task of this set.
    pub fn spawn<F>(&self, task: &'static str, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (set, panics) = (self.name, Arc::clone(&self.panics));
        self.tracker.spawn(async move {
            if let Err(payload) = AssertUnwindSafe(future).catch_unwind().await {
                report(&panics, TaskPanic { set, task, message: panic_message(&*payload) });
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
                report(&panics, TaskPanic { set, task, message: panic_message(&*payload) });
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
        match &self.panics.borrow().first {
            Some(panic) => Err(panic.clone()),
            None => Ok(()),
        }
    }

    /// Waits for the first panic of a task of this set; never returns if there is none. Cancel-safe.
    ///
    /// For whoever is responsible for the set: the other tasks go on, but what the panicked one did is not done any more.
    pub async fn panicked(&self) -> TaskPanic {
        let mut panics = self.panics.subscribe();
        loop {
            if let Some(panic) = &panics.borrow_and_update().first {
                return panic.clone();
            }
            if panics.changed().await.is_err() {
                // `self` holds the sender.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Does `work` while the tasks of this set go on; the first panic of one of them goes on here, as a panic of the caller.
    ///
    /// For a part that is nothing without its tasks: whoever runs it learns at once that it does only half its work, and not
    /// when it ends. Cancel-safe where `work` is.
    pub async fn guard<F: Future>(&self, work: F) -> F::Output {
        tokio::select! {
            biased;
            // The hook has told of it already.
            panic = self.panicked() => std::panic::resume_unwind(Box::new(panic.to_string())),
            output = work => output,
        }
    }

    /// How many tasks of this set have panicked.
    #[must_use]
    pub fn panic_count(&self) -> u64 {
        self.panics.borrow().count
    }
}

/// Lets a library spawn into a set what it would otherwise detach: the streams of an HTTP/2 connection.
#[derive(Debug, Clone)]
pub struct SetExecutor {
    tasks: TaskSet,
    task: &'static str,
}

impl SetExecutor {
    /// Spawns into `tasks` under the name `task`.
    #[must_use]
    pub fn new(tasks: TaskSet, task: &'static str) -> Self {
        Self { tasks, task }
    }
}

impl<F> hyper::rt::Executor<F> for SetExecutor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        self.tasks.spawn(self.task, future);
    }
}

fn report(panics: &watch::Sender<Panics>, panic: TaskPanic) {
    panics.send_modify(|panics| {
        panics.count += 1;
        panics.first.get_or_insert(panic);
    });
}

/// What a caught panic said.
#[must_use]
pub fn panic_message(payload: &(dyn Any + Send)) -> String {
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

    /// A panicked scheduler once left a process that said it was running.
    #[tokio::test]
    async fn a_panic_in_a_guarded_set_goes_on_in_the_set_around_it() {
        let outer = TaskSet::new("outer");
        outer.spawn("part", async {
            let inner = TaskSet::new("inner");
            inner.spawn("bad", async { panic!("the reason") });
            inner.guard(std::future::pending::<()>()).await;
        });
        assert_eq!(outer.panicked().await.to_string(), "task outer/part panicked: task inner/bad panicked: the reason");
        let quiet = TaskSet::new("quiet");
        assert_eq!(quiet.guard(async { 7 }).await, 7);
    }

    #[tokio::test]
    async fn a_panic_is_told_while_other_tasks_go_on() {
        let tasks = TaskSet::new("test");
        let (done, finished) = tokio::sync::oneshot::channel::<()>();
        tasks.spawn("good", async move {
            // Ends with the test.
            let _ = finished.await;
        });
        for _ in 0..2 {
            tasks.spawn("bad", async { panic!("the reason") });
        }
        assert_eq!(tasks.panicked().await.task, "bad");
        drop(done);
        assert_eq!(tasks.join().await.unwrap_err().message, "the reason");
        assert_eq!(tasks.panic_count(), 2);
    }
}
