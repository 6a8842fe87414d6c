use serde_json::{Value, json};

use super::RESOURCE;
use crate::testing::{patched, refuses, refuses_update, row, updated};

fn hook(patch: Value) -> Value {
    let base = json!({
        "name": "a.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"],
        "clientConfig": {"url": "https://host/path"},
    });
    patched(base, patch)
}

fn configuration(hooks: &[Value]) -> Value {
    json!({"metadata": {"name": "c"}, "webhooks": hooks})
}

#[track_caller]
fn check(patch: Value, want: &[&str]) {
    let want: Vec<String> = want.iter().map(|error| format!("webhooks[0].{error}")).collect();
    let want: Vec<&str> = want.iter().map(String::as_str).collect();
    refuses(&RESOURCE, configuration(&[hook(patch)]), &want);
}

#[test]
fn a_webhook_has_a_domains_name() {
    check(json!({}), &[]);
    check(json!({"name": ""}), &["name: Required value"]);
    check(
        json!({"name": "a.b"}),
        &["name: Invalid value: \"a.b\": should be a domain with at least three segments separated by dots"],
    );
    refuses(
        &RESOURCE,
        configuration(&[hook(json!({})), hook(json!({}))]),
        &["webhooks[1].name: Duplicate value: \"a.example.com\""],
    );
}

#[test]
fn words_are_among_those_that_are_known() {
    check(
        json!({"failurePolicy": "Odd", "matchPolicy": "Odd", "sideEffects": "Some", "timeoutSeconds": 31}),
        &[
            "failurePolicy: Unsupported value: \"Odd\": supported values: \"Fail\", \"Ignore\"",
            "matchPolicy: Unsupported value: \"Odd\": supported values: \"Equivalent\", \"Exact\"",
            "sideEffects: Unsupported value: \"Some\": supported values: \"None\", \"NoneOnDryRun\"",
            "timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds",
        ],
    );
    check(
        json!({"sideEffects": null, "admissionReviewVersions": null}),
        &[
            "sideEffects: Required value: must specify one of None, NoneOnDryRun",
            "admissionReviewVersions: Required value: must specify one of v1, v1beta1",
        ],
    );
    check(
        json!({"admissionReviewVersions": ["v9", "v9"]}),
        &[
            "admissionReviewVersions[1]: Invalid value: \"v9\": duplicate version",
            "admissionReviewVersions: Invalid value: [\"v9\",\"v9\"]: must include at least one of v1, v1beta1",
        ],
    );
}

#[test]
fn a_webhook_is_reached_over_tls_or_as_a_service() {
    let form = "; desired format: https://host[/path]";
    check(json!({"clientConfig": null}), &["clientConfig: Required value: exactly one of url or service is required"]);
    check(
        json!({"clientConfig": {"url": "http://u@h/?q#f"}}),
        &[
            &format!("clientConfig.url: Invalid value: \"http\": 'https' is the only allowed URL scheme{form}"),
            "clientConfig.url: Invalid value: \"u\": user information is not permitted in the URL",
            "clientConfig.url: Invalid value: \"f\": fragments are not permitted in the URL",
            "clientConfig.url: Invalid value: \"q\": query parameters are not permitted in the URL",
        ],
    );
    check(
        json!({"clientConfig": {"url": "https:///path"}}),
        &[&format!("clientConfig.url: Invalid value: \"\": host must be provided{form}")],
    );
    check(
        json!({"clientConfig": {"url": ":x"}}),
        &[&format!(
            "clientConfig.url: Required value: url must be a valid URL: parse \":x\": missing protocol scheme{form}"
        )],
    );
    check(
        json!({"clientConfig": {"url": null, "service": {"name": "", "namespace": "", "port": 65536, "path": "a//B/"}}}),
        &[
            "clientConfig.service.name: Required value: service name is required",
            "clientConfig.service.namespace: Required value: service namespace is required",
            "clientConfig.service.port: Invalid value: 65536: port is not valid: must be between 1 and 65535, inclusive",
            "clientConfig.service.path: Invalid value: \"a//B/\": must start with a '/'",
            "clientConfig.service.path: Invalid value: \"a//B/\": segment[0] may not be empty",
            "clientConfig.service.path: Invalid value: \"a//B/\": segment[1] may not be empty",
            "clientConfig.service.path: Invalid value: \"a//B/\": segment[2]: a lowercase RFC 1123 subdomain must consist \
             of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character \
             (e.g. 'example.com', regex used for validation is \
             '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
        ],
    );
    check(json!({"clientConfig": {"url": null, "service": {"name": "a", "namespace": "b", "path": "/c/d/"}}}), &[]);
}

