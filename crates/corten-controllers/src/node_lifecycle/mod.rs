//! Notices nodes that have fallen silent: conditions become unknown, pods lose their readiness, taints keep new pods away
//! and drive old ones off.
//!
//! Flow: nodes and leases -> `health` (when was it heard of) -> queue of nodes -> status, taints, labels, pods. A node
//! is looked at when something changes and when its time would be over; nothing goes round.
//! Upstream: pkg/controller/nodelifecycle (v1.35). Taints that evict are set at upstream's rates, per zone (`zones`).

mod health;
mod plan;
mod zones;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use corten_api::{
    coordination::v1::Lease,
    core::v1::{Node, Pod},
};
use corten_apimachinery::{
    meta::{ObjectMeta as _, format_time, parse_time},
    status::Status,
    stored::Stored,
    value::{Str, Value},
};
use corten_base::SharedClock;
use corten_client::{
    Client, PatchKind, Target,
    api::resource_of,
    events::{ObjectRef, Recorder},
};
use corten_controller::{ControllerDescriptor, Key, ReconcileError, Reconciler, Requeue, WorkQueue};
use corten_informer::{Handler, Indexer, InformerId, Lister};
use parking_lot::Mutex;

use self::{
    health::{Health, Heard},
    plan::{Ready, Taint},
    zones::{Pace, Zones},
};
use crate::{
    Config,
    objects::{from_json, part, tree},
    queue_controller::{QueueController, queue_of},
};

/// Where kubelets keep their leases.
const LEASES: &str = "kube-node-lease";
/// The index of pods by node; the controllers that ask for it share it.
pub(crate) const PODS_BY_NODE: &str = "pods by node";
/// How long a new node may take for its first report. Upstream: `--node-startup-grace-period`.
const STARTUP_GRACE: Duration = Duration::from_secs(60);

/// The controller.
pub static CONTROLLER: ControllerDescriptor<Config> = ControllerDescriptor {
    name: "node-lifecycle-controller",
    aliases: &["nodelifecycle"],
    identity: "node-controller",
    feature_gate: None,
    workers: 8,
    build: |context| {
        let queue = queue_of(&context);
        let health = Arc::new(Mutex::new(Health::default()));
        let zones = Arc::new(Mutex::new(Zones::default()));
        let recorder = context.recorder.for_component("node-controller");
        let hears = |is_lease| {
            Arc::new(Hears {
                is_lease,
                recorder: recorder.clone(),
                queue: Arc::clone(&queue),
                health: Arc::clone(&health),
                zones: Arc::clone(&zones),
                clock: Arc::clone(&context.clock),
            })
        };
        let nodes = context.informers.informer(&resource_of::<Node>());
        nodes.add_handler(hears(false));
        let leases = InformerId::all(&resource_of::<Lease>()).in_namespace(LEASES);
        context.informers.informer_of(&leases).add_handler(hears(true));
        let pods = context.informers.informer(&resource_of::<Pod>());
        pods.add_index(pods_by_node());
        let reconciler = NodeLifecycle {
            client: context.client(),
            recorder: recorder.clone(),
            clock: Arc::clone(&context.clock),
            grace: context.config.node_monitor_grace,
            nodes: nodes.lister(),
            pods: pods.lister(),
            queue: Arc::clone(&queue),
            health,
            zones,
        };
        QueueController::boxed(&context, queue, reconciler)
    },
};

/// The index of pods by the node they are bound to.
pub(crate) fn pods_by_node() -> Indexer {
    Indexer::new(PODS_BY_NODE, |pod| Some(node_of(pod)).filter(|node| !node.is_empty()).into_iter().collect())
}

/// The node that a pod is bound to; empty for none.
pub(crate) fn node_of(pod: &Stored) -> Str {
    // The first of the pod's selectable fields; a server over HTTP states none, and the object has to be read.
    match pod.facts.fields.get(0) {
        Some(node) => node.into(),
        None => part(pod, &[&["spec", "nodeName"]]).str_at(&["spec", "nodeName"]).map(Str::from).unwrap_or_default(),
    }
}

