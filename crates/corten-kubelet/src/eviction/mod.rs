//! Ends pods that use more of the node's disk than they may, and one at a time while the node runs short of something.
//!
//! Flow: every ten seconds, for each pod that has a limit: measure -> `plan`; for the node: measure -> `pressure` -> its
//! conditions, images that nobody needs, and one pod. Then the pod's worker, which ends it with the phase Failed and the
//! reason Evicted.
//! Invariant: critical pods are left alone. Upstream: pkg/kubelet/eviction (v1.35), with its default thresholds.

mod images;
mod plan;
mod pressure;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use corten_api::core::v1::Pod;
use corten_base::{ErrorChain, Shutdown};
use corten_client::events::EventType;
use corten_cri::{api, disk_usage::disk_usage};
use tracing::{info, warn};

use crate::{
    containers::{log_paths, qos},
    interfaces::{Failure, SharedPod},
    node::{Node, machine},
    pleg::records::{POD_UID, is_running, name_of},
    pod_ref,
    pod_workers::{Context, Table, mailbox::Kill},
    volumes::{Layout, blocking},
};

use images::Images;
use plan::{Limits, Usage};
use pressure::{Amount, Candidate, Resource, Seen, Signals};

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
    /// The node, if it is to be defended as well.
    node: Option<Node>,
}

impl Evictor {
    /// Measures the pods of `table`, and the machine for `node`.
    #[must_use]
    pub fn new(context: Arc<Context>, table: Arc<Table>, node: Option<Node>) -> Self {
        let layout = Layout::new(&context.config.root);
        Self { context, table, layout, node }
    }

