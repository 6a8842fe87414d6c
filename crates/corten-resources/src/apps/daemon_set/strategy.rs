//! What clients may change of a daemon set through each of its endpoints.

use corten_apimachinery::{
    Value,
    field::ErrorList,
    meta::ObjectMeta,
    resource::{Context, Strategy},
};

use super::{generation, validation};
use crate::{
    core::pod_spec::{gates, warnings},
    rules::{first_generation, keep, next_generation},
};

/// The daemon set itself.
#[derive(Debug)]
pub(super) struct Main;

/// Where the pods of the template are described.
const TEMPLATE: &[&str] = &["spec", "template", "spec"];

/// What a status always says.
const COUNTS: [&str; 4] = ["currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady"];

impl Strategy for Main {
    fn prepare_for_create(&self, cx: &Context<'_>, set: &mut Value) {
        gates::drop_disabled(cx.features, set, None, TEMPLATE);
        set.set(&["status"], Value::object_of(COUNTS.map(|field| (field, Value::Int(0)))));
        first_generation(set);
        generation::first(set);
    }

    fn prepare_for_update(&self, cx: &Context<'_>, set: &mut Value, old: &Value) {
        gates::drop_disabled(cx.features, set, Some(old), TEMPLATE);
        keep(set, old, &["status"]);
        generation::next(set, old);
        next_generation(set, old, &[&["spec"]]);
    }

    fn validate(&self, cx: &Context<'_>, set: &Value) -> ErrorList {
        validation::create(cx, set)
    }

    fn validate_update(&self, cx: &Context<'_>, set: &Value, old: &Value) -> ErrorList {
        validation::update(cx, set, old)
    }

    fn warnings_on_create(&self, _cx: &Context<'_>, set: &Value) -> Vec<String> {
        warnings::template(set)
    }

    fn warnings_on_update(&self, _cx: &Context<'_>, set: &Value, old: &Value) -> Vec<String> {
        // Only a changed template is worth repeating the advice.
        if set.generation() == old.generation() { Vec::new() } else { warnings::template(set) }
    }

    fn reset_fields(&self) -> &'static [&'static [&'static str]] {
        &[&["status"]]
    }
}

/// `status`.
#[derive(Debug)]
pub(super) struct Status;

impl Strategy for Status {
    fn prepare_for_update(&self, _cx: &Context<'_>, set: &mut Value, old: &Value) {
        keep(set, old, &["spec"]);
        generation::keep(set, old);
    }

    fn validate(&self, _cx: &Context<'_>, _set: &Value) -> ErrorList {
        ErrorList::new()
    }

    fn validate_update(&self, _cx: &Context<'_>, set: &Value, old: &Value) -> ErrorList {
        validation::status(set, old)
    }

    fn reset_fields(&self) -> &'static [&'static [&'static str]] {
        &[&["spec"]]
    }
}
