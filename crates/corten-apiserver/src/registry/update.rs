//! Changes of an object, repeated from its current state until nobody else was faster.

use std::{future::poll_fn, ops::ControlFlow, pin::pin, sync::Arc};

use corten_apimachinery::{
    field::{Error, Path},
    gvk::GroupVersionKind,
    managed_fields,
    meta::ObjectMeta as _,
    resource::Strategy,
    stack,
    status::Status,
    stored::Stored,
    value::Value,
};
use corten_storage::{
    kv::{Change, Expected, Outcome, Revision},
    object::cache_key,
};
use futures::{FutureExt as _, future};

use super::{
    attempt::{Attempt, Attempts},
    before::{self, settle_namespace},
    create_right::CreateRight,
    reservation::{Ended, Reservation, Settle},
    store::{Put, Store, WriteContext},
};
use crate::admission::Operation;

/// Makes the wanted object from the current one (`None` if there is none). Called again after a conflict.
pub type Transform<'a> = &'a (dyn Fn(Option<&Value>) -> Result<Value, Status> + Send + Sync);

/// What a change led to.
#[derive(Debug)]
pub struct Updated {
    /// The object as stored; its last state if the change completed its deletion.
    pub object: Arc<Stored>,
    /// Whether the object was created.
    pub created: bool,
    /// Advice for the client.
    pub warnings: Vec<String>,
}

