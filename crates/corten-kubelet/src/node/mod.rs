//! The node object: registration, status, lease.
//!
//! Flow: machine + runtime + eviction + volumes -> `status` (pure) -> patch, when something changed or the report is due;
//! own node (informer) -> pod address range -> runtime.
//! Invariant: only what the kubelet owns is written; conditions of others stay.
//! Upstream: pkg/kubelet/kubelet_node_status.go (v1.35).

pub mod machine;
pub mod status;

mod lease;
mod registration;

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use corten_api::core::v1::{Node as NodeObject, NodeCondition, NodeStatus};
use corten_apimachinery::{status::Status, stored::Stored};
use corten_base::{Backoff, ErrorChain, SharedClock, SharedRng, Shutdown, TaskPanic, TaskSet, timeout};
use corten_client::{
    Api, Client, PatchKind,
    api::{decode, encode, resource_of},
    events::{EventType, ObjectRef, Recorder},
};
use corten_cri::{Cri, CriError, api};
use corten_informer::{Handler, InformerFactory, InformerId, reflector::InitialList};
use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use tracing::{info, warn};

use crate::Config;
use lease::LeaseKeeper;
use machine::{Machine, MachineError};
use status::{Observed, Pressure, RuntimeView};

/// How often the runtime is asked while the node is not ready yet: there is nothing to watch.
const NOT_READY_POLL: Duration = Duration::from_millis(100);
/// For how long that goes on; afterwards the ordinary interval is enough. Upstream: `nodeReadyGracePeriod`.
const NOT_READY_POLL_FOR: Duration = Duration::from_secs(120);
/// For how long a node that was ready is left so while the parts of a new kubelet come up: pods must not lose their services
/// because it is being started. Upstream asks the runtime once before the first report; one interval of reports is what that
/// may take.
const START_PATIENCE: Duration = Duration::from_secs(10);
/// How long the runtime may take for an answer.
const RUNTIME_TIMEOUT: Duration = Duration::from_secs(10);
/// The first and the longest wait between attempts to register.
const REGISTER_RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(7));

/// The node that this kubelet keeps. Clones share it.
#[derive(Clone)]
pub struct Node {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    machine: Machine,
    cri: Cri,
    client: Client,
    recorder: Recorder,
    clock: SharedClock,
    rng: SharedRng,
    server_port: u16,
    /// The node as the API has it.
    object: watch::Sender<Option<Arc<NodeObject>>>,
    ready: watch::Sender<bool>,
    pressure: watch::Sender<Pressure>,
    unhealthy: watch::Sender<BTreeMap<&'static str, String>>,
    volumes_in_use: watch::Sender<Vec<String>>,
    /// Something was learned that the status may have to show.
    look: Notify,
}

