//! The rules of a resource: what happens to an object between decoding and storing. Pure.
//!
//! Order for a create: defaults, mutating admission, `prepare_for_create`, `validate`, `warnings_on_create`,
//! `canonicalize`, validating admission, storage. For an update the same with `_update`.
//! Upstream: k8s.io/apiserver/pkg/registry/rest RESTCreateStrategy, RESTUpdateStrategy, RESTDeleteStrategy (v1.35).

use std::fmt;

use jiff::Timestamp;

use crate::{
    features::Features,
    field::ErrorList,
    value::{Str, Value},
};

/// Who makes a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserInfo {
    /// The user name.
    pub name: Str,
    /// The UID; empty if the authenticator knows none.
    pub uid: Str,
    /// The groups.
    pub groups: Vec<Str>,
    /// Further attributes, sorted by key.
    pub extra: Vec<(Str, Vec<Str>)>,
}

/// What rules may know of the request besides the objects.
#[derive(Debug, Clone)]
pub struct Context<'a> {
    /// Who asks.
    pub user: &'a UserInfo,
    /// When the request was received.
    pub now: Timestamp,
    /// The namespace of the request; empty for cluster-scoped resources.
    pub namespace: &'a str,
    /// Which feature gates are on, by upstream's names.
    pub features: &'a Features,
    /// The group and version that the client used, as `apiVersion` writes it.
    pub api_version: &'a str,
}

/// `metav1.DeleteOptions`, decoded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    /// How long the object may take to end; `None` for the kind's default.
    pub grace_period_seconds: Option<i64>,
    /// Delete only this incarnation.
    pub precondition_uid: Option<Str>,
    /// Delete only this version.
    pub precondition_resource_version: Option<Str>,
    /// What happens to dependents: `Orphan`, `Background`, `Foreground`.
    pub propagation_policy: Option<Str>,
    /// The older form of `propagation_policy`.
    pub orphan_dependents: Option<bool>,
    /// Whether nothing is to happen.
    pub dry_run: bool,
    /// Delete an object that cannot be decoded.
    pub ignore_store_read_error: bool,
}

/// Whether a delete happens at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// The kind knows no grace: the object goes (or waits for its finalizers).
    Immediate,
    /// The object gets a deletion timestamp this many seconds ahead and its owner (the kubelet) finishes the deletion.
    Graceful {
        /// The grace period; 0 deletes at once.
        grace_period_seconds: i64,
    },
}

/// What deleting an object does to its dependents when the client does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GarbagePolicy {
    /// They are collected.
    Background,
    /// They stay, without this owner.
    Orphan,
    /// The kind takes no part in garbage collection (events).
    Unsupported,
}

