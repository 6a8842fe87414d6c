use serde_json::{Value, json};

use super::RESOURCE;
use crate::testing::{created, patched, refuses, refuses_update, row, value};

fn policy(spec: Value) -> Value {
    let rule = json!({"operations": ["CREATE"], "apiGroups": ["a"], "apiVersions": ["v1"], "resources": ["pods"]});
    let base = json!({
        "metadata": {"name": "p"},
        "spec": {
            "matchConstraints": {"resourceRules": [rule]}, "reinvocationPolicy": "Never",
            "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": "Object{}"}}],
        },
    });
    patched(base, json!({"spec": spec}))
}

#[track_caller]
fn check(spec: Value, want: &[&str]) {
    let want: Vec<String> = want.iter().map(|error| format!("spec.{error}")).collect();
    let want: Vec<&str> = want.iter().map(String::as_str).collect();
    refuses(&RESOURCE, policy(spec), &want);
}

#[test]
fn a_policy_refuses_what_it_cannot_change_of_all_versions() {
    let (object, errors) = created(&RESOURCE, policy(json!({})));
    assert_eq!(errors, [""; 0]);
    let want = json!({
        "metadata": {"name": "p", "generation": 1},
        "spec": {
            "failurePolicy": "Fail", "reinvocationPolicy": "Never",
            "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": "Object{}"}}],
            "matchConstraints": {
                "matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {},
                "resourceRules": [{
                    "operations": ["CREATE"], "apiGroups": ["a"], "apiVersions": ["v1"], "resources": ["pods"], "scope": "*",
                }],
            },
        },
    });
    assert_eq!(object, value(want));
}

#[test]
fn a_policy_changes_something() {
    refuses(
        &RESOURCE,
        json!({"metadata": {"name": "p"}, "spec": {}}),
        &[
            "spec.matchConstraints: Required value",
            "spec.mutations: Required value: mutations must contain at least one item",
            "spec.reinvocationPolicy: Required value",
        ],
    );
    check(
        json!({"reinvocationPolicy": "other", "mutations": [{"patchType": "other"}, {"patchType": ""}]}),
        &[
            "mutations[0].patchType: Unsupported value: \"other\": supported values: \"ApplyConfiguration\", \"JSONPatch\"",
            "mutations[1].patchType: Required value",
            "reinvocationPolicy: Unsupported value: \"other\": supported values: \"IfNeeded\", \"Never\"",
        ],
    );
}

#[test]
fn a_change_has_one_form() {
    check(
        json!({"mutations": [
            {"patchType": "JSONPatch", "applyConfiguration": {"expression": "Object{}"}},
            {"patchType": "ApplyConfiguration", "jsonPatch": {"expression": "[]"}},
            {"patchType": "JSONPatch", "jsonPatch": {"expression": "  "}},
        ]}),
        &[
            "mutations[0].jsonPatch: Required value: must be specified when patchType is JSONPatch",
            "mutations[0].applyConfiguration: Invalid value: \"{applyConfiguration}\": must not be specified when \
             patchType is JSONPatch",
            "mutations[1].applyConfiguration: Required value: must be specified when patchType is ApplyConfiguration",
            "mutations[1].jsonPatch: Invalid value: \"{jsonPatch}\": must not be specified when patchType is \
             ApplyConfiguration",
            "mutations[2].jsonPatch.expression: Required value",
        ],
    );
}

#[test]
fn a_change_is_of_the_type_of_its_form() {
    let apply =
        |expression: &str| json!({"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}});
    let patch = |expression: &str| json!({"patchType": "JSONPatch", "jsonPatch": {"expression": expression}});
    check(
        json!({"variables": [{"name": "n", "expression": "1"}], "mutations": [
            apply("Object{spec: Object.spec{replicas: variables.n, names: ['a'], ?other: optional.none()}}"),
            apply("Object.spec{}"),
            apply("object"),
            patch("[JSONPatch{op: 'add', path: '/metadata/labels/' + jsonpatch.escapeKey('a/b'), value: Object.metadata{}}]"),
            patch("JSONPatch{op: 1}"),
        ]}),
        &[
            "mutations[1].applyConfiguration.expression: Invalid value: \"Object.spec{}\": must evaluate to Object but got \
             Object.spec",
            "mutations[2].applyConfiguration.expression: Invalid value: \"object\": must evaluate to Object but got dyn",
            "mutations[4].jsonPatch.expression: Invalid value: \"JSONPatch{op: 1}\": compilation failed: ERROR: <input>:1:13: expected \
             type of field 'op' is 'string' but provided type is 'int'\n | JSONPatch{op: 1}\n | ............^",
        ],
    );
}

#[test]
fn what_goes_is_not_changed() {
    let rule = json!({"operations": ["DELETE"], "apiGroups": ["a"], "apiVersions": ["v1"], "resources": ["pods"]});
    check(
        json!({"matchConstraints": {"resourceRules": [rule]}}),
        &[
            "matchConstraints.resourceRules.operations: Unsupported value: \"DELETE\": supported values: \"*\", \"CONNECT\", \
             \"CREATE\", \"UPDATE\"",
        ],
    );
}

#[test]
fn conditions_are_checked_again_only_if_they_change() {
    let old = policy(json!({"matchConditions": [{"name": "", "expression": "x"}]}));
    refuses_update(&RESOURCE, RESOURCE.strategy, old.clone(), old, &[]);
}

#[test]
fn a_row_counts_changes() {
    let with = policy(json!({"paramKind": {"apiVersion": "a/v1", "kind": "K"}}));
    assert_eq!(row(&RESOURCE, with), ["p", "1", "a/v1/K", "<unknown>"]);
}
