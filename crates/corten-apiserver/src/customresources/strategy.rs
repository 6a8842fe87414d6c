//! What clients may change of a custom resource through each of its endpoints, and its rules.
//!
//! Upstream: k8s.io/apiextensions-apiserver/pkg/registry/customresource (v1.35).

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path},
    meta::ObjectMeta as _,
    resource::{Context, ObjectSchema as _, ScalePaths, Strategy},
    schema::{rules_not_checked, validate_object, validate_object_update},
    value::Str,
};

use super::{
    nested::{nested_int, nested_text},
    schema::CustomSchema,
    warnings,
};

/// What a version has besides its schema.
#[derive(Debug)]
pub(super) struct VersionRules {
    pub(super) schema: Arc<CustomSchema>,
    /// Whether status has an endpoint of its own.
    pub(super) has_status: bool,
    pub(super) scale: Option<ScalePaths>,
}

impl VersionRules {
    /// Whether an object whose status nobody has written is read with one: what a request says of it counts for nothing, and the
    /// defaults of a request with it.
    fn defaults_status(&self) -> bool {
        let status = self.schema.structural.properties.get("status");
        self.has_status && status.is_some_and(|status| status.generic.default.is_some())
    }
}

/// The rules of one custom resource in all its versions, by name.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) versions: BTreeMap<Str, VersionRules>,
    /// The version that is stored.
    pub(super) hub: Str,
}

/// The name of the version that a request came by.
fn version_of<'c>(cx: &Context<'c>) -> &'c str {
    cx.api_version.rsplit('/').next().unwrap_or_default()
}

impl Rules {
    /// The rules of the version that a request came by; of any if it is none of them, which no request is.
    fn of(&self, cx: &Context<'_>) -> &VersionRules {
        let name = version_of(cx);
        let first = self.versions.values().next();
        self.versions.get(name).or(first).expect("a definition has a version")
    }

    /// What is stored as a request sees it that came by another version.
    fn seen<'o>(&self, cx: &Context<'_>, stored: &'o Value) -> Cow<'o, Value> {
        if version_of(cx) == self.hub {
            return Cow::Borrowed(stored);
        }
        let mut seen = stored.clone();
        self.of(cx).schema.prune(&mut seen);
        Cow::Owned(seen)
    }

    /// Leaves of an object what the version has that is stored, with its defaults: as it is whenever it is read.
    fn settle(&self, object: &mut Value) {
        let Some(hub) = self.versions.get(&self.hub) else { return };
        let has_others = self.versions.len() > 1;
        if has_others {
            hub.schema.prune(object);
        }
        if has_others || hub.defaults_status() {
            hub.schema.fill_in(object);
        }
    }

    /// Every rule that an object breaks; those that it broke before are warnings where upstream has them.
    fn check(&self, cx: &Context<'_>, object: &Value, old: Option<&Value>, warnings: &mut Vec<String>) -> ErrorList {
        let rules = self.of(cx);
        let old = old.map(|old| self.seen(cx, old));
        let old = old.as_deref();
        let (structural, meta) = (&rules.schema.structural, rules.schema.meta());
        let mut errors = match old {
            Some(old) => validate_object_update(object, old, structural, meta),
            None => validate_object(object, structural, meta),
        };
        if let Some(scale) = &rules.scale {
            check_scale(scale, object, &mut errors);
        }
        if let Some(rules) = &rules.schema.rules {
            // Rules are about objects of the right shape, and might not even be evaluated for others.
            match rules_not_checked(&errors) {
                Some(error) => errors.push(error),
                None => {
                    let checked = rules.check(object, old);
                    errors.extend(checked.errors);
                    warnings.extend(checked.warnings.iter().map(ToString::to_string));
                }
            }
        }
        errors
    }
}

/// Upstream: `ValidateScaleSpec` and `ValidateScaleStatus` in validator.go.
fn check_scale(paths: &ScalePaths, object: &Value, errors: &mut ErrorList) {
    for path in [&paths.spec_replicas, &paths.status_replicas] {
        let at = Path::new(path.as_str());
        match nested_int(object, path) {
            Err(why) => errors.push_with(|| Error::invalid(&at, 0_i64, why)),
            Ok(Some(replicas)) if replicas < 0 => {
                errors.push_with(|| Error::invalid(&at, replicas, "should be a non-negative integer"));
            }
            Ok(Some(replicas)) if replicas > i64::from(i32::MAX) => errors.push_with(|| {
                let detail = format!("should be less than or equal to {}", i32::MAX);
                Error::invalid(&at, replicas, detail)
            }),
            Ok(_) => {}
        }
    }
    if !paths.selector.is_empty()
        && let Err(why) = nested_text(object, &paths.selector)
    {
        errors.push_with(|| Error::invalid(&Path::new(paths.selector.as_str()), "", why));
    }
}

