//! The table of the node's pods, with one worker for each.
//!
//! Flow: sources and PLEG put keys into one queue; one task takes them, admits new pods, starts workers and rings those
//! that have news. Invariant: nothing is started before the runtime and the API have been listed once; a pod that only
//! the runtime knows gets a worker that ends it.
//! Upstream: pkg/kubelet/pod_workers.go and kubelet_pods.go (v1.35).

pub mod actions;
pub mod admission;
pub mod context;
pub mod garbage;
pub mod housekeeping;
pub mod log_links;
pub mod mailbox;
pub mod messages;
pub mod plan;
pub mod restart_policy;
pub mod restarts;
pub mod sysctls;
pub mod worker;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use corten_api::core::v1::{Node, Pod};
use corten_base::{ErrorChain, Shutdown, TaskSet, timeout};
use corten_client::{Api, api::decode};
use corten_controller::WorkQueue;
use corten_informer::{Key, Lister};
use parking_lot::RwLock;
use tokio::sync::mpsc;
use tracing::{info, warn};

pub use context::Context;
pub use mailbox::Mailbox;
pub use worker::Worker;

use crate::{
    allocation::{InProgress, ResizeState, Verdict, decide},
    interfaces::{Failure, ProbeOutcome, SharedPod},
    pleg::Listener,
    pod_ref,
    status::Remains,
};

/// How often a resize is looked at again that had to wait. Upstream: `retryDelay`.
const RETRY_DEFERRED: Duration = Duration::from_secs(180);

/// How long the API may take to show the node anew before a pod is refused: all other pods wait meanwhile.
const NODE_TIMEOUT: Duration = Duration::from_secs(10);

/// What has changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// A pod in the API.
    Source(Key),
    /// A pod in the runtime, by UID.
    Runtime(String),
    /// A worker has ended, by UID.
    Forgotten(String),
    /// There may be room now for resizes that had to wait.
    Deferred,
}

/// The pods of the node, for whoever looks from outside.
#[derive(Default)]
pub struct Table {
    entries: RwLock<BTreeMap<String, Entry>>,
}

/// One pod of the table.
#[derive(Clone)]
pub struct Entry {
    /// The pod; nothing for one that no source has.
    pub pod: Option<SharedPod>,
    /// Its worker's mailbox.
    pub mailbox: Arc<Mailbox>,
}

impl Table {
    /// All pods that a source has or had.
    #[must_use]
    pub fn pods(&self) -> Vec<SharedPod> {
        self.entries.read().values().filter_map(|entry| entry.pod.clone()).collect()
    }

    /// The mailbox of a pod's worker.
    #[must_use]
    pub fn mailbox(&self, uid: &str) -> Option<Arc<Mailbox>> {
        self.entries.read().get(uid).map(|entry| Arc::clone(&entry.mailbox))
    }

    /// The UIDs of all pods that have a worker.
    #[must_use]
    pub fn uids(&self) -> Vec<String> {
        self.entries.read().keys().cloned().collect()
    }

    /// Hands a probe's result to the pod's worker.
    pub fn probed(&self, outcome: &ProbeOutcome) {
        if let Some(mailbox) = self.mailbox(&outcome.pod_uid) {
            mailbox.probed(outcome);
        }
    }
}

/// Tells the table of changes in the runtime.
pub struct RuntimeChanges {
    /// The table's queue.
    pub queue: Arc<WorkQueue<Change>>,
    /// The table, so that known pods are told without a detour.
    pub table: Arc<Table>,
}

impl Listener for RuntimeChanges {
    fn changed(&self, pod_uid: &str) {
        match self.table.mailbox(pod_uid) {
            Some(mailbox) => mailbox.ring(),
            None => self.queue.add(Change::Runtime(pod_uid.to_owned())),
        }
    }
}

/// The task that keeps the table.
pub struct PodWorkers {
    /// What workers share.
    pub context: Arc<Context>,
    /// The table.
    pub table: Arc<Table>,
    /// What has changed.
    pub queue: Arc<WorkQueue<Change>>,
    /// The API's pods of this node.
    pub pods: Lister,
    /// The node's own object.
    pub node: Lister,
    /// The node that knows what is scarce, if anybody measures it.
    pub defended: Option<crate::node::Node>,
}