#[test]
fn conditions_have_names_and_expressions() {
    check(
        json!({"matchConditions": [{"name": "a", "expression": "true"}, {"name": "a", "expression": " "}, {"name": ""}]}),
        &[
            "matchConditions[1].expression: Required value",
            "matchConditions[1].name: Duplicate value: \"a\"",
            "matchConditions[2].expression: Required value",
            "matchConditions[2].name: Required value",
        ],
    );
    let many: Vec<Value> = (0..65).map(|n| json!({"name": format!("n{n}"), "expression": "true"})).collect();
    check(json!({"matchConditions": many}), &["matchConditions: Too many: 65: must have at most 64 items"]);
}

#[test]
fn conditions_compile_and_give_truth_values() {
    check(
        json!({"matchConditions": [
            {"name": "a", "expression": "object.spec.replicas > oldObject.spec.replicas && request.userInfo.username != 'x'"},
            {"name": "b", "expression": "authorizer.requestResource.check('get').allowed() && namespaceObject.metadata.name == 'd'"},
            {"name": "c", "expression": "params.x"},
            {"name": "d", "expression": "request.namespace"},
            {"name": "e", "expression": "request.nobody == ''"},
        ]}),
        &[
            "matchConditions[2].expression: Invalid value: \"params.x\": compilation failed: ERROR: <input>:1:1: undeclared \
             reference to 'params' (in container '')\n | params.x\n | ^",
            "matchConditions[3].expression: Invalid value: \"request.namespace\": must evaluate to bool but got string",
            "matchConditions[4].expression: Invalid value: \"request.nobody == ''\": compilation failed: ERROR: <input>:1:8: \
             undefined field 'nobody'\n | request.nobody == ''\n | .......^",
        ],
    );
}

#[test]
fn an_update_may_keep_what_was_taken_before() {
    let odd = |patch: Value| {
        let selector = json!({"matchExpressions": [{"key": "a", "operator": "In", "values": ["-"]}]});
        let base = json!({
            "sideEffects": "Some", "admissionReviewVersions": ["v9"], "namespaceSelector": selector,
            "matchConditions": [{"name": "", "expression": "true"}],
        });
        hook(patched(base, patch))
    };
    let old = configuration(&[odd(json!({})), odd(json!({}))]);
    refuses_update(&RESOURCE, RESOURCE.strategy, old.clone(), old.clone(), &[]);
    let changed = odd(json!({"matchConditions": [{"name": "", "expression": "false"}]}));
    refuses_update(
        &RESOURCE,
        RESOURCE.strategy,
        old,
        configuration(&[odd(json!({})), changed.clone()]),
        &["webhooks[0].matchConditions[0].name: Required value", "webhooks[1].matchConditions[0].name: Required value"],
    );
    let sound = configuration(&[hook(json!({}))]);
    let (_, errors) = updated(&RESOURCE, RESOURCE.strategy, sound, configuration(&[changed]));
    assert_eq!(errors.len(), 4, "{errors:?}");
}

#[test]
fn a_generation_counts_changes_of_webhooks() {
    let old = patched(configuration(&[hook(json!({}))]), json!({"metadata": {"generation": 3}}));
    let labelled = patched(old.clone(), json!({"metadata": {"labels": {"a": "b"}}}));
    let changed = patched(old.clone(), configuration(&[]));
    use corten_apimachinery::meta::ObjectMeta as _;
    let generation = |new| updated(&RESOURCE, RESOURCE.strategy, old.clone(), new).0.generation();
    assert_eq!((generation(labelled), generation(changed)), (3, 4));
}

#[test]
fn a_row_counts_webhooks() {
    assert_eq!(row(&RESOURCE, configuration(&[hook(json!({}))])), ["c", "1", "<unknown>"]);
}
