//! One step of one deployment.
//!
//! Upstream: pkg/controller/deployment/{deployment_controller,sync,rolling,recreate}.go (v1.35).

use std::sync::Arc;

use async_trait::async_trait;
use corten_apimachinery::{
    meta::ObjectMeta as _,
    selector::label::Selector,
    status::Status,
    stored::Stored,
    value::{Value, format_str},
};
use corten_base::SharedClock;
use corten_client::{
    Client, Target,
    events::{ObjectRef, Recorder},
};
use corten_controller::{ControllerRefManager, Key, Owner, ReconcileError, Reconciler, Requeue};
use corten_informer::{Lister, indexer};

use super::{
    hash, plan, resource,
    status::{self, DeploymentStatus, PAUSED, PROGRESSING, TIMED_OUT, condition},
    view::{Deployment, HASH_LABEL, REVISION, ReplicaSet},
};
use crate::{
    objects::{i32_at, is_namespace_terminating, tree},
    pods::Pods,
    replicaset::{self, core::may_adopt},
};

/// The event of every change of size.
const SCALING: &str = "ScalingReplicaSet";

/// Reconciles deployments.
pub(super) struct Deployments {
    pub(super) deployments: Lister,
    pub(super) sets: Lister,
    pub(super) pods: Pods,
    pub(super) client: Client,
    pub(super) recorder: Recorder,
    pub(super) clock: SharedClock,
}

/// One deployment during its reconcile.
struct Step<'a> {
    controller: &'a Deployments,
    deployment: Deployment,
    owner: Owner,
    reference: ObjectRef,
    /// All ReplicaSets that it owns, oldest first.
    sets: Vec<ReplicaSet>,
}

#[async_trait]
impl Reconciler for Deployments {
    async fn reconcile(&self, key: &Key) -> Result<Requeue, ReconcileError> {
        let Some(stored) = self.deployments.get(key) else { return Ok(Requeue::Never) };
        let deployment = Deployment { tree: tree(&stored)? };
        let selector = deployment.tree.at(&["spec", "selector"]).unwrap_or(&Value::Null);
        // Validation lets no bad selector in; if it did, only a change of the deployment helps.
        let selector = Selector::from_object(selector).map_err(ReconcileError::terminal)?;
        let owner = Owner::of("apps/v1", "Deployment", &stored);
        let reference = ObjectRef::of("apps/v1", "Deployment", &stored);
        if selector.is_empty() {
            let message = "This deployment is selecting all pods. A non-empty selector is required.";
            self.recorder.warning(&reference, "SelectingAll", message);
            return Ok(Requeue::Never);
        }
        let mut sets = self.claim(&owner, selector, key).await?;
        sets.sort_by_key(ReplicaSet::age_key);
        let mut step = Step { controller: self, deployment, owner, reference, sets };
        Ok(step.run().await?)
    }
}

impl Deployments {
    async fn claim(&self, owner: &Owner, selector: Selector, key: &Key) -> Result<Vec<ReplicaSet>, Status> {
        let mut candidates = self.sets.by_index_in(indexer::CONTROLLER, &owner.uid, &key.namespace);
        let orphans = self.sets.by_index_in(indexer::CONTROLLER, "", &key.namespace);
        candidates.extend(orphans.into_iter().filter(|set| selector.matches(&set.facts.labels)));
        let manager = ControllerRefManager {
            client: self.client.clone(),
            resource: replicaset::resource(),
            owner: owner.clone(),
            selector,
        };
        let target = Target::object(&resource(), key.namespace.clone(), key.name.clone());
        let claimed = manager.claim(candidates, || may_adopt(&self.client, target, "Deployment", owner)).await?;
        claimed.iter().map(|set| Ok(ReplicaSet { tree: tree(set)? })).collect()
    }
}

