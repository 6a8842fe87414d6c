//! What clients may change of a replica set through each of its endpoints.

use corten_apimachinery::{
    Value,
    field::ErrorList,
    resource::{Context, Strategy},
};

use super::validation;
use crate::{
    core::pod_spec::{
        gates, warnings,
        workload::{self, POD_SPEC},
    },
    report::twice,
    rules::{first_generation, keep, next_generation},
    status::Status,
};

/// The replica set itself.
#[derive(Debug)]
pub(super) struct Main;

impl Strategy for Main {
    fn prepare_for_create(&self, cx: &Context<'_>, set: &mut Value) {
        gates::drop_disabled(cx.features, set, None, POD_SPEC);
        set.set(&["status"], Value::object_of([("replicas", Value::Int(0))]));
        first_generation(set);
    }

    fn prepare_for_update(&self, cx: &Context<'_>, set: &mut Value, old: &Value) {
        gates::drop_disabled(cx.features, set, Some(old), POD_SPEC);
        keep(set, old, &["status"]);
        next_generation(set, old, &[&["spec"]]);
    }

    fn validate(&self, cx: &Context<'_>, set: &Value) -> ErrorList {
        validation::main(cx, set, None)
    }

    fn validate_update(&self, cx: &Context<'_>, set: &Value, old: &Value) -> ErrorList {
        let mut errors = twice(validation::main(cx, set, Some(old)));
        workload::validate_same_selector(set, old, &mut errors);
        errors
    }

    fn warnings_on_create(&self, _cx: &Context<'_>, set: &Value) -> Vec<String> {
        warnings::workload(set)
    }

    fn warnings_on_update(&self, _cx: &Context<'_>, set: &Value, old: &Value) -> Vec<String> {
        warnings::changed_template(set, old)
    }

    fn reset_fields(&self) -> &'static [&'static [&'static str]] {
        &[&["status"]]
    }
}

/// `status`.
pub(super) static STATUS: Status = Status::new(|_cx, set, _old| validation::status(set))
    .preparing(|cx, set, old| workload::TERMINATING.drop_from(cx.features, set, Some(old)));