impl Node {
    /// A node that nobody knows of yet. Reads the machine.
    ///
    /// Errors: procfs is not there.
    pub fn build(
        config: Config,
        cri: Cri,
        client: Client,
        recorder: Recorder,
        clock: SharedClock,
        rng: SharedRng,
        server_port: u16,
    ) -> Result<Self, MachineError> {
        let machine = Machine::read(&config.root)?;
        let inner = Inner {
            config,
            machine,
            cri,
            client,
            recorder,
            clock,
            rng,
            server_port,
            object: watch::Sender::new(None),
            ready: watch::Sender::new(false),
            pressure: watch::Sender::new(Pressure::default()),
            unhealthy: watch::Sender::default(),
            volumes_in_use: watch::Sender::default(),
            look: Notify::new(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Completes once the API has heard that the node is ready. Cancel-safe.
    pub async fn ready(&self) {
        // The sender lives in this very node, so waiting can only end with the news.
        let _ = self.inner.ready.subscribe().wait_for(|ready| *ready).await;
    }

    /// Whether the API's newest word is that the node is ready.
    #[must_use]
    pub fn ready_now(&self) -> watch::Receiver<bool> {
        self.inner.ready.subscribe()
    }

    /// The node as the API has it; `None` until it is registered and read back.
    #[must_use]
    pub fn object(&self) -> watch::Receiver<Option<Arc<NodeObject>>> {
        self.inner.object.subscribe()
    }

    /// What pods may ask for.
    #[must_use]
    pub fn allocatable(&self) -> BTreeMap<String, corten_api::quantity::Quantity> {
        status::allocatable(&self.inner.config, &self.inner.machine)
    }

    /// The machine.
    #[must_use]
    pub fn machine(&self) -> &Machine {
        &self.inner.machine
    }

    /// Says what is scarce; the node's conditions follow at once.
    pub fn set_pressure(&self, pressure: Pressure) {
        if self.inner.pressure.send_if_modified(|now| std::mem::replace(now, pressure) != pressure) {
            self.inner.look.notify_one();
        }
    }

    /// What is scarce.
    #[must_use]
    pub fn pressure(&self) -> Pressure {
        *self.inner.pressure.borrow()
    }

    /// Says that a part of the kubelet (`"pleg"`) is not healthy, or is again: the text becomes a part of the Ready
    /// condition's message.
    pub fn set_health(&self, part: &'static str, problem: Option<String>) {
        let changed = self.inner.unhealthy.send_if_modified(|parts| match problem {
            Some(problem) => parts.insert(part, problem.clone()) != Some(problem),
            None => parts.remove(part).is_some(),
        });
        if changed {
            self.inner.look.notify_one();
        }
    }

    /// Says which attachable volumes the node uses.
    pub fn set_volumes_in_use(&self, volumes: Vec<String>) {
        let changed = self.inner.volumes_in_use.send_if_modified(|now| {
            let differs = *now != volumes;
            *now = volumes;
            differs
        });
        if changed {
            self.inner.look.notify_one();
        }
    }

    /// Registers the node and keeps its status and lease until shutdown.
    ///
    /// Errors: a task panicked.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), TaskPanic> {
        let tasks = TaskSet::new("node");
        let node = self.clone();
        let (inner_tasks, stop) = (tasks.clone(), shutdown.clone());
        tasks.spawn("status", async move { node.keep(&inner_tasks, &stop).await });
        tasks.guard(tasks.join()).await
    }

    async fn keep(&self, tasks: &TaskSet, shutdown: &Shutdown) {
        let inner = &*self.inner;
        self.event(EventType::Normal, "Starting", "Starting kubelet.");
        let registered = tokio::select! {
            biased;
            () = shutdown.requested() => return,
            registered = self.register() => registered,
        };
        self.event(EventType::Normal, "NodeAllocatableEnforced", "Updated Node Allocatable limit across pods");
        let uid = watch::Sender::new(registered.node.uid.to_string());
        let keeper = LeaseKeeper {
            api: LeaseKeeper::api(&inner.client),
            node_name: inner.config.node_name.clone(),
            node_uid: uid.subscribe(),
            duration: inner.config.lease_duration,
            clock: inner.clock.clone(),
            rng: inner.rng.clone(),
        };
        tasks.spawn("lease", keeper.run(shutdown.clone()));

        let resource = resource_of::<NodeObject>();
        let id = InformerId::all(&resource).fields(format!("metadata.name={}", inner.config.node_name));
        let factory =
            InformerFactory::new(inner.client.clone(), InitialList::List, inner.clock.clone(), inner.rng.clone());
        factory.informer_of(&id).add_handler(Arc::new(OwnNode(self.clone())));
        factory.start(tasks, shutdown);

        let started = inner.clock.monotonic();
        let patient_until = started + START_PATIENCE;
        let mut keeper = StatusKeeper {
            node: self,
            uid,
            is_new: registered.is_new,
            pod_cidr: None,
            last_report: None,
            patient_until,
            last: BTreeMap::new(),
        };
        loop {
            let synced = tokio::select! {
                biased;
                () = shutdown.requested() => return,
                synced = keeper.sync() => synced,
            };
            let is_ready = match synced {
                Ok(is_ready) => is_ready,
                Err(error) => {
                    warn!(node = %inner.config.node_name, err = %ErrorChain(&error), "Could not report the node's status");
                    false
                }
            };
            let is_starting = inner.clock.monotonic().saturating_sub(started) < NOT_READY_POLL_FOR;
            let wait = if !is_ready && is_starting { NOT_READY_POLL } else { inner.config.node_status_update };
            tokio::select! {
                biased;
                () = shutdown.requested() => return,
                () = inner.look.notified() => {}
                () = inner.clock.sleep(wait) => {}
            }
        }
    }

    async fn register(&self) -> registration::Registered {
        let inner = &*self.inner;
        let mut backoff = Backoff::doubling(REGISTER_RETRY.0, REGISTER_RETRY.1);
        loop {
            let runtime = self.ask_runtime().await;
            let status = self.status(runtime.as_ref().map_err(|error| error.message.as_str()), &[]);
            let api = Api::all(&inner.client);
            match registration::register(&api, &inner.config, status).await {
                Ok(registered) => {
                    info!(node = %inner.config.node_name, "Registered node");
                    return registered;
                }
                Err(error) => {
                    let wait = backoff.next(&*inner.rng);
                    warn!(node = %inner.config.node_name, err = %ErrorChain(&error), retry_in_ms = wait.as_millis() as u64,
                        "Could not register node");
                    inner.clock.sleep(wait).await;
                }
            }
        }
    }

    fn status(&self, runtime: Result<&RuntimeView, &str>, conditions: &[NodeCondition]) -> NodeStatus {
        let inner = &*self.inner;
        let unhealthy: Vec<String> = inner.unhealthy.borrow().values().cloned().collect();
        let volumes_in_use = inner.volumes_in_use.borrow().clone();
        let pressure = *inner.pressure.borrow();
        // Whole seconds: that is what the API keeps.
        let now = Timestamp::from_second(inner.clock.now().as_second()).unwrap_or_default();
        status::status(&Observed {
            config: &inner.config,
            machine: &inner.machine,
            server_port: inner.server_port,
            runtime,
            pressure,
            unhealthy: &unhealthy,
            volumes_in_use: &volumes_in_use,
            conditions,
            now,
        })
    }

    async fn ask_runtime(&self) -> Result<RuntimeView, CriError> {
        let inner = &*self.inner;
        let ask = async {
            let (runtime, images) = (&inner.cri.runtime, &inner.cri.images);
            let version = runtime.version(api::VersionRequest { version: "0.1.0".to_owned() });
            let status = runtime.status(api::StatusRequest { verbose: false });
            let images = images.list_images(api::ListImagesRequest { filter: None });
            let (version, status, images) = futures::future::try_join3(version, status, images).await?;
            Ok(RuntimeView { version, status, images: images.images })
        };
        timeout(&*inner.clock, RUNTIME_TIMEOUT, ask)
            .await
            .unwrap_or_else(|elapsed| Err(CriError::new(corten_cri::Code::DeadlineExceeded, elapsed.to_string())))
    }

    /// Reports something about the node.
    pub(crate) fn event(&self, event_type: EventType, reason: &str, message: impl Into<String>) {
        let name = &self.inner.config.node_name;
        // Upstream's kubelet refers to its node by name in place of the UID, and kubectl looks for both.
        let node = ObjectRef {
            api_version: "v1".into(),
            kind: "Node".into(),
            name: name.as_str().into(),
            uid: name.as_str().into(),
            ..ObjectRef::default()
        };
        self.inner.recorder.event(&node, event_type, reason, message);
    }

    /// `Node n1 status is now: NodeReady`.
    fn state_event(&self, reason: &str) {
        let message = format!("Node {} status is now: {reason}", self.inner.config.node_name);
        self.event(EventType::Normal, reason, message);
    }

    /// Takes over a state of the object, unless a newer one is known: the answer to a write and what the informer hears
    /// come in no order.
    fn learn(&self, object: &Stored) {
        let decoded: Result<NodeObject, Status> = decode(object);
        match decoded {
            Ok(node) => {
                self.inner.object.send_if_modified(|known| {
                    let is_newer = known.as_ref().is_none_or(|known| revision_of(known) <= object.revision);
                    if is_newer {
                        *known = Some(Arc::new(node));
                    }
                    is_newer
                });
            }
            Err(error) => warn!(node = %object.name, err = %ErrorChain(&error), "Could not read node"),
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({})", self.inner.config.node_name)
    }
}

fn revision_of(node: &NodeObject) -> u64 {
    // Every server that Corten talks to numbers its revisions.
    node.metadata.resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or_default()
}

/// Keeps `object` up to date, and looks at the status when something of interest has changed.
struct OwnNode(Node);

impl Handler for OwnNode {
    fn on_add(&self, object: &Arc<Stored>) {
        self.0.learn(object);
        self.0.inner.look.notify_one();
    }

    fn on_update(&self, _: &Arc<Stored>, new: &Arc<Stored>) {
        let facts = |node: &NodeObject| {
            let spec = node.spec.clone().unwrap_or_default();
            let conditions = node.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
            let states: Vec<_> = conditions.into_iter().map(|condition| (condition.type_, condition.status)).collect();
            let capacity = node.status.as_ref().and_then(|status| status.capacity.clone());
            (spec.pod_cidrs, spec.unschedulable, states, capacity)
        };
        let before = self.0.inner.object.borrow().as_deref().map(facts);
        self.0.learn(new);
        if before != self.0.inner.object.borrow().as_deref().map(facts) {
            self.0.inner.look.notify_one();
        }
    }

    fn on_delete(&self, object: &Arc<Stored>, _: bool) {
        warn!(node = %object.name, "Node was deleted");
        self.0.inner.object.send_replace(None);
        self.0.inner.look.notify_one();
    }
}

/// What the loop remembers between two looks.
struct StatusKeeper<'a> {
    node: &'a Node,
    /// The UID of the registered node.
    uid: watch::Sender<String>,
    /// Whether this kubelet has made the object.
    is_new: bool,
    /// What the runtime was told.
    pod_cidr: Option<String>,
    /// When the status was last written, on the monotonic clock.
    last_report: Option<Duration>,
    /// Until when the first report waits for the kubelet's parts, on the monotonic clock.
    patient_until: Duration,
    /// The states that events were recorded for, by condition, and whether the node took pods.
    last: BTreeMap<String, String>,
}

impl StatusKeeper<'_> {
    /// Looks once; gives whether the node is ready and the API knows it.
    async fn sync(&mut self) -> Result<bool, Status> {
        let inner = &*self.node.inner;
        let api: Api<NodeObject> = Api::all(&inner.client);
        let known = inner.object.borrow().clone();
        let node = match known {
            Some(node) => node,
            None => match api.get(&inner.config.node_name).await {
                Ok(node) => Arc::new(node),
                // Somebody deleted it. Upstream's kubelet stays away until it is started anew; here that would be for good.
                Err(error) if error.is_not_found() => {
                    let registered = self.node.register().await;
                    (self.last_report, self.is_new) = (None, registered.is_new);
                    Arc::new(decode(&registered.node)?)
                }
                Err(error) => return Err(error),
            },
        };
        if let Some(uid) = &node.metadata.uid {
            self.uid.send_if_modified(|known| std::mem::replace(known, uid.clone()) != *uid);
        }
        let told = self.tell_pod_cidr(&node).await;
        let runtime = match told {
            Ok(()) => self.node.ask_runtime().await,
            Err(error) => Err(error),
        };
        if let Err(error) = &runtime {
            warn!(node = %inner.config.node_name, err = %error, "Could not ask the container runtime");
        }
        let served = node.status.clone().unwrap_or_default();
        let conditions = served.conditions.clone().unwrap_or_default();
        let mut status = self.node.status(runtime.as_ref().map_err(|error| error.message.as_str()), &conditions);
        status::keep_added(&mut status, &served);
        let is_ready = status::is_ready(&status);
        let now = inner.clock.monotonic();
        // Started anew beside pods that run on: not ready yet is not the same as not ready.
        let goes_on = status::is_ready(&served) && boot_id(Some(&served)) == boot_id(Some(&status));
        if !is_ready && goes_on && self.last_report.is_none() && now < self.patient_until {
            return Ok(false);
        }
        self.record(&node, &status);
        let is_due = self.last_report.is_none_or(|last| now.saturating_sub(last) >= inner.config.node_status_report);
        if is_due || status::has_changed(&served, &status) {
            let patch = registration::status_patch(&status, &served);
            let written = api.patch_status(&inner.config.node_name, PatchKind::Strategic, encode(&patch)?).await?;
            self.last_report = Some(now);
            // The informer may be behind; what was written is at least as new as what it showed.
            self.node.learn(&written);
        }
        inner.ready.send_if_modified(|ready| std::mem::replace(ready, is_ready) != is_ready);
        Ok(is_ready)
    }

    /// Gives the node's pod address range to the runtime, once.
    async fn tell_pod_cidr(&mut self, node: &NodeObject) -> Result<(), CriError> {
        let inner = &*self.node.inner;
        let spec = node.spec.as_ref();
        let many = spec.and_then(|spec| spec.pod_cidrs.clone()).filter(|cidrs| !cidrs.is_empty());
        let many = many.map(|cidrs| cidrs.join(","));
        let one = spec.and_then(|spec| spec.pod_cidr.clone()).filter(|cidr| !cidr.is_empty());
        let Some(pod_cidr) = many.or(one).or_else(|| inner.config.pod_cidr.clone()) else { return Ok(()) };
        if self.pod_cidr.as_ref() == Some(&pod_cidr) {
            return Ok(());
        }
        let network_config = Some(api::NetworkConfig { pod_cidr: pod_cidr.clone() });
        let request = api::UpdateRuntimeConfigRequest { runtime_config: Some(api::RuntimeConfig { network_config }) };
        inner.cri.runtime.update_runtime_config(request).await?;
        info!(node = %inner.config.node_name, pod_cidr, "Told the runtime the pod address range");
        self.pod_cidr = Some(pod_cidr);
        Ok(())
    }

    /// Tells people what is different now.
    fn record(&mut self, node: &NodeObject, status: &NodeStatus) {
        let served = node.status.as_ref();
        let is_first = self.last.is_empty();
        for condition in status.conditions.iter().flatten() {
            let (kind, holds) = (condition.type_.as_str(), condition.status == "True");
            let before = match self.last.insert(kind.to_owned(), condition.status.clone()) {
                // Upstream compares with what is served: a ready node that was taken over was ready all along.
                None if kind == "Ready" && !self.is_new => served.and_then(|served| state(served, kind)),
                before => before,
            };
            if before.as_deref() == Some(condition.status.as_str()) {
                continue;
            }
            let reason = match (kind, holds) {
                ("Ready", true) => "NodeReady",
                // At the start, nobody was promised anything.
                ("Ready", false) if is_first && before.is_none() => continue,
                ("Ready", false) => "NodeNotReady",
                ("MemoryPressure", true) => "NodeHasInsufficientMemory",
                ("MemoryPressure", false) => "NodeHasSufficientMemory",
                ("DiskPressure", true) => "NodeHasDiskPressure",
                ("DiskPressure", false) => "NodeHasNoDiskPressure",
                ("PIDPressure", true) => "NodeHasInsufficientPID",
                ("PIDPressure", false) => "NodeHasSufficientPID",
                _ => continue,
            };
            self.node.state_event(reason);
        }
        let schedulable = !node.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or_default();
        let before = self.last.insert("schedulable".to_owned(), schedulable.to_string());
        if before.is_some_and(|before| before != schedulable.to_string()) {
            self.node.state_event(if schedulable { "NodeSchedulable" } else { "NodeNotSchedulable" });
        }
        let (boot, served_boot) = (boot_id(Some(status)), boot_id(served));
        if is_first && !served_boot.is_empty() && boot != served_boot {
            let message = format!("Node {} has been rebooted, boot id: {boot}", self.node.inner.config.node_name);
            self.node.event(EventType::Warning, "Rebooted", message);
        }
    }
}

fn state(status: &NodeStatus, kind: &str) -> Option<String> {
    let found = status.conditions.iter().flatten().find(|condition| condition.type_ == kind);
    found.map(|found| found.status.clone())
}

fn boot_id(status: Option<&NodeStatus>) -> &str {
    status.and_then(|status| status.node_info.as_ref()).map_or("", |info| info.boot_id.as_str())
}
