use serde_json::{Value, json};

use super::{RESOURCE, strategy};
use crate::testing::{context, created, patched, refuses, refuses_update, row, updated, value};

fn quota(spec: Value) -> Value {
    json!({"metadata": {"name": "q"}, "spec": spec})
}

fn selecting(scope: &str, operator: &str, values: Value) -> Value {
    let expression = json!({"scopeName": scope, "operator": operator, "values": values});
    json!({"hard": {"pods": "1"}, "scopeSelector": {"matchExpressions": [expression]}})
}

#[test]
fn a_new_quota_counts_nothing_yet() {
    let sent =
        patched(quota(json!({"hard": {"cpu": "100u", "pods": "2"}})), json!({"status": {"used": {"pods": "1"}}}));
    let (object, errors) = created(&RESOURCE, sent);
    assert_eq!(errors, [""; 0]);
    let want = json!({"metadata": {"name": "q"}, "spec": {"hard": {"cpu": "1m", "pods": "2"}}, "status": {}});
    assert_eq!(object, value(want));
}

#[test]
fn amounts_are_checked() {
    let cases: [(Value, &[&str]); 4] = [
        (
            json!({
                "pods": "1", "count/deployments.apps": "2", "requests.acme.io/gpu": "1", "hugepages-2Mi": "2Mi",
                "requests.hugepages-2Mi": "2Mi", "services.nodeports": "0", "limits.memory": "1.5Gi",
            }),
            &[],
        ),
        (
            json!({"storage": "1", "odd": "1"}),
            &[
                "spec.hard[odd]: Invalid value: \"odd\": must be a standard resource type or fully qualified",
                "spec.hard[odd]: Invalid value: \"odd\": must be a standard resource for quota",
                "spec.hard[storage]: Invalid value: \"storage\": must be a standard resource for quota",
            ],
        ),
        (json!({"cpu": "-1"}), &["spec.hard[cpu]: Invalid value: \"-1\": must be greater than or equal to 0"]),
        (json!({"pods": "1500m"}), &["spec.hard[pods]: Invalid value: \"1500m\": must be an integer"]),
    ];
    for (hard, want) in cases {
        refuses(&RESOURCE, quota(json!({"hard": hard})), want);
    }
}

#[test]
fn scopes_are_checked() {
    let shown = "{\"MatchExpressions\":[{\"ScopeName\":\"BestEffort\",\"Operator\":\"Exists\",\"Values\":null}]}";
    let not_covered =
        format!("spec.scopeSelector.matchExpressions: Invalid value: {shown}: unsupported scope applied to resource");
    let best_effort = json!({"scopeName": "BestEffort", "operator": "Exists"});
    let cases: [(Value, &[&str]); 11] = [
        (json!({"hard": {"pods": "1", "count/x": "1"}, "scopes": ["Terminating", "BestEffort"]}), &[]),
        (selecting("PriorityClass", "In", json!(["high"])), &[]),
        (
            json!({"hard": {"requests.storage": "1", "persistentvolumeclaims": "1"}, "scopes": ["VolumeAttributesClass"]}),
            &[],
        ),
        (
            json!({"hard": {"pods": "1", "cpu": "1", "memory": "1"}, "scopes": ["BestEffort"]}),
            &[
                "spec.scopes: Invalid value: [\"BestEffort\"]: unsupported scope applied to resource",
                "spec.scopes: Invalid value: [\"BestEffort\"]: unsupported scope applied to resource",
            ],
        ),
        (json!({"scopes": ["Odd"]}), &["spec.scopes: Invalid value: [\"Odd\"]: unsupported scope"]),
        (
            json!({"scopes": ["Terminating", "NotTerminating"]}),
            &["spec.scopes: Invalid value: [\"Terminating\",\"NotTerminating\"]: conflicting scopes"],
        ),
        (json!({"hard": {"cpu": "1"}, "scopeSelector": {"matchExpressions": [best_effort]}}), &[&not_covered]),
        (
            selecting("Odd", "Odd", json!(null)),
            &[
                "spec.scopeSelector.matchExpressions.scopeName: Invalid value: \"Odd\": unsupported scope",
                "spec.scopeSelector.matchExpressions.operator: Invalid value: \"Odd\": not a valid selector operator",
            ],
        ),
        (
            selecting("BestEffort", "In", json!([])),
            &[
                "spec.scopeSelector.matchExpressions.operator: Invalid value: \"In\": must be 'Exists' when scope is any of \
                 ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, \
                 ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity",
                "spec.scopeSelector.matchExpressions.values: Required value: must be at least one value when `operator` is \
                 'In' or 'NotIn' for scope selector",
            ],
        ),
        (
            selecting("PriorityClass", "Exists", json!(["a"])),
            &[
                "spec.scopeSelector.matchExpressions.values: Invalid value: [\"a\"]: must be no value when `operator` is \
                 'Exist' or 'DoesNotExist' for scope selector",
            ],
        ),
        (
            json!({"scopeSelector": {"matchExpressions": [
                {"scopeName": "BestEffort", "operator": "Exists"}, {"scopeName": "NotBestEffort", "operator": "Exists"},
            ]}}),
            &["spec.scopeSelector.matchExpressions: Invalid value: null: conflicting scopes"],
        ),
    ];
    for (spec, want) in cases {
        refuses(&RESOURCE, quota(spec), want);
    }
}

