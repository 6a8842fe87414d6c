//! What subresources with effects need of a store: their own objects admitted, and a change of the stored one that is
//! the server's and not the client's.
//!
//! Upstream: k8s.io/apiserver/pkg/storage `GuaranteedUpdate` as pkg/registry/core/pod/storage uses it (v1.35).

use std::{ops::ControlFlow, sync::Arc};

use corten_apimachinery::{
    gvk::GroupVersionKind,
    meta::ObjectMeta as _,
    status::Status,
    stored::Stored,
    value::{Str, Value},
};
use corten_storage::{
    kv::{Expected, Revision},
    object::cache_key,
};

use super::{
    attempt::{Attempt, Attempts},
    store::{Store, WriteContext},
};
use crate::admission::Operation;

/// What the stored object has to be for a change to happen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Preconditions<'a> {
    /// This incarnation.
    pub uid: Option<&'a str>,
    /// This version.
    pub resource_version: Option<&'a str>,
}

impl<'a> Preconditions<'a> {
    /// Those that an object says in its own metadata, where an empty text is none.
    #[must_use]
    pub fn of(object: &'a Value) -> Self {
        let said = |text: &'a str| Some(text).filter(|text| !text.is_empty());
        Self { uid: said(object.uid()), resource_version: said(object.resource_version()) }
    }

    /// The incarnation alone.
    #[must_use]
    pub fn of_uid(self) -> Self {
        Self { resource_version: None, ..self }
    }

    /// The first that `object` does not meet: what it is about, what is wanted, and what is there. `Value::Null` stands for an
    /// object that is not there.
    #[must_use]
    pub fn unmet<'o>(self, object: &'o Value) -> Option<(&'static str, &'a str, &'o str)> {
        let checks =
            [("UID", self.uid, object.uid()), ("ResourceVersion", self.resource_version, object.resource_version())];
        checks.into_iter().find_map(|(what, wanted, actual)| {
            let wanted = wanted.filter(|wanted| *wanted != actual)?;
            Some((what, wanted, actual))
        })
    }
}

/// Changes an object in place, or says why not. Called again after a conflict, with the newer object.
pub type Change<'a> = &'a (dyn Fn(&mut Value) -> Result<(), Status> + Send + Sync);

impl Store {
    /// Lets the plugins that change objects see `object` as a create of the subresource that `cx` names, of the stored object
    /// `name`: that comes before anything that the subresource itself has to say.
    ///
    /// Returns the object as they left it, and advice for the client.
    pub async fn admit_subresource(
        &self,
        cx: &WriteContext<'_>,
        kind: &GroupVersionKind,
        name: &str,
        object: Value,
    ) -> Result<(Value, Vec<String>), Status> {
        let mut attributes = self.attributes(cx, Operation::Create, Str::from(name), object, Value::Null);
        attributes.kind = kind;
        self.settings.admission.admit(&mut attributes).await?;
        Ok((attributes.object, attributes.warnings))
    }

    /// Lets the plugins that only refuse see what `admit_subresource` has returned, once the subresource has found it right.
    ///
    /// Returns the object.
    pub async fn validate_subresource(
        &self,
        cx: &WriteContext<'_>,
        kind: &GroupVersionKind,
        name: &str,
        object: Value,
    ) -> Result<Value, Status> {
        let mut attributes = self.attributes(cx, Operation::Create, Str::from(name), object, Value::Null);
        attributes.kind = kind;
        self.settings.admission.validate(&attributes).await?;
        Ok(attributes.object)
    }

    /// Lets the plugins see a connection to the stored object `name`, which `options` of the kind `kind` describe.
    ///
    /// Errors: what the first of them says that refuses it.
    pub async fn admit_connect(
        &self,
        cx: &WriteContext<'_>,
        kind: &GroupVersionKind,
        name: &str,
        options: Value,
    ) -> Result<(), Status> {
        let mut attributes = self.attributes(cx, Operation::Connect, Str::from(name), options, Value::Null);
        attributes.kind = kind;
        self.settings.admission.admit(&mut attributes).await?;
        self.settings.admission.validate(&attributes).await
    }

    /// Changes the object `name` past the rules and plugins of its kind: the caller answers for the result.
    ///
    /// Errors: `NotFound`, `Conflict` for a failed precondition, and what `change` and the engine say.
    pub async fn guaranteed_update(
        &self,
        cx: &WriteContext<'_>,
        name: &str,
        preconditions: Preconditions<'_>,
        change: Change<'_>,
    ) -> Result<Arc<Stored>, Status> {
        let key = cache_key(cx.namespace, name);
        let (mut attempts, mut found) = Attempts::begin(self, &key).await?;
        loop {
            let Some((old, revision)) = found else {
                return Err(Status::not_found(&self.group_resource(), name));
            };
            let attempt = self.change_once(cx, (&key, name), (old, revision), preconditions, change).await;
            match attempts.judge(revision, attempt).await? {
                ControlFlow::Break(stored) => return Ok(stored),
                ControlFlow::Continue(newer) => found = newer,
            }
        }
    }

    async fn change_once(
        &self,
        cx: &WriteContext<'_>,
        (key, name): (&str, &str),
        (mut object, revision): (Value, Revision),
        preconditions: Preconditions<'_>,
        change: Change<'_>,
    ) -> Result<Attempt<Arc<Stored>>, Status> {
        object.set_meta("resourceVersion", crate::value_text(revision));
        self.expect(preconditions, &object, name)?;
        change(&mut object)?;
        object.unset_meta("resourceVersion");
        if cx.dry_run {
            return Ok(Attempt::Answered(self.codec.stored(&object, revision)));
        }
        let put = self.put(cx, key, Expected::ModRevision(revision), &object, None).await?;
        Ok(Attempt::of(put, |stored| stored))
    }

    fn expect(&self, wanted: Preconditions<'_>, object: &Value, name: &str) -> Result<(), Status> {
        match wanted.unmet(object) {
            Some((what, wanted, actual)) => {
                Err(self.failed_precondition((object.namespace(), name), what, wanted, actual))
            }
            None => Ok(()),
        }
    }

    /// The refusal of a write to an object whose `what` is not the one that is wanted. It tells where the object is stored.
    ///
    /// Upstream: `Preconditions.Check` and `StorageError` in k8s.io/apiserver/pkg/storage/{interfaces,errors}.go (v1.35).
    pub(crate) fn failed_precondition(
        &self,
        (namespace, name): (&str, &str),
        what: &str,
        wanted: &str,
        actual: &str,
    ) -> Status {
        let key = self.keys.full(&cache_key(namespace, name));
        let why = format!(
            "StorageError: invalid object, Code: 4, Key: {}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: \
             {what} in precondition: {wanted}, {what} in object meta: {actual}",
            String::from_utf8_lossy(&key)
        );
        Status::conflict(&self.group_resource(), name, why)
    }
}
