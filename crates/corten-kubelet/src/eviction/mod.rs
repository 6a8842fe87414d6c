//! Ends pods that use more of the node's disk than they may.
//!
//! Flow: every ten seconds, for each pod that has a limit: measure -> `plan` -> the pod's worker, which ends it with the
//! phase Failed and the reason Evicted. Pods without a limit are not measured.
//! Invariant: critical pods are left alone. Upstream: pkg/kubelet/eviction, `localStorageEviction` (v1.35).

mod plan;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use corten_api::core::v1::Pod;
use corten_base::Shutdown;
use corten_cri::{api, disk_usage::disk_usage};
use tracing::{info, warn};

use crate::{
    containers::{log_paths, qos},
    interfaces::{Failure, SharedPod},
    pleg::records::{is_running, name_of},
    pod_workers::{Context, Table},
    volumes::{Layout, blocking},
};

use plan::{Limits, Usage};

/// How often pods are measured. Upstream: `evictionMonitoringPeriod`.
const PERIOD: Duration = Duration::from_secs(10);
/// How long a pod that goes at once may take, in seconds. Upstream: `immediateEvictionGracePeriodSeconds`.
const GRACE_SECONDS: u64 = 1;
/// The reason of status and event.
const EVICTED: &str = "Evicted";

/// The task that measures.
pub struct Evictor {
    context: Arc<Context>,
    table: Arc<Table>,
    layout: Layout,
}

impl Evictor {
    /// Measures the pods of `table`.
    #[must_use]
    pub fn new(context: Arc<Context>, table: Arc<Table>) -> Self {
        let layout = Layout::new(&context.config.root);
        Self { context, table, layout }
    }

    /// Measures until shutdown is requested.
    pub async fn run(self, shutdown: Shutdown) {
        loop {
            tokio::select! {
                biased;
                () = shutdown.requested() => return,
                () = self.context.clock.sleep(PERIOD) => {}
            }
            for pod in self.table.pods() {
                tokio::select! {
                    biased;
                    () = shutdown.requested() => return,
                    () = self.look_at(&pod) => {}
                }
            }
        }
    }

    async fn look_at(&self, pod: &SharedPod) {
        let limits = Limits::of(pod);
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        if limits.is_empty() || is_critical(pod) || self.has_ended(pod) {
            return;
        }
        let usage = self.measure(pod, &limits).await;
        let Some(message) = plan::violation(&limits, &usage) else { return };
        let Some(mailbox) = self.table.mailbox(uid) else { return };
        info!(pod = %crate::pod_ref::name(pod), uid, message = message.trim_end(), "Evicted pod");
        self.context.event(pod, true, EVICTED, message.as_str());
        mailbox.kill(Failure::new(EVICTED, message), Some(GRACE_SECONDS));
    }

    /// Whether nothing is left to end, or the end has begun.
    fn has_ended(&self, pod: &Pod) -> bool {
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        let status = self.context.status.get(uid).or_else(|| pod.status.clone()).unwrap_or_default();
        pod.metadata.deletion_timestamp.is_some() || matches!(status.phase.as_deref(), Some("Failed" | "Succeeded"))
    }

    async fn measure(&self, pod: &Pod, limits: &Limits) -> Usage {
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let runtime = self.context.cache.get(&uid);
        let mut layers = BTreeMap::new();
        if limits.has_storage() {
            for (_, record) in runtime.containers().filter(|(_, record)| is_running(record)) {
                let request = api::ContainerStatsRequest { container_id: record.id.clone() };
                match self.context.cri.runtime.container_stats(request).await {
                    Ok(answer) => {
                        let layer = answer.stats.and_then(|stats| stats.writable_layer);
                        let used = layer.and_then(|layer| layer.used_bytes).map_or(0, |used| used.value);
                        layers.insert(name_of(record).to_owned(), used);
                    }
                    // It may have ended meanwhile.
                    Err(err) => tracing::debug!(uid, %err, "Could not measure container"),
                }
            }
        }
        let volumes: BTreeMap<String, PathBuf> = plan::empty_dirs(pod)
            .map(|name| (name.to_owned(), self.layout.volume(&uid, "kubernetes.io/empty-dir", name)))
            .collect();
        let logs = log_paths::pod_directory(&self.context.config.pod_logs, pod);
        let hosts = self.layout.etc_hosts(&uid);
        blocking(move || {
            let measured = |path: &PathBuf| {
                disk_usage(path).unwrap_or_else(|err| {
                    warn!(path = %path.display(), %err, "Could not measure directory");
                    0
                })
            };
            let logs = layers.keys().map(|name| (name.clone(), measured(&logs.join(name)))).collect();
            let volumes = volumes.iter().map(|(name, path)| (name.clone(), measured(path))).collect();
            Usage { volumes, layers, logs, others: measured(&hosts) }
        })
        .await
    }
}

fn is_critical(pod: &Pod) -> bool {
    let annotations = pod.metadata.annotations.as_ref();
    let source = annotations.and_then(|annotations| annotations.get("kubernetes.io/config.source"));
    source.is_some_and(|source| source != "api")
        || pod.spec.as_ref().and_then(|spec| spec.priority).is_some_and(|priority| priority >= qos::SYSTEM_CRITICAL_PRIORITY)
}
