//! The reconciler: one object, its owners and its dependents.
//!
//! Upstream: attemptToDeleteItem, attemptToOrphan and processDeletingDependentsItem in
//! pkg/controller/garbagecollector/garbagecollector.go (v1.35).

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use corten_apimachinery::{
    status::{Reason, Status},
    stored::Stored,
    value::{Str, Value, format_str},
};
use corten_client::{
    Client, PatchKind, Target,
    events::{ObjectRef, Recorder},
};
use corten_controller::{ReconcileError, Reconciler, Requeue, WorkQueue};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tracing::{debug, warn};

use super::{
    Place, View, Work,
    meta::{FOREGROUND, Meta, ORPHAN, OwnerRef},
    plan::{self, Action, Observed, OwnerState, Policy},
    turns::Turns,
};
use crate::objects::tree;

/// How many dependents of one owner are orphaned at the same time: enough to be fast, few enough to leave room.
const ORPHANING_AT_ONCE: usize = 32;

/// How often a finalizer's removal is tried when others write the object meanwhile. Upstream's figure.
const FINALIZER_TRIES: usize = 5;

/// Reconciles objects.
pub(super) struct Collector {
    pub(super) view: Arc<View>,
    pub(super) queue: Arc<WorkQueue<Work>>,
    pub(super) turns: Turns,
    pub(super) client: Client,
    pub(super) recorder: Recorder,
}

/// For how many absent owners of an object it is told that they are in another namespace.
const LOOKED_FOR_ELSEWHERE_MAX: usize = 8;

/// Owners that the server was asked for and does not have. A UID never comes back.
type Absent = BTreeSet<(Place, Str)>;

/// Why nothing can be said about an owner.
enum Undecided {
    /// Its kind is not known here: it may exist.
    UnknownKind(Str),
    /// An object without a namespace names an owner that has one: only people can mend that.
    OwnerInNamespace,
    /// The server did not tell.
    Failed(Status),
}

#[async_trait]
impl Reconciler<Work> for Collector {
    async fn reconcile(&self, work: &Work) -> Result<Requeue, ReconcileError> {
        match work {
            Work::Collect(place) => {
                let done = self.collect(place).await;
                self.turns.looked_at(place);
                done
            }
            Work::Orphan(place) => Ok(self.orphan(place).await?),
        }
    }
}

impl Collector {
    fn target(&self, place: &Place) -> Target {
        Target::object(&self.view.resource(place).resource, place.key.namespace.clone(), place.key.name.clone())
    }

    async fn collect(&self, place: &Place) -> Result<Requeue, ReconcileError> {
        // What is gone was told as such, and its dependents with it.
        let Some(cached) = self.view.get(place) else { return Ok(Requeue::Never) };
        let meta = Meta::of(&cached);
        if meta.is_deleting {
            if meta.is_foreground {
                self.wait_for_dependents(place, &cached).await?;
            }
            return Ok(Requeue::Never);
        }
        let Some(_turn) = self.turns.take(place, meta.owners.len()) else { return Ok(Requeue::Never) };
        // What the server says of an owner that is absent holds for as long as it was asked about this object.
        let mut absent = Absent::default();
        // Cheap first: most objects have an owner that is there.
        match self.decide(place, &cached, &meta, &mut absent).await {
            Ok(Action::Keep) => return Ok(Requeue::Never),
            Ok(_) => {}
            Err(undecided) => return settle(undecided),
        }
        let mut live = match self.client.get(self.target(place)).await {
            Err(status) if status.is_not_found() => return Ok(Requeue::Never),
            other => other?,
        };
        let meta = Meta::of(&live);
        if live.uid != cached.uid || meta.is_deleting {
            return Ok(Requeue::Never);
        }
        let action = match self.decide(place, &live, &meta, &mut absent).await {
            Ok(action) => action,
            Err(undecided) => return settle(undecided),
        };
        match action {
            Action::Keep => {}
            Action::RemoveOwners(uids) => self.remove_owners(place, &live, &uids).await?,
            Action::Delete(policy) => {
                if policy == Policy::Foreground
                    && let Some(changed) = self.break_circle(place, &live, &meta).await?
                {
                    live = changed;
                }
                self.delete(place, &live, policy).await?;
            }
        }
        Ok(Requeue::Never)
    }

    /// An object that is deleted in the foreground: it goes when the last dependent that blocks it has gone.
    async fn wait_for_dependents(&self, place: &Place, object: &Stored) -> Result<(), Status> {
        let dependents = self.view.graph.lock().dependents(&object.uid);
        let mut is_blocked = false;
        for dependent in dependents {
            let Some(found) = self.view.get(&dependent) else { continue };
            let meta = Meta::of(&found);
            if meta.owner(&object.uid).is_some_and(|owner| owner.block_owner_deletion) {
                is_blocked = true;
                if !meta.is_foreground {
                    self.queue.add(Work::Collect(dependent));
                }
            }
        }
        if is_blocked { Ok(()) } else { self.remove_finalizer(place, &object.uid, FOREGROUND).await }
    }

