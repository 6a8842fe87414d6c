//! Ingress classes are stored as sent, and count their changes.

use corten_apimachinery::{
    Value,
    field::ErrorList,
    resource::{Context, Strategy},
};

use super::validation;
use crate::rules::{first_generation, next_generation};

/// The ingress class itself.
#[derive(Debug)]
pub(super) struct Main;

impl Strategy for Main {
    fn prepare_for_create(&self, _cx: &Context<'_>, class: &mut Value) {
        first_generation(class);
    }

    fn prepare_for_update(&self, _cx: &Context<'_>, class: &mut Value, old: &Value) {
        next_generation(class, old, &[&["spec"]]);
    }

    fn validate(&self, _cx: &Context<'_>, class: &Value) -> ErrorList {
        validation::create(class)
    }

    fn validate_update(&self, _cx: &Context<'_>, class: &Value, old: &Value) -> ErrorList {
        validation::update(class, old)
    }
}
