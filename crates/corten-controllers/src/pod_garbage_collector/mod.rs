//! Deletes pods that nobody takes care of: whose node is gone, that wait for a kubelet in vain, or that have ended and
//! are too many.
//!
//! Flow: informers of pods and nodes -> workqueue of pods, nodes and the one question "are there too many ended pods" ->
//! `plan` -> mark as failed, delete without grace.
//! Invariant: a node counts as gone when it has been missing for the quarantine and a live read confirms it.
//! Upstream: pkg/controller/podgc (v1.35), which looks at everything each 20 seconds instead.

pub mod plan;

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use corten_apimachinery::{
    gvk::GroupVersionResource,
    meta::{ObjectMeta as _, format_time},
    status::Status,
    stored::Stored,
    value::{Str, Value},
};
use corten_base::SharedClock;
use corten_client::{Client, PatchKind, Target};
use corten_controller::{
    Context, Controller, ControllerDescriptor, Key, ReconcileError, Reconciler, Requeue, WorkQueue,
};
use corten_informer::{Handler, Lister, Projection, ProjectionHandler};
use parking_lot::Mutex;
use tracing::info;

use self::plan::{Ended, NodeState, Verdict};
use crate::{
    config::Config,
    objects::{part, tree},
    pods::{self, PodState, Pods},
    queue_controller::{QueueController, queue_of},
};

/// How long a node is missing before its pods go: it may come back under its name, or the pods' informer may be ahead.
/// Upstream: `quarantineTime`.
const QUARANTINE: Duration = Duration::from_secs(40);

/// The controller.
pub static CONTROLLER: ControllerDescriptor<Config> = ControllerDescriptor {
    name: "pod-garbage-collector-controller",
    aliases: &["podgc"],
    identity: "pod-garbage-collector",
    feature_gate: None,
    workers: 1,
    build,
};

fn nodes() -> GroupVersionResource {
    GroupVersionResource::new("", "v1", "nodes")
}

fn build(context: Context<Config>) -> Box<dyn Controller> {
    let queue = queue_of(&context);
    let node_informer = context.informers.informer(&nodes());
    let pods = Pods::new(&context.informers);
    let tracked = Arc::new(Mutex::new(Tracked::default()));
    pods.states.add_handler(Arc::new(PodHandler {
        queue: Arc::clone(&queue),
        nodes: node_informer.lister(),
        tracked: Arc::clone(&tracked),
    }));
    node_informer.add_handler(Arc::new(NodeHandler { queue: Arc::clone(&queue) }));
    let collector = Collector {
        pods,
        nodes: node_informer.lister(),
        tracked,
        client: context.client(),
        clock: Arc::clone(&context.clock),
        ended_max: context.config.terminated_pods_max,
    };
    QueueController::boxed(&context, queue, collector)
}

/// What there may be to do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Work {
    /// A pod may wait in vain.
    Pod(Key),
    /// A node may be gone or out of service.
    Node(Str),
    /// There may be too many ended pods.
    Ended,
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod(key) => write!(f, "pod {key}"),
            Self::Node(name) => write!(f, "node {name}"),
            Self::Ended => f.write_str("ended pods"),
        }
    }
}

/// Which pods are where, and which have ended. Capacity: the pods that the informer has.
#[derive(Debug, Default)]
struct Tracked {
    by_node: BTreeMap<Str, std::collections::BTreeSet<Key>>,
    ended: BTreeMap<Key, (bool, Option<jiff::Timestamp>)>,
}

impl Tracked {
    fn put(&mut self, key: &Key, pod: &PodState, is_evicted: bool) {
        if !pod.node.is_empty() {
            self.by_node.entry(pod.node.clone()).or_default().insert(key.clone());
        }
        if pod.is_terminal() {
            self.ended.insert(key.clone(), (!is_evicted, pod.created));
        } else {
            self.ended.remove(key);
        }
    }