    async fn decide(
        &self,
        place: &Place,
        object: &Stored,
        meta: &Meta,
        absent: &mut Absent,
    ) -> Result<Action, Undecided> {
        let mut owners = Vec::with_capacity(meta.owners.len());
        for owner in &meta.owners {
            owners.push((owner.uid.clone(), self.owner_state(place, object, owner, absent).await?));
        }
        Ok(plan::action(&Observed {
            owners,
            has_dependents: self.view.graph.lock().has_dependents(&object.uid),
            wants_orphans: meta.wants_orphans,
            wants_foreground: meta.wants_foreground,
        }))
    }

    /// What became of an owner. The cache may say that it is there, since its end would be told; that it is absent, only
    /// the server can say.
    async fn owner_state(
        &self,
        place: &Place,
        object: &Stored,
        owner: &OwnerRef,
        absent: &mut Absent,
    ) -> Result<OwnerState, Undecided> {
        let state_of = |found: &Stored| {
            if Meta::of(found).is_foreground { OwnerState::Waiting } else { OwnerState::Solid }
        };
        if let Some((_, found)) = self.view.cached_owner(owner, &object.namespace) {
            return Ok(state_of(&found));
        }
        let Some(at) = self.view.place_of(owner, &object.namespace) else {
            let mut undecided = self.view.undecided.lock();
            // One that has gone meanwhile was taken out already.
            if self.view.get(place).is_some() {
                undecided.insert(place.clone());
            }
            drop(undecided);
            return Err(Undecided::UnknownKind(format_str!("{} {}", owner.api_version, owner.kind)));
        };
        if self.view.resource(&at).is_namespaced && object.namespace.is_empty() {
            self.report_namespace(place, object, owner);
            return Err(Undecided::OwnerInNamespace);
        }
        let known = (at, owner.uid.clone());
        if absent.contains(&known) || self.view.absent.lock().contains(&known.0, &known.1) {
            return Ok(OwnerState::Absent);
        }
        let at = &known.0;
        match self.client.get(self.target(at)).await {
            Ok(found) if found.uid == owner.uid => Ok(state_of(&found)),
            Err(status) if !status.is_not_found() => Err(Undecided::Failed(status)),
            _ => {
                // Who has more of them has been told often enough, and each look goes through all objects of the kind.
                if absent.len() < LOOKED_FOR_ELSEWHERE_MAX {
                    let others = self.view.resource(at).lister.list();
                    if others.iter().any(|other| other.uid == owner.uid && other.namespace != object.namespace) {
                        self.report_namespace(place, object, owner);
                    }
                }
                self.view.absent.lock().insert(known.0.clone(), known.1.clone());
                absent.insert(known);
                Ok(OwnerState::Absent)
            }
        }
    }

    fn report_namespace(&self, place: &Place, object: &Stored, owner: &OwnerRef) {
        let (namespace, name, uid) = (&object.namespace, &owner.name, &owner.uid);
        let (version, kind) = (&owner.api_version, &owner.kind);
        let reference = format!("[{version}/{kind}, namespace: {namespace}, name: {name}, uid: {uid}]");
        let message = format!("ownerRef {reference} does not exist in namespace {namespace:?}");
        let resource = self.view.resource(place);
        let about = ObjectRef::of(resource.api_version.clone(), resource.kind.clone(), object);
        self.recorder.warning(&about, "OwnerRefInvalidNamespace", message);
    }

    /// Owner and dependent that wait for each other would wait for ever: the dependent stops blocking its owners if one
    /// of its own dependents is being deleted in the foreground already.
    async fn break_circle(&self, place: &Place, object: &Stored, meta: &Meta) -> Result<Option<Arc<Stored>>, Status> {
        let dependents = self.view.graph.lock().dependents(&object.uid);
        let waits = |place: &Place| self.view.get(place).is_some_and(|found| Meta::of(&found).is_foreground);
        if !dependents.iter().any(waits) || !meta.owners.iter().any(|owner| owner.block_owner_deletion) {
            return Ok(None);
        }
        let unblocked = |mut reference: Value| {
            reference.set(&["blockOwnerDeletion"], false);
            Some(reference)
        };
        let references = tree(object)?.items_at(&["metadata", "ownerReferences"]).to_vec();
        let patch = references.into_iter().filter_map(unblocked);
        self.patch_owners(place, object, patch.collect(), &unblocked).await.map(Some)
    }

    async fn remove_owners(&self, place: &Place, object: &Stored, uids: &[Str]) -> Result<(), Status> {
        let gone = uids
            .iter()
            .map(|uid| Value::object_of([("$patch", Value::from("delete")), ("uid", Value::String(uid.clone()))]));
        let stays = |reference: Value| {
            let is_gone = uids.iter().any(|uid| reference.str_at(&["uid"]) == Some(uid));
            (!is_gone).then_some(reference)
        };
        match self.patch_owners(place, object, gone.collect(), &stays).await {
            // Gone, or made again under its name.
            Err(status) if status.is_not_found() || status.reason == Reason::Invalid => Ok(()),
            other => other.map(drop),
        }
    }

