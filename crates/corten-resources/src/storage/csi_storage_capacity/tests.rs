use serde_json::{Value, json};

use super::RESOURCE;
use crate::testing::{context, patched, refuses, refuses_update, row, value};

fn capacity(patch: Value) -> Value {
    patched(json!({"metadata": {"name": "c"}, "storageClassName": "fast", "capacity": "1Gi"}), patch)
}

#[test]
fn room_is_for_a_class_and_not_negative() {
    refuses(&RESOURCE, capacity(json!({"nodeTopology": {"matchLabels": {"zone": "a"}}})), &[]);
    refuses(
        &RESOURCE,
        capacity(json!({"nodeTopology": {"matchExpressions": [{"key": "a", "operator": "Is"}]}, "capacity": "-1"})),
        &[
            "nodeTopology.matchExpressions[0].operator: Invalid value: \"Is\": not a valid selector operator",
            "capacity: Invalid value: \"-1\": must be greater than or equal to 0",
        ],
    );
}

#[test]
fn what_the_driver_was_asked_stays() {
    refuses_update(
        &RESOURCE,
        RESOURCE.strategy,
        capacity(json!({})),
        capacity(json!({"storageClassName": "slow", "capacity": "2Gi", "nodeTopology": {"matchLabels": {"z": "a"}}})),
        &[
            "nodeTopology: Invalid value: {\"matchLabels\":{\"z\":\"a\"}}: field is immutable",
            "storageClassName: Invalid value: \"slow\": field is immutable",
        ],
    );
    // Old servers took values that are none.
    let old = capacity(json!({"nodeTopology": {"matchLabels": {"z": "!"}}}));
    refuses_update(&RESOURCE, RESOURCE.strategy, old.clone(), old, &[]);
}

#[test]
fn a_row_shows_the_room() {
    assert_eq!(row(&RESOURCE, capacity(json!({}))), ["c", "fast", "1Gi"]);
    assert_eq!(row(&RESOURCE, capacity(json!({"capacity": null})))[2], "<unset>");
}

#[test]
fn labels_with_new_names_are_told() {
    let topology = json!({
        "matchLabels": {"beta.kubernetes.io/os": "linux"},
        "matchExpressions": [{"key": "beta.kubernetes.io/arch", "operator": "Exists"}],
    });
    assert_eq!(
        RESOURCE.strategy.warnings_on_create(&context("v1"), &value(capacity(json!({"nodeTopology": topology})))),
        [
            "nodeTopology.matchExpressions[0].key: beta.kubernetes.io/arch is deprecated since v1.14; use \
             \"kubernetes.io/arch\" instead",
            "nodeTopology.matchLabels.beta.kubernetes.io/os: deprecated since v1.14; use \"kubernetes.io/os\" instead",
        ]
    );
}
