//! A controller checks the types of a policy's expressions and reports in its status.

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

/// The policy itself.
#[derive(Debug)]
pub(super) struct Main;

impl Strategy for Main {
    fn compiles_expressions(&self) -> bool {
        true
    }

    fn prepare_for_create(&self, _cx: &Context<'_>, policy: &mut Value) {
        policy.set(&["status"], Value::object());
        first_generation(policy);
    }

    fn prepare_for_update(&self, _cx: &Context<'_>, policy: &mut Value, old: &Value) {
        keep(policy, old, &["status"]);
        next_generation(policy, old, &[&["spec"]]);
    }

    fn validate(&self, _cx: &Context<'_>, policy: &Value) -> ErrorList {
        validation::policy(policy, None)
    }

    fn validate_update(&self, _cx: &Context<'_>, policy: &Value, old: &Value) -> ErrorList {
        validation::policy(policy, Some(old))
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }

    fn reset_fields(&self) -> &'static [&'static [&'static str]] {
        &[&["status"]]
    }
}

/// `status`.
pub(super) static STATUS: Status =
    Status::new(|_cx, policy, _old| validation::status(policy)).keeping_metadata().versioned();
