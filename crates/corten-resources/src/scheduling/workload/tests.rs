use serde_json::{Value, json};

use super::RESOURCE;
use crate::testing::{created, patched, refuses, refuses_update, row, value};

fn workload(spec: Value) -> Value {
    let group = json!({"name": "g", "policy": {"gang": {"minCount": 2}}});
    patched(json!({"metadata": {"name": "w"}, "spec": {"podGroups": [group]}}), json!({"spec": spec}))
}

#[test]
fn a_workload_is_stored_as_sent() {
    let (object, errors) = created(&RESOURCE, workload(json!({})));
    assert_eq!((object, errors), (value(workload(json!({}))), Vec::new()));
}

#[test]
fn it_needs_its_gate() {
    assert_eq!(RESOURCE.versions[0].feature_gate, Some("GenericWorkload"));
}

#[test]
fn workloads_are_checked() {
    let group = |name: &str, policy: Value| json!({"name": name, "policy": policy});
    let many: Vec<Value> = (0..9).map(|number| group(&format!("g{number}"), json!({"basic": {}}))).collect();
    let cases: [(Value, &[&str]); 6] = [
        (json!({"controllerRef": {"apiGroup": "batch", "kind": "Job", "name": "j"}}), &[]),
        (
            json!({"controllerRef": {"kind": "", "name": "a/b"}}),
            &[
                "spec.controllerRef.kind: Required value",
                "spec.controllerRef.name: Invalid value: \"a/b\": may not contain '/'",
            ],
        ),
        (json!({"podGroups": []}), &["spec.podGroups: Required value: must have at least one item"]),
        (json!({"podGroups": many}), &["spec.podGroups: Too many: 9: must have at most 8 items"]),
        (
            json!({"podGroups": [group("g", json!({})), group("g", json!({"basic": {}, "gang": {"minCount": 1}}))]}),
            &[
                "spec.podGroups[0].policy: Required value: exactly one of `basic`, `gang` is required",
                "spec.podGroups[1].name: Duplicate value: \"g\"",
                "spec.podGroups[1].policy: Invalid value: \"{`basic`, `gang`}\": exactly one of `basic`, `gang` is required, \
                 but multiple fields are set",
            ],
        ),
        (
            json!({"podGroups": [group("g", json!({"gang": {"minCount": 0}}))]}),
            &["spec.podGroups[0].policy.gang.minCount: Invalid value: 0: must be greater than zero"],
        ),
    ];
    for (spec, want) in cases {
        refuses(&RESOURCE, workload(spec), want);
    }
}

#[test]
fn a_controller_may_come_and_then_all_stays() {
    let controlled =
        |name: &str| workload(json!({"controllerRef": {"apiGroup": "batch", "kind": "Job", "name": name}}));
    refuses_update(&RESOURCE, RESOURCE.strategy, workload(json!({})), controlled("j"), &[]);
    refuses_update(
        &RESOURCE,
        RESOURCE.strategy,
        controlled("j"),
        controlled("k"),
        &["controllerRef: Invalid value: {\"APIGroup\":\"batch\",\"Kind\":\"Job\",\"Name\":\"k\"}: field is immutable"],
    );
    let basic = json!({"podGroups": [{"name": "g", "policy": {"basic": {}}}]});
    refuses_update(
        &RESOURCE,
        RESOURCE.strategy,
        workload(json!({})),
        workload(basic),
        &["podGroups: Invalid value: [{\"Name\":\"g\",\"Policy\":{\"Basic\":{},\"Gang\":null}}]: field is immutable"],
    );
}

#[test]
fn a_row_shows_when_it_was_made() {
    let object = json!({"metadata": {"name": "w", "creationTimestamp": "2026-01-01T00:00:00Z"}});
    assert_eq!(row(&RESOURCE, object), ["w", "2026-01-01T00:00:00Z"]);
}
