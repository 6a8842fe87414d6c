//! What reading a budget changes. There are no defaults.

use corten_apimachinery::Value;

/// With it, budgets of v1beta1, whose empty selector took no pod, are written in v1, where it takes all.
const OF_V1BETA1: &str = "pdb.kubernetes.io/deprecated-v1beta1-empty-selector-match";

pub(super) fn v1(budget: &mut Value) {
    let path = ["spec", "selector", "matchExpressions"];
    let is_marker = |expression: &Value| expression.str_at(&["key"]) == Some(OF_V1BETA1);
    let expressions = budget.items_at(&path);
    if !expressions.iter().any(is_marker) || takes_none(budget) {
        return;
    }
    let kept: Vec<Value> = expressions.iter().filter(|expression| !is_marker(expression)).cloned().collect();
    if kept.is_empty() {
        budget.unset(&path);
    } else {
        budget.set(&path, kept);
    }
}

/// Whether the selector is the one for no pod at all.
fn takes_none(budget: &Value) -> bool {
    let selector = ["spec", "selector"];
    let has_labels = budget.at(&selector).and_then(|selector| selector.get("matchLabels")).and_then(Value::as_object);
    matches!(
        budget.items_at(&["spec", "selector", "matchExpressions"]),
        [only] if only.str_at(&["operator"]) == Some("Exists") && only.items_at(&["values"]).is_empty()
    ) && has_labels.is_none_or(|labels| labels.is_empty())
}
