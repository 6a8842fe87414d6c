use serde_json::json;

use super::{RESOURCE, conversion};
use crate::testing::{context, value};

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

#[test]
fn what_is_stored_is_the_form_of_the_core_group() {
    assert_eq!(RESOURCE.hub_api_version(), "v1");
    assert_eq!(RESOURCE.hub().type_name, "io.k8s.api.core.v1.Event");
}
