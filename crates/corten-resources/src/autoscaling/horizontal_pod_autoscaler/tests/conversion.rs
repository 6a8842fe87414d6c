use corten_apimachinery::{codec, meta::ObjectMeta};
use serde_json::{Value, json};

use super::{
    super::{RESOURCE, conversion, defaults},
    autoscaler, cpu, everything,
};
use crate::testing::{assert_fits, defaulted, patched, value};

/// An object of v1 in the hub's form.
fn to_hub(json: Value) -> corten_apimachinery::Value {
    let mut object = value(json);
    defaults::v1(&mut object);
    conversion::to_hub(&mut object);
    assert_fits(&RESOURCE, &object);
    object
}

/// An object of the hub's form in v1, where it fits the type.
fn to_v1(mut object: corten_apimachinery::Value) -> corten_apimachinery::Value {
    conversion::from_hub(&mut object);
    let table = corten_api::types::table();
    let ty = table.find(RESOURCE.versions[1].type_name).unwrap();
    let bytes = codec::json::encode(&object, None);
    let decoded = codec::json::decode(&bytes, Some((table, ty)), codec::FieldValidation::Strict).unwrap();
    assert_eq!(decoded.complaints(), [""; 0]);
    assert_eq!(decoded.value.get("spec"), object.get("spec"));
    object
}

