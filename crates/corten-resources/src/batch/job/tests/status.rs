use serde_json::{Value, json};

use super::{
    super::{RESOURCE, strategy},
    conditions, made,
};
use crate::testing::{patched, refuses_update};

#[track_caller]
fn status(spec: Value, old: Value, new: Value, want: &[&str]) {
    let with = |status: Value| patched(made(spec.clone()), json!({"status": status}));
    refuses_update(&RESOURCE, &strategy::STATUS, with(old), with(new), want);
}

#[test]
fn a_status_counts_right() {
    status(
        json!({}),
        json!({"failed": 3, "succeeded": 2}),
        json!({
            "active": -1, "failed": 2, "succeeded": 1, "ready": 1, "terminating": -1,
            "uncountedTerminatedPods": {"succeeded": ["a", ""], "failed": ["a"]}, "completedIndexes": "1", "failedIndexes": "",
        }),
        &[
            "status.active: Invalid value: -1: must be greater than or equal to 0",
            "status.terminating: Invalid value: -1: must be greater than or equal to 0",
            "status.uncountedTerminatedPods.succeeded[1]: Invalid value: \"\": must not be empty",
            "status.uncountedTerminatedPods.failed[0]: Duplicate value: \"a\"",
            "status.completedIndexes: Invalid value: \"1\": error parsing completedIndexes: too large index: \"1\"",
            "status.completedIndexes: Invalid value: \"1\": cannot set non-empty completedIndexes when non-indexed completion mode",
            "status.failedIndexes: Invalid value: \"\": cannot set non-null failedIndexes when backoffLimitPerIndex is null",
            "status.ready: Invalid value: 1: cannot set more ready pods than active",
            "status.failed: Invalid value: 2: cannot decrease the failed counter",
            "status.succeeded: Invalid value: 1: cannot decrease the succeeded counter",
        ],
    );
    let elastic = json!({"completionMode": "Indexed", "completions": 3, "parallelism": 3, "backoffLimitPerIndex": 1});
    status(elastic.clone(), json!({"succeeded": 2}), json!({"succeeded": 1}), &[]);
    status(
        elastic,
        json!({}),
        json!({"completedIndexes": "0,2", "failedIndexes": "1-2"}),
        &["status.failedIndexes: Invalid value: \"1-2\": failedIndexes and completedIndexes overlap at index: 2"],
    );
}

#[test]
fn an_end_is_whole() {
    let (start, end) = ("2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z");
    let complete = json!({"startTime": start, "completionTime": end, "conditions": conditions(&["SuccessCriteriaMet", "Complete"])});
    status(json!({}), json!({"startTime": start}), complete.clone(), &[]);
    status(
        json!({}),
        json!({}),
        json!({"conditions": conditions(&["Complete", "Failed"]), "active": 1, "terminating": 1, "uncountedTerminatedPods": {"failed": ["a"]}}),
        &[
            "status.conditions: Invalid value: cannot set Complete=True and Failed=true conditions",
            "status.completionTime: Required value: completionTime is required for Complete jobs",
            "status.conditions: Invalid value: cannot set Failed=True condition without the FailureTarget=true condition",
            "status.conditions: Invalid value: cannot set Complete=True condition without the SuccessCriteriaMet=true condition",
            "status.active: Invalid value: 1: active>0 is invalid for finished job",
            "status.startTime: Required value: startTime is required for finished job",
            "status.uncountedTerminatedPods: Invalid value: {\"Succeeded\":null,\"Failed\":[\"a\"]}: must be empty for finished job",
            "status.terminating: Invalid value: 1: terminating>0 is invalid for finished job",
        ],
    );
    status(
        json!({}),
        json!({}),
        json!({"startTime": end, "completionTime": start}),
        &[
            "status.completionTime: Invalid value: \"2026-01-01T00:00:00Z\": cannot set completionTime when there is no \
             Complete=True condition",
            "status.completionTime: Invalid value: \"2026-01-01T00:00:00Z\": must be equal to or after `startTime`",
        ],
    );
    let met = json!({"startTime": start, "conditions": conditions(&["SuccessCriteriaMet", "FailureTarget", "Failed"])});
    status(
        json!({}),
        json!({}),
        met,
        &[
            "status.conditions: Invalid value: cannot set SuccessCriteriaMet=True and Failed=true conditions",
            "status.conditions: Invalid value: cannot set SuccessCriteriaMet=True and FailureTarget=true conditions",
        ],
    );
    // What was wrong before does not keep others from writing.
    let wrong = json!({"conditions": conditions(&["Complete", "Failed"])});
    status(json!({}), wrong.clone(), patched(wrong, json!({"failed": 1})), &[]);
    let undone =
        json!({"startTime": start, "completionTime": "2026-01-01T02:00:00Z", "conditions": conditions(&["Complete"])});
    status(
        json!({}),
        complete,
        undone,
        &[
            "status.conditions: Invalid value: cannot set Complete=True condition without the SuccessCriteriaMet=true condition",
            "status.completionTime: Invalid value: \"2026-01-01T02:00:00Z\": field is immutable",
            "status.conditions: Invalid value: cannot disable the SuccessCriteriaMet=True condition",
        ],
    );
}

#[test]
fn a_running_job_keeps_its_start() {
    let (start, other) = (json!({"startTime": "2026-01-01T00:00:00Z"}), json!({}));
    let want: &[&str] = &["status.startTime: Required value: startTime cannot be removed for unsuspended job"];
    status(json!({}), start.clone(), other.clone(), want);
    status(json!({"suspend": true}), start, other, &[]);
}
