//! What pods left on the node that ended while no kubelet looked: volumes, control groups, logs.
//!
//! Found once at start, before the first worker runs: everything that is made later has a worker that removes it.
//! Upstream: pkg/kubelet/kubelet_pods.go `HandlePodCleanups` (v1.35), there every two seconds.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use corten_base::ErrorChain;
use tracing::{info, warn};

use super::{context::Context, log_links};
use crate::volumes::blocking;

/// What was found.
#[derive(Debug, Default)]
pub struct Leftovers {
    volumes: Vec<String>,
    cgroups: Vec<String>,
    logs: Vec<(String, PathBuf)>,
}

impl Leftovers {
    /// Lists what is on the node. What cannot be listed is left for the next start.
    pub async fn find(context: &Context) -> Self {
        let volumes = context.volumes.pods_on_node().await.unwrap_or_else(|err| {
            warn!(%err, "Could not list the pods that have volumes");
            Vec::new()
        });
        let cgroups = context.cgroups.pods().await.unwrap_or_else(|err| {
            warn!(%err, "Could not list the pods that have control groups");
            Vec::new()
        });
        Self { volumes, cgroups, logs: logs(context).await }
    }

    /// Removes what belongs to none of the pods in `known`.
    pub async fn remove(self, context: Arc<Context>, known: BTreeSet<String>) {
        for uid in self.volumes.iter().filter(|uid| !known.contains(*uid)) {
            match context.volumes.tear_down(uid).await {
                Ok(()) => info!(uid, "Removed volumes of a pod that is gone"),
                Err(err) => warn!(uid, %err, "Could not remove volumes of a pod that is gone"),
            }
        }
        for uid in self.cgroups.iter().filter(|uid| !known.contains(*uid)) {
            match context.cgroups.remove(uid).await {
                Ok(()) => info!(uid, "Removed control group of a pod that is gone"),
                Err(err) => warn!(uid, %err, "Could not remove control group of a pod that is gone"),
            }
        }
        for (uid, path) in self.logs.into_iter().filter(|(uid, _)| !known.contains(uid)) {
            match blocking(move || corten_base::fs::remove_dir_all(&path)).await {
                Ok(()) => info!(uid, "Removed logs of a pod that is gone"),
                Err(error) => warn!(uid, err = %ErrorChain(&error), "Could not remove logs of a pod that is gone"),
            }
        }
        log_links::sweep(&context.config).await;
    }
}

/// The log directories, each with its pod's UID: `<namespace>_<name>_<uid>`.
async fn logs(context: &Context) -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    let mut entries = match tokio::fs::read_dir(&context.config.pod_logs).await {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return found,
        Err(err) => {
            warn!(%err, path = %context.config.pod_logs.display(), "Could not list the logs of pods");
            return found;
        }
    };
    loop {
        match entries.next_entry().await {
            Ok(Some(entry)) => {
                let name = entry.file_name().to_string_lossy().into_owned();
                let mut parts = name.splitn(3, '_');
                if let (Some(_), Some(_), Some(uid)) = (parts.next(), parts.next(), parts.next()) {
                    found.push((uid.to_owned(), entry.path()));
                }
            }
            Ok(None) => return found,
            Err(err) => {
                warn!(%err, "Could not list the logs of pods");
                return found;
            }
        }
    }
}
