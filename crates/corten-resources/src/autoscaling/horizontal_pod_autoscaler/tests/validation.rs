use serde_json::{Value, json};

use super::{
    super::{RESOURCE, strategy},
    autoscaler, cpu,
};
use crate::testing::{patched, refuses, refuses_update};

fn metric(metric: Value) -> Value {
    autoscaler(json!({"metrics": [metric]}))
}

#[test]
fn autoscalers_are_checked() {
    let cases: [(Value, &[&str]); 8] = [
        (
            autoscaler(json!({"minReplicas": 0, "maxReplicas": -1})),
            &[
                "spec.minReplicas: Invalid value: 0: must be greater than or equal to 1",
                "spec.maxReplicas: Invalid value: -1: must be greater than 0",
                "spec.maxReplicas: Invalid value: -1: must be greater than or equal to `minReplicas`",
                "spec.metrics: Forbidden: must specify at least one Object or External metric to support scaling to zero \
                 replicas",
            ],
        ),
        (
            autoscaler(json!({"scaleTargetRef": {"kind": "", "name": "..", "apiVersion": "v1"}})),
            &[
                "spec.scaleTargetRef.kind: Required value",
                "spec.scaleTargetRef.name: Invalid value: \"..\": may not be '..'",
                "spec.scaleTargetRef.apiVersion: Invalid value: \"v1\": apiVersion must specify API group",
            ],
        ),
        (autoscaler(json!({"scaleTargetRef": {"kind": "ReplicationController", "apiVersion": "v1"}})), &[]),
        (
            autoscaler(json!({"scaleTargetRef": {"apiVersion": "a/b/c"}})),
            &["spec.scaleTargetRef.apiVersion: Invalid value: \"a/b/c\": unexpected GroupVersion string: a/b/c"],
        ),
        (
            autoscaler(
                json!({"behavior": {"scaleUp": {"stabilizationWindowSeconds": 3601, "selectPolicy": "Odd", "tolerance": "-1"}}}),
            ),
            &[
                "spec.behavior.scaleUp.stabilizationWindowSeconds: Invalid value: 3601: must be less than or equal to 3600",
                "spec.behavior.scaleUp.selectPolicy: Unsupported value: \"Odd\": supported values: \"Disabled\", \"Max\", \"Min\"",
                "spec.behavior.scaleUp.tolerance: Invalid value: \"-1\": must be greater than or equal to 0",
            ],
        ),
        (
            autoscaler(json!({"behavior": {"scaleDown": {"stabilizationWindowSeconds": -1, "policies": []}}})),
            &[
                "spec.behavior.scaleDown.stabilizationWindowSeconds: Invalid value: -1: must be greater than or equal to zero",
                "spec.behavior.scaleDown.policies: Required value: must specify at least one Policy",
            ],
        ),
        (
            autoscaler(
                json!({"behavior": {"scaleDown": {"policies": [{"type": "Odd", "value": 0, "periodSeconds": 0}]}}}),
            ),
            &[
                "spec.behavior.scaleDown.policies[0].type: Unsupported value: \"Odd\": supported values: \"Percent\", \"Pods\"",
                "spec.behavior.scaleDown.policies[0].value: Invalid value: 0: must be greater than zero",
                "spec.behavior.scaleDown.policies[0].periodSeconds: Invalid value: 0: must be greater than zero",
            ],
        ),
        (
            autoscaler(
                json!({"behavior": {"scaleDown": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 1801}]}}}),
            ),
            &[
                "spec.behavior.scaleDown.policies[0].periodSeconds: Invalid value: 1801: must be less than or equal to 1800",
            ],
        ),
    ];
    for (object, want) in cases {
        refuses(&RESOURCE, object, want);
    }
}

