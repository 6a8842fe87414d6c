//! What clients may change of a replica set through each of its endpoints.

use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
    meta::ObjectMeta,
    resource::{Context, Strategy},
};

use super::validation;
use crate::{
    core::pod_spec::{gates, warnings, workload},
    report::{LABEL_SELECTOR, Report, twice},
    rules::{first_generation, keep, next_generation},
};

/// The replica set itself.
#[derive(Debug)]
pub(super) struct Main;

/// Where the pods of the template are described.
const TEMPLATE: &[&str] = &["spec", "template", "spec"];

impl Strategy for Main {
    fn prepare_for_create(&self, cx: &Context<'_>, set: &mut Value) {
        gates::drop_disabled(cx.features, set, None, TEMPLATE);
        set.set(&["status"], Value::object_of([("replicas", Value::Int(0))]));
        first_generation(set);
    }

    fn prepare_for_update(&self, cx: &Context<'_>, set: &mut Value, old: &Value) {
        gates::drop_disabled(cx.features, set, Some(old), TEMPLATE);
        keep(set, old, &["status"]);
        next_generation(set, old, &[&["spec"]]);
    }

    fn validate(&self, cx: &Context<'_>, set: &Value) -> ErrorList {
        validation::create(cx, set)
    }

    fn validate_update(&self, cx: &Context<'_>, set: &Value, old: &Value) -> ErrorList {
        let mut errors = twice(validation::create(cx, set));
        let selector = ["spec", "selector"];
        let at = Path::new("spec").child("selector");
        errors.immutable_struct(&at, LABEL_SELECTOR, set.at(&selector), old.at(&selector));
        errors
    }

    fn warnings_on_create(&self, _cx: &Context<'_>, set: &Value) -> Vec<String> {
        warnings::workload(set)
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
    fn prepare_for_update(&self, cx: &Context<'_>, set: &mut Value, old: &Value) {
        keep(set, old, &["spec"]);
        workload::TERMINATING.drop_from(cx.features, set, Some(old));
    }

    fn validate(&self, _cx: &Context<'_>, _set: &Value) -> ErrorList {
        ErrorList::new()
    }

    fn validate_update(&self, _cx: &Context<'_>, set: &Value, _old: &Value) -> ErrorList {
        validation::status(set)
    }

    fn reset_fields(&self) -> &'static [&'static [&'static str]] {
        &[&["spec"]]
    }
}
