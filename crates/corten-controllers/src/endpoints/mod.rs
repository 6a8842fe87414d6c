//! Keeps the `Endpoints` of services that select pods: what endpoint slices were before there were slices.
//!
//! Flow: services, pods (by `service_pods`) and deleted endpoints -> queue of services -> `plan` -> create or update.
//! Upstream: pkg/controller/endpoint (v1.35).

mod plan;
mod subsets;

use std::sync::Arc;

use async_trait::async_trait;
use corten_api::core::v1::{Endpoints, Service};
use corten_apimachinery::{
    status::Status,
    stored::Stored,
    value::{Str, Value},
};
use corten_client::{
    Client, Target,
    api::{decode, encode, resource_of},
    events::{ObjectRef, Recorder},
};
use corten_controller::{ControllerDescriptor, Key, ReconcileError, Reconciler, Requeue, WorkQueue};
use corten_informer::{Handler, Lister, Projected};
use jiff::Timestamp;

use self::plan::{Draft, OVER_CAPACITY, TRUNCATED};
use crate::{
    Config,
    objects::{gone_is_fine, is_namespace_terminating, tree},
    own_writes::OwnWrites,
    pods::{self, PodState},
    queue_controller::{QueueController, queue_of},
    service_pods::{self, Membership, ServicePod, ServiceSelector, TRIGGER_TIME, TriggerTimes},
};

/// Endpoints that are a lock for leader election have no service and stay.
const LEADER: &str = "control-plane.alpha.kubernetes.io/leader";

/// The controller.
pub static CONTROLLER: ControllerDescriptor<Config> = ControllerDescriptor {
    name: "endpoints-controller",
    aliases: &["endpoint"],
    identity: "endpoint-controller",
    feature_gate: None,
    workers: 5,
    build: |context| {
        let queue = queue_of(&context);
        let pods = pods::states(&context.informers);
        let selectors = service_pods::selectors(&context.informers);
        Membership::follow(&queue, &pods, &selectors);
        let services = context.informers.informer(&resource_of::<Service>()).lister();
        let endpoints = context.informers.informer(&resource_of::<Endpoints>());
        let writes = OwnWrites::new(&endpoints);
        endpoints.add_handler(Arc::new(Lost { queue: Arc::clone(&queue), services: services.clone() }));
        // What is awaited comes by this one; changes of others are left alone until something else changes, as upstream.
        endpoints.add_handler(writes.handler_of_own(&queue, |endpoints| Some(Key::of(endpoints))));
        let reconciler = EndpointsController {
            client: context.client(),
            recorder: context.recorder.for_component("endpoint-controller"),
            services,
            selectors,
            pods,
            endpoints: endpoints.lister(),
            writes,
            trigger_times: TriggerTimes::default(),
        };
        QueueController::boxed(&context, queue, reconciler)
    },
};

struct EndpointsController {
    client: Client,
    recorder: Recorder,
    services: Lister,
    selectors: Arc<Projected<ServiceSelector>>,
    pods: Arc<Projected<PodState>>,
    endpoints: Lister,
    writes: Arc<OwnWrites>,
    trigger_times: TriggerTimes,
}

#[async_trait]
impl Reconciler for EndpointsController {
    async fn reconcile(&self, key: &Key) -> Result<Requeue, ReconcileError> {
        let Some(service) = self.services.get(key) else {
            self.trigger_times.forget(key);
            self.writes.forget(key);
            if self.endpoints.get(key).is_some() {
                let target = Target::object(&resource_of::<Endpoints>(), key.namespace.clone(), key.name.clone());
                gone_is_fine(self.client.delete(target, Value::Null).await)?;
            }
            return Ok(Requeue::Never);
        };
        let service: Service = decode(&service)?;
        let selector = self.selectors.get(key).filter(|_| service_pods::selects_pods(&service));
        let Some(selector) = selector else { return Ok(Requeue::Never) };
        let read = || self.endpoints.get(key).into_iter().collect();
        let Some(existing) = self.writes.read(key, read) else { return Ok(Requeue::Never) };
        let existing = existing.into_iter().next();
        let current: Option<Endpoints> = existing.as_deref().map(decode).transpose()?;
        let pods = self.pods.in_namespace(&key.namespace);
        let pods: Vec<ServicePod> =
            pods.into_iter().filter(|pod| selector.value.matches(&pod.object.facts.labels)).collect();
        let created = service.metadata.creation_timestamp.as_ref().map(|time| time.0);
        let trigger_time = self.trigger_times.next(key, created, &pods);
        if let Some(draft) = plan::plan(&service, &pods, current.as_ref()) {
            self.write(key, &draft, existing.as_deref(), trigger_time).await?;
        }
        Ok(Requeue::Never)
    }
}