/// Each of 200,000 scopes was compared with each of 200,000 resources.
#[test]
fn many_scopes_of_many_resources_are_checked_in_time() {
    let hard: serde_json::Map<String, Value> =
        (0..20_000).map(|number| (format!("hugepages-{number}Ki"), json!("0"))).collect();
    let scopes: Vec<&str> = std::iter::repeat_n("BestEffort", 20_000).collect();
    let (_, errors) = created(&RESOURCE, quota(json!({"hard": hard, "scopes": scopes})));
    assert!(!errors.is_empty());
}

#[test]
fn scopes_stay() {
    let with = |scopes: Value| quota(json!({"hard": {"pods": "1"}, "scopes": scopes}));
    let update = |new: Value, want: &[&str]| {
        let old = with(json!(["BestEffort", "Terminating"]));
        refuses_update(&RESOURCE, RESOURCE.strategy, old, with(new), want);
    };
    update(json!(["Terminating", "BestEffort"]), &[]);
    update(json!(["Terminating"]), &["spec.scopes: Invalid value: [\"Terminating\"]: field is immutable"]);
    update(json!(null), &["spec.scopes: Invalid value: null: field is immutable"]);
}

#[test]
fn spec_and_status_are_written_apart() {
    let old = patched(quota(json!({"hard": {"pods": "1"}})), json!({"status": {"used": {"pods": "1"}}}));
    let new = patched(quota(json!({"hard": {"pods": "2"}})), json!({"status": {"used": {"pods": "2"}}}));
    let (main, errors) = updated(&RESOURCE, RESOURCE.strategy, old.clone(), new.clone());
    assert_eq!(
        (main.str_at(&["spec", "hard", "pods"]), main.str_at(&["status", "used", "pods"])),
        (Some("2"), Some("1"))
    );
    assert_eq!(errors, [""; 0]);
    let (status, _) = updated(&RESOURCE, &strategy::STATUS, old.clone(), new);
    assert_eq!(
        (status.str_at(&["spec", "hard", "pods"]), status.str_at(&["status", "used", "pods"])),
        (Some("1"), Some("2"))
    );
    refuses_update(
        &RESOURCE,
        &strategy::STATUS,
        old.clone(),
        patched(old, json!({"status": {"hard": {"odd": "1"}, "used": {"pods": "-1"}}})),
        &[
            "status.hard[odd]: Invalid value: \"odd\": must be a standard resource type or fully qualified",
            "status.hard[odd]: Invalid value: \"odd\": must be a standard resource for quota",
            "status.used[pods]: Invalid value: \"-1\": must be greater than or equal to 0",
        ],
    );
}

#[test]
fn requests_above_limits_are_announced() {
    let warnings =
        |hard: Value| RESOURCE.strategy.warnings_on_create(&context("v1"), &value(quota(json!({"hard": hard}))));
    assert_eq!(warnings(json!({"cpu": "1", "limits.cpu": "1"})), [""; 0]);
    assert_eq!(
        warnings(json!({"cpu": "2", "limits.cpu": "1500m", "requests.memory": "2Gi", "limits.memory": "1Gi"})),
        [
            "ResourceQuota cpu (2) should be less than limits.cpu (1500m)",
            "ResourceQuota requests.memory (2Gi) should be less than limits.memory (1Gi)",
        ]
    );
}

#[test]
fn a_row_shows_what_is_used() {
    let object = patched(
        quota(json!({})),
        json!({"status": {
            "hard": {"pods": "4", "cpu": "2", "limits.cpu": "3", "requests.cpu": "1"}, "used": {"pods": "1", "limits.cpu": "500m"},
        }}),
    );
    assert_eq!(
        row(&RESOURCE, object),
        ["q", "cpu: 0/2, pods: 1/4, requests.cpu: 0/1", "limits.cpu: 500m/3", "<unknown>"]
    );
    assert_eq!(row(&RESOURCE, quota(json!({}))), ["q", "", "", "<unknown>"]);
}
