//! Capacities are stored as sent.

use corten_apimachinery::{
    Map, Value,
    field::{ErrorList, Path},
    resource::{Context, Strategy},
};

use super::validation;
use crate::{core::pod_spec::warnings, tree::present};

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

    fn warnings_on_create(&self, _cx: &Context<'_>, capacity: &Value) -> Vec<String> {
        old_labels(capacity)
    }

    fn warnings_on_update(&self, _cx: &Context<'_>, capacity: &Value, _old: &Value) -> Vec<String> {
        old_labels(capacity)
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }
}

/// Labels of nodes that have newer names.
fn old_labels(capacity: &Value) -> Vec<String> {
    let path = Path::new("nodeTopology");
    let Some(topology) = present(capacity, &["nodeTopology"]) else { return Vec::new() };
    let mut found = Vec::new();
    warnings::node_selector_term(topology, false, &path, &mut found);
    let labels = topology.get("matchLabels").and_then(Value::as_object).into_iter().flat_map(Map::iter);
    for (label, _) in labels {
        let advice = warnings::old_label(label);
        found.extend(advice.map(|advice| format!("{}: {advice}", path.child("matchLabels").child(label))));
    }
    found
}
