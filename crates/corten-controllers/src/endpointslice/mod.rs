//! Keeps the endpoint slices of services that select pods.
//!
//! Flow: services, pods (by `service_pods`), own slices and nodes -> queue of services -> `plan` -> create, update, delete.
//! Invariant: a reconcile never decides on slices from before its own last write (`OwnWrites`). Nothing is delayed to be
//! batched: a pod that becomes unready leaves the slices at once.
//! Upstream: pkg/controller/endpointslice, k8s.io/endpointslice (v1.35); `service.kubernetes.io/topology-mode` is not done.

pub(crate) mod desired;
pub(crate) mod fill;
pub(crate) mod plan;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use async_trait::async_trait;
use corten_api::{
    core::v1::{Node, Service},
    discovery::v1::EndpointSlice,
};
use corten_apimachinery::{
    status::Status,
    stored::Stored,
    value::{Str, Value},
};
use corten_client::{
    Client, Target,
    api::{decode, encode, resource_of},
};
use corten_controller::{ControllerDescriptor, Key, ReconcileError, Reconciler, Requeue, WorkQueue};
use corten_informer::{Handler, Indexer, Lister, Projected};
use jiff::Timestamp;
use parking_lot::Mutex;

use self::plan::{Action, Draft, MANAGER, Observed, SERVICE_NAME};
use crate::{
    Config, managed_slices,
    objects::{is_namespace_terminating, tree},
    own_writes::OwnWrites,
    pods::{self, PodState},
    queue_controller::{QueueController, queue_of},
    service_pods::{self, Membership, ServicePod, ServiceSelector, TRIGGER_TIME, TriggerTimes},
};

/// The label by which a node says where it is.
const ZONE: &str = "topology.kubernetes.io/zone";

/// The controller.
pub static CONTROLLER: ControllerDescriptor<Config> = ControllerDescriptor {
    name: "endpointslice-controller",
    aliases: &["endpointslice"],
    identity: "endpointslice-controller",
    feature_gate: None,
    workers: 5,
    build: |context| {
        let queue = queue_of(&context);
        let pods = pods::states(&context.informers);
        Membership::follow(&queue, &pods, &service_pods::selectors(&context.informers));
        let slices = context.informers.informer(&resource_of::<EndpointSlice>());
        slices.add_index(Indexer::by_label(SERVICE_NAME));
        let writes = OwnWrites::new(&slices);
        slices.add_handler(writes.handler(&queue, |slice| managed_slices::service_of(slice, MANAGER)));
        let nodes = context.informers.informer(&resource_of::<Node>());
        let waiting = Arc::new(WaitingForNodes { queue: Arc::clone(&queue), services: Mutex::default() });
        nodes.add_handler(Arc::clone(&waiting) as Arc<dyn Handler>);
        let reconciler = EndpointSlices {
            client: context.client(),
            services: context.informers.informer(&resource_of::<Service>()).lister(),
            selectors: service_pods::selectors(&context.informers),
            pods,
            nodes: nodes.lister(),
            slices: slices.lister(),
            writes,
            waiting,
            trigger_times: TriggerTimes::default(),
        };
        QueueController::boxed(&context, queue, reconciler)
    },
};

struct EndpointSlices {
    client: Client,
    services: Lister,
    selectors: Arc<Projected<ServiceSelector>>,
    pods: Arc<Projected<PodState>>,
    nodes: Lister,
    slices: Lister,
    writes: Arc<OwnWrites>,
    waiting: Arc<WaitingForNodes>,
    trigger_times: TriggerTimes,
}

#[async_trait]
impl Reconciler for EndpointSlices {
    async fn reconcile(&self, key: &Key) -> Result<Requeue, ReconcileError> {
        let Some(service) = self.services.get(key) else {
            // The slices go with their owner.
            self.trigger_times.forget(key);
            self.writes.forget(key);
            self.waiting.forget(key);
            return Ok(Requeue::Never);
        };
        let service: Service = decode(&service)?;
        let selector = self.selectors.get(key).filter(|_| service_pods::selects_pods(&service));
        let Some(selector) = selector else { return Ok(Requeue::Never) };
        let Some(existing) = self.writes.read(key, || managed_slices::of_service(&self.slices, key, MANAGER)) else {
            return Ok(Requeue::Never);
        };
        let slices: Vec<EndpointSlice> = existing.iter().map(|slice| decode(slice)).collect::<Result<_, _>>()?;
        let pods = self.pods.in_namespace(&key.namespace);
        let pods: Vec<ServicePod> =
            pods.into_iter().filter(|pod| selector.value.matches(&pod.object.facts.labels)).collect();
        let created = service.metadata.creation_timestamp.as_ref().map(|time| time.0);
        let trigger_time = self.trigger_times.next(key, created, &pods);
        let zones = self.zones_of(key, &pods);
        let observed = Observed { service: &service, pods: &pods, zones: &zones, slices: &slices };
        for action in plan::plan(&observed) {
            if !self.apply(key, &service, action, &existing, trigger_time).await? {
                break;
            }
        }
        Ok(Requeue::Never)
    }
}

