use corten_apimachinery::meta::ObjectMeta;
use serde_json::{Value, json};

use super::{RESOURCE, strategy};
use crate::testing::{created, patched, refuses, refuses_update, row, updated, value};

fn deployment(spec: Value) -> Value {
    let template =
        json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "a"}]}});
    patched(
        json!({"metadata": {"name": "web"}, "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template}}),
        json!({"spec": spec}),
    )
}

#[test]
fn a_minimal_deployment_gets_all_defaults() {
    let (object, errors) = created(&RESOURCE, deployment(json!({})));
    assert_eq!(errors, [""; 0]);
    let mut spec = object.get("spec").cloned().unwrap();
    spec.unset(&["template"]);
    assert_eq!(
        spec,
        value(json!({
            "replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "revisionHistoryLimit": 10,
            "progressDeadlineSeconds": 600,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}},
        }))
    );
    assert_eq!(object.generation(), 1);
}

#[test]
fn deployments_are_checked() {
    let cases: [(Value, &[&str]); 8] = [
        (
            json!({"selector": null}),
            &[
                "spec.selector: Required value",
                "spec.template.metadata.labels: Invalid value: {\"app\":\"web\"}: `selector` does not match template \
                 `labels`",
            ],
        ),
        (
            json!({"selector": {"matchLabels": null}}),
            &["spec.selector: Invalid value: {}: empty selector is invalid for deployment"],
        ),
        (
            json!({"selector": {"matchLabels": {"app": "other"}}}),
            &[
                "spec.template.metadata.labels: Invalid value: {\"app\":\"web\"}: `selector` does not match template `labels`",
            ],
        ),
        (
            json!({"replicas": -1, "progressDeadlineSeconds": 5, "minReadySeconds": 10}),
            &[
                "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
                "spec.progressDeadlineSeconds: Invalid value: 5: must be greater than minReadySeconds",
            ],
        ),
        (
            json!({"strategy": {"type": "Recreate", "rollingUpdate": {}}}),
            &["spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'"],
        ),
        (
            json!({"strategy": {"type": "X", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": "5%"}}}),
            &[
                "spec.strategy: Unsupported value: {\"Type\":\"X\",\"RollingUpdate\":{\"MaxUnavailable\":1,\"MaxSurge\":\"5%\"}}: \
                 supported values: \"Recreate\", \"RollingUpdate\"",
            ],
        ),
        (
            json!({"strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": "0%"}}}),
            &["spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0"],
        ),
        (
            json!({"strategy": {"rollingUpdate": {"maxUnavailable": "150%", "maxSurge": "x"}}}),
            &[
                "spec.strategy.rollingUpdate.maxSurge: Invalid value: \"x\": a valid percent string must be a numeric string \
             followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
                "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"150%\": must not be greater than 100%",
            ],
        ),
    ];
    for (spec, want) in cases {
        refuses(&RESOURCE, deployment(spec), want);
    }
}

#[test]
fn the_selector_stays() {
    let changed = patched(
        deployment(json!({"selector": {"matchLabels": {"app": "other"}}})),
        json!({"spec": {"template": {"metadata": {"labels": {"app": "other"}}}}}),
    );
    refuses_update(
        &RESOURCE,
        RESOURCE.strategy,
        deployment(json!({})),
        changed,
        &["spec.selector: Invalid value: {\"matchLabels\":{\"app\":\"other\"}}: field is immutable"],
    );
}

#[test]
fn annotations_make_a_generation_and_labels_do_not() {
    let old = patched(deployment(json!({})), json!({"metadata": {"generation": 4}}));
    let with = |field: &str| patched(old.clone(), json!({"metadata": {field: {"a": "b"}}}));
    let (labelled, _) = updated(&RESOURCE, RESOURCE.strategy, old.clone(), with("labels"));
    let (annotated, _) = updated(&RESOURCE, RESOURCE.strategy, old.clone(), with("annotations"));
    assert_eq!((labelled.generation(), annotated.generation()), (4, 5));
}

#[test]
fn a_status_counts_right() {
    let with = |status: Value| patched(deployment(json!({})), json!({"status": status}));
    refuses_update(
        &RESOURCE,
        &strategy::STATUS,
        with(json!({"collisionCount": 2})),
        with(json!({"replicas": 1, "updatedReplicas": 2, "collisionCount": 1})),
        &[
            "status.updatedReplicas: Invalid value: 2: cannot be greater than status.replicas",
            "status.collisionCount: Invalid value: 1: cannot be decremented",
        ],
    );
}

#[test]
fn a_row_counts_pods() {
    let object = patched(
        deployment(json!({"replicas": 3})),
        json!({"status": {"readyReplicas": 2, "updatedReplicas": 3, "availableReplicas": 1}}),
    );
    assert_eq!(row(&RESOURCE, object), ["web", "2/3", "3", "1", "<unknown>", "c", "a", "app=web"]);
}