    /// Measures until shutdown is requested.
    pub async fn run(self, shutdown: Shutdown) {
        let (mut seen, mut images) = (Seen::default(), Images::default());
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
            if let Some(node) = &self.node {
                tokio::select! {
                    biased;
                    () = shutdown.requested() => return,
                    () = self.defend(node, &mut seen, &mut images) => {}
                }
            }
        }
    }

    /// Shows what the node is short of. Removes images if it is disk space, and if that is not enough ends one pod.
    async fn defend(&self, node: &Node, seen: &mut Seen, images: &mut Images) {
        let (cri, clock) = (&self.context.cri, &self.context.clock);
        if let Err(err) = images.look(cri, clock.monotonic()).await {
            warn!(%err, "Could not list images");
        }
        let signals = self.signals(node.machine().memory_bytes).await;
        node.set_pressure(seen.update(&signals, clock.monotonic()));
        let Some(mut shortage) = pressure::shortage(&signals) else { return };
        warn!(
            resource = shortage.resource.name(),
            threshold = shortage.threshold,
            available = shortage.available,
            "Node runs short"
        );
        let text = format!("Attempting to reclaim {}", shortage.resource.name());
        node.event(EventType::Warning, "EvictionThresholdMet", text);
        if shortage.resource != Resource::Memory {
            match images.reclaim(cri, clock.monotonic()).await {
                Ok(0) => {}
                Ok(_) => {
                    let signals = self.signals(node.machine().memory_bytes).await;
                    let Some(left) = pressure::shortage(&signals) else { return };
                    shortage = left;
                }
                Err(err) => warn!(%err, "Could not remove images that nobody needs"),
            }
        }
        let resource = shortage.resource;
        let pods = self.table.pods();
        let mut candidates = Vec::new();
        for pod in pods.iter().filter(|pod| !qos::is_critical(pod) && !self.is_out(pod) && self.runs(pod)) {
            candidates.push(Candidate { pod, usage: self.usage_of(pod, resource).await });
        }
        if let Some(first) = pressure::first(&candidates, resource) {
            self.evict(first.pod, pressure::message(&shortage, first), true);
        }
    }

    /// Whether anything of the pod runs: the end of another frees nothing.
    fn runs(&self, pod: &Pod) -> bool {
        self.context.cache.get(pod.metadata.uid.as_deref().unwrap_or_default()).running().next().is_some()
    }

    async fn signals(&self, memory_bytes: u64) -> Signals {
        let request = api::ImageFsInfoRequest::default();
        let images = match self.context.cri.images.image_fs_info(request).await {
            Ok(info) => info.image_filesystems.into_iter().find_map(|fs| Some(fs.fs_id?.mountpoint)),
            Err(err) => {
                warn!(%err, "Could not ask where images are");
                None
            }
        };
        let root = self.context.config.root.clone();
        blocking(move || {
            let (node_disk, node_inodes) = file_system(&root);
            let (image_disk, image_inodes) = images.map_or((None, None), |path| file_system(Path::new(&path)));
            let memory = match machine::available_memory_bytes() {
                Ok(available) => Some(Amount { available, capacity: memory_bytes }),
                Err(err) => {
                    warn!(err = %ErrorChain(&err), "Could not measure the node's memory");
                    None
                }
            };
            Signals { memory, node_disk, node_inodes, image_disk, image_inodes }
        })
        .await
    }

    /// What each container of a pod uses of something; under no name, what the pod uses besides.
    async fn usage_of(&self, pod: &Pod, resource: Resource) -> BTreeMap<String, u64> {
        match resource {
            Resource::Memory => {
                let uid = pod.metadata.uid.clone().unwrap_or_default();
                let filter = api::ContainerStatsFilter {
                    label_selector: [(POD_UID.to_owned(), uid)].into(),
                    ..api::ContainerStatsFilter::default()
                };
                let request = api::ListContainerStatsRequest { filter: Some(filter) };
                let stats = match self.context.cri.runtime.list_container_stats(request).await {
                    Ok(answer) => answer.stats,
                    Err(err) => {
                        warn!(%err, "Could not measure the memory of a pod");
                        Vec::new()
                    }
                };
                let of = |stats: api::ContainerStats| {
                    let name = stats.attributes?.metadata?.name;
                    Some((name, stats.memory?.working_set_bytes?.value))
                };
                stats.into_iter().filter_map(of).collect()
            }
            Resource::Disk => {
                let Usage { volumes, mut layers, logs, others } = self.measure(pod, true).await;
                for (name, bytes) in logs {
                    *layers.entry(name).or_default() += bytes;
                }
                layers.insert(String::new(), volumes.values().sum::<u64>() + others);
                layers
            }
            // Nobody counts them: the least important pod goes.
            Resource::Inodes => BTreeMap::new(),
        }
    }

    fn evict(&self, pod: &Pod, message: String, is_disruption: bool) {
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        let Some(mailbox) = self.table.mailbox(uid) else { return };
        info!(pod = %pod_ref::name(pod), uid, message = message.trim_end(), "Evicted pod");
        self.context.event(pod, true, EVICTED, message.as_str());
        let status = Failure::new(EVICTED, message);
        mailbox.kill(Kill { status, grace_seconds: GRACE_SECONDS, is_disruption });
    }

    async fn look_at(&self, pod: &SharedPod) {
        let limits = Limits::of(pod);
        if limits.is_empty() || qos::is_critical(pod) || self.is_out(pod) {
            return;
        }
        let usage = self.measure(pod, limits.has_storage()).await;
        if let Some(message) = plan::violation(&limits, &usage) {
            self.evict(pod, message, false);
        }
    }

    /// Whether nothing is left to end, or was already told to end here. An end that others have begun is none: its grace period
    /// is theirs to choose, and what runs meanwhile has its limits as before. Upstream: `filterOutInactivePods`.
    fn is_out(&self, pod: &Pod) -> bool {
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        if self.table.mailbox(uid).is_none_or(|mailbox| mailbox.is_killed()) {
            return true;
        }
        let status = self.context.status.get(uid).or_else(|| pod.status.clone()).unwrap_or_default();
        let is_over = matches!(status.phase.as_deref(), Some("Failed" | "Succeeded"));
        (is_over || pod.metadata.deletion_timestamp.is_some()) && !self.runs(pod)
    }

    /// Measures volumes and logs, and with `containers` what these have written to their own file systems.
    async fn measure(&self, pod: &Pod, containers: bool) -> Usage {
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let runtime = self.context.cache.get(&uid);
        let mut layers = BTreeMap::new();
        if containers {
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

/// Space and inodes of the file system that holds `path`, or will hold it.
fn file_system(path: &Path) -> (Option<Amount>, Option<Amount>) {
    let Some(stat) = path.ancestors().find_map(|parent| nix::sys::statvfs::statvfs(parent).ok()) else {
        return (None, None);
    };
    let bytes = |blocks: u64| blocks.saturating_mul(stat.fragment_size());
    (
        Some(Amount { available: bytes(stat.blocks_available()), capacity: bytes(stat.blocks()) }),
        Some(Amount { available: stat.files_available(), capacity: stat.files() }),
    )
}
