//! A candidate is made by its first update, like a lease.

use corten_apimachinery::{
    Value,
    field::ErrorList,
    resource::{Context, Strategy},
    validation::is_config_map_key,
};

use super::validation;

/// The candidate.
#[derive(Debug)]
pub(super) struct Main;

impl Strategy for Main {
    fn validate(&self, _cx: &Context<'_>, object: &Value) -> ErrorList {
        validation::spec(object)
    }

    fn validate_update(&self, _cx: &Context<'_>, object: &Value, old: &Value) -> ErrorList {
        validation::update(object, old)
    }

    fn validate_name(&self, name: &str, _prefix: bool) -> Vec<String> {
        is_config_map_key(name)
    }

    fn allow_create_on_update(&self) -> bool {
        true
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }
}
