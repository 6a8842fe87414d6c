use serde_json::json;

use super::RESOURCE;
use crate::testing::{context, created, refuses, refuses_update, row, value};

#[test]
fn a_class_says_what_its_pods_cost_and_where_they_run() {
    let class = json!({
        "metadata": {"name": "vm"}, "handler": "kata",
        "overhead": {"podFixed": {"memory": "120Mi", "cpu": "250.5m"}},
        "scheduling": {"nodeSelector": {"a": "b"}, "tolerations": [{"key": "k", "operator": "Exists"}]},
    });
    let (object, errors) = created(&RESOURCE, class);
    assert_eq!(errors, [""; 0]);
    assert_eq!(object.str_at(&["overhead", "podFixed", "cpu"]), Some("251m"));
}

#[test]
fn handler_overhead_and_scheduling_are_well_formed() {
    refuses(
        &RESOURCE,
        json!({
            "metadata": {"name": "a"}, "handler": "Kata",
            "overhead": {"podFixed": {"cpu": "-1"}},
            "scheduling": {"nodeSelector": {"a b": "c"}, "tolerations": [{"key": "k", "operator": "Maybe"}]},
        }),
        &[
            "handler: Invalid value: \"Kata\": a lowercase RFC 1123 label must consist of lower case alphanumeric \
             characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', \
             regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
            "overhead.limits[cpu]: Invalid value: \"-1\": must be greater than or equal to 0",
            "scheduling.nodeSelector: Invalid value: \"a b\": name part must consist of alphanumeric characters, '-', '_' \
             or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', \
             regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
            "scheduling.tolerations[0].operator: Unsupported value: \"Maybe\": supported values: \"Equal\", \"Exists\"",
        ],
    );
}

#[test]
fn a_taint_is_tolerated_once() {
    let once = json!({"key": "k", "operator": "Exists", "effect": "NoExecute"});
    let again = json!({"key": "k", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 1});
    refuses(
        &RESOURCE,
        json!({"metadata": {"name": "a"}, "handler": "a", "scheduling": {"tolerations": [once, again]}}),
        &["scheduling.tolerations[1]: Duplicate value: {\"Key\":\"k\",\"Operator\":\"Exists\",\"Value\":\"\",\
             \"Effect\":\"NoExecute\",\"TolerationSeconds\":1}"],
    );
}

#[test]
fn the_handler_stays() {
    refuses_update(
        &RESOURCE,
        RESOURCE.strategy,
        json!({"metadata": {"name": "a"}, "handler": "a"}),
        json!({"metadata": {"name": "a"}, "handler": "b"}),
        &["handler: Invalid value: \"b\": field is immutable"],
    );
    assert!(!RESOURCE.strategy.allow_unconditional_update());
    assert!(RESOURCE.strategy.allow_create_on_update());
}

#[test]
fn labels_with_new_names_are_told() {
    let class = value(json!({"handler": "a", "scheduling": {"nodeSelector": {"beta.kubernetes.io/os": "linux"}}}));
    assert_eq!(
        RESOURCE.strategy.warnings_on_create(&context("v1"), &class),
        ["scheduling.nodeSelector: deprecated since v1.14; use \"kubernetes.io/os\" instead"]
    );
}

#[test]
fn a_row_shows_the_handler() {
    assert_eq!(row(&RESOURCE, json!({"metadata": {"name": "a"}, "handler": "h"})), ["a", "h", "<unknown>"]);
}