impl EndpointsController {
    async fn write(
        &self,
        key: &Key,
        draft: &Draft,
        existing: Option<&Stored>,
        trigger_time: Option<Timestamp>,
    ) -> Result<(), Status> {
        let resource = resource_of::<Endpoints>();
        let mut endpoints = match existing {
            Some(existing) => tree(existing)?,
            None => new_endpoints(key),
        };
        write_draft(&mut endpoints, draft, trigger_time)?;
        let outcome = match existing {
            None => self.client.create(Target::collection(&resource, key.namespace.clone()), endpoints).await,
            Some(_) => {
                let target = Target::object(&resource, key.namespace.clone(), key.name.clone());
                self.client.update(target, endpoints).await
            }
        };
        match outcome {
            Ok(written) => {
                self.writes.wrote(key, &written);
                Ok(())
            }
            Err(status) if existing.is_none() && is_namespace_terminating(&status) => Ok(()),
            Err(status) => {
                let about = ObjectRef {
                    api_version: Str::const_new("v1"),
                    kind: Str::const_new("Endpoints"),
                    namespace: key.namespace.clone(),
                    name: key.name.clone(),
                    uid: existing.map(|existing| existing.uid.clone()).unwrap_or_default(),
                    ..ObjectRef::default()
                };
                if existing.is_none() {
                    let message = format!("Failed to create endpoint for service {key}: {status}");
                    self.recorder.warning(&about, "FailedToCreateEndpoint", message);
                } else {
                    let message = format!("Failed to update endpoint {key}: {status}");
                    self.recorder.warning(&about, "FailedToUpdateEndpoint", message);
                }
                Err(status)
            }
        }
    }
}

fn new_endpoints(key: &Key) -> Value {
    let mut endpoints = Value::object_of([("apiVersion", Value::from("v1")), ("kind", "Endpoints".into())]);
    endpoints.set(&["metadata", "name"], key.name.clone());
    endpoints.set(&["metadata", "namespace"], key.namespace.clone());
    endpoints
}

fn write_draft(endpoints: &mut Value, draft: &Draft, trigger_time: Option<Timestamp>) -> Result<(), Status> {
    endpoints.set(&["metadata", "labels"], encode(&draft.labels)?);
    endpoints.set(&["subsets"], encode(&draft.subsets)?);
    let mut annotate = |key: &str, value: Option<String>| match value {
        Some(value) => endpoints.set(&["metadata", "annotations", key], value),
        None => drop(endpoints.unset(&["metadata", "annotations", key])),
    };
    annotate(TRIGGER_TIME, trigger_time.map(|time| time.to_string()));
    annotate(OVER_CAPACITY, draft.is_truncated.then(|| TRUNCATED.to_owned()));
    Ok(())
}

/// Queues endpoints that were deleted, to be made again, and at the start those that have lost their service.
struct Lost {
    queue: Arc<WorkQueue<Key>>,
    services: Lister,
}

impl Handler for Lost {
    fn on_add(&self, endpoints: &Arc<Stored>) {
        let key = Key::of(endpoints);
        let is_lock = || {
            let tree = tree(endpoints).ok();
            tree.is_some_and(|tree| tree.at(&["metadata", "annotations", LEADER]).is_some())
        };
        if self.services.get(&key).is_none() && is_kept_by_us(endpoints) && !is_lock() {
            self.queue.add(key);
        }
    }

    fn on_update(&self, _old: &Arc<Stored>, _new: &Arc<Stored>) {}

    fn on_delete(&self, endpoints: &Arc<Stored>, _final_state_unknown: bool) {
        self.queue.add(Key::of(endpoints));
    }
}

/// Endpoints that somebody else makes without a service stay: only those with our label are ours to delete.
fn is_kept_by_us(endpoints: &Stored) -> bool {
    endpoints.facts.labels.get(plan::MANAGED_BY) == Some(plan::MANAGER)
}

#[cfg(test)]
mod tests;
