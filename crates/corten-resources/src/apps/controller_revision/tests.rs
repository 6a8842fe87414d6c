use serde_json::json;

use super::RESOURCE;
use crate::testing::{refuses, refuses_update, row};

#[test]
fn a_revision_has_data_for_good() {
    refuses(
        &RESOURCE,
        json!({"revision": -1}),
        &["data: Required value: data is mandatory", "revision: Invalid value: -1: must be greater than or equal to 0"],
    );
    refuses_update(
        &RESOURCE,
        RESOURCE.strategy,
        json!({"data": {"a": 1}, "revision": 1}),
        json!({"data": {"a": 2}, "revision": 2}),
        &["data: Invalid value: {\"a\":2}: field is immutable"],
    );
}

#[test]
fn a_row_names_the_controller() {
    let object = json!({
        "metadata": {"name": "a", "ownerReferences": [
            {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "d", "uid": "1", "controller": true},
        ]},
        "revision": 2,
    });
    assert_eq!(row(&RESOURCE, object), ["a", "daemonset.apps/d", "2", "<unknown>"]);
}
