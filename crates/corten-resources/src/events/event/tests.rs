use serde_json::json;

use super::{RESOURCE, conversion};
use crate::testing::{context, row, value};

#[test]
fn both_forms_convert_into_each_other() {
    let here = json!({
        "eventTime": "2026-01-01T00:00:00.000000Z", "regarding": {"kind": "Pod"}, "note": "n", "reportingController": "c",
        "deprecatedCount": 2, "deprecatedSource": {"component": "x"}, "series": {"count": 2}, "reason": "r",
    });
    let mut event = value(here.clone());
    conversion::to_core(&mut event);
    assert_eq!(
        event,
        value(json!({
            "eventTime": "2026-01-01T00:00:00.000000Z", "involvedObject": {"kind": "Pod"}, "message": "n",
            "reportingComponent": "c", "count": 2, "source": {"component": "x"}, "series": {"count": 2}, "reason": "r",
        }))
    );
    conversion::from_core(&mut event);
    assert_eq!(event, value(here));
}

#[test]
fn the_newer_group_is_stricter() {
    let event = value(json!({
        "metadata": {"name": "a", "namespace": "default"}, "involvedObject": {}, "type": "Odd", "count": 1,
        "series": {"count": 1},
    }));
    let errors: Vec<String> =
        RESOURCE.strategy.validate(&context("events.k8s.io/v1"), &event).iter().map(ToString::to_string).collect();
    assert_eq!(
        errors,
        [
            "series.count: Invalid value: \"\": should be at least 2",
            "series.lastObservedTime: Required value",
            "eventTime: Required value",
            "type: Invalid value: \"\": has invalid value: Odd",
            "count: Invalid value: \"\": needs to be unset",
        ]
    );
}

/// The core group writes who reports as an empty text where nobody does, and this group leaves it out: no write by it succeeded.
#[test]
fn who_does_not_report_has_not_changed() {
    let event = |rest: serde_json::Value| {
        let mut event = json!({"metadata": {"name": "a", "namespace": "default"}, "involvedObject": {}, "reason": "r"});
        event.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        value(event)
    };
    let old = event(json!({"reportingComponent": "", "reportingInstance": "", "type": "Normal"}));
    let update = |new: &_| -> Vec<String> {
        let errors = RESOURCE.strategy.validate_update(&context("events.k8s.io/v1"), new, &old);
        errors.iter().map(ToString::to_string).collect()
    };
    assert_eq!(update(&event(json!({"type": "Normal"}))), [""; 0]);
    assert_eq!(update(&event(json!({}))), ["type: Invalid value: \"\": field is immutable"]);
}

#[test]
fn what_is_stored_is_the_form_of_the_core_group() {
    assert_eq!(RESOURCE.hub_api_version(), "v1");
    assert_eq!(RESOURCE.hub().type_name, "io.k8s.api.core.v1.Event");
}

/// The columns read the core group's names only, so that this group's events had no time, object and message.
#[test]
fn a_row_is_that_of_the_core_group() {
    let event = json!({
        "metadata": {"name": "a.1", "namespace": "dev"}, "type": "Normal", "reason": "Pulled", "note": "done",
        "regarding": {"kind": "Pod", "name": "a", "fieldPath": "spec.containers{c}"},
        "deprecatedCount": 3, "deprecatedSource": {"component": "kubelet", "host": "n1"},
        "deprecatedFirstTimestamp": "2026-01-01T11:50:00Z", "deprecatedLastTimestamp": "2026-01-01T11:59:00Z",
    });
    assert_eq!(
        row(&RESOURCE, event),
        ["60s", "Normal", "Pulled", "pod/a", "spec.containers{c}", "kubelet, n1", "done", "10m", "3", "a.1"]
    );
    let event = json!({
        "metadata": {"name": "a.1"}, "eventTime": "2026-01-01T11:58:30.5Z", "reportingController": "s",
        "reportingInstance": "s-1",
    });
    assert_eq!(row(&RESOURCE, event), ["90s", "", "", "", "", "s, s-1", "", "90s", "1", "a.1"]);
}
