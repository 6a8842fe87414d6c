use corten_apimachinery::meta::ObjectMeta;
use serde_json::{Value, json};

use super::{RESOURCE, strategy};
use crate::testing::{created, patched, refuses, refuses_update, row, updated, value};

fn controller(spec: Value) -> Value {
    let template =
        json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "a"}]}});
    patched(json!({"metadata": {"name": "web"}, "spec": {"template": template}}), json!({"spec": spec}))
}

#[test]
fn selector_and_labels_come_from_the_template() {
    let (object, errors) = created(&RESOURCE, controller(json!({})));
    assert_eq!(errors, [""; 0]);
    assert_eq!(object.i64_at(&["spec", "replicas"]), Some(1));
    assert_eq!(object.at(&["spec", "selector"]), Some(&value(json!({"app": "web"}))));
    assert_eq!(object.label("app"), Some("web"));
    assert_eq!(object.str_at(&["spec", "template", "spec", "restartPolicy"]), Some("Always"));
    assert_eq!(object.at(&["spec", "template", "spec", "enableServiceLinks"]), None, "only pods get this");
}

#[test]
fn the_template_is_selected_and_restarts() {
    refuses(
        &RESOURCE,
        controller(json!({
            "replicas": -1, "selector": {"app": "other"},
            "template": {"spec": {"restartPolicy": "Never", "activeDeadlineSeconds": 1}},
        })),
        &[
            "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
            "spec.template.metadata.labels: Invalid value: {\"app\":\"web\"}: `selector` does not match template `labels`",
            "spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\"",
            "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in ReplicationController is not \
             Supported",
        ],
    );
    refuses(&RESOURCE, json!({"spec": {}}), &["spec.selector: Required value", "spec.template: Required value"]);
}

#[test]
fn a_status_counts_right() {
    let counted =
        patched(controller(json!({})), json!({"status": {"replicas": 1, "readyReplicas": 2, "availableReplicas": -1}}));
    refuses_update(
        &RESOURCE,
        &strategy::STATUS,
        controller(json!({})),
        counted,
        &[
            "status.availableReplicas: Invalid value: -1: must be greater than or equal to 0",
            "status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas",
        ],
    );
}

#[test]
fn a_new_spec_is_a_new_generation() {
    let old = patched(controller(json!({})), json!({"metadata": {"generation": 1}}));
    let (same, _) = updated(&RESOURCE, RESOURCE.strategy, old.clone(), controller(json!({})));
    let (scaled, _) = updated(&RESOURCE, RESOURCE.strategy, old, controller(json!({"replicas": 3})));
    assert_eq!((same.generation(), scaled.generation()), (1, 2));
}

#[test]
fn a_row_counts_pods() {
    let object = patched(
        controller(json!({"replicas": 3, "selector": {"app": "web"}})),
        json!({"status": {"replicas": 2, "readyReplicas": 1}}),
    );
    assert_eq!(row(&RESOURCE, object), ["web", "3", "2", "1", "<unknown>", "c", "a", "app=web"]);
}

/// Upstream checks an update as a new object and again as a change.
#[test]
fn an_update_is_refused_twice() {
    let want = "spec.minReadySeconds: Invalid value: -1: must be greater than or equal to 0";
    let new = controller(json!({"minReadySeconds": -1}));
    refuses_update(&RESOURCE, RESOURCE.strategy, controller(json!({})), new, &[want, want]);
}
