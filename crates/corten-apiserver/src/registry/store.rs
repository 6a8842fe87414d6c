//! One resource's objects: reads from the watch cache, writes through the rules into the engine.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use corten_apimachinery::{
    Features,
    codec::json,
    gvk::{GroupResource, GroupVersionKind, GroupVersionResource},
    meta::{ObjectMeta as _, format_time},
    resource::{Context, Resource, Strategy, UserInfo},
    status::{Reason, Status},
    stored::Stored,
    value::{Str, Value},
};
use corten_base::{SharedClock, SharedRng, TaskSet};
use corten_storage::{
    cacher::{Cacher, PastMemory, ReadError, Snapshot},
    kv::{Change, Expected, KeyValue, KvEngine, KvError, Outcome, Revision, Write},
    object::{KeySpace, cache_key},
};
use futures::{FutureExt as _, future};
use jiff::Timestamp;
use tokio::sync::oneshot;

use super::{
    CreateRight, ResourceCodec,
    attempt::Found,
    before,
    intake::Intake,
    names,
    reservation::{Ended, Reservation, Settle, Settling},
};
use crate::admission::{self, Operation};

/// How often a create with `generateName` draws another name. Upstream: `maxNameGenerationCreateAttempts`.
const GENERATED_NAMES_MAX: usize = 8;

/// One resource's objects.
#[derive(Debug)]
pub struct Store {
    pub(super) resource: Arc<Resource>,
    pub(super) codec: Arc<ResourceCodec>,
    pub(super) cacher: Cacher,
    pub(super) keys: KeySpace,
    pub(super) settings: Settings,
    pub(super) hooks: Option<Arc<dyn Hooks>>,
    pub(super) kind: GroupVersionKind,
    pub(super) group_version_resource: GroupVersionResource,
    /// Whether new objects are taken; `None` where they always are.
    intake: Option<Intake>,
}

/// What all stores of a server share.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The storage engine.
    pub engine: Arc<dyn KvEngine>,
    /// The time.
    pub clock: SharedClock,
    /// For UIDs and generated names.
    pub rng: SharedRng,
    /// Which feature gates are on.
    pub features: Arc<Features>,
    /// How long objects of kinds that expire are kept. Upstream: `--event-ttl`.
    pub event_ttl: Duration,
    /// What the past of all resources takes in memory, which has bounds together.
    pub past: Arc<PastMemory>,
    /// The admission plugins.
    pub admission: Arc<admission::Chain>,
    /// Where writes run that must be seen to their end. The caller awaits it.
    pub tasks: TaskSet,
}

/// What a resource needs besides pure rules: cluster IPs and node ports are taken from pools.
#[async_trait]
pub trait Hooks: fmt::Debug + Send + Sync + 'static {
    /// Before a new object is validated: chooses what it needs and writes it into the object; in a dry run, something that
    /// stands for it. Cancel-safe.
    async fn before_create(&self, object: &mut Value, dry_run: bool) -> Result<Reservation, Status>;
    /// Before a changed object is validated. Cancel-safe.
    async fn before_update(&self, object: &mut Value, old: &Value, dry_run: bool) -> Result<Reservation, Status>;
    /// After a changed object is stored and before its client hears of it: gives back what only `old` had.
    async fn after_update(&self, object: &Value, old: &Value);
    /// After an object is gone and before its client hears of it: gives back what it had.
    async fn after_delete(&self, object: &Value);
}

/// One write request.
#[derive(Debug, Clone, Copy)]
pub struct WriteContext<'a> {
    /// Who asks.
    pub user: &'a UserInfo,
    /// When the request was received.
    pub now: Timestamp,
    /// The request's namespace; empty for cluster-scoped resources.
    pub namespace: &'a str,
    /// The `apiVersion` that the client used.
    pub api_version: &'a str,
    /// The subresource; empty for the object itself.
    pub subresource: &'a str,
    /// The name that writes are recorded under in managed fields.
    pub field_manager: &'a str,
    /// The resource that the client addressed: the store's own, or one that shows its objects in another group.
    pub served_as: &'a Resource,
    /// Whether this is a server-side apply, which brings the managed fields with it.
    pub is_apply: bool,
    /// Whether nothing is to happen in the end.
    pub dry_run: bool,
}

