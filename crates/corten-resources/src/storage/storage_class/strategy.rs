//! Storage classes are stored as sent.

use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
    resource::{Context, Strategy},
};

use super::validation;
use crate::{
    core::pod_spec::warnings,
    tree::{each_at, text_at},
};

/// The storage class itself.
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
        old_labels(class)
    }

    fn warnings_on_update(&self, _cx: &Context<'_>, class: &Value, _old: &Value) -> Vec<String> {
        old_labels(class)
    }

    // Clients learn what was deleted.
    fn returns_deleted_object(&self) -> bool {
        true
    }
}

/// Labels of nodes that have newer names.
fn old_labels(class: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for (at, term) in each_at(class, "allowedTopologies", &Path::root()) {
        for (at, rule) in each_at(term, "matchLabelExpressions", &at) {
            let advice = warnings::old_label(text_at(rule, &["key"]));
            found.extend(advice.map(|advice| format!("{}: {advice}", at.child("key"))));
        }
    }
    found
}
