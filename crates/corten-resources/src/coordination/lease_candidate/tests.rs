use serde_json::{Value, json};

use super::RESOURCE;
use crate::testing::{patched, refuses, refuses_update, row};

fn candidate(spec: Value) -> Value {
    let base = json!({
        "metadata": {"name": "c"},
        "spec": {
            "leaseName": "l", "binaryVersion": "1.35.0", "emulationVersion": "1.34.0",
            "strategy": "OldestEmulationVersion",
        },
    });
    patched(base, json!({"spec": spec}))
}

#[track_caller]
fn check(spec: Value, want: &[&str]) {
    let want: Vec<String> = want.iter().map(|error| format!("spec.{error}")).collect();
    let want: Vec<&str> = want.iter().map(String::as_str).collect();
    refuses(&RESOURCE, candidate(spec), &want);
}

#[test]
fn a_candidate_has_versions() {
    check(json!({}), &[]);
    refuses(
        &RESOURCE,
        json!({"metadata": {"name": "c"}}),
        &["spec.leaseName: Required value", "spec.binaryVersion: Required value", "spec.strategy: Required value"],
    );
    check(
        json!({"binaryVersion": "v1"}),
        &[
            "binaryVersion: Invalid value: \"v1\": must be a valid semantic version",
            "binaryVersion: Invalid value: \"v1\": must be greater than or equal to `emulationVersion`",
        ],
    );
    check(
        json!({"emulationVersion": "v1"}),
        &[
            "emulationVersion: Invalid value: \"v1\": must be a valid semantic version",
            "emulationVersion: Required value: must be specified when `strategy` is 'OldestEmulationVersion'",
        ],
    );
    check(
        json!({"binaryVersion": "1.33.0"}),
        &["binaryVersion: Invalid value: \"1.33.0\": must be greater than or equal to `emulationVersion`"],
    );
    check(json!({"strategy": "example.com/mine", "emulationVersion": null}), &[]);
    check(
        json!({"strategy": "mine"}),
        &["strategy.strategy: Unsupported value: \"mine\": supported values: \"OldestEmulationVersion\""],
    );
}

#[test]
fn the_lease_stays() {
    refuses_update(
        &RESOURCE,
        RESOURCE.strategy,
        candidate(json!({})),
        candidate(json!({"leaseName": "other"})),
        &["spec.leaseName: Invalid value: \"other\": field is immutable"],
    );
    assert_eq!(RESOURCE.strategy.validate_name("a_b.C", false), [""; 0]);
}

#[test]
fn a_row_shows_versions() {
    assert_eq!(row(&RESOURCE, candidate(json!({}))), ["c", "l", "1.35.0", "1.34.0", "<unknown>"]);
}
