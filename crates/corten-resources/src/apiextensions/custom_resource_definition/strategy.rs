//! Definitions have a status of their own, count generations, and wait for their objects when they are deleted.
//!
//! Upstream: k8s.io/apiextensions-apiserver/pkg/registry/customresourcedefinition/{strategy,etcd}.go (v1.35).

use std::collections::BTreeSet;

use corten_apimachinery::{
    Value,
    field::{ErrorList, quote},
    meta::{ObjectMeta as _, format_time},
    resource::{Context, DeleteOptions, OwnDeletion, Strategy},
    schema::unrecognized_formats,
    value::Str,
};

use super::{CLEANUP_FINALIZER, defaults::storage_version, validation};
use crate::rules::{first_generation, keep, next_generation};

/// The definition itself.
#[derive(Debug)]
pub(super) struct Main;

impl Strategy for Main {
    fn compiles_expressions(&self) -> bool {
        true
    }

    fn wants_standard_finalizers(&self) -> bool {
        false
    }

    fn prepare_for_create(&self, _cx: &Context<'_>, definition: &mut Value) {
        let names = [("plural", Value::from("")), ("kind", "".into())];
        let status =
            [("conditions", Value::Null), ("acceptedNames", Value::object_of(names)), ("storedVersions", Value::Null)];
        definition.set(&["status"], Value::object_of(status));
        add_stored_version(definition);
        first_generation(definition);
    }

    fn prepare_for_update(&self, _cx: &Context<'_>, definition: &mut Value, old: &Value) {
        keep(definition, old, &["status"]);
        next_generation(definition, old, &[&["spec"]]);
        add_stored_version(definition);
    }

    fn validate(&self, _cx: &Context<'_>, definition: &Value) -> ErrorList {
        validation::create(definition)
    }

    fn validate_update(&self, _cx: &Context<'_>, definition: &Value, old: &Value) -> ErrorList {
        validation::update(definition, old)
    }

    fn warnings_on_create(&self, _cx: &Context<'_>, definition: &Value) -> Vec<String> {
        unknown_formats(definition).iter().map(|format| warning(format)).collect()
    }

    fn warnings_on_update(&self, _cx: &Context<'_>, definition: &Value, old: &Value) -> Vec<String> {
        let old = unknown_formats(old);
        unknown_formats(definition).difference(&old).map(|format| warning(format)).collect()
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }

    fn own_deletion(&self) -> Option<OwnDeletion> {
        Some(mark_deleted)
    }

    fn reset_fields(&self) -> &'static [&'static [&'static str]] {
        &[&["status"]]
    }
}

const TERMINATING: &str = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon";

/// The first deletion marks the definition, whatever it has for finalizers: it gets its own then. No option counts, and neither
/// is there a grace period, nor does its generation change.
fn mark_deleted(cx: &Context<'_>, definition: &Value, _options: &DeleteOptions) -> Option<Value> {
    if definition.deletion_timestamp().is_some() {
        return None;
    }
    let mut going = definition.clone();
    going.set_meta("deletionTimestamp", format_time(cx.now));
    if !going.finalizers().any(|finalizer| finalizer == CLEANUP_FINALIZER) {
        let finalizers: Vec<Value> = going.finalizers().map(Value::from).chain([CLEANUP_FINALIZER.into()]).collect();
        going.set_meta("finalizers", finalizers);
    }
    set_condition(cx, &mut going, "Terminating", "InstanceDeletionPending", TERMINATING);
    Some(going)
}

/// The version that objects are stored in is one in which some are.
fn add_stored_version(definition: &mut Value) {
    let Some(storage) = storage_version(definition).map(Str::from) else { return };
    let stored = definition.items_at(&["status", "storedVersions"]);
    if stored.iter().any(|version| version.as_str() == Some(&storage)) {
        return;
    }
    let stored = Value::array(stored.iter().cloned().chain([storage.into()]).collect::<Vec<_>>());
    definition.set(&["status", "storedVersions"], stored);
}

/// Says of a condition that it is true, since now if it was not.
fn set_condition(cx: &Context<'_>, definition: &mut Value, ty: &str, reason: &str, message: &str) {
    let mut conditions = definition.items_at(&["status", "conditions"]).to_vec();
    let said = [("reason", reason), ("message", message)];
    match conditions.iter_mut().find(|condition| condition.str_at(&["type"]) == Some(ty)) {
        Some(condition) => {
            if condition.str_at(&["status"]) != Some("True") {
                condition.set(&["status"], "True");
                condition.set(&["lastTransitionTime"], format_time(cx.now));
            }
            said.into_iter().for_each(|(field, text)| condition.set(&[field], text));
        }
        None => {
            let mut condition = Value::object_of(said.map(|(field, text)| (field, text.into())));
            condition.set(&["type"], ty);
            condition.set(&["status"], "True");
            condition.set(&["lastTransitionTime"], format_time(cx.now));
            conditions.push(condition);
        }
    }
    definition.set(&["status", "conditions"], conditions);
}

fn unknown_formats(definition: &Value) -> BTreeSet<Str> {
    let versions = definition.items_at(&["spec", "versions"]);
    let schemas = versions.iter().filter_map(|version| version.at(&["schema", "openAPIV3Schema"]));
    schemas.flat_map(unrecognized_formats).collect()
}

fn warning(format: &str) -> String {
    format!("unrecognized format {}", quote(format))
}

/// `status`: what the server's controllers say of a definition.
#[derive(Debug)]
pub(super) struct Status;

impl Strategy for Status {
    fn wants_standard_finalizers(&self) -> bool {
        false
    }

    fn prepare_for_update(&self, _cx: &Context<'_>, definition: &mut Value, old: &Value) {
        // Metadata stays as sent: upstream resets it to what it is.
        keep(definition, old, &["spec"]);
    }

    fn validate(&self, _cx: &Context<'_>, _definition: &Value) -> ErrorList {
        ErrorList::new()
    }

    fn validate_update(&self, _cx: &Context<'_>, definition: &Value, _old: &Value) -> ErrorList {
        validation::update_status(definition)
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }

    fn reset_fields(&self) -> &'static [&'static [&'static str]] {
        &[&["metadata"], &["spec"]]
    }
}
