//! The reconciler over sets of pods: what ReplicaSets and ReplicationControllers have in common.
//!
//! Upstream: syncReplicaSet, manageReplicas and updateReplicaSetStatus in pkg/controller/replicaset (v1.35).

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use corten_apimachinery::{
    gvk::GroupVersionResource,
    meta::ObjectMeta as _,
    selector::label::{Selector, SelectorError},
    status::{Reason, Status},
    stored::Stored,
    value::{Str, Value},
};
use corten_base::SharedClock;
use corten_client::{Client, Target, events::ObjectRef};
use corten_controller::{
    Context, Controller, ControllerRefManager, Key, Owner, ReconcileError, Reconciler, Requeue, UidTrackingExpectations,
};
use corten_informer::{Indexer, InformerId, Lister, indexer};
use futures::future::join_all;

use super::{
    handlers::{PodHandler, SetHandler},
    plan::{self, Candidate, Change, Counted, Observed, SetStatus},
};
use crate::{
    config::Config,
    objects::{i32_at, is_namespace_terminating, tree},
    pod_control::{PodControl, pod_of, slow_start},
    pods::{self, PodState, Pods},
    queue_controller::{QueueController, queue_of},
    selectors::ObjectSelector,
};

/// What tells one kind of set from the other.
#[derive(Debug)]
pub(crate) struct Flavor {
    /// `apiVersion`.
    pub(crate) api_version: &'static str,
    /// `kind`.
    pub(crate) kind: &'static str,
    /// The resource.
    pub(crate) resource: fn() -> GroupVersionResource,
    /// Who reports events.
    pub(crate) component: &'static str,
    /// The selector of a set.
    pub(crate) selector: fn(&Value) -> Result<Selector, SelectorError>,
    /// Whether the status tells of pods on their way out. Upstream: `DeploymentReplicaSetTerminatingReplicas`.
    pub(crate) counts_terminating: bool,
}

/// Builds the controller of one kind.
pub(crate) fn build(context: Context<Config>, flavor: &'static Flavor) -> Box<dyn Controller> {
    let queue = queue_of(&context);
    let expectations = Arc::new(UidTrackingExpectations::new(Arc::clone(&context.clock)));
    let sets = context.informers.informer(&(flavor.resource)());
    sets.add_index(Indexer::by_uid());
    sets.add_index(Indexer::by_controller());
    let pods = Pods::new(&context.informers);
    let handler = SetHandler { queue: Arc::clone(&queue), expectations: Arc::clone(&expectations) };
    sets.add_handler(Arc::new(handler));
    let selectors = context.informers.projected(&InformerId::all(&(flavor.resource)()), |set, before| {
        ObjectSelector::of(set, before, flavor.selector)
    });
    pods.informer.add_handler(Arc::new(PodHandler {
        queue: Arc::clone(&queue),
        expectations: Arc::clone(&expectations),
        sets: sets.lister(),
        selectors,
    }));
    let client = context.client();
    let recorder = context.recorder.for_component(flavor.component);
    let reconciler = Sets {
        flavor,
        sets: sets.lister(),
        pods,
        pod_control: PodControl::new(client.clone(), recorder),
        client,
        expectations,
        clock: Arc::clone(&context.clock),
    };
    QueueController::boxed(&context, queue, reconciler)
}

struct Sets {
    flavor: &'static Flavor,
    sets: Lister,
    pods: Pods,
    pod_control: PodControl,
    client: Client,
    expectations: Arc<UidTrackingExpectations>,
    clock: SharedClock,
}

/// One set during its reconcile.
struct Set {
    key: Key,
    stored: Arc<Stored>,
    tree: Value,
    owner: Owner,
    selector: Selector,
    wanted: i32,
    min_ready: Duration,
}

/// A pod with its facts.
struct Pod {
    stored: Arc<Stored>,
    state: PodState,
}

#[async_trait]
impl Reconciler for Sets {
    async fn reconcile(&self, key: &Key) -> Result<Requeue, ReconcileError> {
        let Some(stored) = self.sets.get(key) else {
            self.expectations.forget(key);
            return Ok(Requeue::Never);
        };
        let may_act = self.expectations.are_satisfied(key);
        let set = self.set(key, stored)?;
        let (active, terminating) = self.pods_of(&set);
        let active = self.claim(&set, active).await?;
        let outcome = if may_act && !set.owner.is_deleting { self.scale(&set, &active).await } else { Ok(()) };
        let now = self.clock.now();
        let status = self.status_of(&set, &active, terminating, outcome.as_ref().err(), now);
        self.write_status(&set, status).await?;
        outcome?;
        // What becomes available by the mere passing of time is told by no event.
        let next = plan::next_available(active.iter().map(|pod| &pod.state), set.min_ready, now);
        Ok(next.map_or(Requeue::Never, Requeue::After))
    }
}