/// What became of a write.
pub(super) enum Put {
    /// It is durable: the object as stored.
    Done(Arc<Stored>),
    /// The engine's state was not as expected: what it has, if anything.
    Conflict(Option<KeyValue>),
    /// The engine has failed: the write may have happened.
    Failed(Status),
}

impl Store {
    /// A store over `cacher`, which the caller runs.
    #[must_use]
    pub fn new(codec: Arc<ResourceCodec>, settings: Settings, hooks: Option<Arc<dyn Hooks>>) -> Self {
        let resource = Arc::clone(codec.resource());
        let keys = KeySpace::new(&resource.storage_prefix);
        let cacher = Cacher::new(
            keys.clone(),
            Arc::clone(&settings.engine),
            Arc::clone(&codec) as _,
            Arc::clone(&settings.clock),
            Arc::clone(&settings.rng),
        )
        .among(&settings.past);
        let hub = resource.hub().name.clone();
        Self {
            codec,
            cacher,
            keys,
            settings,
            hooks,
            kind: GroupVersionKind::new(resource.group.clone(), hub.clone(), resource.kind.clone()),
            group_version_resource: GroupVersionResource::new(resource.group.clone(), hub, resource.plural.clone()),
            resource,
            intake: None,
        }
    }

    /// The same store, which may come to take no new objects, in the place of `old` if there was one: requests that still write
    /// through that one count as those of this one. Called before anything else.
    #[must_use]
    pub(crate) fn in_place_of(mut self, old: Option<&Self>) -> Self {
        self.intake = Some(old.and_then(|old| old.intake.clone()).unwrap_or_default());
        if let Some(old) = old {
            self.cacher = self.cacher.in_place_of(&old.cacher);
        }
        self
    }

    /// Takes no new objects from now on, nor does any store whose place this one took: when this returns, a consistent read has
    /// all that were being written.
    pub(crate) async fn refuse_new(&self) {
        if let Some(intake) = &self.intake {
            intake.close().await;
        }
    }

    /// The failure of a create when no new objects are taken.
    ///
    /// Upstream: `serveResource` in k8s.io/apiextensions-apiserver/pkg/apiserver/customresource_handler.go (v1.35).
    pub(crate) fn refusal_of_new(&self) -> Status {
        let mut status = Status::method_not_supported(&self.group_resource(), "create");
        "create not allowed while custom resource definition is terminating".clone_into(&mut status.message);
        status
    }

    /// The resource.
    #[must_use]
    pub fn resource(&self) -> &Arc<Resource> {
        &self.resource
    }

    /// The watch cache.
    #[must_use]
    pub fn cacher(&self) -> &Cacher {
        &self.cacher
    }

    /// The conversion between bytes, trees and versions.
    #[must_use]
    pub fn codec(&self) -> &ResourceCodec {
        &self.codec
    }

    /// The resource's name in messages.
    #[must_use]
    pub fn group_resource(&self) -> GroupResource {
        self.group_version_resource.group_resource()
    }

    /// What strategies may know of a request.
    pub(super) fn strategy_context<'a>(&'a self, cx: &WriteContext<'a>) -> Context<'a> {
        Context {
            user: cx.user,
            now: cx.now,
            namespace: cx.namespace,
            features: &self.settings.features,
            api_version: cx.api_version,
        }
    }