impl Store {
    /// Changes the object `name` by `transform` under the rules of `strategy` (the kind's, or those of a subresource).
    ///
    /// An object that does not exist is made if there is a right to ask for: by a PUT where the kind allows it, or by an
    /// apply.
    /// A `resourceVersion` in the transformed object is a precondition.
    ///
    /// Errors: `NotFound`, `Conflict`, `Invalid`, `Forbidden` for who may not create, and what admission and the engine say.
    pub async fn update(
        &self,
        cx: &WriteContext<'_>,
        name: &str,
        strategy: &dyn Strategy,
        transform: Transform<'_>,
        create: Option<CreateRight<'_>>,
    ) -> Result<Updated, Status> {
        super::names::check_name(name)?;
        self.check_key(cx.namespace, name)?;
        let key = cache_key(cx.namespace, name);
        let (mut attempts, mut found) = Attempts::begin(self, &key).await?;
        loop {
            let Some((old, revision)) = found else {
                if create.is_none() {
                    return Err(Status::not_found(&self.group_resource(), name));
                }
                let mut object = transform(None)?;
                // Upstream reads the version, and what it makes of an update it asks for none.
                Self::version_of(&object)?;
                object.unset_meta("resourceVersion");
                match self.create_with(cx, object, create).await {
                    Ok((object, warnings)) => return Ok(Updated { object, created: true, warnings }),
                    Err(status) if status.is_already_exists() => {
                        // Somebody else made it in between: then this is a change of theirs.
                        found = attempts.made_by_another().await?;
                        if found.is_none() {
                            return Err(status);
                        }
                        continue;
                    }
                    Err(status) => return Err(status),
                }
            };
            // It may have become deep since the request was looked at, and what the server writes by itself was not looked at.
            let is_deep = !stack::is_for_depth() && old.is_deeper_than(stack::SHALLOW);
            let attempt = {
                let mut attempt = pin!(self.update_once(cx, &key, name, strategy, transform, &old, revision));
                poll_fn(|cx| stack::deep_if(is_deep, || attempt.as_mut().poll(cx))).await
            };
            match attempts.judge(revision, attempt).await? {
                ControlFlow::Break(updated) => return Ok(updated),
                ControlFlow::Continue(newer) => found = newer,
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one attempt of `update`, which owns all of these")]
    async fn update_once(
        &self,
        cx: &WriteContext<'_>,
        key: &str,
        name: &str,
        strategy: &dyn Strategy,
        transform: Transform<'_>,
        old: &Value,
        revision: Revision,
    ) -> Result<Attempt<Updated>, Status> {
        let mut object = transform(Some(old))?;
        settle_namespace(&mut object, self.resource.is_namespaced().then_some(cx.namespace))?;
        self.check_version(&object, revision, name)?;
        // Rules and plugins see the version that the change is made to, also when the client did not name one.
        let mut old = old.clone();
        old.set_meta("resourceVersion", crate::value_text(revision));
        object.set_meta("resourceVersion", crate::value_text(revision));
        if object.name().is_empty() {
            object.set_meta("name", name);
        }
        self.track_fields(cx, strategy, Some(&old), &mut object);
        let mut attributes = self.attributes(cx, Operation::Update, name.into(), object, old.clone());
        self.settings.admission.admit(&mut attributes).await?;
        let context = self.strategy_context(cx);
        before::keep_system_metadata(&mut attributes.object, &old);
        strategy.prepare_for_update(&context, &mut attributes.object, &old);
        let reservation = match &self.hooks {
            Some(hooks) => hooks.before_update(&mut attributes.object, &old, cx.dry_run).await?,
            None => Reservation::none(),
        };
        let complaints = self.settings.admission.complaints(&attributes).await?;
        let both = (&attributes.object, &old);
        before::validate_update(self, strategy, &context, both, complaints, &mut attributes.warnings)?;
        attributes.warnings.extend(strategy.warnings_on_update(&context, &attributes.object, &old));
        strategy.canonicalize(&mut attributes.object);
        self.codec.settle(&mut attributes.object);
        managed_fields::keep_times(&mut attributes.object, &old);
        let reservation = if cx.dry_run { reservation } else { reservation.take(&mut attributes.object).await? };
        if let Err(refusal) = self.settings.admission.validate(&attributes).await {
            reservation.give_back().await;
            return Err(refusal);
        }
        // The revision is the engine's to give: what is stored has none.
        attributes.object.unset_meta("resourceVersion");
        old.unset_meta("resourceVersion");
        let warnings = attributes.warnings;
        self.write_update(cx, key, (&attributes.object, &old), revision, (reservation, warnings)).await
    }

    /// The version that an object says it is; 0 if it says none.
    fn version_of(object: &Value) -> Result<Revision, Status> {
        crate::parse_revision(object.resource_version())
            .map_err(|why| Status::new(corten_apimachinery::status::Reason::Unknown, why))
    }

    fn check_version(&self, object: &Value, revision: Revision, name: &str) -> Result<(), Status> {
        let wanted = Self::version_of(object)?;
        if wanted != 0 && wanted != revision {
            return Err(Status::modified(&self.group_resource(), name));
        }
        if wanted == 0 && !self.resource.strategy.allow_unconditional_update() {
            let error = Error::invalid(
                &Path::new("metadata").child("resourceVersion"),
                0_i64,
                "must be specified for an update",
            );
            // Upstream has no other place for the name of the resource than that of the kind.
            let kind = GroupVersionKind::new(self.kind.group.clone(), "", self.resource.plural.clone());
            return Err(Status::invalid(&kind, name, &[error]));
        }
        Ok(())
    }

    /// Whether the object that has been under `key` since `revision` is stored otherwise than it is shown: then it is written also
    /// if nothing of it changes.
    ///
    /// Upstream: `GuaranteedUpdate` in k8s.io/apiserver/pkg/storage/etcd3/store.go, which compares the bytes (v1.35).
    pub(super) async fn is_outdated(&self, key: &str, revision: Revision) -> Result<bool, Status> {
        let is_it = |stored: &Arc<Stored>| stored.revision == revision;
        let stored = match self.cacher.get(key).filter(is_it) {
            Some(stored) => Some(stored),
            // The engine has told of it before the cache has heard.
            None => self.consistent().await?.get(key).filter(|stored| is_it(stored)).cloned(),
        };
        Ok(stored.is_some_and(|stored| stored.facts.is_outdated))
    }

    async fn write_update(
        &self,
        cx: &WriteContext<'_>,
        key: &str,
        (object, old): (&Value, &Value),
        revision: Revision,
        (reservation, warnings): (Reservation, Vec<String>),
    ) -> Result<Attempt<Updated>, Status> {
        let updated = |object| Updated { object, created: false, warnings };
        if object == old && !self.is_outdated(key, revision).await? {
            return Ok(Attempt::Answered(updated(self.codec.stored(old, revision))));
        }
        if cx.dry_run {
            return Ok(Attempt::Answered(updated(self.not_stored(object, revision)?)));
        }
        let completes_deletion = object.deletion_timestamp().is_some()
            && object.finalizers().next().is_none()
            && object.deletion_grace_period_seconds().unwrap_or_default() == 0
            && !self.resource.strategy.holds_deletion(object);
        let expected = Expected::ModRevision(revision);
        let settle = self.hooks.as_ref().map(|hooks| -> Settle {
            let (hooks, object, old) = (Arc::clone(hooks), object.clone(), old.clone());
            Box::new(move |ended| match ended {
                Ended::Done => async move {
                    reservation.keep();
                    hooks.after_update(&object, &old).await;
                    if completes_deletion {
                        hooks.after_delete(&object).await;
                    }
                }
                .boxed(),
                Ended::Unknown => {
                    reservation.keep();
                    future::ready(()).boxed()
                }
                Ended::NotDone => reservation.give_back().boxed(),
            })
        });
        let put = if completes_deletion {
            match self.commit(key, expected, Change::Delete, settle).await {
                Ok(Outcome::Done { revision }) => Put::Done(self.codec.stored(object, revision)),
                Ok(Outcome::Conflict { current, .. }) => Put::Conflict(current),
                Err(status) => Put::Failed(status),
            }
        } else {
            self.put(cx, key, expected, object, settle).await?
        };
        Ok(Attempt::of(put, updated))
    }
}
