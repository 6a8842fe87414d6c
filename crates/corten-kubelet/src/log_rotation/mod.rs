//! Keeps the logs of containers from filling the disk: a log that has become too long is renamed, the runtime goes on in a
//! new file, and of the renamed ones a few are kept, all but the newest compressed.
//!
//! Flow: every `interval`, for each container that runs: measure -> `plan` -> `files` -> CRI `ReopenContainerLog`.
//! Invariant: nothing that a container wrote is lost but by the removal of its oldest file: the runtime writes on to the
//! renamed file until it has opened the new one.
//! Upstream: pkg/kubelet/logs/container_log_manager.go (v1.35).

mod files;
mod plan;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use corten_base::{ErrorChain, SharedClock, Shutdown};
use corten_cri::{CriError, RuntimeService, api::ReopenContainerLogRequest};
use futures::StreamExt as _;
use tracing::{debug, error, warn};

use crate::{pleg::RuntimeCache, volumes::blocking};
use files::FileError;

/// How logs are rotated. Names and defaults are those of `KubeletConfiguration` v1beta1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogRotation {
    /// How long a log may become, in bytes, before it is rotated; absent: for ever. Upstream: `containerLogMaxSize`, where
    /// a negative amount is none.
    pub max_size_bytes: Option<u64>,
    /// How many files a container's log has at most, at least 2. Upstream: `containerLogMaxFiles`.
    pub max_files: usize,
    /// How many logs are rotated at the same time, at least 1. Upstream: `containerLogMaxWorkers`.
    pub max_workers: usize,
    /// How often logs are measured, at least 3 s: the files' names tell seconds. Upstream: `containerLogMonitorInterval`.
    pub interval: Duration,
}

impl Default for LogRotation {
    fn default() -> Self {
        Self { max_size_bytes: Some(10 << 20), max_files: 5, max_workers: 1, interval: Duration::from_secs(10) }
    }
}

/// Why a log was not rotated.
#[derive(Debug, thiserror::Error)]
enum RotationError {
    /// Its files cannot be changed.
    #[error(transparent)]
    Files(#[from] FileError),
    /// The runtime did not open the log anew.
    #[error("have the runtime open the log anew")]
    Reopen(#[source] CriError),
}

/// The task that measures and rotates.
pub struct LogRotator {
    rotation: LogRotation,
    runtime: Arc<dyn RuntimeService>,
    cache: Arc<RuntimeCache>,
    clock: SharedClock,
}

/// What became of a log that was looked at.
enum Seen {
    /// It is not too long.
    Short,
    /// It has this name now.
    Rotated(PathBuf),
    /// There is none.
    Missing,
}

/// A container that runs and has a log.
struct Written {
    container_id: String,
    log: PathBuf,
}

impl LogRotator {
    /// Rotates the logs of the containers that `cache` shows as running.
    #[must_use]
    pub fn new(
        rotation: LogRotation,
        runtime: Arc<dyn RuntimeService>,
        cache: Arc<RuntimeCache>,
        clock: SharedClock,
    ) -> Self {
        Self { rotation, runtime, cache, clock }
    }

    /// Measures and rotates until shutdown is requested; a log that is being rotated then is finished.
    pub async fn run(self, shutdown: Shutdown) {
        let Some(max_size_bytes) = self.rotation.max_size_bytes else { return };
        loop {
            tokio::select! {
                biased;
                () = shutdown.requested() => return,
                () = self.clock.sleep(self.rotation.interval) => {}
            }
            let logs = futures::stream::iter(self.logs()).take_until(shutdown.requested());
            let look = |written: Written| self.look_at(written, max_size_bytes);
            logs.for_each_concurrent(self.rotation.max_workers.max(1), look).await;
        }
    }

    /// The logs that are being written to. What has ended says no more, and its log stays readable as it is.
    fn logs(&self) -> Vec<Written> {
        let pods = self.cache.uids().into_iter().map(|uid| self.cache.get(&uid));
        let of_pod = |pod: Arc<crate::pleg::records::PodRuntimeStatus>| {
            let running = pod.running().filter(|container| !container.log_path.is_empty());
            let written = |container: &Arc<corten_cri::api::ContainerStatus>| Written {
                container_id: container.id.clone(),
                log: PathBuf::from(&container.log_path),
            };
            running.map(written).collect::<Vec<_>>()
        };
        pods.flat_map(of_pod).collect()
    }

    async fn look_at(&self, written: Written, max_size_bytes: u64) {
        let Written { container_id, log } = written;
        match self.rotate(&container_id, &log, max_size_bytes).await {
            Ok(()) => {}
            // It ended while it was looked at.
            Err(RotationError::Reopen(error))
                if error.is_not_found() || error.code == corten_cri::Code::FailedPrecondition =>
            {
                debug!(container_id, err = %error, "Container ended before its log was rotated");
            }
            Err(err) => warn!(
                container_id,
                path = %log.display(),
                err = %ErrorChain(&err),
                "Could not rotate a container's log"
            ),
        }
    }

    /// Rotates a log that is too long.
    async fn rotate(&self, container_id: &str, log: &Path, max_size_bytes: u64) -> Result<(), RotationError> {
        let (path, max_files, now) = (log.to_owned(), self.rotation.max_files, self.clock.now());
        let seen = blocking(move || match files::size(&path)? {
            Some(size) if size < max_size_bytes => Ok::<_, FileError>(Seen::Short),
            Some(_) => Ok(Seen::Rotated(files::rotate(&path, max_files, now)?)),
            None => Ok(Seen::Missing),
        });
        match seen.await? {
            Seen::Short => Ok(()),
            Seen::Rotated(rotated) => {
                let Err(failure) = self.reopen(container_id).await else {
                    debug!(container_id, path = %rotated.display(), "Rotated a container's log");
                    return Ok(());
                };
                if self.take_back(&rotated, log).await { Err(failure) } else { Ok(()) }
            }
            // Somebody has removed or renamed it, perhaps a kubelet that was ended in between: the runtime writes to a file
            // that nobody finds.
            Seen::Missing => self.reopen(container_id).await,
        }
    }

    async fn reopen(&self, container_id: &str) -> Result<(), RotationError> {
        let request = ReopenContainerLogRequest { container_id: container_id.to_owned() };
        self.runtime.reopen_container_log(request).await.map(drop).map_err(RotationError::Reopen)
    }

    /// Gives a log its name back when the runtime goes on writing to it; `false` if it does not: there is a new one, and only
    /// the answer was lost.
    async fn take_back(&self, rotated: &Path, log: &Path) -> bool {
        let (from, to) = (rotated.to_owned(), log.to_owned());
        match blocking(move || files::give_back(&from, &to)).await {
            Ok(is_given_back) => is_given_back,
            Err(err) => {
                error!(err = %ErrorChain(&err), path = %log.display(), "Could not give a container's log its name back");
                true
            }
        }
    }
}

/// Removes the log of a container that is gone, with its rotated files. Upstream: `Clean`.
pub(crate) async fn remove(log: &str) {
    if log.is_empty() {
        return;
    }
    let path = PathBuf::from(log);
    if let Err(err) = blocking(move || files::remove_all(&path)).await {
        warn!(err = %ErrorChain(&err), path = log, "Could not remove log");
    }
}

#[cfg(test)]
mod tests;
