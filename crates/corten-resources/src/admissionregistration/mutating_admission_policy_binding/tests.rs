use serde_json::{Value, json};

use super::RESOURCE;
use crate::testing::{created, patched, refuses, row, value};

fn binding(spec: Value) -> Value {
    patched(json!({"metadata": {"name": "b"}, "spec": {"policyName": "p"}}), json!({"spec": spec}))
}

#[test]
fn a_binding_is_about_all_versions() {
    let (object, errors) = created(&RESOURCE, binding(json!({"matchResources": {}})));
    assert_eq!(errors, [""; 0]);
    let want = json!({
        "metadata": {"name": "b", "generation": 1},
        "spec": {
            "policyName": "p",
            "matchResources": {"matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {}},
        },
    });
    assert_eq!(object, value(want));
}

#[test]
fn only_the_first_version_says_what_becomes_of_missing_parameters() {
    let action = |version: usize| {
        let mut object = value(binding(json!({"paramRef": {"name": "a"}})));
        (RESOURCE.versions[version].defaults)(&mut object);
        object.str_at(&["spec", "paramRef", "parameterNotFoundAction"]).map(str::to_owned)
    };
    assert_eq!((action(0), action(1).as_deref()), (None, Some("Deny")));
}

#[test]
fn a_binding_names_a_policy_and_what_is_changed() {
    let rule = json!({"operations": ["DELETE"], "apiGroups": ["a"], "apiVersions": ["v1"], "resources": ["pods"]});
    refuses(
        &RESOURCE,
        binding(json!({"policyName": null, "paramRef": {"name": "x"}, "matchResources": {"resourceRules": [rule]}})),
        &[
            "spec.policyName: Required value",
            "spec.paramRef.parameterNotFoundAction: Required value",
            "spec.matchResources.resourceRules.operations: Unsupported value: \"DELETE\": supported values: \"*\", \
             \"CONNECT\", \"CREATE\", \"UPDATE\"",
        ],
    );
}

#[test]
fn a_row_shows_policy_and_parameters() {
    assert_eq!(row(&RESOURCE, binding(json!({"paramRef": {"name": "a"}}))), ["b", "p", "*/a", "<unknown>"]);
}
