use serde_json::{Value, json};

use super::RESOURCE;
use crate::testing::{created, refuses, row, value};

fn configuration(hook: Value) -> Value {
    let base = json!({
        "name": "a.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"],
        "clientConfig": {"url": "https://host/path"},
    });
    json!({"metadata": {"name": "c"}, "webhooks": [crate::testing::patched(base, hook)]})
}

#[test]
fn a_webhook_is_asked_once_and_must_answer() {
    let rule = json!({"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]});
    let (object, errors) = created(&RESOURCE, configuration(json!({"rules": [rule]})));
    assert_eq!(errors, [""; 0]);
    let want = json!({
        "metadata": {"name": "c", "generation": 1},
        "webhooks": [{
            "name": "a.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "clientConfig": {"url": "https://host/path"}, "failurePolicy": "Fail", "matchPolicy": "Equivalent",
            "namespaceSelector": {}, "objectSelector": {}, "timeoutSeconds": 10, "reinvocationPolicy": "Never",
            "rules": [{"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"], "scope": "*"}],
        }],
    });
    assert_eq!(object, value(want));
}

#[test]
fn it_is_asked_again_never_or_if_needed() {
    refuses(
        &RESOURCE,
        configuration(json!({"reinvocationPolicy": "Always"})),
        &["webhooks[0].reinvocationPolicy: Unsupported value: \"Always\": supported values: \"IfNeeded\", \"Never\""],
    );
}

#[test]
fn a_row_counts_webhooks() {
    assert_eq!(row(&RESOURCE, configuration(json!({}))), ["c", "1", "<unknown>"]);
}
