use serde_json::{Value, json};

use super::{RESOURCE, strategy};
use crate::testing::{created, refuses, refuses_update, row, updated, value};

fn migration(resource: Value, status: Value) -> Value {
    json!({"metadata": {"name": "m"}, "spec": {"resource": resource}, "status": status})
}

fn secrets(status: Value) -> Value {
    migration(json!({"resource": "secrets"}), status)
}

fn conditions(types: &[&str]) -> Value {
    let condition =
        |ty: &&str| json!({"type": ty, "status": "True", "reason": "R", "lastTransitionTime": "2026-01-01T00:00:00Z"});
    types.iter().map(condition).collect()
}

#[test]
fn a_migration_names_a_resource_and_keeps_it() {
    let (object, errors) = created(&RESOURCE, secrets(json!({"resourceVersion": "7"})));
    assert_eq!(errors, [""; 0]);
    assert_eq!(object, value(secrets(json!({}))));
    refuses(
        &RESOURCE,
        json!({"metadata": {"name": "m"}}),
        &["spec.resource.resource: Required value: resource is required to be set"],
    );
    let (_, errors) = created(&RESOURCE, migration(json!({"group": "A", "resource": "1"}), json!({})));
    assert!(errors[0].starts_with("spec.resource.resource: Invalid value: \"1\": a DNS-1035 label must"), "{errors:?}");
    assert!(errors[1].starts_with("spec.resource.group: Invalid value: \"A\": a lowercase RFC 1123"), "{errors:?}");
    refuses_update(
        &RESOURCE,
        RESOURCE.strategy,
        secrets(json!({})),
        migration(json!({"resource": "pods"}), json!({})),
        &["spec: Invalid value: {\"Resource\":{\"group\":\"\",\"resource\":\"pods\"}}: field is immutable"],
    );
}

#[test]
fn a_status_goes_forward() {
    let check = |old: Value, new: Value, want: &[&str]| {
        let (_, errors) = updated(&RESOURCE, &strategy::STATUS, secrets(old), secrets(new));
        assert_eq!(errors.len(), want.len(), "{errors:?}");
        for (error, want) in errors.iter().zip(want) {
            assert!(error.starts_with("status.") && error.ends_with(want), "{error}");
        }
    };
    let with = |version: &str, types: &[&str]| json!({"resourceVersion": version, "conditions": conditions(types)});
    check(json!({}), with("123", &["Running"]), &[]);
    check(
        json!({}),
        with("abc", &["Running"]),
        &["resourceVersion: Invalid value: \"abc\": resource version is not well formed: abc"],
    );
    check(json!({}), with("0", &[]), &["resource version is not well formed: 0"]);
    check(with("123", &[]), with("456", &[]), &["resourceVersion: Invalid value: \"456\": field is immutable"]);
    check(
        with("123", &["Running"]),
        with("123", &["Succeeded", "Failed", "Running"]),
        &[
            "Both success and failed conditions cannot be true at the same time",
            "Running condition cannot be true when success condition is true",
            "Running condition cannot be true when failed condition is true",
        ],
    );
    check(
        with("123", &["Succeeded"]),
        with("123", &["Running"]),
        &["Success condition cannot be set to false once it is true"],
    );
    check(with("123", &["Failed"]), with("123", &[]), &["Failed condition cannot be set to false once it is true"]);
}

#[test]
fn a_row_shows_the_resource() {
    assert_eq!(row(&RESOURCE, secrets(json!({}))), ["m", "secrets"]);
    let grouped = migration(json!({"group": "apps", "resource": "deployments"}), json!({}));
    assert_eq!(row(&RESOURCE, grouped), ["m", "deployments.apps"]);
}
