//! A revision is written once; only its number may change.

use corten_apimachinery::{
    Value,
    field::ErrorList,
    resource::{Context, Strategy},
};

use super::validation;

/// The controller revision itself.
#[derive(Debug)]
pub(super) struct Main;

impl Strategy for Main {
    fn validate(&self, _cx: &Context<'_>, revision: &Value) -> ErrorList {
        validation::create(revision)
    }

    fn validate_update(&self, _cx: &Context<'_>, revision: &Value, old: &Value) -> ErrorList {
        validation::update(revision, old)
    }
}
