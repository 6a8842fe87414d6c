//! What clients may change of a replication controller through each of its endpoints.

use corten_apimachinery::{
    Value,
    field::ErrorList,
    resource::{Context, GarbagePolicy, Strategy},
};

use super::validation;
use crate::{
    core::pod_spec::{gates, warnings, workload::POD_SPEC},
    report::twice,
    rules::{first_generation, keep, next_generation},
    status::Status,
};

/// The replication controller itself.
#[derive(Debug)]
pub(super) struct Main;

impl Strategy for Main {
    fn prepare_for_create(&self, cx: &Context<'_>, controller: &mut Value) {
        gates::drop_disabled(cx.features, controller, None, POD_SPEC);
        controller.set(&["status"], Value::object_of([("replicas", Value::Int(0))]));
        first_generation(controller);
    }

    fn prepare_for_update(&self, cx: &Context<'_>, controller: &mut Value, old: &Value) {
        gates::drop_disabled(cx.features, controller, Some(old), POD_SPEC);
        keep(controller, old, &["status"]);
        next_generation(controller, old, &[&["spec"]]);
    }

    fn validate(&self, cx: &Context<'_>, controller: &Value) -> ErrorList {
        validation::main(cx, controller, None)
    }

    fn validate_update(&self, cx: &Context<'_>, controller: &Value, old: &Value) -> ErrorList {
        twice(validation::main(cx, controller, Some(old)))
    }

    fn warnings_on_create(&self, _cx: &Context<'_>, controller: &Value) -> Vec<String> {
        warnings::workload(controller)
    }

    fn warnings_on_update(&self, _cx: &Context<'_>, controller: &Value, old: &Value) -> Vec<String> {
        warnings::changed_template(controller, old)
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
pub(super) static STATUS: Status = Status::new(|_cx, controller, _old| validation::status(controller));
