//! Work that blocks (files, mounts, netlink, unpacking), beside the threads that requests run on.
//!
//! Invariant: it belongs to a task set: whoever joins that waits for the end of what nobody else waits for any more. A panic
//! ends the call that asked for the work, and no more; the set hears of those that no call can tell of.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use tokio::sync::oneshot;

use crate::{TaskPanic, TaskSet, panic_message};

/// Begins `work` at once, as `task` of the set `tasks`, and gives its result, when that is awaited.
///
/// Errors: it panicked. Cancellation: it goes on to its end, as a task of `tasks`, and nobody is told.
pub fn run<T, W>(
    tasks: &TaskSet,
    task: &'static str,
    work: W,
) -> impl Future<Output = Result<T, TaskPanic>> + Send + use<T, W>
where
    T: Send + 'static,
    W: FnOnce() -> T + Send + 'static,
{
    let set = tasks.name();
    let (tell, told) = oneshot::channel();
    tasks.spawn_blocking(task, move || {
        match catch_unwind(AssertUnwindSafe(work)) {
            // Who asked has gone: nobody wants the result, but for what its drop takes back.
            Ok(done) => drop(tell.send(Ok(done))),
            Err(payload) => {
                let panic = TaskPanic { set, task, message: panic_message(&*payload) };
                if tell.send(Err(panic)).is_err() {
                    resume_unwind(payload);
                }
            }
        }
    });
    async move {
        // The runtime ends, and did not begin the work any more.
        told.await.unwrap_or_else(|_| Err(TaskPanic { set, task, message: "it was given up".to_owned() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_is_waited_for_by_who_joins_its_set() {
        let tasks = TaskSet::new("test");
        assert_eq!(run(&tasks, "work", || 7).await, Ok(7));
        let (release, released) = std::sync::mpsc::channel::<()>();
        let (done, mut is_done) = oneshot::channel();
        drop(run(&tasks, "work", move || {
            released.recv().unwrap();
            done.send(()).unwrap();
        }));
        release.send(()).unwrap();
        tasks.join().await.unwrap();
        is_done.try_recv().unwrap();
    }

    #[tokio::test]
    async fn a_panic_ends_the_call_and_only_one_that_nobody_waits_for_is_told_by_the_set() {
        let tasks = TaskSet::new("test");
        let panic = run(&tasks, "work", || -> u8 { panic!("no") }).await.unwrap_err();
        assert_eq!(panic.to_string(), "task test/work panicked: no");
        assert_eq!(tasks.panic_count(), 0);
        let (release, released) = std::sync::mpsc::channel::<()>();
        drop(run(&tasks, "left", move || -> u8 {
            released.recv().unwrap();
            panic!("no")
        }));
        release.send(()).unwrap();
        assert_eq!(tasks.join().await.unwrap_err().task, "left");
    }
}
