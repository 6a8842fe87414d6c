mod spec;
mod status;
mod update;

use corten_apimachinery::{meta::ObjectMeta, resource::GarbagePolicy};
use serde_json::{Value, json};

use super::RESOURCE;
use crate::testing::{context, created, defaulted, patched, refuses, row, value};

/// A job as a client writes it; the UID is given to it before the rules see it.
fn job(spec: Value) -> Value {
    let pod = json!({"restartPolicy": "Never", "containers": [{"name": "c", "image": "a"}]});
    patched(
        json!({"metadata": {"name": "pi", "uid": "u1"}, "spec": {"template": {"spec": pod}}}),
        json!({"spec": spec}),
    )
}

/// The same after it was made.
fn made(spec: Value) -> Value {
    let labels = json!({
        "batch.kubernetes.io/controller-uid": "u1", "batch.kubernetes.io/job-name": "pi", "controller-uid": "u1",
        "job-name": "pi",
    });
    let selector = json!({"matchLabels": {"batch.kubernetes.io/controller-uid": "u1"}});
    patched(job(json!({"selector": selector, "template": {"metadata": {"labels": labels}}})), json!({"spec": spec}))
}

fn indexed(spec: Value) -> Value {
    patched(job(json!({"completionMode": "Indexed", "completions": 10, "parallelism": 10})), json!({"spec": spec}))
}

#[test]
fn a_minimal_job_gets_all_defaults() {
    let (object, errors) = created(&RESOURCE, job(json!({})));
    assert_eq!(errors, [""; 0]);
    let mut spec = object.get("spec").cloned().unwrap();
    spec.unset(&["template"]);
    assert_eq!(
        spec,
        value(json!({
            "completions": 1, "parallelism": 1, "backoffLimit": 6, "completionMode": "NonIndexed", "suspend": false,
            "manualSelector": false, "podReplacementPolicy": "TerminatingOrFailed",
            "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": "u1"}},
        }))
    );
    assert_eq!((object.generation(), object.get("status")), (1, Some(&value(json!({})))));
}

#[test]
fn defaults_depend_on_other_fields() {
    let rules = json!([{"action": "Count", "onPodConditions": [{"type": "DisruptionTarget"}]}]);
    let cases = [
        (json!({"parallelism": 3}), ["spec", "completions"], None),
        (json!({"completions": 3}), ["spec", "parallelism"], Some(value(json!(1)))),
        (json!({"backoffLimitPerIndex": 1}), ["spec", "backoffLimit"], Some(value(json!(2_147_483_647)))),
        (json!({"podFailurePolicy": {"rules": rules}}), ["spec", "podReplacementPolicy"], Some("Failed".into())),
    ];
    for (spec, path, want) in cases {
        assert_eq!(defaulted(&RESOURCE, job(spec)).at(&path), want.as_ref());
    }
    let object = defaulted(&RESOURCE, job(json!({"podFailurePolicy": {"rules": rules}})));
    let rule = &object.items_at(&["spec", "podFailurePolicy", "rules"])[0];
    assert_eq!(rule.items_at(&["onPodConditions"])[0].str_at(&["status"]), Some("True"));
}

#[test]
fn pods_are_labelled_and_selected() {
    let (object, errors) = created(&RESOURCE, job(json!({"template": {"metadata": {"labels": {"app": "x"}}}})));
    assert_eq!(errors, [""; 0]);
    let want = value(json!({
        "app": "x", "batch.kubernetes.io/controller-uid": "u1", "batch.kubernetes.io/job-name": "pi",
        "controller-uid": "u1", "job-name": "pi",
    }));
    assert_eq!(object.at(&["spec", "template", "metadata", "labels"]), Some(&want));
    assert_eq!(object.at(&["metadata", "labels"]), Some(&want), "a job without labels has those of its template");
    let labelled = patched(job(json!({})), json!({"metadata": {"labels": {"app": "x"}}}));
    let (object, _) = created(&RESOURCE, labelled);
    assert_eq!(object.at(&["metadata", "labels"]), Some(&value(json!({"app": "x"}))));
}

