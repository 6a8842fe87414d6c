//! File work of async code, on threads that may wait for a disk.

use anyhow::Context as _;

/// Does `work`, which reads, writes or syncs files, away from the threads that requests run on.
///
/// Errors: those of `work`. Cancelled, it goes on to its end, and nobody is told; the end of the process waits for it.
#[expect(clippy::disallowed_methods, reason = "the end of the async runtime waits for threads: cli/common.rs")]
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work).await.context("work with files")?
}