impl EndpointSlices {
    /// The nodes of `pods` that exist, each with its zone (empty for none). The service is queued when a node comes that
    /// is missing here.
    fn zones_of(&self, key: &Key, pods: &[ServicePod]) -> BTreeMap<Str, Str> {
        let names: BTreeSet<&Str> = pods.iter().map(|pod| &pod.value.node).filter(|node| !node.is_empty()).collect();
        let zone_of = |node: &Str| {
            let stored = self.nodes.get(&Key::new("", node.clone()))?;
            Some(Str::from(stored.facts.labels.get(ZONE).unwrap_or_default()))
        };
        let mut zones = BTreeMap::new();
        for node in names {
            let zone = zone_of(node).or_else(|| {
                // Registered first, then looked again: a node that comes in between is not missed.
                self.waiting.services.lock().entry(node.clone()).or_default().insert(key.clone());
                zone_of(node)
            });
            zones.extend(zone.map(|zone| (node.clone(), zone)));
        }
        zones
    }

    /// Does one thing; `false` if there is no use in going on.
    async fn apply(
        &self,
        key: &Key,
        service: &Service,
        action: Action,
        existing: &[Arc<Stored>],
        trigger_time: Option<Timestamp>,
    ) -> Result<bool, Status> {
        let resource = resource_of::<EndpointSlice>();
        match action {
            Action::Create(draft) => {
                let slice = new_slice(key, service, draft, trigger_time)?;
                match self.client.create(Target::collection(&resource, key.namespace.clone()), slice).await {
                    Ok(created) => self.writes.wrote(key, &created),
                    Err(status) if is_namespace_terminating(&status) => return Ok(false),
                    Err(status) => return Err(status),
                }
            }
            Action::Update { at, draft } => {
                let stored = &existing[at];
                let slice = changed_slice(stored, draft, trigger_time)?;
                let target = Target::object(&resource, key.namespace.clone(), stored.name.clone());
                let updated = self.client.update(target, slice).await?;
                self.writes.wrote(key, &updated);
            }
            Action::Delete { at } => {
                let stored = &existing[at];
                let target = Target::object(&resource, key.namespace.clone(), stored.name.clone());
                self.writes.delete(key, &stored.uid, self.client.delete(target, Value::Null)).await?;
            }
        }
        Ok(true)
    }
}

fn new_slice(key: &Key, service: &Service, draft: Draft, trigger_time: Option<Timestamp>) -> Result<Value, Status> {
    let mut slice =
        Value::object_of([("apiVersion", Value::from("discovery.k8s.io/v1")), ("kind", "EndpointSlice".into())]);
    slice.set(&["metadata", "generateName"], plan::name_prefix(&key.name));
    slice.set(&["metadata", "namespace"], key.namespace.clone());
    let owner = corten_controller::Owner {
        api_version: Str::const_new("v1"),
        kind: Str::const_new("Service"),
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        uid: service.metadata.uid.as_deref().unwrap_or_default().into(),
        is_deleting: false,
    };
    slice.set(&["metadata", "ownerReferences"], Value::array([owner.controller_reference()]));
    slice.set(&["addressType"], draft.address_type.as_str());
    write_draft(&mut slice, &draft, trigger_time)?;
    Ok(slice)
}

fn changed_slice(stored: &Stored, draft: Draft, trigger_time: Option<Timestamp>) -> Result<Value, Status> {
    let mut slice = tree(stored)?;
    write_draft(&mut slice, &draft, trigger_time)?;
    Ok(slice)
}

fn write_draft(slice: &mut Value, draft: &Draft, trigger_time: Option<Timestamp>) -> Result<(), Status> {
    slice.set(&["metadata", "labels"], encode(&draft.labels)?);
    slice.set(&["endpoints"], encode(&draft.endpoints)?);
    slice.set(&["ports"], encode(&draft.ports)?);
    match trigger_time {
        // Full precision, as upstream's RFC3339Nano.
        Some(time) => slice.set(&["metadata", "annotations", TRIGGER_TIME], time.to_string()),
        None => drop(slice.unset(&["metadata", "annotations", TRIGGER_TIME])),
    }
    Ok(())
}

/// Services with pods on nodes that are not known: queued when the node comes. Capacity: entries go with the service or
/// when the node comes.
struct WaitingForNodes {
    queue: Arc<WorkQueue<Key>>,
    services: Mutex<BTreeMap<Str, BTreeSet<Key>>>,
}

impl WaitingForNodes {
    fn forget(&self, service: &Key) {
        self.services.lock().retain(|_, services| {
            services.remove(service);
            !services.is_empty()
        });
    }
}

impl Handler for WaitingForNodes {
    fn on_add(&self, node: &Arc<Stored>) {
        let services = self.services.lock().remove(&node.name);
        for service in services.unwrap_or_default() {
            self.queue.add(service);
        }
    }

    fn on_update(&self, _old: &Arc<Stored>, _new: &Arc<Stored>) {}

    fn on_delete(&self, _node: &Arc<Stored>, _final_state_unknown: bool) {}
}