/// What a kind's own delete makes of an object: what is stored then, the same object if nothing is to happen to it, or `None`
/// where the deletion goes on as any other's. The object has no resource version.
pub type OwnDeletion = fn(&Context<'_>, &Value, &DeleteOptions) -> Option<Value>;

/// The rules of a resource or of one of its subresources. All methods are pure functions of their arguments.
///
/// Objects are in the hub's form and have been defaulted.
pub trait Strategy: fmt::Debug + Send + Sync + 'static {
    /// Clears what a client may not set and fills in what the server owns.
    fn prepare_for_create(&self, cx: &Context<'_>, object: &mut Value) {
        let _ = (cx, object);
    }

    /// Carries over from `old` what a client may not change; bumps `metadata.generation` where the kind counts it.
    fn prepare_for_update(&self, cx: &Context<'_>, object: &mut Value, old: &Value) {
        let _ = (cx, object, old);
    }

    /// Every rule that a new object breaks. Metadata (names, labels, annotations, owners) is checked by the caller.
    fn validate(&self, cx: &Context<'_>, object: &Value) -> ErrorList;

    /// The same, and advice for the client about an object that breaks none: for kinds whose rules have read what the advice
    /// is about.
    fn validate_with_warnings(&self, cx: &Context<'_>, object: &Value, warnings: &mut Vec<String>) -> ErrorList {
        let errors = self.validate(cx, object);
        if errors.is_empty() {
            warnings.extend(self.warnings_on_create(cx, object));
        }
        errors
    }

    /// Every rule that the change from `old` to `object` breaks.
    fn validate_update(&self, cx: &Context<'_>, object: &Value, old: &Value) -> ErrorList;

    /// The same, and advice about rules that the object broke before and breaks still.
    fn validate_update_with_warnings(
        &self,
        cx: &Context<'_>,
        object: &Value,
        old: &Value,
        warnings: &mut Vec<String>,
    ) -> ErrorList {
        let _ = warnings;
        self.validate_update(cx, object, old)
    }

    /// Why `name` cannot name an object of this kind; `prefix` is set for a `generateName`, to which a suffix is added.
    fn validate_name(&self, name: &str, prefix: bool) -> Vec<String> {
        crate::validation::is_dns1123_subdomain_prefixed(name, prefix)
    }

    /// The same where a gate has a say in it.
    fn validate_name_by(&self, features: &Features, name: &str, prefix: bool) -> Vec<String> {
        let _ = features;
        self.validate_name(name, prefix)
    }

    /// Whether finalizers without a domain have to be standard ones: not in custom resources and their definitions.
    fn wants_standard_finalizers(&self) -> bool {
        true
    }

    /// Whether validation compiles expressions that are in the object: that costs many times what it does to read them.
    fn compiles_expressions(&self) -> bool {
        false
    }

    /// Advice for the client about a new object.
    fn warnings_on_create(&self, cx: &Context<'_>, object: &Value) -> Vec<String> {
        let _ = (cx, object);
        Vec::new()
    }

    /// Advice for the client about a change.
    fn warnings_on_update(&self, cx: &Context<'_>, object: &Value, old: &Value) -> Vec<String> {
        let _ = (cx, object, old);
        Vec::new()
    }

    /// Brings a valid object to the one form in which it is stored.
    fn canonicalize(&self, object: &mut Value) {
        let _ = object;
    }

    /// Whether a PUT to a name that does not exist creates it.
    fn allow_create_on_update(&self) -> bool {
        false
    }

    /// Whether an update without `resourceVersion` is taken.
    fn allow_unconditional_update(&self) -> bool {
        true
    }

    /// Whether and how long deletion waits for the object's owner, and for the grace that `options` ask for.
    fn begin_deletion(&self, cx: &Context<'_>, object: &Value, options: &DeleteOptions) -> Deletion {
        let _ = (cx, object, options);
        Deletion::Immediate
    }

    /// Whether a delete answers with the object's last state instead of a `Status`.
    fn returns_deleted_object(&self) -> bool {
        false
    }

    /// What this kind does by itself before a deletion goes on as any other's, if it does anything. Failed preconditions have
    /// other words then.
    fn own_deletion(&self) -> Option<OwnDeletion> {
        None
    }

    /// Whether an object whose deletion has begun stays although `metadata.finalizers` is empty and its grace period is
    /// over: a namespace has finalizers in its `spec`. When an update ends this, the object goes.
    fn holds_deletion(&self, object: &Value) -> bool {
        let _ = object;
        false
    }

    /// What deleting does to dependents when the client does not say.
    fn garbage_policy(&self) -> GarbagePolicy {
        GarbagePolicy::Background
    }

    /// Paths that writes through this endpoint never own in managed fields, because `prepare_for_*` resets them:
    /// `&[&["status"]]` for a main endpoint with a status.
    fn reset_fields(&self) -> &'static [&'static [&'static str]] {
        &[]
    }

    /// Paths of the only fields that writes through this endpoint own, with all below them, `*` being any element of a path:
    /// where an endpoint is for few fields. Empty where `reset_fields` says it all.
    fn owned_fields(&self) -> &'static [&'static [&'static str]] {
        &[]
    }
}
