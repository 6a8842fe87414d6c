use serde_json::{Value, json};

use super::RESOURCE;
use crate::{
    resource::testing::{created, updated},
    testing::{refuses, refuses_update, row},
};

fn template(devices: Value) -> Value {
    json!({"metadata": {"name": "t"}, "spec": {"metadata": {"labels": {"a": "b"}}, "spec": {"devices": devices}}})
}

#[test]
fn a_request_is_for_one_device() {
    let (object, errors) =
        created(&RESOURCE, "", template(json!({"requests": [{"name": "a", "exactly": {"deviceClassName": "c"}}]})));
    assert_eq!(errors, [""; 0]);
    let exactly = &object.items_at(&["spec", "spec", "devices", "requests"])[0].at(&["exactly"]).unwrap();
    assert_eq!((exactly.str_at(&["allocationMode"]), exactly.i64_at(&["count"])), (Some("ExactCount"), Some(1)));
}

#[test]
fn claims_get_labels_and_annotations_only() {
    let mut object = template(json!({"requests": [{"name": "a"}]}));
    object["spec"]["metadata"] = json!({"name": "n", "uid": "u", "creationTimestamp": null, "labels": {"": "b"}});
    refuses(
        &RESOURCE,
        object,
        &[
            "spec.metadata.labels: Invalid value: \"\": name part must be non-empty",
            "spec.metadata.labels: Invalid value: \"\": name part must consist of alphanumeric characters, '-', '_' or '.', \
             and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex \
             used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
            "spec.metadata.name: Forbidden: cannot be set",
            "spec.metadata.uID: Forbidden: cannot be set",
            "spec.spec.devices.requests[0]: Required value: exactly one of `exactly` or `firstAvailable` is required",
        ],
    );
}

#[test]
fn a_template_stays_as_it_is() {
    let errors = [
        "spec: Invalid value: {\"labels\":{\"a\":\"b\"},\"Spec\":{\"Devices\":{\"Requests\":[{\"Name\":\"B\",\"Exactly\":null,\
         \"FirstAvailable\":null}],\"Constraints\":null,\"Config\":null}}}: field is immutable",
    ];
    let named = |name: &str| template(json!({"requests": [{"name": name}]}));
    refuses_update(&RESOURCE, RESOURCE.strategy, named("a"), named("B"), &errors);
    refuses_update(&RESOURCE, RESOURCE.strategy, named("a"), named("a"), &[]);
}

#[test]
fn what_is_in_use_stays_without_its_gate() {
    let watcher =
        template(json!({"requests": [{"name": "a", "exactly": {"deviceClassName": "c", "adminAccess": true}}]}));
    let off = "DRAAdminAccess=false";
    let is_kept = |object: &corten_apimachinery::Value| {
        let request = &object.items_at(&["spec", "spec", "devices", "requests"])[0];
        request.at(&["exactly", "adminAccess"]).is_some()
    };
    assert!(is_kept(&created(&RESOURCE, "", watcher.clone()).0));
    assert!(!is_kept(&created(&RESOURCE, off, watcher.clone()).0));
    assert!(is_kept(&updated(&RESOURCE, RESOURCE.strategy, off, watcher.clone(), watcher).0));
}

#[test]
fn a_row_shows_the_name() {
    assert_eq!(row(&RESOURCE, template(json!({}))), ["t", "<unknown>"]);
}