/// What events about a node name: no version of it, so that repeated ones are counted as one.
fn reference(node: &Stored) -> ObjectRef {
    ObjectRef { resource_version: Str::default(), ..ObjectRef::of("v1", "Node", node) }
}

/// Remembers when a node was heard of, queues it when what it says is news, and reports nodes that come and go.
struct Hears {
    is_lease: bool,
    recorder: Recorder,
    queue: Arc<WorkQueue<Key>>,
    health: Arc<Mutex<Health>>,
    zones: Arc<Mutex<Zones>>,
    clock: SharedClock,
}

impl Hears {
    fn hear(&self, object: &Stored) {
        let now = self.clock.monotonic();
        let heard = if self.is_lease {
            let lease = part(object, &[&["spec", "renewTime"]]);
            let renewed = lease.str_at(&["spec", "renewTime"]).unwrap_or_default();
            self.health.lock().lease(&object.name, renewed, now)
        } else {
            let mut node = part(object, &health::READ);
            node.set(&["metadata", "uid"], object.uid.clone());
            self.health.lock().node(&object.name, &node, now)
        };
        if heard == Heard::News {
            self.queue.add(Key::new("", object.name.clone()));
        }
    }
}

impl Handler for Hears {
    fn on_add(&self, object: &Arc<Stored>) {
        if !self.is_lease {
            let message = format!("Node {name} event: Registered Node {name} in Controller", name = object.name);
            self.recorder.normal(&reference(object), "RegisteredNode", message);
        }
        self.hear(object);
    }

    fn on_update(&self, _old: &Arc<Stored>, new: &Arc<Stored>) {
        self.hear(new);
    }

    fn on_delete(&self, object: &Arc<Stored>, _final_state_unknown: bool) {
        if !self.is_lease {
            let message = format!("Node {name} event: Removing Node {name} from Controller", name = object.name);
            self.recorder.normal(&reference(object), "RemovingNode", message);
            self.health.lock().forget(&object.name);
            for node in self.zones.lock().forget(&object.name) {
                self.queue.add(Key::new("", node));
            }
        }
    }
}

struct NodeLifecycle {
    client: Client,
    recorder: Recorder,
    clock: SharedClock,
    grace: Duration,
    nodes: Lister,
    pods: Lister,
    queue: Arc<WorkQueue<Key>>,
    health: Arc<Mutex<Health>>,
    zones: Arc<Mutex<Zones>>,
}

#[async_trait]
impl Reconciler for NodeLifecycle {
    async fn reconcile(&self, key: &Key) -> Result<Requeue, ReconcileError> {
        let Some(stored) = self.nodes.get(key) else { return Ok(Requeue::Never) };
        let mut node = tree(&stored)?;
        let before = Ready::of(&node);
        // A node that is not known is one that has just gone.
        let Some(due) = self.due(&stored.name, &node) else { return Ok(Requeue::Never) };
        let next = due.saturating_sub(self.clock.monotonic());
        if next.is_zero() && plan::lose(&mut node, self.clock.now()) {
            let target = Target::object(&resource_of::<Node>(), "", key.name.clone()).subresource("status");
            match self.client.update(target, node.clone()).await {
                Ok(updated) => node = tree(&updated)?,
                Err(status) if status.is_not_found() => return Ok(Requeue::Never),
                // The node has said something meanwhile. It lives, or it will be looked at when its time is over again.
                Err(status) if status.is_conflict() => return Ok(Requeue::Backoff),
                Err(status) => return Err(status.into()),
            }
        }
        let ready = Ready::of(&node);
        for other in self.zones.lock().see(&key.name, &plan::zone_of(&node), ready == Ready::True) {
            if other != key.name {
                self.queue.add(Key::new("", other));
            }
        }
        if ready != Ready::True {
            if before == Ready::True {
                let message = format!("Node {} status is now: NodeNotReady", key.name);
                self.recorder.normal(&reference(&stored), "NodeNotReady", message);
            }
            self.unready_pods(&key.name).await?;
        }
        let wait = self.mark(key, &node, ready, stored.revision).await?;
        // After its time a node is looked at again when it says something; before, when its time is over.
        let next = (!next.is_zero()).then_some(next);
        match [next, wait].into_iter().flatten().min() {
            Some(delay) => Ok(Requeue::After(delay)),
            None => Ok(Requeue::Never),
        }
    }
}