    pub(super) fn attributes<'a>(
        &'a self,
        cx: &WriteContext<'a>,
        operation: Operation,
        name: Str,
        object: Value,
        old_object: Value,
    ) -> admission::Attributes<'a> {
        admission::Attributes {
            operation,
            kind: &self.kind,
            resource: &self.group_version_resource,
            subresource: cx.subresource,
            namespace: cx.namespace,
            name,
            object,
            old_object,
            user: cx.user,
            dry_run: cx.dry_run,
            warnings: Vec::new(),
        }
    }

    /// Reads one object: the newest state, or one not older than `resource_version` if that is given.
    pub async fn get(
        &self,
        namespace: &str,
        name: &str,
        resource_version: Option<Revision>,
    ) -> Result<Arc<Stored>, Status> {
        super::names::check_name(name)?;
        self.check_key(namespace, name)?;
        let key = cache_key(namespace, name);
        let snapshot = match resource_version {
            None => self.consistent().await?,
            Some(revision) => self.cacher.not_older_than(revision).await.map_err(read_failure)?,
        };
        match snapshot.get(&key) {
            Some(object) => Ok(Arc::clone(object)),
            None => match snapshot.corrupt_at(&key) {
                Some(corrupt) => Err(self.unreadable(corrupt)),
                None => Err(Status::not_found(&self.group_resource(), name)),
            },
        }
    }

    /// Refuses a namespace that leads elsewhere, for one object or, without a `name`, for all that are in it.
    ///
    /// Errors: 500, as upstream's storage refuses it.
    pub fn check_key(&self, namespace: &str, name: &str) -> Result<(), Status> {
        names::check_namespace(&self.resource.storage_prefix, namespace, name)
    }

    /// The newest state of all objects.
    pub async fn consistent(&self) -> Result<Snapshot, Status> {
        self.cacher.consistent().await.map_err(read_failure)
    }

    /// Makes an object from `object`, which is in the hub's form and defaulted.
    ///
    /// Returns the object as stored, and advice for the client.
    pub async fn create(&self, cx: &WriteContext<'_>, object: Value) -> Result<(Arc<Stored>, Vec<String>), Status> {
        self.create_with(cx, object, None).await
    }

    /// `create` for a request that was authorized for something else, if `right` is given.
    pub(super) async fn create_with(
        &self,
        cx: &WriteContext<'_>,
        object: Value,
        right: Option<CreateRight<'_>>,
    ) -> Result<(Arc<Stored>, Vec<String>), Status> {
        let is_generated = object.name().is_empty() && !object.generate_name().is_empty();
        if !is_generated {
            // Nobody else has it: what is shared would be copied node by node as it is changed.
            return self.create_once(cx, object, right).await;
        }
        for _ in 1..GENERATED_NAMES_MAX {
            match self.create_once(cx, object.clone(), right).await {
                Err(status) if status.is_already_exists() => {}
                done => return done,
            }
        }
        match self.create_once(cx, object, right).await {
            Err(status) if status.is_already_exists() => {
                let name = status.details.map(|details| details.name).unwrap_or_default();
                Err(Status::generate_name_conflict(&self.group_resource(), &name))
            }
            done => done,
        }
    }

    async fn create_once(
        &self,
        cx: &WriteContext<'_>,
        object: Value,
        right: Option<CreateRight<'_>>,
    ) -> Result<(Arc<Stored>, Vec<String>), Status> {
        let strategy = &*self.resource.strategy;
        let mut attributes = self.attributes(cx, Operation::Create, object.name().into(), object, Value::Null);
        // A name has to be there before plugins see the object, and they see the metadata that clients cannot set.
        before::fill_create_metadata(self, cx, &mut attributes.object)?;
        attributes.name = attributes.object.name().into();
        // What admission and defaulting on the server add is nobody's.
        self.track_fields(cx, strategy, None, &mut attributes.object);
        self.settings.admission.admit(&mut attributes).await?;
        let context = self.strategy_context(cx);
        strategy.prepare_for_create(&context, &mut attributes.object);
        let reservation = match &self.hooks {
            Some(hooks) => hooks.before_create(&mut attributes.object, cx.dry_run).await?,
            None => Reservation::none(),
        };
        let stored = self.finish_create(cx, strategy, &context, &mut attributes, (reservation, right)).await?;
        Ok((stored, attributes.warnings))
    }

    async fn finish_create(
        &self,
        cx: &WriteContext<'_>,
        strategy: &dyn Strategy,
        context: &Context<'_>,
        attributes: &mut admission::Attributes<'_>,
        (reservation, right): (Reservation, Option<CreateRight<'_>>),
    ) -> Result<Arc<Stored>, Status> {
        let complaints = self.settings.admission.complaints(attributes).await?;
        let advice = before::validate_create(self, strategy, context, &attributes.object, complaints)?;
        attributes.warnings.extend(advice);
        strategy.canonicalize(&mut attributes.object);
        self.codec.settle(&mut attributes.object);
        if let Some(right) = right {
            right.check().await?;
        }
        // Plugins that validate see what is stored.
        let reservation = if cx.dry_run { reservation } else { reservation.take(&mut attributes.object).await? };
        if let Err(refusal) = self.settings.admission.validate(attributes).await {
            reservation.give_back().await;
            return Err(refusal);
        }
        let object = &attributes.object;
        let key = cache_key(object.namespace(), object.name());
        let name = object.name();
        let entered = match &self.intake {
            Some(intake) => Some(intake.enter().await.ok_or_else(|| self.refusal_of_new())?),
            None => None,
        };
        if cx.dry_run {
            if self.consistent().await?.get(&key).is_some() {
                return Err(Status::already_exists(&self.group_resource(), name));
            }
            return self.not_stored(object, 0);
        }
        let settle = (self.hooks.is_some() || entered.is_some()).then(|| -> Settle {
            Box::new(move |ended| {
                drop(entered);
                match ended {
                    Ended::Done | Ended::Unknown => {
                        reservation.keep();
                        future::ready(()).boxed()
                    }
                    Ended::NotDone => reservation.give_back().boxed(),
                }
            })
        });
        match self.put(cx, &key, Expected::Absent, object, settle).await? {
            Put::Done(stored) => Ok(stored),
            Put::Failed(status) => Err(status),
            Put::Conflict(current) => {
                let is_deleting = current
                    .and_then(|kv| self.codec.decode_tree(&key, &kv.value, kv.mod_revision).ok())
                    .is_some_and(|current| current.deletion_timestamp().is_some());
                let mut status = Status::already_exists(&self.group_resource(), name);
                if is_deleting {
                    // Worded as upstream: clients of short-lived names learn that waiting helps.
                    status.message = format!("object is being deleted: {}", status.message);
                }
                Err(status)
            }
        }
    }

    /// What `object` would be if it were stored at `revision`.
    ///
    /// Errors: as `put`, if it is too deep.
    pub(super) fn not_stored(&self, object: &Value, revision: Revision) -> Result<Arc<Stored>, Status> {
        let stored = self.codec.stored(object, revision);
        if json::is_deeper_than(&stored.json, json::DEPTH_MAX) { Err(too_deep()) } else { Ok(stored) }
    }

    /// Stores `object`, which has no resource version, if the engine's state is as expected.
    ///
    /// Errors: a refusal of the object as such, before anything is written.
    pub(super) async fn put(
        &self,
        cx: &WriteContext<'_>,
        key: &str,
        expected: Expected,
        object: &Value,
        settle: Option<Settle>,
    ) -> Result<Put, Status> {
        let pending = self.codec.pending(object);
        if json::is_deeper_than(pending.value(), json::DEPTH_MAX) {
            return Err(too_deep());
        }
        let expires_at = self.resource.expires.then(|| cx.now + self.settings.event_ttl);
        let announcement = self.cacher.announce(key, &pending);
        let change = Change::Put { value: pending.value().clone(), expires_at };
        Ok(match self.commit(key, expected, change, settle).await {
            Ok(Outcome::Done { revision }) => {
                announcement.done();
                Put::Done(pending.at(revision))
            }
            Ok(Outcome::Conflict { current, .. }) => Put::Conflict(current),
            Err(status) => Put::Failed(status),
        })
    }

    /// Commits one write, which consistent reads wait for once it is durable. `settle` learns how it ended afterwards, also when
    /// this future is dropped before.
    pub(super) async fn commit(
        &self,
        key: &str,
        expected: Expected,
        change: Change,
        settle: Option<Settle>,
    ) -> Result<Outcome, Status> {
        let write = Write { key: self.keys.full(key), expected, change };
        let engine = Arc::clone(&self.settings.engine);
        let Some(settle) = settle else { return one(&*engine, &self.cacher, write).await.map_err(engine_failure) };
        let (answer, answered) = oneshot::channel();
        let (settling, cacher) = (Settling::new(settle, key), self.cacher.clone());
        self.settings.tasks.spawn("write", async move {
            let result = one(&*engine, &cacher, write).await;
            settling.end(Ended::of(&result)).await;
            // A client that has gone does not need to know.
            let _gone = answer.send(result);
        });
        let result = answered.await.map_err(|_| Status::internal("the write has ended early"))?;
        result.map_err(engine_failure)
    }

    /// The current state of an object: not older than the call.
    pub(super) async fn newest(&self, key: &str) -> Result<Found, Status> {
        self.found(&self.consistent().await?, key)
    }

    /// An object in `snapshot`, for a change.
    pub(super) fn found(&self, snapshot: &Snapshot, key: &str) -> Result<Found, Status> {
        match (snapshot.get(key), snapshot.corrupt_at(key)) {
            (Some(stored), _) => self.tree(key, stored).map(Some),
            (None, Some(corrupt)) => Err(self.unchangeable(corrupt)),
            (None, None) => Ok(None),
        }
    }

    /// What the engine has in place of what a write expected, for the next attempt: with its version, as the cache shows it.
    pub(super) fn overtaken(&self, key: &str, current: Option<KeyValue>) -> Result<Found, Status> {
        let Some(kv) = current else { return Ok(None) };
        let tree = self.codec.hub_tree(key, &kv.value, kv.mod_revision);
        let mut tree = tree.map_err(|corrupt| self.unchangeable(&corrupt))?;
        tree.set_meta("resourceVersion", crate::value_text(kv.mod_revision));
        Ok(Some((tree, kv.mod_revision)))
    }

    /// What the engine has under `key`.
    pub(super) async fn stored_now(&self, key: &str) -> Result<Option<KeyValue>, Status> {
        let read = self.settings.engine.get(&self.keys.full(key), None).await;
        read.map(|response| response.kv).map_err(engine_failure)
    }

    pub(super) fn tree(&self, key: &str, stored: &Stored) -> Result<(Value, Revision), Status> {
        let tree = self.codec.decode_tree(key, &stored.json, stored.revision).map_err(Status::internal)?;
        Ok((tree, stored.revision))
    }

    pub(super) fn generate_name(&self, base: &str) -> String {
        names::generate(base, &*self.settings.rng)
    }

    pub(super) fn new_uid(&self) -> String {
        self.settings.rng.uuid()
    }

    pub(super) fn timestamp(cx: &WriteContext<'_>) -> Str {
        format_time(cx.now)
    }
}