    fn remove(&mut self, key: &Key, node: &str) {
        if let Some(keys) = self.by_node.get_mut(node) {
            keys.remove(key);
            if keys.is_empty() {
                self.by_node.remove(node);
            }
        }
        self.ended.remove(key);
    }
}

struct PodHandler {
    queue: Arc<WorkQueue<Work>>,
    nodes: Lister,
    tracked: Arc<Mutex<Tracked>>,
}

impl PodHandler {
    fn seen(&self, pod: &Projection<PodState>) {
        let (key, state) = (pod.key(), &pod.value);
        let is_evicted = state.is_terminal() && is_evicted(&pod.object);
        self.tracked.lock().put(&key, state, is_evicted);
        if state.is_terminal() {
            self.queue.add(Work::Ended);
        }
        if state.deletion.is_some() {
            self.queue.add(Work::Pod(key));
        }
        if !state.node.is_empty() && self.nodes.get(&Key::new("", state.node.clone())).is_none() {
            self.queue.add_after(Work::Node(state.node.clone()), QUARANTINE);
        }
    }
}

impl ProjectionHandler<PodState> for PodHandler {
    fn on_add(&self, pod: &Arc<Projection<PodState>>) {
        self.seen(pod);
    }

    fn on_update(&self, old: &Arc<Projection<PodState>>, pod: &Arc<Projection<PodState>>) {
        if !old.value.node.is_empty() && old.value.node != pod.value.node {
            // A pod that was made again, and whose delete was not seen.
            self.tracked.lock().remove(&old.key(), &old.value.node);
        }
        self.seen(pod);
    }

    fn on_delete(&self, pod: &Arc<Projection<PodState>>) {
        self.tracked.lock().remove(&pod.key(), &pod.value.node);
    }
}

fn is_evicted(pod: &Stored) -> bool {
    let [reason] = pod.json.fields(&["status"], ["reason"]);
    reason == Some(b"\"Evicted\"")
}

struct NodeHandler {
    queue: Arc<WorkQueue<Work>>,
}

impl Handler for NodeHandler {
    fn on_add(&self, node: &Arc<Stored>) {
        self.queue.add(Work::Node(node.name.clone()));
    }

    fn on_update(&self, old: &Arc<Stored>, node: &Arc<Stored>) {
        const OF_STATE: [&[&str]; 2] = [&["spec", "taints"], &["status", "conditions"]];
        let state = |node: &Stored| plan::node_state(&part(node, &OF_STATE));
        let [taints] = node.json.fields(&["spec"], ["taints"]);
        if taints.is_some() && state(node) == NodeState::OutOfService && state(old) != NodeState::OutOfService {
            self.queue.add(Work::Node(node.name.clone()));
        }
    }

    fn on_delete(&self, node: &Arc<Stored>, _final_state_unknown: bool) {
        self.queue.add_after(Work::Node(node.name.clone()), QUARANTINE);
    }
}

struct Collector {
    pods: Pods,
    nodes: Lister,
    tracked: Arc<Mutex<Tracked>>,
    client: Client,
    clock: SharedClock,
    ended_max: usize,
}

#[async_trait]
impl Reconciler<Work> for Collector {
    async fn reconcile(&self, work: &Work) -> Result<Requeue, ReconcileError> {
        match work {
            Work::Pod(key) => {
                if let Some(pod) = self.pods.lister.get(key) {
                    let node = self.cached_node(&self.pods.state(&pod).node)?;
                    self.collect(&pod, node).await?;
                }
            }
            Work::Node(name) => {
                let node = self.node(name).await?;
                let keys: Vec<Key> = self.tracked.lock().by_node.get(name).into_iter().flatten().cloned().collect();
                for pod in keys.iter().filter_map(|key| self.pods.lister.get(key)) {
                    self.collect(&pod, node).await?;
                }
            }
            Work::Ended => self.collect_ended().await?,
        }
        Ok(Requeue::Never)
    }
}

