//! Deletes pods that do not tolerate their node's `NoExecute` taints, those that do for a time after that time.
//!
//! Flow: pods and nodes -> queue of pods -> `plan` -> condition `DisruptionTarget`, then delete.
//! Upstream: pkg/controller/tainteviction (v1.35).

mod plan;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use corten_api::core::v1::{Node, Pod};
use corten_apimachinery::{
    meta::{ObjectMeta as _, format_time},
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
use corten_controller::{
    ControllerDescriptor, Enqueue, Key, Predicate, ReconcileError, Reconciler, Requeue, WorkQueue, predicate::Change,
};
use corten_informer::{Handler, Lister};
use parking_lot::Mutex;

use self::plan::Stay;
use crate::{
    Config,
    node_lifecycle::{PODS_BY_NODE, node_of, pods_by_node},
    objects::{from_json, gone_is_fine, has_same, part, tree},
    queue_controller::{QueueController, queue_of},
};

/// The controller.
pub static CONTROLLER: ControllerDescriptor<Config> = ControllerDescriptor {
    name: "taint-eviction-controller",
    aliases: &[],
    identity: "node-controller",
    feature_gate: None,
    workers: 8,
    build: |context| {
        let queue = queue_of(&context);
        let pods = context.informers.informer(&resource_of::<Pod>());
        pods.add_index(pods_by_node());
        let nodes = context.informers.informer(&resource_of::<Node>());
        // Most pods are on nodes without such taints; those are never queued.
        let taints: Arc<Mutex<BTreeMap<Str, Value>>> = Arc::default();
        nodes.add_handler(Arc::new(Tainted {
            queue: Arc::clone(&queue),
            pods: pods.lister(),
            taints: Arc::clone(&taints),
        }));
        let since: Arc<Mutex<BTreeMap<Key, Started>>> = Arc::default();
        let (tainted, started) = (Arc::clone(&taints), Arc::clone(&since));
        let concerned = Predicate::new(move |change| {
            let pod = change.object();
            let node = node_of(pod);
            match change {
                Change::Deleted(_) => started.lock().contains_key(&Key::of(pod)),
                _ => tainted.lock().contains_key(&node) || started.lock().contains_key(&Key::of(pod)),
            }
        });
        pods.add_handler(Enqueue::object(&queue).when(concerned).handler());
        let reconciler = TaintEviction {
            client: context.client(),
            recorder: context.recorder.for_component("taint-eviction-controller"),
            clock: Arc::clone(&context.clock),
            pods: pods.lister(),
            taints,
            since,
        };
        QueueController::boxed(&context, queue, reconciler)
    },
};

/// What is read of nodes.
const TAINTS: [&str; 2] = ["spec", "taints"];

/// Since when a pod's time runs, and which pod it is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Started {
    uid: Str,
    at: Duration,
}

/// Keeps the taints of nodes that have some, and queues the pods of nodes whose taints change.
struct Tainted {
    queue: Arc<WorkQueue<Key>>,
    pods: Lister,
    taints: Arc<Mutex<BTreeMap<Str, Value>>>,
}

impl Tainted {
    fn see(&self, node: &Stored, taints: Option<Value>) {
        let is_changed = {
            let mut all = self.taints.lock();
            let before = match &taints {
                Some(taints) => all.insert(node.name.clone(), taints.clone()),
                None => all.remove(&node.name),
            };
            before != taints
        };
        if is_changed {
            for pod in self.pods.by_index(PODS_BY_NODE, &node.name) {
                self.queue.add(Key::of(&pod));
            }
        }
    }
}

impl Handler for Tainted {
    fn on_add(&self, node: &Arc<Stored>) {
        let taints = plan::no_execute(&part(node, &[&TAINTS]));
        self.see(node, (!taints.is_empty()).then(|| Value::array(taints)));
    }

    fn on_update(&self, old: &Arc<Stored>, new: &Arc<Stored>) {
        if !has_same(old, new, &[&TAINTS]) {
            self.on_add(new);
        }
    }

    fn on_delete(&self, node: &Arc<Stored>, _final_state_unknown: bool) {
        self.see(node, None);
    }
}

struct TaintEviction {
    client: Client,
    recorder: Recorder,
    clock: SharedClock,
    pods: Lister,
    taints: Arc<Mutex<BTreeMap<Str, Value>>>,
    /// Capacity: one entry for each pod whose time runs.
    since: Arc<Mutex<BTreeMap<Key, Started>>>,
}

#[async_trait]
impl Reconciler for TaintEviction {
    async fn reconcile(&self, key: &Key) -> Result<Requeue, ReconcileError> {
        let pod = self.pods.get(key).filter(|pod| !pod.facts.is_deleting);
        let Some(stored) = pod else {
            self.since.lock().remove(key);
            return Ok(Requeue::Never);
        };
        let pod = tree(&stored)?;
        let node = pod.str_at(&["spec", "nodeName"]).unwrap_or_default();
        let taints = self.taints.lock().get(node).cloned();
        let taints = taints.as_ref().and_then(Value::as_array).unwrap_or_default();
        let time = match plan::stay(taints, pod.items_at(&["spec", "tolerations"])) {
            Stay::Forever => {
                if self.since.lock().remove(key).is_some() {
                    let message = format!("Cancelling deletion of Pod {key}");
                    self.recorder.normal(&ObjectRef::of("v1", "Pod", &stored), "TaintManagerEviction", message);
                }
                return Ok(Requeue::Never);
            }
            Stay::For(time) => time,
        };
        let now = self.clock.monotonic();
        let started = {
            let mut since = self.since.lock();
            let fresh = Started { uid: stored.uid.clone(), at: now };
            let started = since.entry(key.clone()).or_insert_with(|| fresh.clone());
            if started.uid != stored.uid {
                *started = fresh;
            }
            started.at
        };
        let due = started + time;
        if due > now {
            return Ok(Requeue::After(due - now));
        }
        let message = format!("Marking for deletion Pod {key}");
        self.recorder.normal(&ObjectRef::of("v1", "Pod", &stored), "TaintManagerEviction", message);
        self.evict(key, &stored, &pod).await?;
        self.since.lock().remove(key);
        Ok(Requeue::Never)
    }
}

impl TaintEviction {
    async fn evict(&self, key: &Key, stored: &Stored, pod: &Value) -> Result<(), Status> {
        let target = Target::object(&resource_of::<Pod>(), key.namespace.clone(), key.name.clone());
        if !matches!(pod.str_at(&["status", "phase"]), Some("Succeeded" | "Failed")) {
            let patch = from_json(&serde_json::json!({
                "metadata": {"uid": stored.uid.as_str()},
                "status": {"conditions": [{
                    "type": "DisruptionTarget",
                    "observedGeneration": pod.generation(),
                    "status": "True",
                    "lastTransitionTime": format_time(self.clock.now()).as_str(),
                    "reason": "DeletionByTaintManager",
                    "message": "Taint manager: deleting due to NoExecute taint",
                }]},
            }));
            let patched = self.client.patch(target.clone().subresource("status"), PatchKind::Strategic, patch).await;
            match patched {
                // Gone, or another pod of this name.
                Err(status) if status.is_not_found() || status.is_conflict() => return Ok(()),
                other => drop(other?),
            }
        }
        let options = from_json(&serde_json::json!({"preconditions": {"uid": stored.uid.as_str()}}));
        match gone_is_fine(self.client.delete(target, options).await) {
            Err(status) if status.is_conflict() => Ok(()),
            other => other,
        }
    }
}
