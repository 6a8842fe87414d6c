//! The end of all pods: what is taken out of the machine when its owner wants the cluster stopped.

use std::path::PathBuf;

use corten_base::fs;
use corten_cri::CriError;
use corten_oci::{Cgroup, cgroup::Hierarchies};
use futures::StreamExt as _;

use super::ContainerRuntime;
use crate::{format::SandboxRecord, namespaces, network};

/// How many pods are stopped at the same time: enough that none waits for another's processes.
const STOPS: usize = 16;

impl ContainerRuntime {
    /// Stops every pod, and removes the pod network and the control groups. What is known of the pods stays, with how their
    /// containers ended and what they wrote, as it does over a reboot: a later runtime has it for the kubelet, which makes
    /// new sandboxes and shows the last ends and their logs.
    ///
    /// Errors: the first thing that could not be stopped; the call may be repeated.
    pub async fn stop_all(&self) -> Result<(), CriError> {
        let pods: Vec<SandboxRecord> = self.inner.state.lock().sandboxes.values().cloned().collect();
        let stops = futures::stream::iter(pods).map(|pod| async move {
            self.stop_sandbox(&pod.id).await?;
            self.sweep_bundles(&pod).await?;
            self.keep_ends(&pod.id).await;
            Ok(())
        });
        // All are tried, whatever became of the others.
        let stopped: Vec<Result<(), CriError>> = stops.buffer_unordered(STOPS).collect().await;
        stopped.into_iter().collect::<Result<(), CriError>>()?;
        let inner = self.inner.clone();
        self.blocking(move || network::remove(&inner.config, &inner.host).map_err(std::io::Error::other)).await?;
        let (cgroup, run) =
            (PathBuf::from(format!("/{}", self.inner.config.cgroup_root)), self.inner.config.run.clone());
        self.blocking(move || -> std::io::Result<()> {
            let hierarchies = Hierarchies::detect().map_err(std::io::Error::other)?;
            Cgroup::new(hierarchies, &cgroup).remove().map_err(std::io::Error::other)?;
            namespaces::unmount_below(&run.join("pods"))?;
            for directory in ["pods", "sock", "cni", "ipam"] {
                fs::remove_dir_all(&run.join(directory)).map_err(std::io::Error::other)?;
            }
            Ok(())
        })
        .await
    }

    /// Writes down how the containers of a stopped pod ended, where it outlives what shims wrote.
    async fn keep_ends(&self, sandbox: &str) {
        for record in self.containers_of(sandbox) {
            let exit = self.container(&record.id).ok().and_then(|container| container.exit().cloned());
            if exit == record.exit {
                continue;
            }
            if let Err(error) = self.change_container(&record.id, |record| record.exit = exit).await {
                // A full disk is no reason to keep the machine: it ended, and nobody will know how.
                tracing::warn!(container = %record.id, err = %error, "Could not note how a container ended");
            }
        }
    }
}