impl PodWorkers {
    /// Works until shutdown is requested; then ends the workers, not the containers.
    pub async fn run(self, shutdown: Shutdown) {
        let workers = TaskSet::new("pod workers");
        let leftovers = tokio::select! {
            biased;
            () = shutdown.requested() => return,
            leftovers = housekeeping::Leftovers::find(&self.context) => leftovers,
        };
        let of_api = self.pods.list().into_iter().map(|pod| pod.uid.to_string());
        let known = of_api.chain(self.context.cache.uids()).collect();
        workers.spawn("housekeeping", leftovers.remove(Arc::clone(&self.context), known));
        for uid in self.context.cache.uids() {
            self.queue.add(Change::Runtime(uid));
        }
        loop {
            let change = tokio::select! {
                biased;
                () = shutdown.requested() => break,
                change = workers.guard(self.queue.next()) => change,
            };
            let Some(change) = change else { break };
            match &change {
                Change::Source(key) => self.source_changed(key, &workers, &shutdown).await,
                Change::Runtime(uid) => self.runtime_changed(uid, &workers, &shutdown),
                Change::Forgotten(uid) => self.forgotten(uid).await,
                Change::Deferred => self.retry_deferred().await,
            }
            self.queue.done(&change);
        }
        self.queue.shut_down();
        if let Err(panic) = workers.join().await {
            tracing::error!(err = %panic, "Pod worker panicked");
        }
    }

    async fn source_changed(&self, key: &Key, workers: &TaskSet, shutdown: &Shutdown) {
        let stored = self.pods.get(key);
        let current = stored.as_ref().map(|stored| stored.uid.to_string());
        // Pods of this name with another UID are gone from the API.
        for (uid, entry) in self.of_name(key) {
            if current.as_deref() != Some(uid.as_str()) {
                entry.mailbox.removed();
            }
        }
        let Some(stored) = stored else { return self.retry_deferred().await };
        let pod: Pod = match decode(&stored) {
            Ok(pod) => pod,
            Err(err) => return warn!(pod = %key, %err, "Could not read pod"),
        };
        if is_mirror(&pod) {
            return self.context.status.delete_mirror(&Arc::new(pod));
        }
        let (uid, desired) = (stored.uid.to_string(), Arc::new(pod));
        let allocations = &self.context.allocations;
        let is_freed = self.resize(&desired).await || !self.is_active(&desired);
        let pod = allocations.applied(&desired);
        let is_known = {
            let mut entries = self.table.entries.write();
            if let Some(entry) = entries.get_mut(&uid) {
                if entry.pod.is_some() {
                    entry.pod = Some(Arc::clone(&pod));
                    entry.mailbox.config(Arc::clone(&pod));
                }
                // Without a pod: taken for an orphan and on its way out, looked at again when its worker has ended.
                true
            } else {
                false
            }
        };
        if is_freed {
            self.retry_deferred().await;
        }
        if is_known {
            return;
        }
        let rejected = self.admit(&pod).await.err();
        if let Some(failure) = &rejected {
            self.context.event(&pod, true, &failure.reason, failure.message.trim_start_matches("Pod was rejected: "));
        }
        if rejected.is_none()
            && !allocations.has(&uid)
            && self.is_active(&pod)
            && let Err(err) = allocations.set(&pod).await
        {
            warn!(pod = %key, err = %ErrorChain(&err), "Could not note what is set aside for pod");
        }
        info!(pod = %key, uid, rejected = rejected.is_some(), "Took over pod");
        let mailbox = Arc::new(Mailbox::default());
        let entry = Entry { pod: Some(Arc::clone(&pod)), mailbox: Arc::clone(&mailbox) };
        self.table.entries.write().insert(uid.clone(), entry);
        let worker = Worker::new(Arc::clone(&self.context), mailbox, pod, rejected);
        self.spawn(workers, uid, worker, shutdown);
    }

    fn runtime_changed(&self, uid: &str, workers: &TaskSet, shutdown: &Shutdown) {
        if let Some(mailbox) = self.table.mailbox(uid) {
            return mailbox.ring();
        }
        if self.context.cache.get(uid).is_empty() || self.pods.list().iter().any(|pod| pod.uid == uid) {
            return;
        }
        info!(uid, "Found pod that no source has");
        let mailbox = Arc::new(Mailbox::default());
        let entry = Entry { pod: None, mailbox: Arc::clone(&mailbox) };
        self.table.entries.write().insert(uid.to_owned(), entry);
        let worker = Worker::orphan(Arc::clone(&self.context), mailbox, uid.to_owned());
        self.spawn(workers, uid.to_owned(), worker, shutdown);
    }

