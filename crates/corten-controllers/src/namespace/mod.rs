//! Empties namespaces that are being deleted, and lets them go when they are empty.
//!
//! Flow: namespaces with a deletion timestamp -> queue -> pods first, then all other content (`content`) -> conditions
//! (`conditions`) -> finalize. A pod that goes brings its namespace back; other content that stays behind, held by
//! finalizers, is looked at again after a time, since nobody follows every resource there is.
//! Upstream: pkg/controller/namespace (v1.35), without its delay of 5 s, which is for API servers whose caches lag.

mod conditions;
mod content;

use std::time::Duration;

use async_trait::async_trait;
use corten_api::core::v1::{Namespace, Pod};
use corten_apimachinery::{
    meta::{ObjectMeta as _, parse_time},
    status::Status,
    value::{Str, Value},
};
use corten_base::SharedClock;
use corten_client::{Client, Target, api::resource_of};
use corten_controller::{
    ControllerDescriptor, Enqueue, Key, Predicate, ReconcileError, Reconciler, Requeue, predicate::Change,
};

use self::content::Outcome;
use crate::{
    Config,
    objects::tree,
    queue_controller::{QueueController, queue_of},
};

/// What this controller holds a namespace by, in `spec.finalizers`.
const FINALIZER: &str = "kubernetes";

/// The controller.
pub static CONTROLLER: ControllerDescriptor<Config> = ControllerDescriptor {
    name: "namespace-controller",
    aliases: &["namespace"],
    identity: "namespace-controller",
    feature_gate: None,
    workers: 10,
    build: |context| {
        let queue = queue_of(&context);
        let namespaces = context.informers.informer(&resource_of::<Namespace>());
        let deleting = Predicate::object(|namespace| namespace.facts.is_deleting);
        namespaces.add_handler(Enqueue::object(&queue).when(deleting).handler());
        let gone = Predicate::new(|change| matches!(change, Change::Deleted(_)));
        let lister = namespaces.lister();
        let of_deleting = move |pod: &corten_apimachinery::stored::Stored, add: &mut dyn FnMut(Key)| {
            let key = Key::new("", pod.namespace.clone());
            if lister.get(&key).is_some_and(|namespace| namespace.facts.is_deleting) {
                add(key);
            }
        };
        let pods = context.informers.informer(&resource_of::<Pod>());
        pods.add_handler(Enqueue::mapped(&queue, of_deleting).when(gone).handler());
        let reconciler = Namespaces { client: context.client(), clock: context.clock.clone() };
        QueueController::boxed(&context, queue, reconciler)
    },
};

struct Namespaces {
    client: Client,
    clock: SharedClock,
}

/// Some content did not go.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct ContentError(String);

#[async_trait]
impl Reconciler for Namespaces {
    async fn reconcile(&self, key: &Key) -> Result<Requeue, ReconcileError> {
        let resource = resource_of::<Namespace>();
        let target = || Target::object(&resource, "", key.name.clone());
        // The newest state: a namespace of this name that was made again must not lose its content.
        let stored = match self.client.get(target()).await {
            Ok(stored) => stored,
            Err(status) if status.is_not_found() => return Ok(Requeue::Never),
            Err(status) => return Err(status.into()),
        };
        let mut namespace = tree(&stored)?;
        let Some(deleted_at) = namespace.deletion_timestamp().and_then(parse_time) else { return Ok(Requeue::Never) };
        if namespace.items_at(&["spec", "finalizers"]).is_empty() {
            return Ok(Requeue::Never);
        }
        let elapsed = self.clock.now().duration_since(deleted_at);
        let elapsed = Duration::try_from(elapsed).unwrap_or_default();
        let outcome = content::delete_all(&self.client, &key.name, elapsed).await?;
        if conditions::update(&mut namespace, &outcome, self.clock.now()) {
            namespace.set(&["status", "phase"], "Terminating");
            match self.client.update(target().subresource("status"), namespace).await {
                Ok(updated) => namespace = tree(&updated)?,
                Err(status) if status.is_not_found() => return Ok(Requeue::Never),
                Err(status) => return Err(status.into()),
            }
        }
        if let Some(error) = outcome.error() {
            return Err(ReconcileError::retry(ContentError(error)));
        }
        if outcome.estimate > 0 {
            return Ok(Requeue::After(Duration::from_secs(outcome.estimate / 2 + 1)));
        }
        self.finalize(target(), namespace, &outcome).await?;
        Ok(Requeue::Never)
    }
}

impl Namespaces {
    async fn finalize(&self, target: Target, mut namespace: Value, outcome: &Outcome) -> Result<(), Status> {
        assert!(outcome.is_empty(), "only an empty namespace is let go");
        let finalizers = namespace.items_at(&["spec", "finalizers"]).iter().filter_map(Value::as_str);
        let others: Vec<Value> =
            finalizers.filter(|finalizer| *finalizer != FINALIZER).map(|other| Str::from(other).into()).collect();
        namespace.set(&["spec", "finalizers"], others);
        match self.client.update(target.subresource("finalize"), namespace).await {
            Err(status) if !status.is_not_found() => Err(status),
            _ => Ok(()),
        }
    }
}