impl Sets {
    fn set(&self, key: &Key, stored: Arc<Stored>) -> Result<Set, ReconcileError> {
        let tree = tree(&stored)?;
        // Validation lets no bad selector in; if it did, only a change of the set helps.
        let selector = (self.flavor.selector)(&tree).map_err(ReconcileError::terminal)?;
        Ok(Set {
            key: key.clone(),
            owner: Owner::of(self.flavor.api_version, self.flavor.kind, &stored),
            selector,
            wanted: i32_at(&tree, &["spec", "replicas"]),
            min_ready: Duration::from_secs(
                u64::try_from(i32_at(&tree, &["spec", "minReadySeconds"])).unwrap_or_default(),
            ),
            tree,
            stored,
        })
    }

    /// The active pods that are the set's or nobody's, and how many of its own are on their way out.
    fn pods_of(&self, set: &Set) -> (Vec<Arc<Stored>>, usize) {
        let lister = &self.pods.lister;
        let mut candidates = lister.by_index_in(indexer::CONTROLLER, &set.stored.uid, &set.key.namespace);
        candidates.extend(
            lister
                .by_index_in(indexer::CONTROLLER, "", &set.key.namespace)
                .into_iter()
                .filter(|pod| set.selector.matches(&pod.facts.labels)),
        );
        let (mut active, mut terminating) = (Vec::with_capacity(candidates.len()), 0);
        for pod in candidates {
            let state = self.pods.state(&pod);
            if state.is_active() {
                active.push(pod);
            } else if state.is_terminating()
                && pod.facts.controller_uid == set.stored.uid
                && set.selector.matches(&pod.facts.labels)
            {
                terminating += 1;
            }
        }
        (active, terminating)
    }

    async fn claim(&self, set: &Set, pods: Vec<Arc<Stored>>) -> Result<Vec<Pod>, Status> {
        let manager = ControllerRefManager {
            client: self.client.clone(),
            resource: pods::resource(),
            owner: set.owner.clone(),
            selector: set.selector.clone(),
        };
        let target = Target::object(&(self.flavor.resource)(), set.key.namespace.clone(), set.key.name.clone());
        let claimed = manager.claim(pods, || may_adopt(&self.client, target, self.flavor.kind, &set.owner)).await?;
        Ok(claimed.into_iter().map(|stored| Pod { state: self.pods.state(&stored), stored }).collect())
    }

    /// Makes or deletes pods until their number is right.
    async fn scale(&self, set: &Set, active: &[Pod]) -> Result<(), Status> {
        match plan::change(active.len(), set.wanted) {
            Change::None => Ok(()),
            Change::Create(count) => self.create(set, count).await,
            Change::Delete(count) => self.delete(set, active, count).await,
        }
    }

    async fn create(&self, set: &Set, count: usize) -> Result<(), Status> {
        self.expectations.expect_creations(&set.key, count);
        let template = set.tree.at(&["spec", "template"]).unwrap_or(&Value::Null);
        let (pod, reference) = (pod_of(template, &set.owner), self.reference(set));
        let (made, outcome) = slow_start(count, || async {
            match self.pod_control.create(&set.owner, &reference, pod.clone()).await {
                Ok(_) => Ok(()),
                // All would fail; the set will go with its namespace.
                Err(status) if is_namespace_terminating(&status) => Ok(()),
                Err(status) => Err(status),
            }
        })
        .await;
        // No event will come for those that were not made.
        for _ in made..count {
            self.expectations.creation_observed(&set.key);
        }
        outcome
    }

