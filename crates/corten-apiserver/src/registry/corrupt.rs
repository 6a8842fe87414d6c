//! Stored objects that cannot be decoded: what becomes of requests that need them, and their deletion unseen.
//!
//! Without the feature gate upstream's stores hand on what the decoder says, and nobody on the way up gives it a reason. With
//! it a read says which object it is, and a list tells all of them, so that they can be deleted.
//! Upstream: k8s.io/apiserver/pkg/storage/etcd3/corrupt_obj_deleter.go, storage/errors.go and
//! registry/generic/registry/corrupt_obj_deleter.go (v1.35).

use corten_apimachinery::{
    field::{Error, Path},
    gvk::GroupVersionKind,
    status::{Cause, Details, Reason, Status},
    value::Value,
};
use corten_storage::{
    cacher::Snapshot,
    kv::{Change, Expected, Outcome},
    object::{CorruptObject, cache_key},
};

use super::{
    names,
    store::{Store, WriteContext, read_failure},
};
use crate::admission::Operation;

/// The feature gate behind which such objects can be deleted.
const GATE: &str = "AllowUnsafeMalformedObjectDeletion";

/// The option of a delete that allows it.
pub(crate) const OPTION: &str = "ignoreStoreReadErrorWithClusterBreakingPotential";

/// How many objects the failure of a list names. Upstream: `corruptObjErrAggregatorFactory(100)`.
const CAUSES_MAX: usize = 100;

/// What the full keys begin with, which upstream's stores add themselves.
const ROOT: &str = "/registry";

impl Store {
    /// Whether what cannot be decoded can be deleted.
    pub(crate) fn deletes_corrupt(&self) -> bool {
        self.settings.features.is_enabled(GATE)
    }

    /// The failure of a read, or of a deletion, which reads first.
    pub(super) fn unreadable(&self, corrupt: &CorruptObject) -> Status {
        if !self.deletes_corrupt() {
            return self.unchangeable(corrupt);
        }
        let key = self.full_key(corrupt);
        Status::internal(storage_error(key.strip_prefix(ROOT).unwrap_or(&key), corrupt))
    }

    /// The failure of a change, which reads in its own way.
    pub(super) fn unchangeable(&self, corrupt: &CorruptObject) -> Status {
        let why = if self.deletes_corrupt() { undecodable(corrupt) } else { corrupt.why.clone() };
        Status::new(Reason::Unknown, why)
    }

    /// The failure of a list that comes upon all of `corrupt`, in the order of their keys.
    pub(crate) fn unlistable<'a>(&self, mut corrupt: impl Iterator<Item = &'a CorruptObject>) -> Status {
        if !self.deletes_corrupt() {
            let why = corrupt.next().map(|first| first.why.clone());
            return Status::new(Reason::Unknown, why.unwrap_or_default());
        }
        let mut causes = Vec::new();
        for one in corrupt.by_ref().take(CAUSES_MAX) {
            let key = self.full_key(one);
            let message = storage_error(&key, one);
            causes.push(Cause { reason: "UnexpectedServerResponse".into(), message, field: key });
        }
        if corrupt.next().is_some() {
            let message = "too many errors, the list is truncated".to_owned();
            causes.push(Cause { reason: "FieldValueTooMany".into(), message, field: String::new() });
        }
        let resource = self.group_resource();
        let message = format!("failed to read one or more {resource} from the storage");
        let details = Details {
            name: "list".into(),
            group: resource.group,
            kind: resource.resource,
            causes,
            ..Details::default()
        };
        Status { details: Some(details.into()), ..Status::new(Reason::StoreReadError, message) }
    }

    /// Deletes the object `name`, which cannot be decoded: whatever holds it or depends on it. What it took from elsewhere nobody
    /// can tell: that stays taken until the repair that looks through all.
    ///
    /// Errors: `Invalid` if it can be decoded or is not there, and what admission and the engine say.
    pub async fn delete_corrupt(&self, cx: &WriteContext<'_>, name: &str) -> Result<(), Status> {
        names::check_name(name)?;
        self.check_key(cx.namespace, name)?;
        let key = cache_key(cx.namespace, name);
        let mut corrupt = self.corrupt_in(&self.consistent().await?, &key, name)?;
        // Plugins see that something goes, but nobody can tell them what.
        let mut attributes = self.attributes(cx, Operation::Delete, name.into(), Value::Null, Value::object());
        self.settings.admission.admit(&mut attributes).await?;
        self.settings.admission.validate(&attributes).await?;
        loop {
            // Only what was looked at goes: somebody may have repaired it.
            let expected = Expected::ModRevision(corrupt.revision);
            match self.commit(&key, expected, Change::Delete, None).await? {
                Outcome::Done { .. } | Outcome::Conflict { current: None, .. } => return Ok(()),
                // The cache may not have heard of what is there instead: somebody else's write, of which nobody was told yet.
                Outcome::Conflict { current: Some(kv), .. } => {
                    let snapshot = self.cacher.not_older_than(kv.mod_revision).await.map_err(read_failure)?;
                    corrupt = self.corrupt_in(&snapshot, &key, name)?;
                }
            }
        }
    }

    /// What is wrong with an object in `snapshot`.
    ///
    /// Errors: `Invalid` if nothing is.
    fn corrupt_in(&self, snapshot: &Snapshot, key: &str, name: &str) -> Result<CorruptObject, Status> {
        snapshot.corrupt_at(key).cloned().ok_or_else(|| {
            // Upstream has only the resource at hand there.
            let resource = self.group_resource();
            let kind = GroupVersionKind::new(resource.group, "", resource.resource);
            let why = "is exclusively used to delete corrupt object(s), try again by removing this option";
            Status::invalid(&kind, name, &[Error::invalid(&Path::new(OPTION), true, why)])
        })
    }

    fn full_key(&self, corrupt: &CorruptObject) -> String {
        format!("{}{}", self.keys.prefix(), corrupt.key)
    }
}

/// Upstream: `corruptObjectError`.
fn undecodable(corrupt: &CorruptObject) -> String {
    format!("object not decodable revision={}: {}", corrupt.revision, corrupt.why)
}

/// Upstream: `StorageError` of k8s.io/apiserver/pkg/storage.
fn storage_error(key: &str, corrupt: &CorruptObject) -> String {
    let what = undecodable(corrupt);
    format!("StorageError: corrupt object, Code: 7, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: {what}")
}