/// The refusal of what no client could read again: with its managed fields it is deeper than what it came as. Upstream stores
/// it, says this, and cannot read it any more.
fn too_deep() -> Status {
    Status::new(Reason::Unknown, "invalid character '{' exceeded max depth")
}

async fn one(engine: &dyn KvEngine, cacher: &Cacher, write: Write) -> Result<Outcome, KvError> {
    let mut outcomes = engine.commit(vec![write]).await?;
    let outcome = outcomes.pop().expect("a commit of one write has one outcome");
    if let Outcome::Done { revision } = outcome {
        cacher.acknowledge(revision);
    }
    Ok(outcome)
}

/// The failure of a read from the watch cache.
#[must_use]
pub fn read_failure(error: ReadError) -> Status {
    match error {
        ReadError::TooLarge { .. } => {
            let mut status = Status::timeout(error.to_string(), 1);
            let details = status.details.get_or_insert_default();
            details.causes.push(corten_apimachinery::status::Cause {
                reason: "ResourceVersionTooLarge".into(),
                message: "Too large resource version".to_owned(),
                field: String::new(),
            });
            status
        }
        ReadError::TooOld { .. } => Status::expired(error.to_string()),
        ReadError::Engine(error) => engine_failure(error),
        ReadError::NotReady => Status::too_many_requests(error.to_string(), 1),
    }
}

/// The failure of the engine.
#[must_use]
pub fn engine_failure(error: KvError) -> Status {
    match error {
        // Upstream's store says it in these words, and nobody on the way up gives it a reason.
        KvError::TooLarge { .. } => Status::new(Reason::Unknown, "etcdserver: request is too large"),
        KvError::NoSpace { source } => Status::new(
            Reason::Unknown,
            format!("etcdserver: mvcc: database space exceeded: {}", corten_base::ErrorChain(&*source)),
        ),
        KvError::Closed => Status::service_unavailable(error.to_string()),
        error => Status::internal(corten_base::ErrorChain(&error)),
    }
}
