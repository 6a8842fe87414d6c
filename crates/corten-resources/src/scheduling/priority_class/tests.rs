use serde_json::json;

use super::RESOURCE;
use crate::testing::{created, refuses, refuses_update, row, value};

#[test]
fn a_class_preempts_by_default() {
    let (object, _) = created(&RESOURCE, json!({"metadata": {"name": "high"}, "value": 1}));
    let want =
        json!({"metadata": {"name": "high", "generation": 1}, "value": 1, "preemptionPolicy": "PreemptLowerPriority"});
    assert_eq!(object, value(want));
}

#[test]
fn users_stay_below_the_system() {
    refuses(&RESOURCE, json!({"metadata": {"name": "system-node-critical"}, "value": 2_000_001_000_i64}), &[]);
    refuses(
        &RESOURCE,
        json!({"metadata": {"name": "mine"}, "value": 1_000_000_001}),
        &["value: Forbidden: maximum allowed value of a user defined priority is 1000000000"],
    );
    refuses(
        &RESOURCE,
        json!({"metadata": {"name": "system-mine"}, "value": 1, "preemptionPolicy": "Sometimes"}),
        &[
            "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. \
             error: system-mine is not a known system priority class",
            "preemptionPolicy: Unsupported value: \"Sometimes\": supported values: \"PreemptLowerPriority\", \"Never\"",
        ],
    );
}

#[test]
fn value_and_policy_stay() {
    refuses_update(
        &RESOURCE,
        RESOURCE.strategy,
        json!({"metadata": {"name": "a"}, "value": 1}),
        json!({"metadata": {"name": "a"}, "value": 2, "preemptionPolicy": "Never"}),
        &[
            "value: Forbidden: may not be changed in an update.",
            "preemptionPolicy: Invalid value: \"Never\": field is immutable",
        ],
    );
}

#[test]
fn a_row_shows_value_and_policy() {
    let class = json!({"metadata": {"name": "a"}, "value": 7, "globalDefault": true, "preemptionPolicy": "Never"});
    assert_eq!(row(&RESOURCE, class), ["a", "7", "true", "<unknown>", "Never"]);
}