/// One of the endpoints of a custom resource.
#[derive(Debug)]
pub(super) struct Endpoint {
    rules: Arc<Rules>,
    kind: EndpointKind,
}

/// Which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EndpointKind {
    /// The object itself.
    Main,
    /// `status`.
    Status,
}

impl Endpoint {
    /// That of the object itself.
    pub(super) fn main(rules: Arc<Rules>) -> Self {
        Self { rules, kind: EndpointKind::Main }
    }

    /// `status`.
    pub(super) fn status(rules: Arc<Rules>) -> Self {
        Self { rules, kind: EndpointKind::Status }
    }
}

impl Rules {
    /// Whether status, where it has an endpoint of its own, stays as it was; a generation for each change.
    fn prepare_object(&self, cx: &Context<'_>, object: &mut Value, old: &Value) {
        if self.of(cx).has_status {
            match old.get("status") {
                Some(status) => object.set(&["status"], status.clone()),
                None => _ = object.unset(&["status"]),
            }
        }
        let bare = |object: &Value| {
            let mut object = object.clone();
            object.unset(&["metadata"]);
            object
        };
        if bare(object) != bare(old) {
            object.set_meta("generation", old.generation() + 1);
        }
    }
}

/// Everything stays as it was but status, and who manages what.
fn prepare_status(object: &mut Value, old: &Value) {
    let status = object.unset(&["status"]);
    let managed = object.unset(&["metadata", "managedFields"]);
    let mut changed = old.clone();
    match managed {
        Some(managed) => changed.set_meta("managedFields", managed),
        None => changed.unset_meta("managedFields"),
    }
    match status {
        Some(status) => changed.set(&["status"], status),
        None => _ = changed.unset(&["status"]),
    }
    *object = changed;
}

impl Strategy for Endpoint {
    fn prepare_for_create(&self, cx: &Context<'_>, object: &mut Value) {
        if self.rules.of(cx).has_status {
            object.unset(&["status"]);
        }
        object.set_meta("generation", 1_i64);
    }

    fn prepare_for_update(&self, cx: &Context<'_>, object: &mut Value, old: &Value) {
        let old = &*self.rules.seen(cx, old);
        match self.kind {
            EndpointKind::Main => self.rules.prepare_object(cx, object, old),
            EndpointKind::Status => prepare_status(object, old),
        }
    }

    fn validate(&self, cx: &Context<'_>, object: &Value) -> ErrorList {
        self.rules.check(cx, object, None, &mut Vec::new())
    }

    fn validate_update(&self, cx: &Context<'_>, object: &Value, old: &Value) -> ErrorList {
        self.rules.check(cx, object, Some(old), &mut Vec::new())
    }

    fn validate_update_with_warnings(
        &self,
        cx: &Context<'_>,
        object: &Value,
        old: &Value,
        warnings: &mut Vec<String>,
    ) -> ErrorList {
        self.rules.check(cx, object, Some(old), warnings)
    }

    fn warnings_on_create(&self, _cx: &Context<'_>, object: &Value) -> Vec<String> {
        warnings::of_finalizers(object, None)
    }

    // Finalizers do not change through `status`.
    fn warnings_on_update(&self, _cx: &Context<'_>, object: &Value, old: &Value) -> Vec<String> {
        warnings::of_finalizers(object, Some(old))
    }

    fn canonicalize(&self, object: &mut Value) {
        self.rules.settle(object);
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }

    fn wants_standard_finalizers(&self) -> bool {
        false
    }

    fn reset_fields(&self) -> &'static [&'static [&'static str]] {
        match self.kind {
            EndpointKind::Status => &[&["spec"]],
            EndpointKind::Main if self.rules.versions.values().any(|version| version.has_status) => &[&["status"]],
            EndpointKind::Main => &[],
        }
    }
}
