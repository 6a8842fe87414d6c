use serde_json::{Value, json};

use super::RESOURCE;
use crate::testing::{patched, refuses, row};

fn event(patch: Value) -> Value {
    patched(
        json!({"metadata": {"name": "a.1", "namespace": "dev"}, "involvedObject": {"kind": "Pod", "namespace": "dev", "name": "a"}}),
        patch,
    )
}

#[test]
fn an_event_lives_with_its_object() {
    refuses(&RESOURCE, event(json!({})), &[]);
    refuses(
        &RESOURCE,
        event(json!({"involvedObject": {"namespace": "prod"}})),
        &["involvedObject.namespace: Invalid value: \"prod\": does not match event.namespace"],
    );
    refuses(
        &RESOURCE,
        event(json!({"involvedObject": {"namespace": null}})),
        &["involvedObject.namespace: Invalid value: \"\": does not match event.namespace"],
    );
}

#[test]
fn an_event_with_a_time_says_who_reports_and_why() {
    refuses(
        &RESOURCE,
        event(
            json!({"eventTime": "2026-01-01T00:00:00.000000Z", "reportingComponent": "c", "reason": "r".repeat(129)}),
        ),
        &[
            "reportingInstance: Required value",
            "action: Required value",
            "reason: Invalid value: \"\": can have at most 128 characters",
        ],
    );
}

#[test]
fn a_row_tells_old_and_new_events_alike() {
    let old = event(json!({
        "type": "Normal", "reason": "Pulled", "message": "done\n", "count": 3, "source": {"component": "kubelet", "host": "n1"},
        "firstTimestamp": "2026-01-01T11:50:00Z", "lastTimestamp": "2026-01-01T11:59:00Z",
    }));
    assert_eq!(row(&RESOURCE, old), ["60s", "Normal", "Pulled", "pod/a", "", "kubelet, n1", "done", "10m", "3", "a.1"]);
    let new = event(json!({
        "type": "Normal", "reason": "Scheduled", "eventTime": "2026-01-01T11:58:30.5Z", "reportingComponent": "s",
        "involvedObject": {"fieldPath": "spec.containers{c}"},
    }));
    assert_eq!(
        row(&RESOURCE, new),
        ["90s", "Normal", "Scheduled", "pod/a", "spec.containers{c}", "s", "", "90s", "1", "a.1"]
    );
}
