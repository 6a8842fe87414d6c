//! What clients may change of a daemon set through each of its endpoints.

use corten_apimachinery::{
    Value,
    field::ErrorList,
    resource::{Context, Strategy},
};

use super::{generation, validation};
use crate::{
    core::pod_spec::{gates, warnings, workload::POD_SPEC},
    rules::{first_generation, keep, next_generation},
    status::Status,
};

/// The daemon set itself.
#[derive(Debug)]
pub(super) struct Main;

/// What a status always says.
const COUNTS: [&str; 4] = ["currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady"];

impl Strategy for Main {
    fn prepare_for_create(&self, cx: &Context<'_>, set: &mut Value) {
        gates::drop_disabled(cx.features, set, None, POD_SPEC);
        set.set(&["status"], Value::object_of(COUNTS.map(|field| (field, Value::Int(0)))));
        first_generation(set);
        generation::first(set);
    }

    fn prepare_for_update(&self, cx: &Context<'_>, set: &mut Value, old: &Value) {
        gates::drop_disabled(cx.features, set, Some(old), POD_SPEC);
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
        warnings::changed_template(set, old)
    }

    fn reset_fields(&self) -> &'static [&'static [&'static str]] {
        &[&["status"]]
    }
}

/// `status`.
pub(super) static STATUS: Status =
    Status::new(|_cx, set, old| validation::status(set, old)).preparing(|_cx, set, old| generation::keep(set, old));
