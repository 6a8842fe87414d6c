//! What clients may change of a replication controller through each of its endpoints.

use corten_apimachinery::{
    Value,
    field::ErrorList,
    meta::ObjectMeta,
    resource::{Context, GarbagePolicy, Strategy},
};

use super::validation;
use crate::{
    core::pod_spec::{gates, warnings},
    report::twice,
    rules::{first_generation, keep, next_generation},
};

/// The replication controller itself.
#[derive(Debug)]
pub(super) struct Main;

/// Where the pods of the template are described.
const TEMPLATE: &[&str] = &["spec", "template", "spec"];

impl Strategy for Main {
    fn prepare_for_create(&self, cx: &Context<'_>, controller: &mut Value) {
        gates::drop_disabled(cx.features, controller, None, TEMPLATE);
        controller.set(&["status"], Value::object_of([("replicas", Value::Int(0))]));
        first_generation(controller);
    }

    fn prepare_for_update(&self, cx: &Context<'_>, controller: &mut Value, old: &Value) {
        gates::drop_disabled(cx.features, controller, Some(old), TEMPLATE);
        keep(controller, old, &["status"]);
        next_generation(controller, old, &[&["spec"]]);
    }

    fn validate(&self, cx: &Context<'_>, controller: &Value) -> ErrorList {
        validation::create(cx, controller)
    }

    fn validate_update(&self, cx: &Context<'_>, controller: &Value, _old: &Value) -> ErrorList {
        twice(validation::create(cx, controller))
    }

    fn warnings_on_create(&self, _cx: &Context<'_>, controller: &Value) -> Vec<String> {
        warnings::workload(controller)
    }

    fn warnings_on_update(&self, _cx: &Context<'_>, controller: &Value, old: &Value) -> Vec<String> {
        // Only a changed template is worth repeating the advice.
        if controller.generation() == old.generation() { Vec::new() } else { warnings::template(controller) }
    }

    // As it was before there was a choice.
    fn garbage_policy(&self) -> GarbagePolicy {
        GarbagePolicy::Orphan
    }

    fn reset_fields(&self) -> &'static [&'static [&'static str]] {
        &[&["status"]]
    }
}

/// `status`.
#[derive(Debug)]
pub(super) struct Status;

impl Strategy for Status {
    fn prepare_for_update(&self, _cx: &Context<'_>, controller: &mut Value, old: &Value) {
        keep(controller, old, &["spec"]);
    }

    fn validate(&self, _cx: &Context<'_>, _controller: &Value) -> ErrorList {
        ErrorList::new()
    }

    fn validate_update(&self, _cx: &Context<'_>, controller: &Value, _old: &Value) -> ErrorList {
        validation::status(controller)
    }

    fn reset_fields(&self) -> &'static [&'static [&'static str]] {
        &[&["spec"]]
    }
}
