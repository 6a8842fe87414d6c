mod conversion;
mod validation;

use serde_json::{Value, json};

use super::RESOURCE;
use crate::testing::{context, created, defaulted, features, patched, row, value};

fn autoscaler(spec: Value) -> Value {
    patched(
        json!({
            "metadata": {"name": "web"},
            "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "maxReplicas": 5},
        }),
        json!({"spec": spec}),
    )
}

fn cpu() -> Value {
    json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}})
}

#[test]
fn a_minimal_autoscaler_gets_all_defaults() {
    let (object, errors) = created(&RESOURCE, autoscaler(json!({})));
    assert_eq!(errors, [""; 0]);
    let want = patched(autoscaler(json!({})), json!({"spec": {"minReplicas": 1, "metrics": [cpu()]}}));
    assert_eq!(object.get("spec"), value(want).get("spec"));
    assert_eq!(object.get("status"), Some(&value(json!({"desiredReplicas": 0, "currentMetrics": null}))));
}

#[test]
fn one_direction_that_is_described_describes_both() {
    let up = json!({
        "stabilizationWindowSeconds": 0, "selectPolicy": "Max",
        "policies": [{"type": "Pods", "value": 4, "periodSeconds": 15}, {"type": "Percent", "value": 100, "periodSeconds": 15}],
    });
    let down = json!({"selectPolicy": "Max", "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]});
    let own = json!([{"type": "Pods", "value": 1, "periodSeconds": 60}]);
    for (given, want) in [
        (json!({}), json!({"scaleUp": up, "scaleDown": down})),
        (
            json!({"scaleDown": {"policies": own, "stabilizationWindowSeconds": 300}}),
            json!({"scaleUp": up, "scaleDown": {"policies": own, "stabilizationWindowSeconds": 300, "selectPolicy": "Max"}}),
        ),
        (
            json!({"scaleUp": {"selectPolicy": "Disabled", "tolerance": "50m"}}),
            json!({"scaleUp": patched(up.clone(), json!({"selectPolicy": "Disabled", "tolerance": "50m"})), "scaleDown": down}),
        ),
    ] {
        let object = defaulted(&RESOURCE, autoscaler(json!({"behavior": given})));
        assert_eq!(object.at(&["spec", "behavior"]), Some(&value(want)));
    }
    assert_eq!(defaulted(&RESOURCE, autoscaler(json!({}))).at(&["spec", "behavior"]), None);
}

#[test]
fn a_tolerance_is_behind_a_gate() {
    let path = ["spec", "behavior", "scaleUp", "tolerance"];
    let with = |tolerance: &str| autoscaler(json!({"behavior": {"scaleUp": {"tolerance": tolerance}}}));
    let gates = features("HPAConfigurableTolerance=false");
    let mut cx = context("v2");
    cx.features = &gates;
    let mut object = defaulted(&RESOURCE, with("50m"));
    RESOURCE.strategy.prepare_for_create(&cx, &mut object);
    assert_eq!(object.at(&path), None);
    let (mut object, old) = (defaulted(&RESOURCE, with("60m")), defaulted(&RESOURCE, with("50m")));
    RESOURCE.strategy.prepare_for_update(&cx, &mut object, &old);
    assert_eq!(object.str_at(&path), Some("60m"), "it stays in use");
    assert_eq!(created(&RESOURCE, with("50m")).0.str_at(&path), Some("50m"), "on by default");
}

fn everything() -> Value {
    let selector = json!({"matchLabels": {"verb": "get"}});
    let described = json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": "main"});
    patched(
        autoscaler(json!({
            "minReplicas": 2,
            "metrics": [
                {"type": "Object", "object": {"describedObject": described, "metric": {"name": "rps", "selector": selector}, "target": {"type": "Value", "value": "10k"}}},
                {"type": "Pods", "pods": {"metric": {"name": "pps"}, "target": {"type": "AverageValue", "averageValue": "1k"}}},
                {"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}},
                {"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "c", "target": {"type": "Utilization", "averageUtilization": 60}}},
                {"type": "External", "external": {"metric": {"name": "queue", "selector": selector}, "target": {"type": "AverageValue", "averageValue": "30"}}},
                {"type": "External", "external": {"metric": {"name": "queue"}, "target": {"type": "Value", "value": "30"}}},
                cpu(),
            ],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 30, "tolerance": "50m"}},
        })),
        json!({
            "metadata": {"annotations": {"mine": "yes"}},
            "status": {
                "observedGeneration": 3, "lastScaleTime": "2026-01-01T00:00:00Z", "currentReplicas": 2, "desiredReplicas": 3,
                "currentMetrics": [
                    {"type": "Object", "object": {"describedObject": described, "metric": {"name": "rps", "selector": selector}, "current": {"value": "9k"}}},
                    {"type": "Pods", "pods": {"metric": {"name": "pps"}, "current": {"averageValue": "900"}}},
                    {"type": "Resource", "resource": {"name": "cpu", "current": {"averageValue": "100m", "averageUtilization": 70}}},
                    {"type": "External", "external": {"metric": {"name": "queue"}, "current": {"value": "20", "averageValue": "10"}}},
                ],
                "conditions": [{"type": "AbleToScale", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z", "reason": "Ready", "message": "<fine>"}],
            },
        }),
    )
}

#[test]
fn a_row_shows_what_is_aimed_at() {
    let mut object = everything();
    assert_eq!(
        row(&RESOURCE, object.clone()),
        ["web", "Deployment/web", "9k/10k, 900/1k + 5 more...", "2", "5", "2", "<unknown>"]
    );
    let targets = |metrics: Value, current: Value| {
        let object = patched(autoscaler(json!({"metrics": metrics})), json!({"status": {"currentMetrics": current}}));
        row(&RESOURCE, object)[2].clone()
    };
    object["spec"]["metrics"] = json!([]);
    assert_eq!(row(&RESOURCE, object)[2], "<none>");
    let metrics = |index: usize| everything()["spec"]["metrics"][index].clone();
    let current = everything()["status"]["currentMetrics"][2].clone();
    assert_eq!(targets(json!([cpu()]), json!(null)), "cpu: <unknown>/80%");
    assert_eq!(targets(json!([cpu()]), json!([current])), "cpu: 70%/80%");
    assert_eq!(targets(json!([metrics(2)]), json!([current])), "memory: 100m/1Gi");
    assert_eq!(targets(json!([metrics(3), metrics(4)]), json!([])), "cpu: <unknown>/60%, <unknown>/30 (avg)");
    let external = everything()["status"]["currentMetrics"][3].clone();
    assert_eq!(targets(json!([metrics(4), metrics(5)]), json!([external, external])), "10/30 (avg), 20/30");
    assert_eq!(targets(json!([{"type": "Odd"}]), json!([])), "<unknown type>");
    assert_eq!(row(&RESOURCE, autoscaler(json!({})))[3], "<unset>");
}
