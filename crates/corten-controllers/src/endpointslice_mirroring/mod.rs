//! Copies endpoints that somebody keeps by hand, for a service without a selector, into endpoint slices.
//!
//! Flow: endpoints, services and own slices -> queue of services -> `plan` -> create, update, delete.
//! Upstream: pkg/controller/endpointslicemirroring (v1.35).

mod plan;

use std::sync::Arc;

use async_trait::async_trait;
use corten_api::{
    core::v1::{Endpoints, Service},
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
    events::{ObjectRef, Recorder},
};
use corten_controller::{ControllerDescriptor, Enqueue, Key, Owner, ReconcileError, Reconciler, Requeue};
use corten_informer::{Indexer, Lister};

use self::plan::{Action, Draft, MANAGER, PER_SUBSET_MAX};
use crate::{
    Config,
    endpointslice::plan::{SERVICE_NAME, name_prefix},
    managed_slices,
    objects::{is_namespace_terminating, tree},
    own_writes::OwnWrites,
    queue_controller::{QueueController, queue_of},
};

/// The controller.
pub static CONTROLLER: ControllerDescriptor<Config> = ControllerDescriptor {
    name: "endpointslice-mirroring-controller",
    aliases: &["endpointslicemirroring"],
    identity: "endpointslicemirroring-controller",
    feature_gate: None,
    workers: 5,
    build: |context| {
        let queue = queue_of(&context);
        let endpoints = context.informers.informer(&resource_of::<Endpoints>());
        endpoints.add_handler(Enqueue::object(&queue).handler());
        let services = context.informers.informer(&resource_of::<Service>());
        services.add_handler(Enqueue::object(&queue).handler());
        let slices = context.informers.informer(&resource_of::<EndpointSlice>());
        slices.add_index(Indexer::by_label(SERVICE_NAME));
        let writes = OwnWrites::new(&slices);
        slices.add_handler(writes.handler(&queue, |slice| managed_slices::service_of(slice, MANAGER)));
        let reconciler = Mirroring {
            client: context.client(),
            recorder: context.recorder.for_component("endpoint-slice-mirroring-controller"),
            endpoints: endpoints.lister(),
            services: services.lister(),
            slices: slices.lister(),
            writes,
        };
        QueueController::boxed(&context, queue, reconciler)
    },
};

struct Mirroring {
    client: Client,
    recorder: Recorder,
    endpoints: Lister,
    services: Lister,
    slices: Lister,
    writes: Arc<OwnWrites>,
}

#[async_trait]
impl Reconciler for Mirroring {
    async fn reconcile(&self, key: &Key) -> Result<Requeue, ReconcileError> {
        let service: Option<Service> = self.services.get(key).as_deref().map(decode).transpose()?;
        let stored = self.endpoints.get(key);
        let endpoints: Option<Endpoints> = stored.as_deref().map(decode).transpose()?;
        let Some(existing) = self.writes.read(key, || managed_slices::of_service(&self.slices, key, MANAGER)) else {
            return Ok(Requeue::Never);
        };
        let slices: Vec<EndpointSlice> = existing.iter().map(|slice| decode(slice)).collect::<Result<_, _>>()?;
        let is_mirrored = service.as_ref().is_some_and(plan::has_no_selector);
        let endpoints = endpoints.filter(|endpoints| is_mirrored && plan::is_mirrored(endpoints));
        let planned = plan::plan(endpoints.as_ref(), &slices);
        if let Some(stored) = stored.as_deref() {
            self.report(stored, &planned);
        }
        for action in planned.actions {
            if !self.apply(key, stored.as_deref(), action, &existing).await? {
                break;
            }
        }
        if endpoints.is_none() && existing.is_empty() {
            self.writes.forget(key);
        }
        Ok(Requeue::Never)
    }
}

impl Mirroring {
    fn report(&self, endpoints: &Stored, planned: &plan::Plan) {
        let about = ObjectRef::of("v1", "Endpoints", endpoints);
        if planned.skipped > 0 {
            let message = format!(
                "A max of {PER_SUBSET_MAX} addresses can be mirrored to EndpointSlices per Endpoints subset. {} addresses \
                 were skipped",
                planned.skipped
            );
            self.recorder.warning(&about, "TooManyAddressesToMirror", message);
        }
        if planned.invalid > 0 {
            let message = format!("Skipped {} invalid IP addresses when mirroring to EndpointSlices", planned.invalid);
            self.recorder.warning(&about, "InvalidIP", message);
        }
    }

    /// Does one thing; `false` if there is no use in going on.
    async fn apply(
        &self,
        key: &Key,
        endpoints: Option<&Stored>,
        action: Action,
        existing: &[Arc<Stored>],
    ) -> Result<bool, Status> {
        let resource = resource_of::<EndpointSlice>();
        match (action, endpoints) {
            (Action::Create(draft), Some(endpoints)) => {
                let slice = new_slice(key, endpoints, &draft)?;
                match self.client.create(Target::collection(&resource, key.namespace.clone()), slice).await {
                    Ok(created) => self.writes.wrote(key, &created),
                    Err(status) if is_namespace_terminating(&status) => return Ok(false),
                    Err(status) => return Err(status),
                }
            }
            // Only endpoints that are there ask for slices.
            (Action::Create(_), None) => {}
            (Action::Update { at, draft }, _) => {
                let mut slice = tree(&existing[at])?;
                write_draft(&mut slice, &draft)?;
                let target = Target::object(&resource, key.namespace.clone(), existing[at].name.clone());
                let updated = self.client.update(target, slice).await?;
                self.writes.wrote(key, &updated);
            }
            (Action::Delete { at }, _) => {
                let target = Target::object(&resource, key.namespace.clone(), existing[at].name.clone());
                self.writes.delete(key, &existing[at].uid, self.client.delete(target, Value::Null)).await?;
            }
        }
        Ok(true)
    }
}

fn new_slice(key: &Key, endpoints: &Stored, draft: &Draft) -> Result<Value, Status> {
    let mut slice =
        Value::object_of([("apiVersion", Value::from("discovery.k8s.io/v1")), ("kind", "EndpointSlice".into())]);
    slice.set(&["metadata", "generateName"], name_prefix(&key.name));
    slice.set(&["metadata", "namespace"], key.namespace.clone());
    let owner = Owner::of(Str::const_new("v1"), Str::const_new("Endpoints"), endpoints);
    slice.set(&["metadata", "ownerReferences"], Value::array([owner.controller_reference()]));
    slice.set(&["addressType"], draft.address_type);
    write_draft(&mut slice, draft)?;
    Ok(slice)
}

fn write_draft(slice: &mut Value, draft: &Draft) -> Result<(), Status> {
    slice.set(&["metadata", "labels"], encode(&draft.labels)?);
    slice.set(&["metadata", "annotations"], encode(&draft.annotations)?);
    slice.set(&["endpoints"], encode(&draft.endpoints)?);
    slice.set(&["ports"], encode(&draft.ports)?);
    Ok(())
}
