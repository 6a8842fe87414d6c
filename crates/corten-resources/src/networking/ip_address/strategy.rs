//! Addresses are stored as sent; whose they are does not change.

use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
    resource::{Context, Strategy},
    validation::validate_canonical_ip,
};

use super::validation;

/// The address itself.
#[derive(Debug)]
pub(super) struct Main;

impl Strategy for Main {
    fn validate(&self, _cx: &Context<'_>, address: &Value) -> ErrorList {
        validation::create(address)
    }

    fn validate_update(&self, _cx: &Context<'_>, address: &Value, old: &Value) -> ErrorList {
        validation::update(address, old)
    }

    // No address can be made up, so there are no generated names.
    fn validate_name(&self, name: &str, _prefix: bool) -> Vec<String> {
        validate_canonical_ip(&Path::root(), name).into_iter().map(|error| error.detail).collect()
    }
}
