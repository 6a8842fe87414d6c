//! Priority classes are stored as sent.

use corten_apimachinery::{
    Value,
    field::ErrorList,
    resource::{Context, Strategy},
};

use super::validation;
use crate::rules::first_generation;

/// The priority class itself.
#[derive(Debug)]
pub(super) struct Main;

impl Strategy for Main {
    fn prepare_for_create(&self, _cx: &Context<'_>, object: &mut Value) {
        first_generation(object);
    }

    fn validate(&self, _cx: &Context<'_>, object: &Value) -> ErrorList {
        validation::create(object)
    }

    fn validate_update(&self, _cx: &Context<'_>, object: &Value, old: &Value) -> ErrorList {
        validation::update(object, old)
    }
}