impl NodeLifecycle {
    /// When the node will have been silent for too long.
    fn due(&self, name: &str, node: &Value) -> Option<Duration> {
        let probed = self.health.lock().probed(name)?;
        if plan::has_reported(node) {
            return Some(probed + self.grace);
        }
        // A node without any report has its time from when it was made.
        let created = node.creation_timestamp().and_then(parse_time)?;
        let age = Duration::try_from(self.clock.now().duration_since(created)).unwrap_or_default();
        Some((self.clock.monotonic() + STARTUP_GRACE).saturating_sub(age))
    }

    /// Takes the readiness from the pods of a node that is not ready.
    async fn unready_pods(&self, node: &Str) -> Result<(), Status> {
        for stored in self.pods.by_index(PODS_BY_NODE, node) {
            let pod = tree(&stored)?;
            let Some(patch) = plan::unready(&pod, &format_time(self.clock.now())) else { continue };
            self.recorder.warning(&ObjectRef::of("v1", "Pod", &stored), "NodeNotReady", "Node is not ready");
            let target = Target::object(&resource_of::<Pod>(), stored.namespace.clone(), stored.name.clone());
            match self.client.patch(target.subresource("status"), PatchKind::Strategic, patch).await {
                Err(status) if !status.is_not_found() && !status.is_conflict() => return Err(status),
                _ => {}
            }
        }
        Ok(())
    }

    /// Brings taints and labels of a node up to date that was read at a revision. Returns how long an eviction has to wait for its turn.
    async fn mark(&self, key: &Key, node: &Value, ready: Ready, read_at: u64) -> Result<Option<Duration>, Status> {
        let mut wanted = plan::no_schedule(node);
        let mut wait = None;
        // A node that has never said anything is given its time first.
        if let Some(taint) = plan::no_execute(ready).filter(|_| plan::has_reported(node)) {
            let has_one = plan::has_no_execute(node);
            let pace = if has_one { Pace::Now } else { self.zones.lock().take_turn(&key.name, self.clock.monotonic()) };
            match pace {
                Pace::Now => wanted.push(taint),
                Pace::After(delay) => wait = Some(delay),
                // The zone's state changes first; then the node is queued.
                Pace::Never => {}
            }
        }
        let mut patch = Value::object();
        if let Some(taints) = plan::taints(node, &wanted, &format_time(self.clock.now())) {
            patch.set(&["spec", "taints"], taints);
        }
        if let Some(labels) = plan::labels(node) {
            patch.set(&["metadata", "labels"], labels);
        }
        if patch.as_object().is_some_and(|patch| !patch.is_empty()) {
            // Lists of taints are replaced as a whole, so only the version that was read may be changed.
            patch.set(&["metadata", "resourceVersion"], node.resource_version().to_owned());
            patch.set(&["metadata", "uid"], node.uid().to_owned());
            let target = Target::object(&resource_of::<Node>(), "", key.name.clone());
            match self.client.patch(target, PatchKind::Merge, patch).await {
                Err(status) if status.is_not_found() => {}
                // The newer version is on its way to us, or has just come.
                Err(status) if status.is_conflict() => {
                    self.health.lock().await_next(&key.name);
                    if self.nodes.get(key).is_some_and(|now| now.revision != read_at) {
                        self.queue.add(key.clone());
                    }
                }
                Err(status) => return Err(status),
                Ok(_) => {}
            }
        }
        Ok(wait)
    }
}

/// A taint as a tree.
fn taint_value(taint: &Taint, now: &str) -> Value {
    let mut value = from_json(&serde_json::json!({"key": taint.key, "effect": taint.effect}));
    value.set(&["timeAdded"], now.to_owned());
    value
}