#[test]
fn what_v1_cannot_say_is_in_annotations() {
    let hub = defaulted(&RESOURCE, everything());
    let v1 = to_v1(hub.clone());
    assert_eq!(
        v1.get("spec"),
        Some(&value(json!({
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "minReplicas": 2, "maxReplicas": 5,
            "targetCPUUtilizationPercentage": 80,
        })))
    );
    assert_eq!(
        v1.get("status"),
        Some(&value(json!({
            "observedGeneration": 3, "lastScaleTime": "2026-01-01T00:00:00Z", "currentReplicas": 2, "desiredReplicas": 3,
            "currentCPUUtilizationPercentage": 70,
        })))
    );
    let annotation = |name: &str| v1.annotation(&format!("autoscaling.alpha.kubernetes.io/{name}")).unwrap().to_owned();
    assert_eq!(
        annotation("metrics"),
        concat!(
            r#"[{"type":"Object","object":{"target":{"kind":"Ingress","name":"main","apiVersion":"networking.k8s.io/v1"},"#,
            r#""metricName":"rps","targetValue":"10k","selector":{"matchLabels":{"verb":"get"}}}},"#,
            r#"{"type":"Pods","pods":{"metricName":"pps","targetAverageValue":"1k"}},"#,
            r#"{"type":"Resource","resource":{"name":"memory","targetAverageValue":"1Gi"}},"#,
            r#"{"type":"ContainerResource","containerResource":{"name":"cpu","targetAverageUtilization":60,"container":"c"}},"#,
            r#"{"type":"External","external":{"metricName":"queue","metricSelector":{"matchLabels":{"verb":"get"}},"#,
            r#""targetAverageValue":"30"}},"#,
            r#"{"type":"External","external":{"metricName":"queue","targetValue":"30"}}]"#,
        )
    );
    assert_eq!(
        annotation("behavior"),
        concat!(
            r#"{"ScaleUp":{"StabilizationWindowSeconds":0,"SelectPolicy":"Max","Policies":[{"Type":"Pods","Value":4,"#,
            r#""PeriodSeconds":15},{"Type":"Percent","Value":100,"PeriodSeconds":15}],"Tolerance":null},"#,
            r#""ScaleDown":{"StabilizationWindowSeconds":30,"SelectPolicy":"Max","Policies":[{"Type":"Percent","Value":100,"#,
            r#""PeriodSeconds":15}],"Tolerance":"50m"}}"#,
        )
    );
    assert_eq!(
        annotation("conditions"),
        r#"[{"type":"AbleToScale","status":"True","lastTransitionTime":"2026-01-01T00:00:00Z","reason":"Ready","message":"\u003cfine\u003e"}]"#
    );
    assert!(
        annotation("current-metrics")
            .contains(r#"{"type":"Pods","pods":{"metricName":"pps","currentAverageValue":"900"}}"#)
    );
    assert_eq!(v1.annotation("mine"), Some("yes"));
    let mut back = v1;
    conversion::to_hub(&mut back);
    assert_eq!(back, hub, "nothing is lost");
}

#[test]
fn a_number_for_cpu_is_a_metric() {
    let v1 = |spec: Value| patched(autoscaler(json!({})), json!({"spec": spec}));
    let metrics = |object: &corten_apimachinery::Value| object.at(&["spec", "metrics"]).cloned().unwrap();
    let fifty = to_hub(v1(json!({"targetCPUUtilizationPercentage": 50})));
    assert_eq!(
        metrics(&fifty),
        value(json!([patched(cpu(), json!({"resource": {"target": {"averageUtilization": 50}}}))]))
    );
    assert_eq!(fifty.i64_at(&["spec", "minReplicas"]), Some(1));
    assert_eq!(metrics(&to_hub(v1(json!({})))), value(json!([cpu()])), "the default");
    let other = r#"[{"type":"Pods","pods":{"metricName":"pps","targetAverageValue":"1k"}}]"#;
    let annotated =
        |text: &str| json!({"metadata": {"annotations": {"autoscaling.alpha.kubernetes.io/metrics": text}}});
    let pods = json!({"type": "Pods", "pods": {"metric": {"name": "pps"}, "target": {"type": "AverageValue", "averageValue": "1k"}}});
    let object = to_hub(patched(v1(json!({})), annotated(other)));
    assert_eq!((metrics(&object), object.annotations()), (value(json!([pods])), None));
    for broken in ["", "{", "[1]", r#"{"type":"Pods"}"#, r#"[{"type":1}]"#] {
        assert_eq!(metrics(&to_hub(patched(v1(json!({})), annotated(broken)))), value(json!([cpu()])), "{broken}");
    }
    // A body can be 3 MB, and each of its bytes a metric.
    let many = format!("[{}{{}}]", "{},".repeat(100_000));
    assert_eq!(metrics(&to_hub(patched(v1(json!({})), annotated(&many)))), value(json!([cpu()])));
    let status = patched(
        v1(json!({})),
        json!({"status": {"currentReplicas": 1, "desiredReplicas": 1, "currentCPUUtilizationPercentage": 7}}),
    );
    let resource = json!({"name": "cpu", "current": {"averageUtilization": 7}});
    let current = to_hub(status).at(&["status", "currentMetrics"]).cloned();
    assert_eq!(current, Some(value(json!([{"type": "Resource", "resource": resource}]))));
}

/// A PUT, an apply or a scale by v1 was refused: the zero that v1 has to have for a value stood beside the average.
#[test]
fn an_average_of_an_object_comes_back_from_v1() {
    let with = |target: Value| {
        let described = json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": "main"});
        let object = json!({"describedObject": described, "metric": {"name": "rps"}, "target": target});
        defaulted(&RESOURCE, autoscaler(json!({"metrics": [{"type": "Object", "object": object}]})))
    };
    let hub = with(json!({"type": "AverageValue", "averageValue": "7"}));
    let mut v1 = to_v1(hub.clone());
    let text = v1.annotation("autoscaling.alpha.kubernetes.io/metrics").unwrap().to_owned();
    assert!(text.contains(r#""targetValue":"0","averageValue":"7""#), "{text}");
    conversion::to_hub(&mut v1);
    assert_eq!(v1.get("spec"), hub.get("spec"));
    // A value that somebody gave stays, to be refused; one that is the only aim stays, too.
    let both = with(json!({"type": "AverageValue", "averageValue": "7", "value": "3"}));
    let zero = with(json!({"type": "Value", "value": "0"}));
    for hub in [both, zero] {
        let mut back = to_v1(hub.clone());
        conversion::to_hub(&mut back);
        assert_eq!(back.get("spec"), hub.get("spec"));
    }
}

#[test]
fn a_behavior_is_read_whatever_the_case_of_its_names() {
    let with = |text: &str| {
        let annotations = json!({"autoscaling.alpha.kubernetes.io/behavior": text});
        let object = to_hub(patched(autoscaler(json!({})), json!({"metadata": {"annotations": annotations}})));
        object.at(&["spec", "behavior"]).cloned()
    };
    let want = value(
        json!({"scaleDown": {"selectPolicy": "Min", "policies": [{"type": "Pods", "value": 1, "periodSeconds": 2}]}}),
    );
    let text = r#"{"scaleDown":{"SelectPolicy":"Min","policies":[{"Type":"Pods","value":1,"PERIODSECONDS":2}],"Tolerance":null},"ScaleUp":null}"#;
    assert_eq!(with(text), Some(want));
    for nothing in ["null", "{}", r#"{"ScaleUp":null}"#, "[]", r#"{"ScaleUp":{"SelectPolicy":1}}"#, "x"] {
        assert_eq!(with(nothing), None, "{nothing}");
    }
}