    /// Looks whether a pod asks for other resources than it has, and takes that over if the node has room. Returns whether
    /// it did.
    async fn resize(&self, pod: &SharedPod) -> bool {
        let allocations = &self.context.allocations;
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        if !allocations.has(uid) || pod.metadata.deletion_timestamp.is_some() || !self.is_active(pod) {
            return false;
        }
        if Arc::ptr_eq(&allocations.applied(pod), pod) {
            allocations.change_resize(uid, |state| state.pending = None);
            return false;
        }
        let Some(node) = self.node() else { return false };
        // All that the API has, since after a start not all are in the table yet.
        let stored = self.pods.list();
        let others = stored.iter().filter(|other| other.uid != uid);
        let others: Vec<SharedPod> = others
            .filter_map(|other| decode(other).ok().map(|other| allocations.applied(&Arc::new(other))))
            .filter(|other| !is_mirror(other) && self.is_active(other))
            .collect();
        let others: Vec<&Pod> = others.iter().map(AsRef::as_ref).collect();
        match decide::decide(pod, &node, &others, self.context.config.max_pods) {
            Verdict::Fits => {
                if let Err(err) = allocations.set(pod).await {
                    warn!(pod = %pod_ref::name(pod), err = %ErrorChain(&err), "Could not note what is set aside for pod");
                    self.queue.add_after(Change::Deferred, RETRY_DEFERRED);
                    return false;
                }
                allocations.change_resize(uid, |state| {
                    let in_progress = InProgress { generation: pod.metadata.generation, error: None };
                    *state = ResizeState { pending: None, in_progress: Some(in_progress) };
                });
                info!(pod = %pod_ref::name(pod), uid, "Took over resize of pod");
                self.context.event(pod, false, "ResizeStarted", decide::message("started", pod, ""));
                true
            }
            Verdict::Waits(pending) => {
                let (reason, text) = (pending.reason, pending.message.clone());
                if pending.is_deferred() {
                    self.queue.add_after(Change::Deferred, RETRY_DEFERRED);
                }
                if allocations.change_resize(uid, |state| state.pending = Some(pending)) {
                    let text = decide::message(reason, pod, &text);
                    self.context.event(pod, true, &format!("Resize{reason}"), text);
                }
                false
            }
        }
    }

    /// Looks again at the resizes that the node had no room for, the most important pods first.
    async fn retry_deferred(&self) {
        let deferred = self.context.allocations.deferred();
        if deferred.is_empty() {
            return;
        }
        let stored = self.pods.list();
        let found = stored.iter().filter(|stored| deferred.iter().any(|uid| stored.uid == uid.as_str()));
        let mut pods: Vec<SharedPod> = found.filter_map(|stored| decode(stored).ok().map(Arc::new)).collect();
        pods.sort_by_key(|pod: &SharedPod| std::cmp::Reverse(pod.spec.as_ref().and_then(|spec| spec.priority)));
        for pod in pods {
            let uid = pod.metadata.uid.as_deref().unwrap_or_default();
            let before = self.context.allocations.resize(uid);
            // Its status says why it still waits.
            if self.resize(&pod).await || self.context.allocations.resize(uid) != before {
                let applied = self.context.allocations.applied(&pod);
                let mut entries = self.table.entries.write();
                if let Some(entry) = entries.get_mut(uid).filter(|entry| entry.pod.is_some()) {
                    entry.pod = Some(Arc::clone(&applied));
                    entry.mailbox.config(applied);
                }
            }
        }
    }

    async fn forgotten(&self, uid: &str) {
        self.table.entries.write().remove(uid);
        // Made anew with the same UID, or still in the runtime: look at it again.
        if let Some(pod) = self.pods.list().iter().find(|pod| pod.uid == uid) {
            self.queue.add(Change::Source(Key::of(pod)));
        } else if !self.context.cache.get(uid).is_empty() {
            self.queue.add(Change::Runtime(uid.to_owned()));
        }
        self.retry_deferred().await;
    }

    /// The node's object, if the API has it.
    fn node(&self) -> Option<Node> {
        let nodes = self.node.list();
        match decode(nodes.first()?) {
            Ok(node) => Some(node),
            Err(err) => {
                warn!(%err, "Could not read the node");
                None
            }
        }
    }

