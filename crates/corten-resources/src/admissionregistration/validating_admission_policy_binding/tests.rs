use serde_json::{Value, json};

use super::RESOURCE;
use crate::testing::{created, patched, refuses, row, value};

fn binding(spec: Value) -> Value {
    let base = json!({"metadata": {"name": "b"}, "spec": {"policyName": "p", "validationActions": ["Deny"]}});
    patched(base, json!({"spec": spec}))
}

#[test]
fn a_binding_is_about_all_versions() {
    let (object, errors) = created(&RESOURCE, binding(json!({"matchResources": {}})));
    assert_eq!(errors, [""; 0]);
    let want = json!({
        "metadata": {"name": "b", "generation": 1},
        "spec": {
            "policyName": "p", "validationActions": ["Deny"],
            "matchResources": {"matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {}},
        },
    });
    assert_eq!(object, value(want));
}

#[test]
fn a_binding_names_a_policy_and_what_a_failure_leads_to() {
    refuses(
        &RESOURCE,
        json!({"metadata": {"name": "b"}}),
        &[
            "spec.policyName: Required value",
            "spec.validationActions: Required value: at least one validation action is required",
        ],
    );
    refuses(
        &RESOURCE,
        binding(json!({"validationActions": ["Deny", "Warn", "Warn", "illegal"]})),
        &[
            "spec.validationActions[2]: Duplicate value: \"Warn\"",
            "spec.validationActions[3]: Unsupported value: \"illegal\": supported values: \"Audit\", \"Deny\", \"Warn\"",
            "spec.validationActions: Invalid value: [\"Deny\",\"Warn\",\"Warn\",\"illegal\"]: must not contain both Deny and \
             Warn (repeating the same validation failure information in the API response and headers serves no purpose)",
        ],
    );
    refuses(
        &RESOURCE,
        binding(json!({"matchResources": {"matchPolicy": "Odd"}})),
        &["spec.matchResources.matchPolicy: Unsupported value: \"Odd\": supported values: \"Equivalent\", \"Exact\""],
    );
}

#[test]
fn parameters_are_named_or_selected() {
    for (reference, want) in [
        (json!({"name": "a", "parameterNotFoundAction": "Deny"}), &[] as &[&str]),
        (
            json!({"parameterNotFoundAction": "Odd"}),
            &[
                "spec.paramRef: Required value: one of name or selector must be specified",
                "spec.paramRef.parameterNotFoundAction: Unsupported value: \"Odd\": supported values: \"Deny\", \"Allow\"",
            ],
        ),
        (
            json!({"name": "a/b", "selector": {}}),
            &[
                "spec.paramRef.name: Invalid value: \"a/b\": may not contain '/'",
                "spec.paramRef.name: Forbidden: name and selector are mutually exclusive",
                "spec.paramRef.selector: Forbidden: name and selector are mutually exclusive",
                "spec.paramRef.parameterNotFoundAction: Required value",
            ],
        ),
    ] {
        refuses(&RESOURCE, binding(json!({"paramRef": reference})), want);
    }
}

#[test]
fn a_row_shows_policy_and_parameters() {
    assert_eq!(row(&RESOURCE, binding(json!({}))), ["b", "p", "<unset>", "<unknown>"]);
    let of_namespace = binding(json!({"paramRef": {"namespace": "n", "name": "a"}}));
    assert_eq!(row(&RESOURCE, of_namespace), ["b", "p", "n/a", "<unknown>"]);
    assert_eq!(row(&RESOURCE, binding(json!({"paramRef": {"name": "a"}}))), ["b", "p", "*/a", "<unknown>"]);
    let selector =
        json!({"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "k", "operator": "In", "values": ["v", "w"]}]});
    assert_eq!(
        row(&RESOURCE, binding(json!({"paramRef": {"selector": selector}})))[2],
        "&LabelSelector{MatchLabels:map[string]string{a: b,},MatchExpressions:[]LabelSelectorRequirement{\
         LabelSelectorRequirement{Key:k,Operator:In,Values:[v w],},},}"
    );
}
