use serde_json::json;

use super::RESOURCE;
use crate::testing::{context, created, refuses, refuses_update, row, value};

#[test]
fn volumes_are_bound_at_once_and_deleted() {
    let (object, errors) = created(&RESOURCE, json!({"provisioner": "example.com/disk"}));
    assert_eq!(errors, [""; 0]);
    assert_eq!(object.str_at(&["reclaimPolicy"]), Some("Delete"));
    assert_eq!(object.str_at(&["volumeBindingMode"]), Some("Immediate"));
}

#[test]
fn a_class_names_its_provisioner_and_stays() {
    refuses(
        &RESOURCE,
        json!({"reclaimPolicy": "Recycle", "volumeBindingMode": ""}),
        &[
            "provisioner: Required value",
            "reclaimPolicy: Unsupported value: \"Recycle\": supported values: \"Delete\", \"Retain\"",
            "volumeBindingMode: Unsupported value: \"\": supported values: \"Immediate\", \"WaitForFirstConsumer\"",
        ],
    );
    refuses_update(
        &RESOURCE,
        RESOURCE.strategy,
        json!({"provisioner": "a"}),
        json!({"provisioner": "b", "volumeBindingMode": "WaitForFirstConsumer"}),
        &[
            "provisioner: Forbidden: updates to provisioner are forbidden.",
            "volumeBindingMode: Invalid value: \"WaitForFirstConsumer\": field is immutable",
        ],
    );
}

#[test]
fn topologies_say_something_once() {
    let term = json!({"matchLabelExpressions": [{"key": "zone", "values": ["a", "b"]}]});
    let same = json!({"matchLabelExpressions": [{"key": "zone", "values": ["b", "a"]}]});
    refuses(
        &RESOURCE,
        json!({"provisioner": "P!", "allowedTopologies": [term, same, {}]}),
        &[
            "provisioner: Invalid value: \"p!\": name part must consist of alphanumeric characters, '-', '_' or '.', and \
             must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for \
             validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
            "allowedTopologies[1].matchLabelExpressions: Duplicate value: \"\"",
            "allowedTopologies[2].matchLabelExpressions: Duplicate value: \"\"",
            "allowedTopologies[2].matchLabelExpressions: Duplicate value: \"\"",
            "allowedTopologies[2].matchLabelExpressions: Duplicate value: \"\"",
        ],
    );
}

#[test]
fn the_default_class_is_marked() {
    let class = json!({
        "metadata": {"name": "fast", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": "p", "reclaimPolicy": "Delete", "volumeBindingMode": "Immediate", "allowVolumeExpansion": true,
    });
    assert_eq!(row(&RESOURCE, class), ["fast (default)", "p", "Delete", "Immediate", "true", "<unknown>"]);
}

#[test]
fn labels_with_new_names_are_told() {
    let terms = json!([{"matchLabelExpressions": [{"key": "a"}, {"key": "failure-domain.beta.kubernetes.io/zone"}]}]);
    assert_eq!(
        RESOURCE.strategy.warnings_on_create(&context("v1"), &value(json!({"allowedTopologies": terms}))),
        [
            "allowedTopologies[0].matchLabelExpressions[1].key: deprecated since v1.17; use \"topology.kubernetes.io/zone\" \
          instead"
        ]
    );
}
