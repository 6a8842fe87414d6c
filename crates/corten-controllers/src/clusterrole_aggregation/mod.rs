//! Sums up cluster roles: a role with an aggregation rule gets the rules of all roles that its selectors find.
//!
//! Flow: any cluster role -> the roles that sum it up -> `plan` -> server-side apply.
//! Upstream: pkg/controller/clusterroleaggregation (v1.35).

mod plan;

use std::sync::Arc;

use async_trait::async_trait;
use corten_api::rbac::v1::ClusterRole;
use corten_apimachinery::{labels::Labels, selector::label::Selector, stored::Stored, value::Value};
use corten_client::{Client, Target, api::resource_of};
use corten_controller::{ControllerDescriptor, Key, ReconcileError, Reconciler, Requeue, WorkQueue};
use corten_informer::{InformerId, Lister, Projected, Projection, ProjectionHandler};

use crate::{
    Config,
    objects::tree,
    queue_controller::{QueueController, queue_of},
};

/// Under which name the rules are owned.
const FIELD_MANAGER: &str = "clusterrole-aggregation-controller";

/// The controller.
pub static CONTROLLER: ControllerDescriptor<Config> = ControllerDescriptor {
    name: "clusterrole-aggregation-controller",
    aliases: &["clusterrole-aggregation"],
    identity: "clusterrole-aggregation-controller",
    feature_gate: None,
    workers: 5,
    build: |context| {
        let queue = queue_of(&context);
        let id = InformerId::all(&resource_of::<ClusterRole>());
        let facts = context.informers.projected(&id, |role, _| RoleFacts::of(role));
        facts.add_handler(Arc::new(Summed { queue: Arc::clone(&queue), roles: Arc::clone(&facts) }));
        let reconciler = Aggregation {
            client: context.client().with_field_manager(FIELD_MANAGER),
            roles: context.informers.informer_of(&id).lister(),
        };
        QueueController::boxed(&context, queue, reconciler)
    },
};

/// What decides about who sums up whom.
#[derive(Debug, Clone, PartialEq)]
struct RoleFacts {
    labels: Labels,
    /// Empty for roles that sum up nothing.
    selectors: Vec<Selector>,
}

impl RoleFacts {
    fn of(role: &Stored) -> Self {
        let selectors = tree(role).map(|role| plan::selectors(&role)).unwrap_or_else(|error| {
            tracing::error!(role = %role.name, err = %error, "Read a cluster role that is none");
            Vec::new()
        });
        Self { labels: role.facts.labels.clone(), selectors }
    }

    fn sums(&self, labels: &Labels) -> bool {
        self.selectors.iter().any(|selector| selector.matches(labels))
    }
}

/// Queues the roles that sum up a role that changed, and that role itself.
struct Summed {
    queue: Arc<WorkQueue<Key>>,
    roles: Arc<Projected<RoleFacts>>,
}

impl Summed {
    fn sums_of(&self, role: &Projection<RoleFacts>) {
        for sum in self.roles.list() {
            if sum.object.name == role.object.name || sum.value.sums(&role.value.labels) {
                self.queue.add(sum.key());
            }
        }
    }
}

impl ProjectionHandler<RoleFacts> for Summed {
    fn on_add(&self, role: &Arc<Projection<RoleFacts>>) {
        self.sums_of(role);
    }

    fn on_update(&self, old: &Arc<Projection<RoleFacts>>, new: &Arc<Projection<RoleFacts>>) {
        self.sums_of(new);
        if old.value.labels != new.value.labels {
            self.sums_of(old);
        }
    }

    fn on_delete(&self, role: &Arc<Projection<RoleFacts>>) {
        self.sums_of(role);
    }
}

struct Aggregation {
    client: Client,
    roles: Lister,
}

#[async_trait]
impl Reconciler for Aggregation {
    async fn reconcile(&self, key: &Key) -> Result<Requeue, ReconcileError> {
        let Some(stored) = self.roles.get(key) else { return Ok(Requeue::Never) };
        let role = tree(&stored)?;
        let mut found = Vec::new();
        for selector in plan::selectors(&role) {
            for part in self.roles.select("", &selector) {
                if part.name != key.name {
                    found.push(tree(&part)?);
                }
            }
        }
        let Some(rules) = plan::plan(&role, &found) else { return Ok(Requeue::Never) };
        let mut applied = Value::object_of([
            ("apiVersion", Value::from("rbac.authorization.k8s.io/v1")),
            ("kind", "ClusterRole".into()),
            ("rules", Value::array(rules)),
        ]);
        applied.set(&["metadata", "name"], key.name.clone());
        let target = Target::object(&resource_of::<ClusterRole>(), "", key.name.clone());
        match self.client.apply(target, applied, true).await {
            Err(status) if !status.is_not_found() => Err(status.into()),
            _ => Ok(Requeue::Never),
        }
    }
}
