use corten_apimachinery::resource::Strategy as _;
use serde_json::{Value, json};

use super::{RESOURCE, strategy};
use crate::testing::{context, created, defaulted, features, patched, refuses, refuses_update, row};

fn set(spec: Value) -> Value {
    let template =
        json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "a"}]}});
    patched(
        json!({"metadata": {"name": "web"}, "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template}}),
        json!({"spec": spec}),
    )
}

#[test]
fn there_is_one_pod_unless_said_otherwise() {
    let (object, errors) = created(&RESOURCE, set(json!({})));
    assert_eq!(errors, [""; 0]);
    assert_eq!(object.i64_at(&["spec", "replicas"]), Some(1));
    let (object, _) = created(&RESOURCE, set(json!({"replicas": 0})));
    assert_eq!(object.i64_at(&["spec", "replicas"]), Some(0));
}

#[test]
fn expressions_select_too() {
    let expressions = |operator: &str| json!({"selector": {"matchLabels": null, "matchExpressions": [{"key": "app", "operator": operator, "values": ["web"]}]}});
    refuses(&RESOURCE, set(expressions("In")), &[]);
    refuses(
        &RESOURCE,
        set(expressions("NotIn")),
        &[
            "spec.template.metadata.labels: Invalid value: {\"app\":\"web\"}: `selector` does not match template `labels`",
        ],
    );
    refuses(
        &RESOURCE,
        set(expressions("Odd")),
        &[
            "spec.selector.matchExpressions[0].operator: Invalid value: \"Odd\": not a valid selector operator",
            "spec.selector: Invalid value: {\"matchExpressions\":[{\"key\":\"app\",\"operator\":\"Odd\",\"values\":[\"web\"]}]}: \
             invalid label selector",
        ],
    );
}

#[test]
fn a_status_counts_right() {
    refuses_update(
        &RESOURCE,
        &strategy::STATUS,
        set(json!({})),
        patched(set(json!({})), json!({"status": {"replicas": 1, "fullyLabeledReplicas": 2}})),
        &["status.fullyLabeledReplicas: Invalid value: 2: cannot be greater than status.replicas"],
    );
}

#[test]
fn pods_that_are_about_to_end_are_counted_behind_a_gate() {
    let path = ["status", "terminatingReplicas"];
    let with = |count: Option<i64>| {
        defaulted(&RESOURCE, patched(set(json!({})), json!({"status": {"replicas": 1, "terminatingReplicas": count}})))
    };
    let gates = features("DeploymentReplicaSetTerminatingReplicas=false");
    let mut cx = context("v1");
    for (on, old, want) in [(true, None, Some(2)), (false, None, None), (false, Some(1), Some(2))] {
        if !on {
            cx.features = &gates;
        }
        let mut new = with(Some(2));
        strategy::STATUS.prepare_for_update(&cx, &mut new, &with(old));
        assert_eq!(new.i64_at(&path), want, "{on} {old:?}");
    }
}

#[test]
fn a_row_counts_pods() {
    let object = patched(set(json!({"replicas": 3})), json!({"status": {"replicas": 2, "readyReplicas": 1}}));
    assert_eq!(row(&RESOURCE, object), ["web", "3", "2", "1", "<unknown>", "c", "a", "app=web"]);
}

/// Upstream checks an update as a new object and again as a change.
#[test]
fn an_update_is_refused_twice() {
    let want = "spec.minReadySeconds: Invalid value: -1: must be greater than or equal to 0";
    let new = set(json!({"minReadySeconds": -1}));
    refuses_update(&RESOURCE, RESOURCE.strategy, set(json!({})), new, &[want, want]);
}