    async fn delete(&self, set: &Set, active: &[Pod], count: usize) -> Result<(), Status> {
        let related = self.related(set);
        let candidates: Vec<_> =
            active.iter().map(|pod| Candidate { uid: &pod.stored.uid, state: &pod.state }).collect();
        let victims = plan::victims(&candidates, related.iter(), count, self.clock.now());
        let victims: Vec<&Pod> = victims.into_iter().map(|index| &active[index]).collect();
        self.expectations.expect_deletions(&set.key, victims.iter().map(|pod| pod.stored.uid.clone()));
        let reference = self.reference(set);
        let results = join_all(victims.iter().map(|pod| async {
            let result = self.pod_control.delete(&reference, &pod.stored).await;
            if result.is_err() {
                // No event will come for it, or it has come already.
                self.expectations.deletion_observed(&set.key, &pod.stored.uid);
            }
            result
        }))
        .await;
        results.into_iter().filter_map(Result::err).find(|status| !status.is_not_found()).map_or(Ok(()), Err)
    }

    /// The pods of all sets with the same owner as this one, itself included.
    fn related(&self, set: &Set) -> Vec<PodState> {
        let owner = &set.stored.facts.controller_uid;
        let sets = if owner.is_empty() {
            vec![Arc::clone(&set.stored)]
        } else {
            self.sets.by_index_in(indexer::CONTROLLER, owner, &set.key.namespace)
        };
        let pods_of = |uid: &Str| self.pods.lister.by_index_in(indexer::CONTROLLER, uid, &set.key.namespace);
        sets.iter().flat_map(|set| pods_of(&set.uid)).map(|pod| self.pods.state(&pod)).collect()
    }

    fn status_of(
        &self,
        set: &Set,
        active: &[Pod],
        terminating: usize,
        failure: Option<&Status>,
        now: jiff::Timestamp,
    ) -> SetStatus {
        let labels = set.tree.at(&["spec", "template", "metadata", "labels"]).and_then(Value::as_object);
        let pairs = labels.into_iter().flat_map(|map| map.iter());
        let template = Selector::from_map(pairs.map(|(key, value)| (key, value.as_str().unwrap_or_default())));
        let counted: Vec<_> = active
            .iter()
            .map(|pod| Counted { state: &pod.state, is_fully_labeled: template.matches(&pod.stored.facts.labels) })
            .collect();
        plan::status(&Observed {
            old: &SetStatus::of(&set.tree),
            generation: set.tree.generation(),
            wanted: set.wanted,
            min_ready: set.min_ready,
            pods: &counted,
            terminating: self.flavor.counts_terminating.then_some(terminating),
            failure: failure.map(|status| &*status.message),
            now,
        })
    }

    /// Writes the status if it differs. A conflict is resolved once with the newest object: the status is this
    /// controller's own, and it is about the generation that it names.
    async fn write_status(&self, set: &Set, status: SetStatus) -> Result<(), Status> {
        if SetStatus::of(&set.tree) == status {
            return Ok(());
        }
        let target = Target::object(&(self.flavor.resource)(), set.key.namespace.clone(), set.key.name.clone());
        let with_status = |tree: &Value| {
            let mut tree = tree.clone();
            tree.set(&["status"], status.to_value());
            tree
        };
        let part = target.clone().subresource("status");
        match self.client.update(part.clone(), with_status(&set.tree)).await {
            Err(failure) if failure.is_conflict() => {
                let newest = self.client.get(target).await?;
                if newest.uid != set.stored.uid {
                    return Err(failure);
                }
                self.client.update(part, with_status(&tree(&newest)?)).await?;
            }
            // Deleted meanwhile: nobody asks for its status any more.
            Err(failure) if failure.is_not_found() => {}
            other => drop(other?),
        }
        Ok(())
    }

    fn reference(&self, set: &Set) -> ObjectRef {
        ObjectRef::of(self.flavor.api_version, self.flavor.kind, &set.stored)
    }
}

/// Reads the owner anew and refuses adoption if it is another one by now, or is being deleted.
///
/// Upstream: `RecheckDeletionTimestamp`.
pub(crate) async fn may_adopt(client: &Client, target: Target, kind: &str, owner: &Owner) -> Result<(), Status> {
    let fresh = client.get(target).await?;
    let (namespace, name) = (&owner.namespace, &owner.name);
    if fresh.uid != owner.uid {
        let (got, want) = (&fresh.uid, &owner.uid);
        let why = format!("original {kind} {namespace}/{name} is gone: got uid {got}, wanted {want}");
        return Err(Status::new(Reason::Conflict, why));
    }
    if fresh.facts.is_deleting {
        let at = tree(&fresh)?.deletion_timestamp().unwrap_or_default().to_owned();
        return Err(Status::new(Reason::Conflict, format!("{namespace}/{name} has just been deleted at {at}")));
    }
    Ok(())
}
