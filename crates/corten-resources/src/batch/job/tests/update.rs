use corten_apimachinery::meta::ObjectMeta;
use serde_json::{Value, json};

use super::{super::RESOURCE, job, made};
use crate::testing::{context, defaulted, features, patched, refuses_update, updated};

#[test]
fn most_of_the_spec_stays() {
    let change = |old: Value, new: Value, want: &[&str]| {
        refuses_update(&RESOURCE, RESOURCE.strategy, made(old), made(new), want);
    };
    change(
        json!({}),
        json!({"completions": 1, "parallelism": 4, "backoffLimit": 2, "ttlSecondsAfterFinished": 5, "suspend": true}),
        &[],
    );
    change(
        json!({"completions": 1}),
        json!({"completions": 2}),
        &["spec.completions: Invalid value: 2: field is immutable"],
    );
    let size = |completions: i64, parallelism: i64| json!({"completionMode": "Indexed", "completions": completions, "parallelism": parallelism});
    change(size(3, 3), size(5, 5), &[]);
    change(
        size(3, 3),
        size(5, 3),
        &["spec.completions: Invalid value: 5: can only be modified in tandem with spec.parallelism"],
    );
    change(
        json!({"managedBy": "a.io/b"}),
        json!({"managedBy": "a.io/c"}),
        &["spec.managedBy: Invalid value: \"a.io/c\": field is immutable"],
    );
    change(
        size(3, 3),
        json!({"completionMode": "NonIndexed", "completions": 3, "parallelism": 3}),
        &["spec.completionMode: Invalid value: \"NonIndexed\": field is immutable"],
    );
    // Asked of the job, and of its change.
    let negative = "spec.backoffLimit: Invalid value: -1: must be greater than or equal to 0";
    change(json!({}), json!({"backoffLimit": -1}), &[negative, negative]);
}

/// Whether the template may change like this: its own field, or its spec.
#[track_caller]
fn template(gates: &str, status: Value, change: Value, want: bool) {
    let suspended = |template: Value| made(json!({"suspend": true, "template": template}));
    let old = defaulted(&RESOURCE, patched(suspended(json!({})), json!({"status": status})));
    let mut new = defaulted(&RESOURCE, suspended(change));
    let gates = features(gates);
    let mut cx = context("v1");
    cx.features = &gates;
    RESOURCE.strategy.prepare_for_update(&cx, &mut new, &old);
    let errors = RESOURCE.strategy.validate_update(&cx, &new, &old);
    assert_eq!(errors.is_empty(), want, "{errors:?}");
}

#[test]
fn a_suspended_job_can_be_sent_elsewhere() {
    let (fresh, started) = (json!({}), json!({"startTime": "2026-01-01T00:00:00Z"}));
    let stopped = patched(started.clone(), json!({"conditions": [{"type": "Suspended", "status": "True"}]}));
    let busy = patched(stopped.clone(), json!({"active": 1}));
    let term = json!({"matchExpressions": [{"key": "zone", "operator": "Exists"}]});
    let affinity =
        json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}});
    let place = json!({
        "metadata": {"labels": {"x": "y"}, "annotations": {"x": "y"}},
        "spec": {"affinity": affinity, "nodeSelector": {"a": "b"}, "tolerations": [{"operator": "Exists"}], "schedulingGates": [{"name": "a/b"}]},
    });
    let image = json!({"spec": {"containers": [{"name": "c", "image": "b"}]}});
    let size = json!({"spec": {"containers": [{"name": "c", "image": "a", "resources": {"requests": {"cpu": "2"}}}]}});
    template("", fresh.clone(), place.clone(), true);
    template("", fresh.clone(), image.clone(), false);
    template("", fresh.clone(), size.clone(), false);
    template("", stopped.clone(), place.clone(), false);
    let again = "MutableSchedulingDirectivesForSuspendedJobs=true";
    template(again, stopped.clone(), place.clone(), true);
    template(again, started.clone(), place.clone(), false);
    template(again, busy.clone(), place, false);
    let resources = "MutablePodResourcesForSuspendedJobs=true";
    template(resources, fresh.clone(), size.clone(), true);
    template(resources, fresh, image, false);
    template(resources, stopped, size.clone(), true);
    template(resources, busy, size, false);
}

#[test]
fn old_jobs_have_old_labels() {
    let labels = json!({"controller-uid": "u1", "job-name": "pi"});
    let old = |parallelism: i64| {
        let template = json!({"metadata": {"labels": labels}});
        job(
            json!({"parallelism": parallelism, "selector": {"matchLabels": {"controller-uid": "u1"}}, "template": template}),
        )
    };
    refuses_update(&RESOURCE, RESOURCE.strategy, old(1), old(2), &[]);
}

#[test]
fn annotations_make_no_generation() {
    let old = patched(made(json!({})), json!({"metadata": {"generation": 4}}));
    let (same, _) = updated(
        &RESOURCE,
        RESOURCE.strategy,
        old.clone(),
        patched(old.clone(), json!({"metadata": {"annotations": {"a": "b"}}})),
    );
    let (other, _) =
        updated(&RESOURCE, RESOURCE.strategy, old.clone(), patched(old, json!({"spec": {"suspend": true}})));
    assert_eq!((same.generation(), other.generation()), (4, 5));
}
