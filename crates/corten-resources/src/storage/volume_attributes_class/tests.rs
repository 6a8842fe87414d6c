use serde_json::{Value, json};

use super::RESOURCE;
use crate::testing::{patched, refuses, refuses_update, row};

fn class(patch: Value) -> Value {
    patched(json!({"metadata": {"name": "gold"}, "driverName": "d", "parameters": {"iops": "9"}}), patch)
}

#[test]
fn a_class_is_for_a_driver_and_says_something() {
    refuses(&RESOURCE, class(json!({})), &[]);
    refuses(
        &RESOURCE,
        json!({}),
        &["driverName: Required value", "parameters: Required value: must contain at least one key/value pair"],
    );
    refuses(
        &RESOURCE,
        class(json!({"parameters": {"": "x".repeat(256 * 1_024 + 1)}})),
        &[
            "parameters: Invalid value: \"\": field can not be empty.",
            "parameters: Too long: may not be more than 262144 bytes",
        ],
    );
    let many: serde_json::Map<String, Value> = (0..513).map(|n| (n.to_string(), json!("v"))).collect();
    refuses(&RESOURCE, class(json!({"parameters": many})), &["parameters: Too long: may not be more than 512 bytes"]);
}

#[test]
fn a_class_stays_as_it_is() {
    refuses_update(
        &RESOURCE,
        RESOURCE.strategy,
        class(json!({})),
        class(json!({"driverName": "e", "parameters": {"iops": "10"}})),
        &[
            "driverName: Forbidden: updates to driverName are forbidden.",
            "parameters: Forbidden: updates to parameters are forbidden.",
        ],
    );
}

#[test]
fn the_default_class_is_marked() {
    let mark = json!({"metadata": {"annotations": {
        "volumeattributesclass.alpha.kubernetes.io/is-default-class": "true",
    }}});
    assert_eq!(row(&RESOURCE, class(json!({}))), ["gold", "d", "<unknown>"]);
    assert_eq!(row(&RESOURCE, class(mark))[0], "gold (default)");
}
