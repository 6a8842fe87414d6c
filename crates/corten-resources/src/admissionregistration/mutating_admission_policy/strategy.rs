//! A policy is its spec.

use corten_apimachinery::{
    Value,
    field::ErrorList,
    resource::{Context, Strategy},
};

use super::validation;
use crate::rules::{first_generation, next_generation};

/// The policy.
#[derive(Debug)]
pub(super) struct Main;

impl Strategy for Main {
    fn compiles_expressions(&self) -> bool {
        true
    }

    fn prepare_for_create(&self, _cx: &Context<'_>, policy: &mut Value) {
        first_generation(policy);
    }

    fn prepare_for_update(&self, _cx: &Context<'_>, policy: &mut Value, old: &Value) {
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
}
