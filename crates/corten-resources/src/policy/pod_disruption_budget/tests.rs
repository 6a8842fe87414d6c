use corten_apimachinery::meta::ObjectMeta as _;
use serde_json::{Value, json};

use super::{RESOURCE, strategy};
use crate::testing::{created, defaulted, patched, refuses, refuses_update, row, updated, value};

fn budget(spec: Value) -> Value {
    json!({"metadata": {"name": "b"}, "spec": spec})
}

#[test]
fn a_new_budget_allows_nothing_yet() {
    let sent =
        patched(budget(json!({"minAvailable": 1, "selector": {}})), json!({"status": {"disruptionsAllowed": 3}}));
    let (object, errors) = created(&RESOURCE, sent);
    assert_eq!(errors, [""; 0]);
    let want = json!({
        "metadata": {"name": "b", "generation": 1}, "spec": {"minAvailable": 1, "selector": {}},
        "status": {"disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0},
    });
    assert_eq!(object, value(want));
}

#[test]
fn budgets_are_checked() {
    const PERCENT: &str = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', \
                           regex used for validation is '[0-9]+%')";
    let not_a_share = format!("spec.maxUnavailable: Invalid value: \"x\": {PERCENT}");
    let cases: [(Value, &[&str]); 8] = [
        (json!({}), &[]),
        (json!({"maxUnavailable": "100%", "unhealthyPodEvictionPolicy": "AlwaysAllow"}), &[]),
        (
            json!({"minAvailable": 1, "maxUnavailable": "10%"}),
            &["spec: Invalid value: {\"MinAvailable\":1,\"Selector\":null,\"MaxUnavailable\":\"10%\",\
               \"UnhealthyPodEvictionPolicy\":null}: minAvailable and maxUnavailable cannot be both set"],
        ),
        (json!({"minAvailable": -1}), &["spec.minAvailable: Invalid value: -1: must be greater than or equal to 0"]),
        (
            json!({"minAvailable": "101%"}),
            &["spec.minAvailable: Invalid value: \"101%\": must not be greater than 100%"],
        ),
        (json!({"maxUnavailable": "x"}), &[&not_a_share]),
        (
            json!({"selector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}),
            &[
                "spec.selector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
            ],
        ),
        (
            json!({"unhealthyPodEvictionPolicy": "Never"}),
            &["spec.unhealthyPodEvictionPolicy: Unsupported value: \"Never\": supported values: \"AlwaysAllow\", \
                 \"IfHealthyBudget\""],
        ),
    ];
    for (spec, want) in cases {
        refuses(&RESOURCE, budget(spec), want);
    }
}

#[test]
fn a_value_that_was_wrong_before_may_stay() {
    let with = |value: &str, operator: &str| {
        budget(json!({"selector": {"matchExpressions": [{"key": "a", "operator": operator, "values": [value]}]}}))
    };
    refuses_update(&RESOURCE, RESOURCE.strategy, with("-x", "In"), with("-y", "In"), &[]);
    let errors = updated(&RESOURCE, RESOURCE.strategy, with("x", "In"), with("-y", "In")).1;
    assert_eq!(errors.len(), 1);
    let (_, errors) = updated(&RESOURCE, RESOURCE.strategy, with("-x", "In"), with("-x", "Odd"));
    assert_eq!(
        errors,
        ["spec.selector.matchExpressions[0].operator: Invalid value: \"Odd\": not a valid selector operator"]
    );
}

#[test]
fn a_change_makes_a_generation_and_needs_a_version() {
    let old = patched(budget(json!({"minAvailable": 1})), json!({"metadata": {"generation": 4}}));
    let (same, _) = updated(&RESOURCE, RESOURCE.strategy, old.clone(), budget(json!({"minAvailable": 1})));
    let (other, _) = updated(&RESOURCE, RESOURCE.strategy, old, budget(json!({"minAvailable": 2})));
    assert_eq!((same.generation(), other.generation()), (4, 5));
    assert!(!RESOURCE.strategy.allow_unconditional_update());
}

#[test]
fn a_status_is_checked() {
    let with = |status: Value| patched(budget(json!({"minAvailable": 1})), json!({"status": status}));
    refuses_update(
        &RESOURCE,
        &strategy::STATUS,
        with(json!({})),
        with(json!({"disruptionsAllowed": -1, "expectedPods": -2, "conditions": [{"type": "A", "status": "True"}]})),
        &[
            "status.conditions[0].lastTransitionTime: Required value: must be set",
            "status.conditions[0].reason: Required value: must be set",
            "status.disruptionsAllowed: Invalid value: -1: must be greater than or equal to 0",
            "status.expectedPods: Invalid value: -2: must be greater than or equal to 0",
        ],
    );
    let (kept, _) = updated(&RESOURCE, &strategy::STATUS, with(json!({})), budget(json!({"minAvailable": 7})));
    assert_eq!(kept.i64_at(&["spec", "minAvailable"]), Some(1));
}

#[test]
fn selectors_of_v1beta1_are_read_as_they_are_meant() {
    const KEY: &str = "pdb.kubernetes.io/deprecated-v1beta1-empty-selector-match";
    let with = |operator: &str, more: &[Value]| {
        let mut expressions = vec![json!({"key": KEY, "operator": operator})];
        expressions.extend_from_slice(more);
        budget(json!({"selector": {"matchExpressions": expressions}}))
    };
    let read = |object: Value| defaulted(&RESOURCE, object);
    assert_eq!(read(with("Exists", &[])), value(with("Exists", &[])));
    assert_eq!(read(with("DoesNotExist", &[])), value(budget(json!({"selector": {}}))));
    let other = json!({"key": "a", "operator": "Exists"});
    let want = budget(json!({"selector": {"matchExpressions": [other]}}));
    assert_eq!(read(with("Exists", std::slice::from_ref(&other))), value(want));
}

#[test]
fn a_row_shows_what_is_allowed() {
    let object = patched(budget(json!({"minAvailable": 2})), json!({"status": {"disruptionsAllowed": 1}}));
    assert_eq!(row(&RESOURCE, object), ["b", "2", "N/A", "1", "<unknown>"]);
    assert_eq!(row(&RESOURCE, budget(json!({"maxUnavailable": "10%"})))[1..4], ["N/A", "10%", "0"]);
}