impl Step<'_> {
    async fn run(&mut self) -> Result<Requeue, Status> {
        if self.owner.is_deleting {
            let (new, old) = self.split(false).await?;
            return self.write_counts(new.as_ref(), &old).await;
        }
        self.note_pause().await?;
        if self.deployment.is_paused() || self.was_scaled() {
            return self.scale_only().await;
        }
        if self.deployment.is_recreate() { self.recreate().await } else { self.roll().await }
    }

    fn now(&self) -> jiff::Timestamp {
        self.controller.clock.now()
    }

    /// Pausing stops the clock of the deadline, and so does resuming.
    async fn note_pause(&mut self) -> Result<(), Status> {
        if self.deployment.progress_deadline().is_none() {
            return Ok(());
        }
        let mut status = DeploymentStatus::of(&self.deployment.tree);
        let reason = status.progressing().and_then(|condition| condition.str_at(&["reason"])).unwrap_or_default();
        let (is_paused, was_paused) = (self.deployment.is_paused(), reason == PAUSED);
        if reason == TIMED_OUT || is_paused == was_paused {
            return Ok(());
        }
        let (reason, message) =
            if is_paused { (PAUSED, "Deployment is paused") } else { ("DeploymentResumed", "Deployment is resumed") };
        status.set_condition(condition(PROGRESSING, "Unknown", reason, message, self.now()));
        self.write(&status).await
    }

    /// Whether `spec.replicas` changed since the ReplicaSets were scaled.
    fn was_scaled(&self) -> bool {
        let wanted = self.deployment.replicas();
        let active = self.sets.iter().filter(|set| set.replicas() > 0);
        active.filter_map(|set| set.number(super::view::DESIRED_REPLICAS)).any(|desired| desired != wanted)
    }

    /// The newest ReplicaSet, whose revision and annotations are brought up to date, or which is made if `create`; and
    /// the others, oldest first.
    async fn split(&mut self, create: bool) -> Result<(Option<ReplicaSet>, Vec<ReplicaSet>), Status> {
        let at = self.sets.iter().position(|set| self.deployment.wants(set));
        let mut old = self.sets.clone();
        let new = at.map(|at| old.remove(at));
        let revision = old.iter().map(ReplicaSet::revision).max().unwrap_or_default().saturating_add(1);
        let new = match new {
            Some(new) => Some(self.refresh(new, revision).await?),
            None if create => self.create(&old, revision).await?,
            None => None,
        };
        self.sets = old.iter().cloned().chain(new.clone()).collect();
        Ok((new, old))
    }

    async fn refresh(&mut self, mut new: ReplicaSet, revision: i64) -> Result<ReplicaSet, Status> {
        let min_ready = i32_at(&self.deployment.tree, &["spec", "minReadySeconds"]);
        let differs = i32_at(&new.tree, &["spec", "minReadySeconds"]) != min_ready;
        if new.set_annotations(&self.deployment, revision, true) || differs {
            new.tree.set(&["spec", "minReadySeconds"], min_ready);
            return self.update_set(new).await;
        }
        let mut status = DeploymentStatus::of(&self.deployment.tree);
        let revision = new.tree.annotation(REVISION).unwrap_or_default().to_owned();
        let mut changed = self.deployment.set_revision(&revision);
        if self.deployment.progress_deadline().is_some() && status.progressing().is_none() {
            let message = format!("Found new replica set {:?}", new.name());
            status.set_condition(condition(PROGRESSING, "True", "FoundNewReplicaSet", &message, self.now()));
            changed = true;
        }
        if changed {
            self.write(&status).await?;
        }
        Ok(new)
    }

    async fn create(&mut self, old: &[ReplicaSet], revision: i64) -> Result<Option<ReplicaSet>, Status> {
        let mut set = self.new_set(old);
        set.set_annotations(&self.deployment, revision, false);
        let target = Target::collection(&replicaset::resource(), self.owner.namespace.clone());
        let mut status = DeploymentStatus::of(&self.deployment.tree);
        let (set, is_made) = match self.controller.client.create(target, set.tree.clone()).await {
            Ok(made) => (ReplicaSet { tree: tree(&made)? }, true),
            Err(failure) if failure.is_already_exists() => (self.found(&set, failure, status.clone()).await?, false),
            Err(failure) if is_namespace_terminating(&failure) => return Err(failure),
            Err(failure) => {
                let message = format!("Failed to create new replica set {:?}: {failure}", set.name());
                if self.deployment.progress_deadline().is_some() {
                    let failed = condition(PROGRESSING, "False", "ReplicaSetCreateError", &message, self.now());
                    status.set_condition(failed);
                    self.write(&status).await?;
                }
                self.controller.recorder.warning(&self.reference, "ReplicaSetCreateError", message);
                return Err(failure);
            }
        };
        if is_made && set.replicas() > 0 {
            let message = format!("Scaled up replica set {} from 0 to {}", set.name(), set.replicas());
            self.controller.recorder.normal(&self.reference, SCALING, message);
        }
        let mut changed = self.deployment.set_revision(&format_str!("{revision}"));
        if is_made && self.deployment.progress_deadline().is_some() {
            let message = format!("Created new replica set {:?}", set.name());
            status.set_condition(condition(PROGRESSING, "True", "NewReplicaSetCreated", &message, self.now()));
            changed = true;
        }
        if changed {
            self.write(&status).await?;
        }
        Ok(Some(set))
    }

    /// The ReplicaSet for the deployment's template, as it is to be made.
    fn new_set(&self, old: &[ReplicaSet]) -> ReplicaSet {
        let spec = |field: &str| self.deployment.tree.at(&["spec", field]).cloned();
        let mut template = self.deployment.template();
        let hash = hash::of(&template, self.deployment.tree.i64_at(&["status", "collisionCount"]));
        template.set(&["metadata", "labels", HASH_LABEL], hash.clone());
        let mut selector = spec("selector").unwrap_or_else(Value::object);
        selector.set(&["matchLabels", HASH_LABEL], hash.clone());
        let mut set = Value::object_of([("apiVersion", Value::from("apps/v1")), ("kind", "ReplicaSet".into())]);
        set.set(&["metadata", "name"], hash::name(&self.owner.name, &hash));
        set.set(&["metadata", "namespace"], self.owner.namespace.clone());
        set.set(&["metadata", "ownerReferences"], Value::array([self.owner.controller_reference()]));
        set.set(&["metadata", "labels"], template.at(&["metadata", "labels"]).cloned().unwrap_or_default());
        set.set(&["spec", "replicas"], plan::new_size(&self.deployment, 0, plan::total(old)));
        set.set(&["spec", "selector"], selector);
        set.set(&["spec", "template"], template);
        if let Some(min_ready) = spec("minReadySeconds") {
            set.set(&["spec", "minReadySeconds"], min_ready);
        }
        ReplicaSet { tree: set }
    }

    /// The name is taken: by our own ReplicaSet that the cache does not show yet, or by a collision of hashes, which
    /// the count in the status tells apart from now on.
    async fn found(
        &mut self,
        wanted: &ReplicaSet,
        failure: Status,
        mut status: DeploymentStatus,
    ) -> Result<ReplicaSet, Status> {
        let target = Target::object(&replicaset::resource(), self.owner.namespace.clone(), wanted.name());
        let there = self.controller.client.get(target).await?;
        let set = ReplicaSet { tree: tree(&there)? };
        if there.facts.controller_uid == self.owner.uid && self.deployment.wants(&set) {
            return Ok(set);
        }
        status.collisions = Some(status.collisions.unwrap_or_default() + 1);
        self.write(&status).await?;
        Err(failure)
    }

    /// Paused, or scaled in the middle of something: sizes change, templates do not.
    async fn scale_only(&mut self) -> Result<Requeue, Status> {
        let (mut new, mut old) = self.split(false).await?;
        self.spread(&mut new, &mut old).await?;
        if self.deployment.is_paused() {
            self.clean_up(&old).await?;
        }
        self.write_counts(new.as_ref(), &old).await
    }

    async fn spread(&self, new: &mut Option<ReplicaSet>, old: &mut [ReplicaSet]) -> Result<(), Status> {
        let wanted = self.deployment.replicas();
        let mut active: Vec<&mut ReplicaSet> = old.iter_mut().chain(new.iter_mut()).collect();
        // The only one with pods, or, if none has any, the newest.
        let with_pods = active.iter().filter(|set| set.replicas() > 0).count();
        if with_pods <= 1 {
            if with_pods == 1 {
                active.retain(|set| set.replicas() > 0);
            }
            let Some(set) = active.pop() else { return Ok(()) };
            return self.resize(set, wanted).await;
        }
        if plan::is_saturated(&self.deployment, new.as_ref()) {
            for set in old.iter_mut().filter(|set| set.replicas() > 0) {
                self.resize(set, 0).await?;
            }
            return Ok(());
        }
        if self.deployment.is_rolling() {
            let mut active: Vec<&mut ReplicaSet> =
                old.iter_mut().chain(new.iter_mut()).filter(|set| set.replicas() > 0).collect();
            let snapshot: Vec<ReplicaSet> = active.iter().map(|set| (**set).clone()).collect();
            for (index, size) in plan::proportional(&self.deployment, &snapshot) {
                self.resize(active[index], size).await?;
            }
        }
        Ok(())
    }

    async fn roll(&mut self) -> Result<Requeue, Status> {
        let (mut new, mut old) = self.split(true).await?;
        if let Some(set) = &mut new {
            let size = plan::new_size(&self.deployment, set.replicas(), plan::total(&old));
            if size != set.replicas() {
                self.resize(set, size).await?;
                return self.write_rollout(new.as_ref(), &old).await;
            }
        }
        let steps = plan::shrink_old(&self.deployment, new.as_ref(), &old);
        if !steps.is_empty() {
            for (index, size) in steps {
                self.resize(&mut old[index], size).await?;
            }
            return self.write_rollout(new.as_ref(), &old).await;
        }
        self.finish(new, old).await
    }

    async fn recreate(&mut self) -> Result<Requeue, Status> {
        let (mut new, mut old) = self.split(false).await?;
        let mut has_shrunk = false;
        for set in old.iter_mut().filter(|set| set.replicas() > 0) {
            self.resize(set, 0).await?;
            has_shrunk = true;
        }
        if has_shrunk || self.old_pods_run(new.as_ref(), &old) {
            return self.write_rollout(new.as_ref(), &old).await;
        }
        if new.is_none() {
            (new, old) = self.split(true).await?;
        }
        let wanted = self.deployment.replicas();
        if let Some(set) = &mut new
            && set.replicas() != wanted
        {
            self.resize(set, wanted).await?;
        }
        self.finish(new, old).await
    }

    /// Whether a pod of an old ReplicaSet may still run.
    fn old_pods_run(&self, new: Option<&ReplicaSet>, old: &[ReplicaSet]) -> bool {
        let pods = &self.controller.pods;
        let new = new.map(ReplicaSet::uid);
        old.iter().any(|set| set.status("replicas") > 0)
            || old.iter().filter(|set| Some(set.uid()) != new).any(|set| {
                let of_set = pods.lister.by_index_in(indexer::CONTROLLER, set.uid(), &self.owner.namespace);
                of_set.iter().any(|pod: &Arc<Stored>| !pods.state(pod).is_terminal())
            })
    }

    async fn finish(&mut self, new: Option<ReplicaSet>, old: Vec<ReplicaSet>) -> Result<Requeue, Status> {
        if status::is_complete(&self.deployment, &DeploymentStatus::of(&self.deployment.tree)) {
            self.clean_up(&old).await?;
        }
        self.write_rollout(new.as_ref(), &old).await
    }

    async fn clean_up(&self, old: &[ReplicaSet]) -> Result<(), Status> {
        for index in plan::beyond_history(&self.deployment, old) {
            let name = old[index].name();
            let target = Target::object(&replicaset::resource(), self.owner.namespace.clone(), name);
            match self.controller.client.delete(target, Value::Null).await {
                Err(failure) if !failure.is_not_found() => return Err(failure),
                _ => {}
            }
        }
        Ok(())
    }

    /// Writes a size, and the deployment's size beside it; tells people if the ReplicaSet's size changed.
    async fn resize(&self, set: &mut ReplicaSet, size: i32) -> Result<(), Status> {
        let before = set.replicas();
        let mut changed = set.clone();
        if !changed.set_size_annotations(&self.deployment) && before == size {
            return Ok(());
        }
        changed.tree.set(&["spec", "replicas"], size);
        *set = self.update_set(changed).await?;
        if before != size {
            let direction = if before < size { "up" } else { "down" };
            let message = format!("Scaled {direction} replica set {} from {before} to {size}", set.name());
            self.controller.recorder.normal(&self.reference, SCALING, message);
        }
        Ok(())
    }

    async fn update_set(&self, set: ReplicaSet) -> Result<ReplicaSet, Status> {
        let target = Target::object(&replicaset::resource(), self.owner.namespace.clone(), set.name());
        let written = self.controller.client.update(target, set.tree).await?;
        Ok(ReplicaSet { tree: tree(&written)? })
    }

    async fn write_counts(&mut self, new: Option<&ReplicaSet>, old: &[ReplicaSet]) -> Result<Requeue, Status> {
        let status = status::counted(&self.deployment, new, old, self.now());
        if status != DeploymentStatus::of(&self.deployment.tree) {
            self.write(&status).await?;
        }
        Ok(Requeue::Never)
    }

    async fn write_rollout(&mut self, new: Option<&ReplicaSet>, old: &[ReplicaSet]) -> Result<Requeue, Status> {
        let now = self.now();
        let status = status::rollout(&self.deployment, new, old, now);
        if status != DeploymentStatus::of(&self.deployment.tree) {
            self.write(&status).await?;
        }
        // Nothing tells that nothing happens.
        Ok(status::deadline_in(&self.deployment, &status, now).map_or(Requeue::Never, Requeue::After))
    }

    /// Writes the status, and the revision annotation with it.
    async fn write(&mut self, status: &DeploymentStatus) -> Result<(), Status> {
        self.deployment.tree.set(&["status"], status.to_value());
        let target = Target::object(&resource(), self.owner.namespace.clone(), self.owner.name.clone());
        let tree_to_send = self.deployment.tree.clone();
        let written = self.controller.client.update(target.subresource("status"), tree_to_send).await?;
        self.deployment.tree = tree(&written)?;
        Ok(())
    }
}
