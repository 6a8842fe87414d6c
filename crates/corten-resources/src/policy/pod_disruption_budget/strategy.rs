//! Clients say how many pods may be away, the disruption controller and evictions how many are.

use corten_apimachinery::{
    Value,
    field::ErrorList,
    resource::{Context, Strategy},
};

use super::validation;
use crate::{
    rules::{first_generation, keep, next_generation},
    status::Status,
};

/// The budget itself.
#[derive(Debug)]
pub(super) struct Main;

impl Strategy for Main {
    fn prepare_for_create(&self, _cx: &Context<'_>, budget: &mut Value) {
        // These numbers are written also when they are zero.
        let zero = ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"];
        budget.set(&["status"], Value::object_of(zero.map(|field| (field, Value::Int(0)))));
        first_generation(budget);
    }

    fn prepare_for_update(&self, _cx: &Context<'_>, budget: &mut Value, old: &Value) {
        keep(budget, old, &["status"]);
        next_generation(budget, old, &[&["spec"]]);
    }

    fn validate(&self, _cx: &Context<'_>, budget: &Value) -> ErrorList {
        validation::validate(budget, None)
    }

    fn validate_update(&self, _cx: &Context<'_>, budget: &Value, old: &Value) -> ErrorList {
        validation::validate(budget, Some(old))
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }

    fn reset_fields(&self) -> &'static [&'static [&'static str]] {
        &[&["status"]]
    }
}

/// `status`.
pub(super) static STATUS: Status = Status::new(|_cx, budget, _old| validation::status(budget)).versioned();
