//! Runtime classes are stored as sent.

use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
    resource::{Context, Strategy},
};

use super::validation;
use crate::core::pod_spec::warnings;

/// The runtime class itself.
#[derive(Debug)]
pub(super) struct Main;

impl Strategy for Main {
    fn validate(&self, _cx: &Context<'_>, class: &Value) -> ErrorList {
        validation::create(class)
    }

    fn validate_update(&self, _cx: &Context<'_>, class: &Value, old: &Value) -> ErrorList {
        validation::update(class, old)
    }

    fn warnings_on_create(&self, _cx: &Context<'_>, class: &Value) -> Vec<String> {
        advice(class)
    }

    fn warnings_on_update(&self, _cx: &Context<'_>, class: &Value, _old: &Value) -> Vec<String> {
        advice(class)
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }
}

fn advice(class: &Value) -> Vec<String> {
    let scheduling = class.get("scheduling").filter(|scheduling| !scheduling.is_null());
    scheduling.map(|scheduling| warnings::node_selector(scheduling, &Path::new("scheduling"))).unwrap_or_default()
}