impl Collector {
    /// What the cache says; a node that it does not show is not gone yet.
    fn cached_node(&self, name: &Str) -> Result<NodeState, Status> {
        if name.is_empty() {
            return Ok(NodeState::None);
        }
        match self.nodes.get(&Key::new("", name.clone())) {
            Some(node) => Ok(plan::node_state(&tree(&node)?)),
            None => Ok(NodeState::Working),
        }
    }

    async fn node(&self, name: &Str) -> Result<NodeState, Status> {
        if self.nodes.get(&Key::new("", name.clone())).is_some() {
            return self.cached_node(name);
        }
        match self.client.get(Target::object(&nodes(), "", name.clone())).await {
            Ok(node) => Ok(plan::node_state(&tree(&node)?)),
            Err(status) if status.is_not_found() => Ok(NodeState::Gone),
            Err(status) => Err(status),
        }
    }

    async fn collect(&self, pod: &Stored, node: NodeState) -> Result<(), Status> {
        let state = self.pods.state(pod);
        match plan::verdict(&state, node) {
            Verdict::Keep => Ok(()),
            Verdict::Orphaned => {
                let reason = ("DeletionByPodGC", "PodGC: node no longer exists");
                self.fail_and_delete(pod, &state, Some(reason)).await
            }
            Verdict::Stuck => self.fail_and_delete(pod, &state, None).await,
        }
    }

    async fn collect_ended(&self) -> Result<(), Status> {
        let ended: Vec<Ended<Key>> = {
            let tracked = self.tracked.lock();
            if self.ended_max == 0 || tracked.ended.len() <= self.ended_max {
                return Ok(());
            }
            let all = tracked.ended.iter();
            all.map(|(key, (keep, created))| Ended { is_kept_longer: *keep, created: *created, key: key.clone() })
                .collect()
        };
        let pods = plan::beyond(ended, self.ended_max);
        info!(pods = pods.len(), "Deleting ended pods");
        for pod in pods.iter().filter_map(|key| self.pods.lister.get(key)) {
            let state = self.pods.state(&pod);
            // It may have been replaced by another pod of its name.
            if state.is_terminal() {
                self.fail_and_delete(&pod, &state, None).await?;
            }
        }
        Ok(())
    }

    /// Marks a pod as failed unless it has ended, since no kubelet will, and deletes it without waiting for one.
    async fn fail_and_delete(
        &self,
        pod: &Stored,
        state: &PodState,
        disruption: Option<(&str, &str)>,
    ) -> Result<(), Status> {
        let target = Target::object(&pods::resource(), pod.namespace.clone(), pod.name.clone());
        if !state.is_terminal() {
            let patch = failed_patch(&tree(pod)?, disruption, self.clock.now());
            let patched = self.client.patch(target.clone().subresource("status"), PatchKind::Strategic, patch).await;
            match patched {
                Err(status) if status.is_not_found() || status.is_conflict() => return Ok(()),
                other => drop(other?),
            }
        }
        let mut options = Value::object_of([("gracePeriodSeconds", Value::from(0))]);
        // Another pod may have the name by now.
        options.set(&["preconditions", "uid"], pod.uid.clone());
        match self.client.delete(target, options).await {
            Err(status) if !status.is_not_found() && !status.is_conflict() => Err(status),
            _ => Ok(()),
        }
    }
}

fn failed_patch(pod: &Value, disruption: Option<(&str, &str)>, now: jiff::Timestamp) -> Value {
    let mut patch = Value::object();
    patch.set(&["metadata", "uid"], pod.uid());
    patch.set(&["status", "phase"], "Failed");
    if let Some((reason, message)) = disruption {
        let mut condition = Value::object_of([
            ("type", Value::from("DisruptionTarget")),
            ("status", "True".into()),
            ("reason", reason.into()),
            ("message", message.into()),
            ("lastTransitionTime", Value::String(format_time(now))),
        ]);
        if pod.generation() != 0 {
            condition.set(&["observedGeneration"], pod.generation());
        }
        patch.set(&["status", "conditions"], Value::array([condition]));
    }
    patch
}
