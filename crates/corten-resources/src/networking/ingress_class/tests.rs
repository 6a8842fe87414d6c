use corten_apimachinery::meta::ObjectMeta as _;
use serde_json::{Value, json};

use super::RESOURCE;
use crate::testing::{created, patched, refuses, refuses_update, row, updated, value};

fn class(spec: Value) -> Value {
    patched(json!({"metadata": {"name": "c"}, "spec": {"controller": "acme.io/c"}}), json!({"spec": spec}))
}

#[test]
fn parameters_are_of_the_cluster_by_default() {
    let (object, errors) = created(&RESOURCE, class(json!({"parameters": {"kind": "K", "name": "n"}})));
    assert_eq!(errors, [""; 0]);
    let want = json!({"parameters": {"kind": "K", "name": "n", "scope": "Cluster"}});
    assert_eq!(object, value(patched(class(want), json!({"metadata": {"generation": 1}}))));
}

#[test]
fn classes_are_checked() {
    let long = format!("a.io/{}", "x".repeat(250));
    let parameters = |more: Value| json!({"parameters": patched(json!({"kind": "K", "name": "n"}), more)});
    let cases: [(Value, &[&str]); 7] = [
        (json!({"controller": null}), &["spec.controller: Required value"]),
        (json!({"controller": long}), &["spec.controller: Too long: may not be more than 250 bytes"]),
        (
            json!({"controller": "c"}),
            &["spec.controller: Invalid value: \"c\": must be a domain-prefixed path (such as \"acme.io/foo\")"],
        ),
        (
            json!({"parameters": {}}),
            &[
                "spec.parameters.kind: Required value: kind is required",
                "spec.parameters.name: Required value: name is required",
            ],
        ),
        (
            parameters(json!({"scope": "Odd"})),
            &["spec.parameters.scope: Unsupported value: \"Odd\": supported values: \"Cluster\", \"Namespace\""],
        ),
        (
            parameters(json!({"namespace": "a"})),
            &["spec.parameters.namespace: Forbidden: `parameters.scope` is set to 'Cluster'"],
        ),
        (
            parameters(json!({"scope": "Namespace"})),
            &["spec.parameters.namespace: Required value: `parameters.scope` is set to 'Namespace'"],
        ),
    ];
    for (spec, want) in cases {
        refuses(&RESOURCE, class(spec), want);
    }
    refuses(&RESOURCE, class(parameters(json!({"scope": "Namespace", "namespace": "a"}))), &[]);
}

#[test]
fn the_controller_stays() {
    refuses_update(
        &RESOURCE,
        RESOURCE.strategy,
        class(json!({})),
        class(json!({"controller": "acme.io/d"})),
        &["spec.controller: Invalid value: \"acme.io/d\": field is immutable"],
    );
    let old = patched(class(json!({})), json!({"metadata": {"generation": 1}}));
    let (other, _) =
        updated(&RESOURCE, RESOURCE.strategy, old, class(json!({"parameters": {"kind": "K", "name": "n"}})));
    assert_eq!(other.generation(), 2);
}

#[test]
fn a_row_shows_parameters() {
    let parameters = json!({"parameters": {"apiGroup": "a.io", "kind": "K", "name": "n"}});
    assert_eq!(row(&RESOURCE, class(parameters)), ["c", "acme.io/c", "K.a.io/n", "<unknown>"]);
    assert_eq!(row(&RESOURCE, class(json!({}))), ["c", "acme.io/c", "<none>", "<unknown>"]);
}
