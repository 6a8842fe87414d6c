//! Capacities are stored as sent.

use corten_apimachinery::{
    Value,
    field::ErrorList,
    resource::{Context, Strategy},
};

use super::validation;

/// The capacity itself.
#[derive(Debug)]
pub(super) struct Main;

impl Strategy for Main {
    fn validate(&self, _cx: &Context<'_>, capacity: &Value) -> ErrorList {
        validation::validate(capacity, None)
    }

    fn validate_update(&self, _cx: &Context<'_>, capacity: &Value, old: &Value) -> ErrorList {
        validation::validate(capacity, Some(old))
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }
}
