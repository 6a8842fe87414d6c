use serde_json::json;

use super::RESOURCE;
use crate::testing::{created, refuses, refuses_update, row, value};

#[test]
fn keys_are_file_names_and_unique_in_both_maps() {
    refuses(&RESOURCE, json!({"data": {"a.txt": "x"}, "binaryData": {"b": "AA=="}}), &[]);
    refuses(
        &RESOURCE,
        json!({"data": {"a": "x", "..": ""}, "binaryData": {"a": "AA=="}}),
        &[
            "data[..]: Invalid value: \"..\": must not be '..'",
            "data[a]: Invalid value: \"a\": duplicate of key present in binaryData",
            "binaryData[a]: Invalid value: \"a\": duplicate of key present in data",
        ],
    );
}

/// They stayed null, and clients that decode every entry failed on them.
#[test]
fn bytes_that_are_null_are_none() {
    let (object, errors) = created(&RESOURCE, json!({"binaryData": {"a": null, "b": "AA=="}}));
    assert_eq!(errors, [""; 0]);
    assert_eq!(object, value(json!({"binaryData": {"a": "", "b": "AA=="}})));
}

#[test]
fn a_config_map_holds_a_mebibyte() {
    refuses(&RESOURCE, json!({"data": {"a": "x".repeat(1 << 20)}}), &[]);
    refuses(
        &RESOURCE,
        json!({"data": {"a": "x".repeat((1 << 20) + 1)}}),
        &["[]: Too long: may not be more than 1048576 bytes"],
    );
}

#[test]
fn an_immutable_one_stays() {
    let old = json!({"immutable": true, "data": {"a": "x"}});
    let detail = "field is immutable when `immutable` is set";
    refuses_update(&RESOURCE, RESOURCE.strategy, old.clone(), old.clone(), &[]);
    refuses_update(
        &RESOURCE,
        RESOURCE.strategy,
        old,
        json!({"data": {"a": "y"}}),
        &[&format!("immutable: Forbidden: {detail}"), &format!("data: Forbidden: {detail}")],
    );
}

#[test]
fn a_row_counts_keys() {
    let object = json!({"metadata": {"name": "a"}, "data": {"a": "x", "b": "y"}, "binaryData": {"c": ""}});
    assert_eq!(row(&RESOURCE, object), ["a", "3", "<unknown>"]);
}