    fn spawn(&self, workers: &TaskSet, uid: String, worker: Worker, shutdown: &Shutdown) {
        let (queue, shutdown) = (Arc::clone(&self.queue), shutdown.clone());
        workers.spawn("worker", async move {
            if worker.run(shutdown).await {
                queue.add(Change::Forgotten(uid));
            }
        });
    }

    fn of_name(&self, key: &Key) -> Vec<(String, Entry)> {
        let has_name = |pod: &SharedPod| {
            pod.metadata.namespace.as_deref().unwrap_or_default() == key.namespace
                && pod.metadata.name.as_deref().unwrap_or_default() == key.name
        };
        let entries = self.table.entries.read();
        let found = entries.iter().filter(|(_, entry)| entry.pod.as_ref().is_some_and(has_name));
        found.map(|(uid, entry)| (uid.clone(), entry.clone())).collect()
    }

    /// Whether the node takes the pod. What it already had before a restart, or what has ended, is not asked again.
    async fn admit(&self, pod: &Pod) -> Result<(), Failure> {
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        let known = pod.status.as_ref().is_some_and(|status| {
            status.start_time.is_some() || matches!(status.phase.as_deref(), Some("Failed" | "Succeeded"))
        });
        if known || pod.metadata.deletion_timestamp.is_some() || !self.context.cache.get(uid).is_empty() {
            return Ok(());
        }
        if let Some(node) = &self.defended {
            admission::admit_under_pressure(pod, node.pressure())?;
        }
        self.context.sysctls.admit(pod)?;
        let Some(node) = self.node() else { return Ok(()) };
        // A pod that is gone from the API takes no room, though its containers may still be ending.
        let of_api: BTreeSet<String> = self.pods.list().into_iter().map(|pod| pod.uid.to_string()).collect();
        let is_there = |other: &Pod| other.metadata.uid.as_ref().is_some_and(|uid| of_api.contains(uid));
        let others = self.table.pods();
        let others: Vec<&Pod> =
            others.iter().map(AsRef::as_ref).filter(|other| is_there(other) && self.is_active(other)).collect();
        let max_pods = self.context.config.max_pods;
        let mut failures = admission::failures(pod, &node, &others, max_pods);
        if admission::is_about_labels(&failures)
            && let Some(node) = self.newest_node().await
        {
            failures = admission::failures(pod, &node, &others, max_pods);
        }
        failures.into_iter().next().map_or(Ok(()), Err)
    }

    /// The node's object as the API has it at this moment: whoever bound a pod may have seen more than the informer.
    async fn newest_node(&self) -> Option<Node> {
        let api: Api<Node> = Api::all(&self.context.client);
        let name = &self.context.config.node_name;
        match timeout(&*self.context.clock, NODE_TIMEOUT, api.get(name)).await {
            Ok(Ok(node)) => Some(node),
            Ok(Err(err)) => {
                warn!(node = %name, %err, "Could not ask for the node anew");
                None
            }
            Err(err) => {
                warn!(node = %name, %err, "Could not ask for the node anew");
                None
            }
        }
    }

    /// Whether a pod still uses what it asked for.
    fn is_active(&self, pod: &Pod) -> bool {
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        let is_told =
            matches!(pod.status.as_ref().and_then(|status| status.phase.as_deref()), Some("Failed" | "Succeeded"));
        if self.context.status.remains(uid) == Some(Remains::Containers) && !is_told {
            // Its end may be decided, but has not come.
            return true;
        }
        let phase = self.context.status.get(uid).or_else(|| pod.status.clone()).and_then(|status| status.phase);
        !matches!(phase.as_deref(), Some("Failed" | "Succeeded"))
    }
}

/// Mirror pods only show static ones.
fn is_mirror(pod: &Pod) -> bool {
    let annotations = pod.metadata.annotations.as_ref();
    annotations.is_some_and(|annotations| annotations.contains_key("kubernetes.io/config.mirror"))
}

/// Hands probe results to the workers until the prober or the kubelet ends.
pub async fn route_probes(mut outcomes: mpsc::Receiver<ProbeOutcome>, table: Arc<Table>, shutdown: Shutdown) {
    loop {
        let outcome = tokio::select! {
            biased;
            () = shutdown.requested() => return,
            outcome = outcomes.recv() => outcome,
        };
        match outcome {
            Some(outcome) => table.probed(&outcome),
            None => return,
        }
    }
}