    /// Changes the owners of an object by a strategic merge patch of them; where the object has none, as custom resources, by
    /// the references that `keep` makes of those that are there.
    async fn patch_owners(
        &self,
        place: &Place,
        object: &Stored,
        strategic: Vec<Value>,
        keep: &(dyn Fn(Value) -> Option<Value> + Sync),
    ) -> Result<Arc<Stored>, Status> {
        let patch_of = |key: &str, value: Str, references: Value| {
            let mut patch = Value::object();
            patch.set(&["metadata", key], value);
            patch.set(&["metadata", "ownerReferences"], references);
            patch
        };
        let patch = patch_of("uid", object.uid.clone(), Value::array(strategic));
        match self.client.patch(self.target(place), PatchKind::Strategic, patch).await {
            Err(status) if status.reason == Reason::UnsupportedMediaType => {}
            other => return other,
        }
        let live = self.client.get(self.target(place)).await?;
        if live.uid != object.uid {
            return Err(Status::new(Reason::NotFound, format!("{} was made again", place.key)));
        }
        let references = tree(&live)?.items_at(&["metadata", "ownerReferences"]).to_vec();
        let kept: Vec<Value> = references.into_iter().filter_map(keep).collect();
        let references = if kept.is_empty() { Value::Null } else { Value::array(kept) };
        // Whoever changes it meanwhile makes a conflict of this, and it is looked at again.
        let patch = patch_of("resourceVersion", format_str!("{}", live.revision), references);
        self.client.patch(self.target(place), PatchKind::Merge, patch).await
    }

    /// Deletes the version that was looked at, and no other.
    async fn delete(&self, place: &Place, object: &Stored, policy: Policy) -> Result<(), Status> {
        let mut options = Value::object_of([("propagationPolicy", Value::from(policy.as_str()))]);
        options.set(&["preconditions", "uid"], object.uid.clone());
        options.set(&["preconditions", "resourceVersion"], format_str!("{}", object.revision));
        debug!(object = %place.key, policy = policy.as_str(), "Deleting object whose owners are gone");
        match self.client.delete(self.target(place), options).await {
            Err(status) if status.is_not_found() => Ok(()),
            other => other,
        }
    }

    async fn orphan(&self, place: &Place) -> Result<Requeue, Status> {
        let Some(owner) = self.view.get(place) else { return Ok(Requeue::Never) };
        if !Meta::of(&owner).is_orphaning {
            return Ok(Requeue::Never);
        }
        let dependents = self.view.graph.lock().dependents(&owner.uid);
        let uids = [owner.uid.clone()];
        stream::iter(dependents)
            .map(|dependent| {
                let uids = &uids;
                async move {
                    match self.view.get(&dependent) {
                        Some(object) => self.remove_owners(&dependent, &object, uids).await,
                        None => Ok(()),
                    }
                }
            })
            .buffer_unordered(ORPHANING_AT_ONCE)
            .try_collect::<()>()
            .await?;
        self.remove_finalizer(place, &owner.uid, ORPHAN).await?;
        Ok(Requeue::Never)
    }

    async fn remove_finalizer(&self, place: &Place, uid: &str, finalizer: &str) -> Result<(), Status> {
        let mut conflict = None;
        for _ in 0..FINALIZER_TRIES {
            let live = match self.client.get(self.target(place)).await {
                Err(status) if status.is_not_found() => return Ok(()),
                other => other?,
            };
            let object = tree(&live)?;
            let before = object.items_at(&["metadata", "finalizers"]);
            let after: Vec<Value> = before.iter().filter(|entry| entry.as_str() != Some(finalizer)).cloned().collect();
            if live.uid != uid || after.len() == before.len() {
                return Ok(());
            }
            let mut patch = Value::object();
            patch.set(&["metadata", "resourceVersion"], format_str!("{}", live.revision));
            patch.set(&["metadata", "finalizers"], Value::array(after));
            match self.client.patch(self.target(place), PatchKind::Merge, patch).await {
                Err(status) if status.is_not_found() => return Ok(()),
                Err(status) if status.is_conflict() => conflict = Some(status),
                other => return other.map(drop),
            }
        }
        conflict.map_or(Ok(()), Err)
    }
}

fn settle(undecided: Undecided) -> Result<Requeue, ReconcileError> {
    match undecided {
        Undecided::Failed(status) => Err(status.into()),
        Undecided::UnknownKind(kind) => Err(ReconcileError::terminal(format!("owner of unknown kind {kind}"))),
        Undecided::OwnerInNamespace => {
            warn!("Kept an object without a namespace whose owner is said to have one");
            Ok(Requeue::Never)
        }
    }
}
