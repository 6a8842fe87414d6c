use corten_apimachinery::meta::ObjectMeta as _;
use serde_json::{Value, json};

use super::{RESOURCE, strategy};
use crate::testing::{created, patched, refuses, refuses_update, row, updated, value};

fn policy(spec: Value) -> Value {
    let rule = json!({"operations": ["CREATE"], "apiGroups": ["a"], "apiVersions": ["v1"], "resources": ["pods"]});
    let base = json!({
        "metadata": {"name": "p"},
        "spec": {"matchConstraints": {"resourceRules": [rule]}, "validations": [{"expression": "true"}]},
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
fn a_policy_refuses_what_it_cannot_judge_of_all_versions() {
    let (object, errors) = created(&RESOURCE, policy(json!({})));
    assert_eq!(errors, [""; 0]);
    let want = json!({
        "metadata": {"name": "p", "generation": 1},
        "spec": {
            "failurePolicy": "Fail", "validations": [{"expression": "true"}],
            "matchConstraints": {
                "matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {},
                "resourceRules": [{
                    "operations": ["CREATE"], "apiGroups": ["a"], "apiVersions": ["v1"], "resources": ["pods"], "scope": "*",
                }],
            },
        },
        "status": {},
    });
    assert_eq!(object, value(want));
}

#[test]
fn a_policy_judges_something() {
    refuses(
        &RESOURCE,
        json!({"metadata": {"name": "p"}}),
        &[
            "spec.matchConstraints: Required value",
            "spec.validations: Required value: validations or auditAnnotations must contain at least one item",
            "spec.auditAnnotations: Required value: validations or auditAnnotations must contain at least one item",
        ],
    );
    check(
        json!({"failurePolicy": "Odd", "matchConstraints": {"resourceRules": null, "matchPolicy": "Odd"}}),
        &[
            "failurePolicy: Unsupported value: \"Odd\": supported values: \"Fail\", \"Ignore\"",
            "matchConstraints.matchPolicy: Unsupported value: \"Odd\": supported values: \"Equivalent\", \"Exact\"",
            "matchConstraints.resourceRules: Required value",
        ],
    );
}

#[test]
fn parameters_are_of_a_kind() {
    let label = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
                 character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for \
                 validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
    check(json!({"paramKind": {"apiVersion": "example.com/v1", "kind": "Limit"}}), &[]);
    check(json!({"paramKind": {}}), &["paramKind.apiVersion: Required value", "paramKind.kind: Required value"]);
    check(
        json!({"paramKind": {"apiVersion": "a/b/c", "kind": "1"}}),
        &[
            "paramKind.apiVersion: Invalid value: \"a/b/c\": unexpected GroupVersion string: a/b/c",
            &format!("paramKind.kind: Invalid value: \"1\": may have mixed case, but should otherwise match: {label}"),
        ],
    );
    check(
        json!({"paramKind": {"apiVersion": "g/", "kind": "K"}}),
        &["paramKind.apiVersion: Invalid value: \"g/\": version must be specified"],
    );
    check(
        json!({"paramKind": {"apiVersion": "g/V", "kind": "K"}}),
        &[&format!("paramKind.apiVersion: Invalid value: \"V\": {label}")],
    );
}

#[test]
fn validations_say_what_they_mean() {
    check(
        json!({"validations": [
            {"expression": " "},
            {"expression": "true", "messageExpression": " ", "message": " ", "reason": "Odd"},
            {"expression": "true", "message": "a\nb", "reason": "Forbidden"},
        ]}),
        &[
            "validations[0].expression: Required value: expression is not specified",
            "validations[1].messageExpression: Invalid value: \" \": must be non-empty if specified",
            "validations[1].message: Invalid value: \" \": message must be non-empty if specified",
            "validations[1].reason: Unsupported value: \"Odd\": supported values: \"Forbidden\", \"Invalid\", \
             \"RequestEntityTooLarge\"",
            "validations[2].message: Invalid value: \"a\\nb\": message must not contain line breaks",
        ],
    );
    check(
        json!({"variables": [{"name": "", "expression": ""}, {"name": "4ever", "expression": "1"}]}),
        &[
            "variables[0].name: Required value: name is not specified",
            "variables[0].expression: Required value: expression is not specified",
            "variables[1].name: Invalid value: \"4ever\": name is not a valid CEL identifier",
        ],
    );
}

#[test]
fn expressions_compile_and_give_what_is_asked_for() {
    check(
        json!({
            "variables": [
                {"name": "replicas", "expression": "object.spec.replicas"},
                {"name": "limit", "expression": "5"},
                {"name": "twice", "expression": "variables.limit * 2"},
                {"name": "wrong", "expression": "variables.later"},
                {"name": "later", "expression": "['a', 'b']"},
                {"name": "half", "expression": "optional.of(1)"},
            ],
            "validations": [
                {"expression": "variables.replicas <= variables.twice && variables.wrong == 1", "messageExpression": "'at most ' + string(variables.limit)"},
                {"expression": "object.x in [1, 2, "},
                {"expression": "variables.limit"},
                {"expression": "variables.limit == 'a'", "messageExpression": "variables.later"},
                {"expression": "variables.half.hasValue()", "messageExpression": "authorizer.path('/').check('get').reason()"},
                {"expression": "authorizer.group('').resource('pods').check('get').allowed()"},
                {"expression": "params.x == 1"},
            ],
            "auditAnnotations": [
                {"key": "a", "valueExpression": "true ? 'b' : null"}, {"key": "b", "valueExpression": "null"},
                {"key": "c", "valueExpression": "variables.later"},
            ],
        }),
        &[
            "variables[3].expression: Invalid value: \"variables.later\": compilation failed: ERROR: <input>:1:10: undefined field \
             'later'\n | variables.later\n | .........^",
            "validations[1].expression: Invalid value: \"object.x in [1, 2, \": compilation failed: ERROR: <input>:1:20: Syntax \
             error: missing ']' at '<EOF>'\n | object.x in [1, 2, \n | ...................^",
            "validations[2].expression: Invalid value: \"variables.limit\": must evaluate to bool but got int",
            "validations[3].expression: Invalid value: \"variables.limit == 'a'\": compilation failed: ERROR: <input>:1:17: found no \
             matching overload for '_==_' applied to '(int, string)'\n | variables.limit == 'a'\n | ................^",
            "validations[3].messageExpression: Invalid value: \"variables.later\": must evaluate to string but got list(string)",
            "validations[4].messageExpression: Invalid value: \"authorizer.path('/').check('get').reason()\": compilation failed: \
             ERROR: <input>:1:1: undeclared reference to 'authorizer' (in container '')\n | \
             authorizer.path('/').check('get').reason()\n | ^",
            "validations[6].expression: Invalid value: \"params.x == 1\": compilation failed: ERROR: <input>:1:1: undeclared reference \
             to 'params' (in container '')\n | params.x == 1\n | ^",
            "auditAnnotations[0].valueExpression: Invalid value: \"true ? 'b' : null\": compilation failed: ERROR: <input>:1:6: found no \
             matching overload for '_?_:_' applied to '(bool, string, null)'\n | true ? 'b' : null\n | .....^",
            "auditAnnotations[2].valueExpression: Invalid value: \"variables.later\": must evaluate to one of [string null_type] but \
             got list(string)",
        ],
    );
}

#[test]
fn audit_annotations_have_keys_of_their_own() {
    let long = "x".repeat(5 * 1_024 + 1);
    check(
        json!({"validations": null, "auditAnnotations": [
            {"key": "a", "valueExpression": "'b'"},
            {"key": "a", "valueExpression": " "},
            {"key": "b", "valueExpression": long},
        ]}),
        &[
            "auditAnnotations[1].valueExpression: Required value: valueExpression is not specified",
            "auditAnnotations[1].key: Duplicate value: \"a\"",
            "auditAnnotations[2].valueExpression: Required value: must not exceed 5120 bytes in length",
        ],
    );
    let many: Vec<Value> = (0..21).map(|n| json!({"key": format!("a{n}"), "valueExpression": "''"})).collect();
    let (_, errors) = created(&RESOURCE, policy(json!({"auditAnnotations": many})));
    assert_eq!(errors.len(), 1);
    assert!(errors[0].ends_with("must not have more than 20 auditAnnotations"), "{errors:?}");
}

#[test]
fn conditions_are_checked_again_only_if_they_or_the_parameters_change() {
    let old = policy(json!({"matchConditions": [{"name": "", "expression": "true"}]}));
    refuses_update(&RESOURCE, RESOURCE.strategy, old.clone(), old.clone(), &[]);
    let param_kind = json!({"spec": {"paramKind": {"apiVersion": "v1", "kind": "ConfigMap"}}});
    refuses_update(
        &RESOURCE,
        RESOURCE.strategy,
        old.clone(),
        patched(old, param_kind),
        &["spec.matchConditions[0].name: Required value"],
    );
}

#[test]
fn each_endpoint_changes_its_part() {
    let old = patched(policy(json!({})), json!({"metadata": {"generation": 2}, "status": {"observedGeneration": 2}}));
    let new = patched(
        policy(json!({"failurePolicy": "Ignore"})),
        json!({"metadata": {"generation": 2, "labels": {"a": "b"}}, "status": {"observedGeneration": 3}}),
    );
    let (main, _) = updated(&RESOURCE, RESOURCE.strategy, old.clone(), new.clone());
    assert_eq!((main.generation(), main.i64_at(&["status", "observedGeneration"])), (3, Some(2)));
    let (status, errors) = updated(&RESOURCE, &strategy::STATUS, old, new);
    assert_eq!(errors, [""; 0]);
    assert_eq!((status.generation(), status.i64_at(&["status", "observedGeneration"])), (2, Some(3)));
    assert_eq!(status.str_at(&["spec", "failurePolicy"]), Some("Fail"));
    assert_eq!(status.at(&["metadata", "labels"]), None);
}

#[test]
fn a_status_warns_of_fields() {
    refuses_update(
        &RESOURCE,
        &strategy::STATUS,
        policy(json!({})),
        patched(
            policy(json!({})),
            json!({"status": {
                "typeChecking": {"expressionWarnings": [
                    {"warning": "", "fieldRef": " "}, {"warning": "w", "fieldRef": " spec.validations[0].expression "},
                    {"warning": "w", "fieldRef": " spec.validations[a].expression "}, {"warning": "w", "fieldRef": "a["},
                    {"warning": "w", "fieldRef": "}{.a"}, {"warning": "w", "fieldRef": "a\nb"},
                ]},
                "conditions": [{"type": "A", "status": "True", "reason": "B"}],
            }}),
        ),
        &[
            "status.typeChecking.expressionWarnings[0].warning: Required value",
            "status.typeChecking.expressionWarnings[0].fieldRef: Required value",
            "status.typeChecking.expressionWarnings[2].fieldRef: Invalid value: \"spec.validations[a].expression\": invalid \
             JSONPath: invalid array index a",
            "status.typeChecking.expressionWarnings[3].fieldRef: Invalid value: \"a[\": invalid JSONPath: unterminated array",
            "status.typeChecking.expressionWarnings[5].fieldRef: Invalid value: \"a\\nb\": invalid JSONPath: unclosed action",
            "status.conditions[0].lastTransitionTime: Required value: must be set",
        ],
    );
}

#[test]
fn a_row_shows_the_kind_of_parameters() {
    assert_eq!(row(&RESOURCE, policy(json!({}))), ["p", "1", "<unset>", "<unknown>"]);
    let with = policy(json!({"paramKind": {"apiVersion": "v1", "kind": "ConfigMap"}}));
    assert_eq!(row(&RESOURCE, with), ["p", "1", "v1/ConfigMap", "<unknown>"]);
}
