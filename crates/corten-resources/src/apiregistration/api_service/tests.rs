use serde_json::{Value, json};

use super::{RESOURCE, strategy};
use crate::testing::{created, patched, refuses, refuses_update, row, updated, value};

fn service(patch: Value) -> Value {
    let base = json!({
        "metadata": {"name": "v1.example.com"},
        "spec": {
            "group": "example.com", "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 10,
            "service": {"namespace": "n", "name": "s"},
        },
    });
    patched(base, patch)
}

#[test]
fn a_service_listens_where_tls_does() {
    let (object, errors) = created(&RESOURCE, service(json!({})));
    assert_eq!(errors, [""; 0]);
    let want = service(json!({"spec": {"service": {"port": 443}}, "status": {}}));
    assert_eq!(object, value(want));
}

#[test]
fn a_local_one_is_available_from_the_beginning() {
    let (object, errors) = created(&RESOURCE, service(json!({"spec": {"service": null}})));
    assert_eq!(errors, [""; 0]);
    let want = json!([{
        "type": "Available", "status": "True", "lastTransitionTime": "2026-01-01T12:00:00Z", "reason": "Local",
        "message": "Local APIServices are always available",
    }]);
    assert_eq!(object.at(&["status", "conditions"]), Some(&value(want)));
}

#[test]
fn the_name_is_the_versions_and_the_groups() {
    refuses(
        &RESOURCE,
        service(json!({"metadata": {"name": "other"}})),
        &["metadata.name: Invalid value: \"other\": must be `spec.version+\".\"+spec.group`: \"v1.example.com\""],
    );
    refuses(&RESOURCE, service(json!({"metadata": {"name": "v1."}, "spec": {"group": ""}})), &[]);
    refuses(
        &RESOURCE,
        service(json!({"metadata": {"name": "v2."}, "spec": {"group": "", "version": "v2"}})),
        &["spec.group: Required value: only v1 may have an empty group and it better be legacy kube"],
    );
}

#[test]
fn priorities_are_in_bounds_and_the_server_is_known() {
    refuses(
        &RESOURCE,
        service(json!({"spec": {
            "groupPriorityMinimum": 20001, "versionPriority": 0, "service": {"namespace": "", "name": "", "port": -1},
            "insecureSkipTLSVerify": true, "caBundle": "AAAA",
        }})),
        &[
            "spec.groupPriorityMinimum: Invalid value: 20001: must be positive and less than 20000",
            "spec.versionPriority: Invalid value: 0: must be positive and less than 1000",
            "spec.service.namespace: Required value",
            "spec.service.name: Required value",
            "spec.service.port: Invalid value: -1: port is not valid: must be between 1 and 65535, inclusive",
            "spec.insecureSkipTLSVerify: Invalid value: true: may not be true if caBundle is present",
        ],
    );
    refuses(
        &RESOURCE,
        service(json!({"spec": {"service": null, "insecureSkipTLSVerify": true, "caBundle": "AAAAAA=="}})),
        &[
            "spec.caBundle: Invalid value: \"4 bytes\": local APIServices may not have a caBundle",
            "spec.insecureSkipTLSVerify: Invalid value: true: local APIServices may not have insecureSkipTLSVerify",
        ],
    );
}

#[test]
fn each_endpoint_changes_its_part() {
    let condition = json!({"type": "Available", "status": "False"});
    let new = service(json!({
        "metadata": {"labels": {"a": "b"}}, "spec": {"versionPriority": 11}, "status": {"conditions": [condition]},
    }));
    let (main, _) = updated(&RESOURCE, RESOURCE.strategy, service(json!({})), new.clone());
    assert_eq!(
        (main.items_at(&["status", "conditions"]).len(), main.i64_at(&["spec", "versionPriority"])),
        (0, Some(11))
    );
    let (status, _) = updated(&RESOURCE, &strategy::STATUS, service(json!({})), new);
    assert_eq!(
        (status.items_at(&["status", "conditions"]).len(), status.i64_at(&["spec", "versionPriority"])),
        (1, Some(10))
    );
    assert_eq!(status.at(&["metadata", "labels"]), None);
    refuses_update(
        &RESOURCE,
        &strategy::STATUS,
        service(json!({})),
        service(json!({"status": {"conditions": [{"type": "Available", "status": "Odd"}]}})),
        &[
            "status.conditions[0].status: Unsupported value: \"Odd\": supported values: \"True\", \"False\", \"Unknown\"",
        ],
    );
}

#[test]
fn a_row_shows_who_answers() {
    assert_eq!(row(&RESOURCE, service(json!({}))), ["v1.example.com", "n/s", "Unknown", "<unknown>"]);
    let with = |status: &str, reason: &str| {
        let condition = json!({"type": "Available", "status": status, "reason": reason});
        row(&RESOURCE, service(json!({"spec": {"service": null}, "status": {"conditions": [condition]}})))[1..3]
            .join(" ")
    };
    assert_eq!(with("True", "Local"), "Local True");
    assert_eq!(with("False", "MissingEndpoints"), "Local False (MissingEndpoints)");
    assert_eq!(with("False", ""), "Local False");
}
