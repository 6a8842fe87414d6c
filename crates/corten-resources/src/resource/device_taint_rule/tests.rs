use corten_apimachinery::meta::ObjectMeta;
use serde_json::{Value, json};

use super::{RESOURCE, strategy};
use crate::testing::{created, refuses, refuses_update, row, updated};

const NOW: &str = "2026-01-01T12:00:00Z";
const BEFORE: &str = "2025-01-01T00:00:00Z";

fn rule(taint: Value) -> Value {
    json!({"metadata": {"name": "broken"}, "spec": {"taint": taint}})
}

#[test]
fn a_taint_says_since_when_it_is_there() {
    let mut sent = rule(json!({"key": "k", "effect": "NoExecute"}));
    sent["status"] = json!({"conditions": [{"type": "a"}]});
    let (object, errors) = created(&RESOURCE, sent);
    assert_eq!(errors, [""; 0]);
    assert_eq!(object.str_at(&["spec", "taint", "timeAdded"]), Some(NOW));
    assert_eq!((object.generation(), object.items_at(&["status", "conditions"]).len()), (1, 0));
}

#[test]
fn time_starts_again_with_another_effect() {
    let taint = |effect: &str, time: &str| rule(json!({"key": "k", "effect": effect, "timeAdded": time}));
    let check = |new: Value, want: &str| {
        let (object, errors) = updated(&RESOURCE, RESOURCE.strategy, taint("None", BEFORE), new);
        assert_eq!(errors, [""; 0]);
        assert_eq!(object.str_at(&["spec", "taint", "timeAdded"]), Some(want));
    };
    check(taint("None", BEFORE), BEFORE);
    check(taint("NoExecute", BEFORE), NOW);
    check(taint("NoExecute", "2025-02-02T00:00:00Z"), "2025-02-02T00:00:00Z");
}

#[test]
fn a_rule_names_devices_and_a_taint() {
    refuses(
        &RESOURCE,
        json!({"spec": {
            "deviceSelector": {"driver": "", "pool": "", "device": "gpu-0"},
            "taint": {"key": "k", "value": "!", "effect": "Never"},
        }}),
        &[
            "spec.deviceSelector.driver: Required value",
            "spec.deviceSelector.pool: Required value",
            "spec.taint.value: Invalid value: \"!\": a valid label must be an empty string or consist of alphanumeric \
             characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or \
             'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
            "spec.taint.effect: Unsupported value: \"Never\": supported values: \"NoExecute\", \"NoSchedule\", \"None\"",
        ],
    );
    refuses(&RESOURCE, rule(json!({"key": "k"})), &["spec.taint.effect: Required value"]);
    // What a newer server took stays.
    let newer = rule(json!({"key": "k", "effect": "Later", "timeAdded": NOW}));
    refuses_update(&RESOURCE, RESOURCE.strategy, newer.clone(), newer, &[]);
}

#[test]
fn status_has_conditions_only() {
    let old = rule(json!({"key": "k", "effect": "None", "timeAdded": NOW}));
    let mut new = rule(json!({"key": "other", "effect": "None", "timeAdded": NOW}));
    new["metadata"]["labels"] = json!({"a": "b"});
    let condition = |ty: usize| json!({"type": format!("t{ty}"), "status": "True", "reason": "R", "message": "", "lastTransitionTime": NOW});
    new["status"] = json!({"conditions": (0..9).map(condition).collect::<Vec<_>>()});
    let (object, errors) = updated(&RESOURCE, &strategy::STATUS, old, new);
    assert_eq!(errors, ["status.conditions: Too many: 9: must have at most 8 items"]);
    assert_eq!(object.str_at(&["spec", "taint", "key"]), Some("k"));
    assert_eq!(object.labels().map_or(0, corten_apimachinery::Map::len), 0);
}

#[test]
fn a_row_shows_the_taint() {
    let shown = rule(json!({"key": "k", "value": "v", "effect": "NoExecute"}));
    assert_eq!(row(&RESOURCE, shown), ["broken", "k", "v", "NoExecute", "", "<unknown>"]);
}
