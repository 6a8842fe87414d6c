use corten_apimachinery::meta::ObjectMeta;
use serde_json::{Value, json};

use super::RESOURCE;
use crate::{
    resource::testing::{ALL, created, refuses, updated},
    testing::row,
};

fn class(spec: Value) -> Value {
    json!({"metadata": {"name": "gpu"}, "spec": spec})
}

#[test]
fn a_class_counts_its_generations() {
    let (object, errors) = created(&RESOURCE, "", class(json!({})));
    assert_eq!((object.generation(), errors.len()), (1, 0));
    let old = json!({"metadata": {"name": "gpu", "generation": 3}, "spec": {}});
    let selectors = json!({"selectors": [{"cel": {"expression": "true"}}]});
    let (same, _) = updated(&RESOURCE, RESOURCE.strategy, "", old.clone(), class(json!({})));
    let (other, errors) = updated(&RESOURCE, RESOURCE.strategy, "", old, class(selectors));
    assert_eq!((same.generation(), other.generation(), errors.len()), (3, 4, 0));
}

#[test]
fn what_a_class_says_is_well_formed() {
    refuses(
        &RESOURCE,
        ALL,
        class(json!({
            "selectors": [{}, {"cel": {"expression": "x".repeat(10 * 1_024 + 1)}}],
            "config": [
                {}, {"opaque": {"driver": "", "parameters": null}},
                {"opaque": {"driver": "Example.com", "parameters": [1]}},
                {"opaque": {"driver": "d", "parameters": {"a": "x".repeat(10 * 1_024)}}},
            ],
            "extendedResourceName": "cpu",
        })),
        &[
            "spec.selectors[0].cel: Required value",
            "spec.selectors[1].cel.expression: Too long: may not be more than 10240 bytes",
            "spec.config[0].opaque: Required value",
            "spec.config[1].opaque.driver: Required value",
            "spec.config[1].opaque.parameters: Required value",
            "spec.config[2].opaque.parameters: Invalid value: \"<value omitted>\": must be a valid JSON object",
            "spec.config[3].opaque.parameters: Too long: may not be more than 10240 bytes",
            "spec.extendedResourceName: Invalid value: \"cpu\": must be a valid extended resource name",
        ],
    );
    let many = vec![json!({"cel": {"expression": "true"}}); 33];
    refuses(
        &RESOURCE,
        "",
        class(json!({"selectors": many})),
        &["spec.selectors: Too many: 33: must have at most 32 items"],
    );
}

#[test]
fn selectors_compile_and_are_cheap() {
    let selector = |expression: &str| json!({"cel": {"expression": expression}});
    let ten = "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]";
    let loops = ["z5", "z4", "z3", "z2", "z", "y", "x"];
    let dear = loops.iter().fold("true".to_owned(), |inner, name| format!("{ten}.all({name}, {inner})"));
    let selectors = [
        selector("device.driver == 'd' && device.attributes['d'].model == 'm'"),
        selector("device.driver"),
        selector("noSuchVar"),
        selector(&dear),
        selector("device.allowMultipleAllocations"),
    ];
    let undeclared = "spec.selectors[2].cel.expression: Invalid value: \"noSuchVar\": compilation failed: ERROR: <input>:1:1: \
                      undeclared reference to 'noSuchVar' (in container '')\n | noSuchVar\n | ^";
    let common = [
        "spec.selectors[1].cel.expression: Invalid value: \"device.driver\": must evaluate to bool or the unknown type, not string",
        undeclared,
        "spec.selectors[3].cel.expression: Forbidden: too complex, exceeds cost limit",
    ];
    refuses(&RESOURCE, ALL, class(json!({"selectors": selectors})), &common);
    let unknown = "spec.selectors[4].cel.expression: Invalid value: \"device.allowMultipleAllocations\": compilation failed: \
                   ERROR: <input>:1:7: undefined field 'allowMultipleAllocations'\n | device.allowMultipleAllocations\n | ......^";
    let [first, second, third] = common;
    refuses(&RESOURCE, "", class(json!({"selectors": selectors})), &[first, second, third, unknown]);
}

/// The limit came after the first parameters.
#[test]
fn parameters_that_are_there_may_be_large() {
    let config = json!([{"opaque": {"driver": "d", "parameters": {"a": "x".repeat(20 * 1_024)}}}]);
    let old = class(json!({"config": config}));
    assert_eq!(updated(&RESOURCE, RESOURCE.strategy, "", old.clone(), old.clone()).1, [""; 0]);
    let mut new = old.clone();
    new["spec"]["config"][0]["opaque"]["driver"] = "e".into();
    assert_eq!(
        updated(&RESOURCE, RESOURCE.strategy, "", old, new).1,
        ["spec.config[0].opaque.parameters: Too long: may not be more than 10240 bytes"]
    );
}

#[test]
fn an_extended_resource_needs_its_gate() {
    let name = |object: &corten_apimachinery::Value| object.at(&["spec", "extendedResourceName"]).is_some();
    let with = class(json!({"extendedResourceName": "example.com/gpu"}));
    assert!(!name(&created(&RESOURCE, "", with.clone()).0));
    assert!(name(&created(&RESOURCE, ALL, with.clone()).0));
    assert!(name(&updated(&RESOURCE, RESOURCE.strategy, "", with.clone(), with.clone()).0));
    assert!(!name(&updated(&RESOURCE, RESOURCE.strategy, "", class(json!({})), with).0));
}

#[test]
fn a_row_shows_the_name() {
    assert_eq!(row(&RESOURCE, class(json!({}))), ["gpu", "<unknown>"]);
}
