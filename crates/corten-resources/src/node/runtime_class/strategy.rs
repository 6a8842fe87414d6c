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

    fn allow_create_on_update(&self) -> bool {
        true
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }
}

/// Labels of nodes that are no longer what they were. Upstream does not say which.
fn advice(class: &Value) -> Vec<String> {
    let selector = class.at(&["scheduling", "nodeSelector"]).and_then(Value::as_object);
    let old =
        selector.into_iter().flat_map(|selector| selector.iter()).filter_map(|(label, _)| warnings::old_label(label));
    old.map(|advice| format!("{}: {advice}", Path::new("scheduling").child("nodeSelector"))).collect()
}
