use corten_apimachinery::meta::ObjectMeta;
use serde_json::{Value, json};

use super::{RESOURCE, strategy};
use crate::testing::{created, patched, refuses, refuses_update, row, updated, value};

fn set(spec: Value) -> Value {
    let template =
        json!({"metadata": {"labels": {"app": "log"}}, "spec": {"containers": [{"name": "c", "image": "a"}]}});
    patched(
        json!({"metadata": {"name": "log"}, "spec": {"selector": {"matchLabels": {"app": "log"}}, "template": template}}),
        json!({"spec": spec}),
    )
}

fn update(strategy: Value) -> Value {
    set(json!({"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": strategy}}))
}

const GENERATION: &str = "deprecated.daemonset.template.generation";

#[test]
fn a_minimal_set_gets_all_defaults() {
    let (object, errors) = created(&RESOURCE, set(json!({})));
    assert_eq!(errors, [""; 0]);
    let mut spec = object.get("spec").cloned().unwrap();
    spec.unset(&["template"]);
    assert_eq!(
        spec,
        value(json!({
            "selector": {"matchLabels": {"app": "log"}}, "revisionHistoryLimit": 10,
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}},
        }))
    );
    assert_eq!(
        object.get("status"),
        Some(&value(
            json!({"currentNumberScheduled": 0, "numberMisscheduled": 0, "desiredNumberScheduled": 0, "numberReady": 0})
        ))
    );
    assert_eq!((object.generation(), object.annotation(GENERATION)), (1, Some("1")));
    assert_eq!(object.str_at(&["spec", "template", "spec", "restartPolicy"]), Some("Always"));
}

#[test]
fn sets_are_checked() {
    let cases: [(Value, &[&str]); 9] = [
        (
            set(json!({"selector": null})),
            &[
                "spec.template.metadata.labels: Invalid value: {\"app\":\"log\"}: `selector` does not match template `labels`",
            ],
        ),
        (
            set(json!({"selector": {"matchLabels": null}})),
            &["spec.selector: Invalid value: {}: empty selector is invalid for daemonset"],
        ),
        (
            set(json!({"minReadySeconds": -1, "revisionHistoryLimit": -1, "updateStrategy": {"type": "Odd"}})),
            &[
                "spec.minReadySeconds: Invalid value: -1: must be greater than or equal to 0",
                "spec.updateStrategy: Unsupported value: {\"Type\":\"Odd\",\"RollingUpdate\":null}: supported values: \
                 \"RollingUpdate\", \"OnDelete\"",
                "spec.revisionHistoryLimit: Invalid value: -1: must be greater than or equal to 0",
            ],
        ),
        (
            set(json!({"template": {"spec": {"restartPolicy": "OnFailure", "activeDeadlineSeconds": 5}}})),
            &[
                "spec.template.spec.restartPolicy: Unsupported value: \"OnFailure\": supported values: \"Always\"",
                "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in DaemonSet is not Supported",
            ],
        ),
        (
            update(json!({"maxUnavailable": 0, "maxSurge": "0%"})),
            &["spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when maxSurge is 0"],
        ),
        (
            update(json!({"maxUnavailable": 1, "maxSurge": 1})),
            &[
                "spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: 1: may not be set when maxUnavailable is non-zero",
            ],
        ),
        (
            update(json!({"maxUnavailable": 0, "maxSurge": "150%"})),
            &["spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: \"150%\": must not be greater than 100%"],
        ),
        (update(json!({"maxUnavailable": 0, "maxSurge": "50%"})), &[]),
        (
            patched(set(json!({})), json!({"metadata": {"annotations": {GENERATION: "x"}}})),
            &[
                "metadata.annotations[deprecated.daemonset.template.generation]: Invalid value: \"x\": strconv.ParseInt: \
               parsing \"x\": invalid syntax",
            ],
        ),
    ];
    for (object, want) in cases {
        refuses(&RESOURCE, object, want);
    }
}

#[test]
fn the_selector_stays() {
    let changed = set(json!({"selector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]}}));
    refuses_update(
        &RESOURCE,
        RESOURCE.strategy,
        set(json!({})),
        changed,
        &["spec.selector: Invalid value: {\"matchLabels\":{\"app\":\"log\"},\"matchExpressions\":[{\"key\":\"app\",\
             \"operator\":\"Exists\"}]}: field is immutable"],
    );
}

#[test]
fn changes_of_the_template_are_counted() {
    let with = |text: &str| json!({"metadata": {"annotations": {GENERATION: text}}});
    let old = patched(patched(set(json!({})), json!({"metadata": {"generation": 7}})), with("4"));
    let count = |new: Value| {
        let (object, _) = updated(&RESOURCE, RESOURCE.strategy, old.clone(), patched(old.clone(), new));
        (object.generation(), object.annotation(GENERATION).unwrap().to_owned())
    };
    assert_eq!(count(json!({})), (7, "4".to_owned()));
    assert_eq!(count(with("9")), (7, "4".to_owned()));
    assert_eq!(count(json!({"metadata": {"annotations": null}})), (7, "4".to_owned()));
    assert_eq!(count(json!({"spec": {"minReadySeconds": 3}})), (8, "4".to_owned()));
    let image = json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "b"}]}}}});
    assert_eq!(count(image), (8, "5".to_owned()));
    let (object, _) = created(&RESOURCE, patched(set(json!({})), with("-3")));
    assert_eq!(object.annotation(GENERATION), Some("1"));
    let (object, _) = created(&RESOURCE, patched(set(json!({})), with("12")));
    assert_eq!(object.annotation(GENERATION), Some("12"));
}

#[test]
fn a_status_counts_right() {
    let with = |status: Value| patched(set(json!({})), json!({"status": status}));
    refuses_update(
        &RESOURCE,
        &strategy::STATUS,
        with(json!({"collisionCount": 2})),
        with(json!({"numberReady": -1, "numberAvailable": -2})),
        &[
            "status.numberReady: Invalid value: -1: must be greater than or equal to 0",
            "status.numberAvailable: Invalid value: -2: must be greater than or equal to 0",
            "status.collisionCount: Invalid value: 0: cannot be decremented",
        ],
    );
}

#[test]
fn a_row_counts_pods() {
    let object = patched(
        set(json!({"template": {"spec": {"nodeSelector": {"disk": "ssd"}}}})),
        json!({"status": {"desiredNumberScheduled": 5, "currentNumberScheduled": 4, "numberReady": 3, "updatedNumberScheduled": 2, "numberAvailable": 1}}),
    );
    assert_eq!(row(&RESOURCE, object), ["log", "5", "4", "3", "2", "1", "disk=ssd", "<unknown>", "c", "a", "app=log"]);
}

/// Upstream checks an update as a new object and again as a change.
#[test]
fn an_update_is_refused_twice() {
    let want = "spec.minReadySeconds: Invalid value: -1: must be greater than or equal to 0";
    let new = set(json!({"minReadySeconds": -1}));
    refuses_update(&RESOURCE, RESOURCE.strategy, set(json!({})), new, &[want, want]);
}
