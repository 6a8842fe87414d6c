//! Says of service ranges that they are ready, and keeps one that is being deleted for as long as services have addresses
//! that no other range would have.
//!
//! Flow: ranges -> queue; an address or a range that comes or goes -> the ranges on their way out -> queue -> `plan` -> the
//! finalizer and the condition. A range goes ten seconds after its deletion at the earliest: by then no API server gives
//! addresses of it any more.
//! Upstream: pkg/controller/servicecidrs (v1.35).

mod plan;

use std::{net::IpAddr, sync::Arc};

use async_trait::async_trait;
use corten_api::networking::v1::{IPAddress, ServiceCIDR};
use corten_apimachinery::{
    meta::{ObjectMeta as _, format_time},
    status::Status,
    stored::Stored,
    value::Value,
};
use corten_base::SharedClock;
use corten_client::{
    Client, PatchKind, Target,
    api::resource_of,
    events::{ObjectRef, Recorder},
};
use corten_controller::{ControllerDescriptor, Key, ReconcileError, Reconciler, Requeue, WorkQueue};
use corten_informer::{Handler, Lister};

use self::plan::{Condition, Plan, Ranges};
use crate::{
    Config,
    objects::{from_json, gone_is_fine, tree},
    queue_controller::{QueueController, queue_of},
};

/// The controller's name, under which it writes and reports.
const NAME: &str = "service-cidr-controller";

/// What says who looks after an address, and that it is the API server.
const MANAGED_BY: (&str, &str) = ("ipaddress.kubernetes.io/managed-by", "ipallocator.k8s.io");

/// The controller.
pub static CONTROLLER: ControllerDescriptor<Config> = ControllerDescriptor {
    name: NAME,
    aliases: &[],
    identity: "service-cidrs-controller",
    feature_gate: None,
    workers: 5,
    build: |context| {
        let queue = queue_of(&context);
        let ranges = context.informers.informer(&resource_of::<ServiceCIDR>());
        let addresses = context.informers.informer(&resource_of::<IPAddress>());
        let changed = |is_range| Arc::new(Changed { queue: Arc::clone(&queue), ranges: ranges.lister(), is_range });
        ranges.add_handler(changed(true));
        addresses.add_handler(changed(false));
        let reconciler = ServiceCidrs {
            client: context.client().with_field_manager(NAME),
            clock: Arc::clone(&context.clock),
            recorder: context.recorder.for_component(NAME),
            ranges: ranges.lister(),
            addresses: addresses.lister(),
        };
        QueueController::boxed(&context, Arc::clone(&queue), reconciler)
    },
};

/// Queues ranges that change, and those on their way out when an address or another range comes or goes.
struct Changed {
    queue: Arc<WorkQueue<Key>>,
    ranges: Lister,
    is_range: bool,
}

impl Changed {
    fn see(&self, object: &Stored) {
        if self.is_range {
            self.queue.add(Key::of(object));
        } else if object.facts.labels.get(MANAGED_BY.0) != Some(MANAGED_BY.1) {
            return;
        }
        for range in self.ranges.list().into_iter().filter(|range| range.facts.is_deleting) {
            self.queue.add(Key::of(&range));
        }
    }
}

impl Handler for Changed {
    fn on_add(&self, object: &Arc<Stored>) {
        self.see(object);
    }

    fn on_update(&self, _old: &Arc<Stored>, new: &Arc<Stored>) {
        if self.is_range {
            self.queue.add(Key::of(new));
        }
    }

    fn on_delete(&self, object: &Arc<Stored>, _final_state_unknown: bool) {
        self.see(object);
    }
}

struct ServiceCidrs {
    client: Client,
    clock: SharedClock,
    recorder: Recorder,
    ranges: Lister,
    addresses: Lister,
}

#[async_trait]
impl Reconciler for ServiceCidrs {
    async fn reconcile(&self, key: &Key) -> Result<Requeue, ReconcileError> {
        let Some(stored) = self.ranges.get(key) else { return Ok(Requeue::Never) };
        let object = tree(&stored)?;
        let blocked = || self.is_blocked(&object);
        match plan::plan(&object, self.clock.now(), blocked)? {
            Plan::Nothing => {}
            Plan::Wait(left) => return Ok(Requeue::After(left)),
            Plan::Block(condition) => self.say(&stored, &condition).await?,
            Plan::Release => {
                let finalizers = serde_json::json!({"$deleteFromPrimitiveList/finalizers": [plan::FINALIZER]});
                self.patch_metadata(key, &finalizers).await?;
            }
            Plan::Keep { adds_finalizer, condition } => {
                if adds_finalizer {
                    self.patch_metadata(key, &serde_json::json!({"finalizers": [plan::FINALIZER]})).await?;
                }
                if let Some(condition) = condition {
                    self.say(&stored, &condition).await.inspect_err(|_| self.report(&stored))?;
                }
            }
        }
        Ok(Requeue::Never)
    }
}

impl ServiceCidrs {
    /// Whether addresses would be left without a range.
    fn is_blocked(&self, object: &Value) -> Result<bool, Status> {
        let mut others = Vec::new();
        for stored in self.ranges.list().into_iter().filter(|stored| stored.name != object.name()) {
            others.push(Ranges::of(&tree(&stored)?));
        }
        let addresses = self.addresses.list();
        let managed = addresses.iter().filter(|address| address.facts.labels.get(MANAGED_BY.0) == Some(MANAGED_BY.1));
        let addresses = managed.filter_map(|address| address.name.parse::<IpAddr>().ok());
        Ok(plan::is_blocked(&Ranges::of(object), &others, addresses))
    }

    async fn patch_metadata(&self, key: &Key, metadata: &serde_json::Value) -> Result<(), Status> {
        let target = Target::object(&resource_of::<ServiceCIDR>(), "", key.name.clone());
        let patch = from_json(&serde_json::json!({"metadata": metadata}));
        gone_is_fine(self.client.patch(target, PatchKind::Strategic, patch).await.map(drop))
    }

    async fn say(&self, stored: &Stored, condition: &Condition) -> Result<(), Status> {
        let condition = Value::object_of([
            ("type", Value::from("Ready")),
            ("status", condition.status.into()),
            ("reason", condition.reason.into()),
            ("message", condition.message.into()),
            ("lastTransitionTime", Value::String(format_time(self.clock.now()))),
        ]);
        let object = Value::object_of([
            ("apiVersion", Value::from("networking.k8s.io/v1")),
            ("kind", "ServiceCIDR".into()),
            ("metadata", Value::object_of([("name", Value::from(&*stored.name))])),
            ("status", Value::object_of([("conditions", Value::array([condition]))])),
        ]);
        let target = Target::object(&resource_of::<ServiceCIDR>(), "", stored.name.clone()).subresource("status");
        gone_is_fine(self.client.apply(target, object, true).await.map(drop))
    }

    fn report(&self, stored: &Stored) {
        let about = ObjectRef::of("networking.k8s.io/v1", "ServiceCIDR", stored);
        let message = "The ServiceCIDR Status can not be set to Ready=True";
        self.recorder.warning(&about, "KubernetesServiceCIDRError", message);
    }
}