#[test]
fn a_selector_of_ones_own_is_asked_for() {
    let own = |manual: bool| {
        job(json!({
            "manualSelector": manual, "selector": {"matchLabels": {"app": "x"}},
            "template": {"metadata": {"labels": {"app": "x"}}},
        }))
    };
    let (object, errors) = created(&RESOURCE, own(true));
    assert_eq!(errors, [""; 0]);
    assert_eq!(object.at(&["spec", "template", "metadata", "labels"]), Some(&value(json!({"app": "x"}))));
    refuses(
        &RESOURCE,
        own(false),
        &[
            "spec.selector: Invalid value: {\"matchLabels\":{\"app\":\"x\",\"batch.kubernetes.io/controller-uid\":\"u1\"}}: \
           `selector` not auto-generated",
        ],
    );
    refuses(
        &RESOURCE,
        job(json!({"manualSelector": true})),
        &[
            "spec.selector: Required value",
            "spec.template.metadata.labels: Invalid value: null: `selector` does not match template `labels`",
        ],
    );
    let wrong = job(json!({"template": {"metadata": {"labels": {"controller-uid": "other"}}}}));
    let shown = "{\"batch.kubernetes.io/controller-uid\":\"u1\",\"batch.kubernetes.io/job-name\":\"pi\",\"controller-uid\":\
                 \"other\",\"job-name\":\"pi\"}";
    let want = format!("spec.template.metadata.labels[controller-uid]: Invalid value: {shown}: must be 'u1'");
    refuses(&RESOURCE, wrong, &[&want]);
}

fn conditions(types: &[&str]) -> Value {
    types.iter().map(|ty| json!({"type": ty, "status": "True"})).collect()
}

#[test]
fn surprises_are_announced() {
    let big = patched(
        indexed(json!({"completions": 100_001, "parallelism": 10_001})),
        json!({"metadata": {"name": "a.b"}, "spec": {"template": {"spec": {"terminationGracePeriodSeconds": -1}}}}),
    );
    assert_eq!(
        RESOURCE.strategy.warnings_on_create(&context("v1"), &value(big)),
        [
            "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is \
             recommended: [must not contain dots]",
            "spec: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, \
             Kubernetes might not be able to track completedIndexes when a big number of indexes fail",
            "spec.template.spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1",
        ]
    );
}

#[test]
fn what_is_selected_and_deleted() {
    let field = &RESOURCE.selectable_fields[0];
    assert_eq!((field.name.as_str(), field.read(&value(json!({}))).as_str()), ("status.successful", "0"));
    assert_eq!(field.read(&value(json!({"status": {"succeeded": 3}}))).as_str(), "3");
    assert_eq!(RESOURCE.strategy.garbage_policy(), GarbagePolicy::Orphan);
}

#[test]
fn a_row_says_how_far_it_is() {
    let shown = |spec: Value, status: Value| {
        let object = patched(made(spec), json!({"status": status}));
        row(&RESOURCE, object)[1..4].to_vec()
    };
    let (start, end) = ("2026-01-01T11:59:00Z", "2026-01-01T12:01:30Z");
    assert_eq!(
        row(
            &RESOURCE,
            patched(made(json!({"completions": 3})), json!({"status": {"succeeded": 1, "startTime": start}}))
        ),
        ["pi", "Running", "1/3", "60s", "<unknown>", "c", "a", "batch.kubernetes.io/controller-uid=u1"]
    );
    assert_eq!(
        shown(
            json!({"parallelism": 4}),
            json!({"startTime": start, "completionTime": end, "conditions": conditions(&["Complete"])})
        ),
        ["Complete", "0/1 of 4", "2m30s"]
    );
    for (condition, want) in [
        ("Failed", "Failed"),
        ("Suspended", "Suspended"),
        ("FailureTarget", "FailureTarget"),
        ("SuccessCriteriaMet", "SuccessCriteriaMet"),
        ("Other", "Running"),
    ] {
        assert_eq!(shown(json!({}), json!({"conditions": conditions(&[condition])})), [want, "0/1", ""]);
    }
}
