//! A bundle is stored as sent. Who may attest for its signer is the control plane's to check.

use corten_apimachinery::{
    Value,
    field::ErrorList,
    resource::{Context, Strategy},
    validation::is_path_segment_name_prefixed,
};

use super::validation;

/// The bundle.
#[derive(Debug)]
pub(super) struct Main;

impl Strategy for Main {
    fn validate(&self, _cx: &Context<'_>, bundle: &Value) -> ErrorList {
        validation::bundle(bundle)
    }

    fn validate_update(&self, _cx: &Context<'_>, bundle: &Value, old: &Value) -> ErrorList {
        validation::update(bundle, old)
    }

    /// That it begins with the signer's name is a rule of the object.
    fn validate_name(&self, name: &str, prefix: bool) -> Vec<String> {
        is_path_segment_name_prefixed(name, prefix)
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }
}