#[test]
fn metrics_are_checked() {
    let pods = json!({"metric": {"name": "a/b"}, "target": {"type": "AverageValue", "value": "0"}});
    let described = json!({"apiVersion": "v1", "kind": "Service", "name": "web"});
    let cases: [(Value, &[&str]); 9] = [
        (
            json!({"type": ""}),
            &[
                "spec.metrics[0].type: Required value: must specify a metric source type",
                "spec.metrics[0].type: Unsupported value: \"\": supported values: \"ContainerResource\", \"External\", \
                 \"Object\", \"Pods\", \"Resource\"",
                "spec.metrics[0].type: Unsupported value: \"\": supported values: \"ContainerResource\", \"External\", \
                 \"Object\", \"Pods\", \"Resource\"",
            ],
        ),
        (
            json!({"type": "Resource"}),
            &["spec.metrics[0].resource: Required value: must populate information for the given metric source"],
        ),
        (
            json!({"type": "Pods", "pods": pods}),
            &[
                "spec.metrics[0].pods.metric.name: Invalid value: \"a/b\": may not contain '/'",
                "spec.metrics[0].pods.target.value: Invalid value: \"0\": must be positive",
                "spec.metrics[0].pods.target.averageValue: Required value: must specify a positive target averageValue",
            ],
        ),
        (
            patched(
                cpu(),
                json!({"pods": {"metric": {"name": "x"}, "target": {"type": "AverageValue", "averageValue": "1"}}}),
            ),
            &["spec.metrics[0].pods: Forbidden: must populate the given metric source only"],
        ),
        (
            json!({"type": "Resource", "resource": {"target": {"averageUtilization": 0, "averageValue": "1"}}}),
            &[
                "spec.metrics[0].resource.name: Required value: must specify a resource name",
                "spec.metrics[0].resource.target.type: Required value: must specify a metric target type",
                "spec.metrics[0].resource.target.type: Invalid value: \"\": must be either Utilization, Value, or AverageValue",
                "spec.metrics[0].resource.target.averageUtilization: Invalid value: 0: must be greater than 0",
                "spec.metrics[0].resource.target.averageValue: Forbidden: may not set both a target raw value and a target \
                 utilization",
            ],
        ),
        (
            json!({"type": "ContainerResource", "containerResource": {"name": "foo", "container": "A", "target": {"type": "Utilization"}}}),
            &[
                "spec.metrics[0].containerResource.name: Invalid value: \"foo\": must be a standard resource type or fully \
                 qualified",
                "spec.metrics[0].containerResource.name: Invalid value: \"foo\": must be a standard resource for containers",
                "spec.metrics[0].containerResource.container: Invalid value: \"A\": a lowercase RFC 1123 label must consist of \
                 lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. \
                 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
                "spec.metrics[0].containerResource.target.averageUtilization: Required value: must set either a target raw \
                 value or a target utilization",
            ],
        ),
        (
            json!({"type": "Object", "object": {"describedObject": described, "metric": {"name": "x"}, "target": {"type": "Value"}}}),
            &[
                "spec.metrics[0].object.target.averageValue: Required value: must set either a target value or averageValue",
            ],
        ),
        (
            json!({"type": "External", "external": {"metric": {}, "target": {"type": "Value"}}}),
            &[
                "spec.metrics[0].external.metric.name: Required value: must specify a metric name",
                "spec.metrics[0].external.target.averageValue: Required value: must set either a target value for metric or a \
                 per-pod target",
            ],
        ),
        (
            json!({"type": "External", "external": {"metric": {"name": "x"}, "target": {"type": "Value", "value": "1", "averageValue": "1"}}}),
            &[
                "spec.metrics[0].external.target.value: Forbidden: may not set both a target value for metric and a per-pod \
               target",
            ],
        ),
    ];
    for (given, want) in cases {
        refuses(&RESOURCE, metric(given), want);
    }
}

#[test]
fn what_was_wrong_before_may_stay() {
    let update = |old: Value, new: Value, want: &[&str]| refuses_update(&RESOURCE, RESOURCE.strategy, old, new, want);
    let groupless = |max: i64| autoscaler(json!({"maxReplicas": max, "scaleTargetRef": {"apiVersion": "v1"}}));
    update(groupless(5), groupless(6), &[]);
    let want = "spec.scaleTargetRef.apiVersion: Invalid value: \"v1\": apiVersion must specify API group";
    update(autoscaler(json!({})), groupless(6), &[want]);
    let zero =
        json!({"type": "External", "external": {"metric": {"name": "x"}, "target": {"type": "Value", "value": "1"}}});
    let zero = |max: i64| autoscaler(json!({"minReplicas": 0, "maxReplicas": max, "metrics": [zero]}));
    update(zero(5), zero(6), &[]);
    let described = |version: &str| {
        let described = json!({"apiVersion": version, "kind": "Service", "name": "web"});
        metric(
            json!({"type": "Object", "object": {"describedObject": described, "metric": {"name": "x"}, "target": {"type": "Value", "value": "1"}}}),
        )
    };
    update(described("a/b/c"), described("d/e/f"), &[]);
    let want = "spec.metrics[0].object.describedObject.apiVersion: Invalid value: \"d/e/f\": unexpected GroupVersion string: d/e/f";
    update(described("v1"), described("d/e/f"), &[want]);
}

#[test]
fn a_status_counts_right() {
    let with = |status: Value| patched(autoscaler(json!({})), json!({"status": status}));
    refuses_update(
        &RESOURCE,
        &strategy::STATUS,
        with(json!({})),
        with(json!({"currentReplicas": -1, "desiredReplicas": -2})),
        &[
            "status.currentReplicas: Invalid value: -1: must be greater than or equal to 0",
            "status.desiredReplicas: Invalid value: -2: must be greater than or equal to 0",
        ],
    );
}
