//! Work that blocks (files, mounts, netlink, unpacking), beside the threads that requests run on.
//!
//! Invariant: it belongs to a task set: whoever joins that waits for the end of what nobody else waits for any more.

use corten_base::TaskSet;
use tokio::sync::oneshot;

/// Blocking work ended by a panic; its task set has told which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the work of the call ended by a panic")]
pub(crate) struct Panicked;

/// Begins `work` at once and gives its result, when that is awaited.
///
/// Errors: it panicked. Cancellation: it goes on to its end, as a task of `tasks`, and nobody is told.
pub(crate) fn run<T, W>(
    tasks: &TaskSet,
    name: &'static str,
    work: W,
) -> impl Future<Output = Result<T, Panicked>> + Send + use<T, W>
where
    T: Send + 'static,
    W: FnOnce() -> T + Send + 'static,
{
    let (tell, told) = oneshot::channel();
    tasks.spawn_blocking(name, move || {
        // Who asked has gone: nobody wants the result, but for what its drop takes back.
        drop(tell.send(work()));
    });
    async move { told.await.map_err(|_| Panicked) }
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
    async fn a_panic_is_told_here_and_by_the_set() {
        let tasks = TaskSet::new("test");
        assert_eq!(run(&tasks, "work", || -> u8 { panic!("no") }).await, Err(Panicked));
        assert_eq!(tasks.join().await.unwrap_err().task, "work");
    }
}
