use serde_json::{Value, json};

use super::{super::RESOURCE, indexed, job};
use crate::testing::{patched, refuses};

#[test]
fn specs_are_checked() {
    let cases: [(Value, &[&str]); 14] = [
        (
            job(json!({
                "parallelism": -1, "completions": -1, "activeDeadlineSeconds": -1, "backoffLimit": -1,
                "ttlSecondsAfterFinished": -1,
            })),
            &[
                "spec.parallelism: Invalid value: -1: must be greater than or equal to 0",
                "spec.completions: Invalid value: -1: must be greater than or equal to 0",
                "spec.activeDeadlineSeconds: Invalid value: -1: must be greater than or equal to 0",
                "spec.backoffLimit: Invalid value: -1: must be greater than or equal to 0",
                "spec.ttlSecondsAfterFinished: Invalid value: -1: must be greater than or equal to 0",
            ],
        ),
        (
            job(json!({"completionMode": "Odd"})),
            &["spec.completionMode: Unsupported value: \"Odd\": supported values: \"NonIndexed\", \"Indexed\""],
        ),
        (
            job(json!({"backoffLimitPerIndex": 1, "maxFailedIndexes": 1})),
            &[
                "spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode",
                "spec.maxFailedIndexes: Invalid value: 1: requires indexed completion mode",
            ],
        ),
        (indexed(json!({"completions": null})), &["spec.completions: Required value: when completion mode is Indexed"]),
        (
            indexed(json!({"maxFailedIndexes": 11})),
            &[
                "spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified",
                "spec.maxFailedIndexes: Invalid value: 11: must be less than or equal to completions",
            ],
        ),
        (
            indexed(
                json!({"completions": 100_001, "parallelism": 100_001, "backoffLimitPerIndex": 1, "maxFailedIndexes": 100_001}),
            ),
            &[
                "spec.parallelism: Invalid value: 100001: must be less than or equal to 100000 when completion mode is Indexed",
                "spec.maxFailedIndexes: Invalid value: 100001: must be less than or equal to 100000",
                "spec.parallelism: Invalid value: 100001: must be less than or equal to 10000 when completions are above \
                 100000 and used with backoff limit per index",
                "spec.maxFailedIndexes: Invalid value: 100001: must be less than or equal to 10000 when completions are above \
                 100000 and used with backoff limit per index",
            ],
        ),
        (
            indexed(json!({"completions": 100_001, "backoffLimitPerIndex": 1})),
            &["spec.maxFailedIndexes: Required value: must be specified when completions is above 100000"],
        ),
        (
            job(json!({"template": {"spec": {"restartPolicy": null}}})),
            &["spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\""],
        ),
        (
            job(json!({"podReplacementPolicy": "Odd"})),
            &[
                "spec.podReplacementPolicy: Unsupported value: \"Odd\": supported values: \"Failed\", \"TerminatingOrFailed\"",
            ],
        ),
        (job(json!({"managedBy": "example.com/foo"})), &[]),
        (
            job(json!({"managedBy": "foo"})),
            &["spec.managedBy: Invalid value: \"foo\": must be a domain-prefixed path (such as \"acme.io/foo\")"],
        ),
        (
            job(json!({"managedBy": "example.com/foo bar"})),
            &["spec.managedBy: Invalid value: \"foo bar\": Invalid path (regex used for validation is \
               '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')"],
        ),
        (
            job(json!({"managedBy": format!("example.com/{}", "x".repeat(52))})),
            &["spec.managedBy: Too long: may not be more than 63 bytes"],
        ),
        (job(json!({"template": {"spec": {"restartPolicy": "OnFailure"}}})), &[]),
    ];
    for (object, want) in cases {
        refuses(&RESOURCE, object, want);
    }
}

#[test]
fn the_hosts_of_indexes_have_names() {
    let named = |name: &str| patched(indexed(json!({})), json!({"metadata": {"name": name}}));
    refuses(&RESOURCE, named(&"x".repeat(61)), &[]);
    let long = "x".repeat(62);
    let want = format!(
        "metadata.name: Invalid value: \"{long}\": will not able to create pod with invalid DNS label: {long}-9"
    );
    refuses(&RESOURCE, named(&long), &[&want]);
}

#[test]
fn failure_policies_are_checked() {
    let with = |rules: Value| indexed(json!({"podFailurePolicy": {"rules": rules}}));
    let codes = |codes: Value| with(json!([{"action": "FailJob", "onExitCodes": codes}]));
    let conditions: Vec<Value> = (0..21).map(|_| json!({"type": "x"})).collect();
    let many: Vec<i32> = (1..=256).collect();
    let cases: [(Value, &[&str]); 9] = [
        (codes(json!({"operator": "In", "values": [1, 2], "containerName": "c"})), &[]),
        (
            codes(json!({"values": [0, 2, 2, 1], "containerName": "other"})),
            &[
                "spec.podFailurePolicy.rules[0].onExitCodes.operator: Required value: valid values: [\"In\" \"NotIn\"]",
                "spec.podFailurePolicy.rules[0].onExitCodes.containerName: Invalid value: \"other\": must be one of the \
                 container or initContainer names in the pod template",
                "spec.podFailurePolicy.rules[0].onExitCodes.values[2]: Duplicate value: 2",
                "spec.podFailurePolicy.rules[0].onExitCodes.values: Invalid value: [0,2,2,1]: must be ordered",
            ],
        ),
        (
            codes(json!({"operator": "In", "values": [0]})),
            &[
                "spec.podFailurePolicy.rules[0].onExitCodes.values[0]: Invalid value: 0: must not be 0 for the In operator",
            ],
        ),
        (
            codes(json!({"operator": "NotIn", "values": []})),
            &["spec.podFailurePolicy.rules[0].onExitCodes.values: Invalid value: []: at least one value is required"],
        ),
        (
            codes(json!({"operator": "NotIn", "values": many})),
            &["spec.podFailurePolicy.rules[0].onExitCodes.values: Too many: 256: must have at most 255 items"],
        ),
        (
            with(
                json!([{"action": "FailIndex", "onPodConditions": [{"type": "x", "status": "Odd"}]}, {"action": "Odd"}, {"onPodConditions": [{"type": "x"}], "onExitCodes": {"operator": "In", "values": [1]}}]),
            ),
            &[
                "spec.podFailurePolicy.rules[0].action: Invalid value: \"FailIndex\": requires the backoffLimitPerIndex to be set",
                "spec.podFailurePolicy.rules[0].onPodConditions[0].status: Unsupported value: \"Odd\": supported values: \
                 \"False\", \"True\", \"Unknown\"",
                "spec.podFailurePolicy.rules[1].action: Unsupported value: \"Odd\": supported values: \"Count\", \
                 \"FailIndex\", \"FailJob\", \"Ignore\"",
                "spec.podFailurePolicy.rules[1]: Invalid value: specifying one of OnExitCodes and OnPodConditions is required",
                "spec.podFailurePolicy.rules[2].action: Required value: valid values: [\"Count\" \"FailIndex\" \"FailJob\" \
                 \"Ignore\"]",
                "spec.podFailurePolicy.rules[2]: Invalid value: specifying both OnExitCodes and OnPodConditions is not supported",
            ],
        ),
        (
            with(json!([{"action": "Count", "onPodConditions": conditions}])),
            &["spec.podFailurePolicy.rules[0].onPodConditions: Too many: 21: must have at most 20 items"],
        ),
        (
            patched(
                codes(json!({"operator": "In", "values": [1]})),
                json!({"spec": {"template": {"spec": {"restartPolicy": "OnFailure"}}}}),
            ),
            &["spec.template.spec.restartPolicy: Invalid value: \"OnFailure\": only \"Never\" is supported when \
               podFailurePolicy is specified"],
        ),
        (
            patched(
                codes(json!({"operator": "In", "values": [1]})),
                json!({"spec": {"podReplacementPolicy": "TerminatingOrFailed"}}),
            ),
            &["spec.podReplacementPolicy: Unsupported value: \"TerminatingOrFailed\": supported values: \"Failed\""],
        ),
    ];
    for (object, want) in cases {
        refuses(&RESOURCE, object, want);
    }
}

#[test]
fn success_policies_are_checked() {
    let with = |rules: Value| indexed(json!({"successPolicy": {"rules": rules}}));
    let cases: [(Value, &[&str]); 6] = [
        (with(json!([{"succeededIndexes": "0,2-4", "succeededCount": 4}])), &[]),
        (
            with(json!([])),
            &[
                "spec.successPolicy.rules: Required value: at least one rules must be specified when the successPolicy is \
               specified",
            ],
        ),
        (
            with(json!([{}, {"succeededCount": -1}])),
            &[
                "spec.successPolicy.rules[0]: Required value: at least one of succeededCount or succeededIndexes must be \
                 specified",
                "spec.successPolicy.rules[1].succeededCount: Invalid value: -1: must be greater than or equal to 0",
            ],
        ),
        (
            with(json!([{"succeededIndexes": "0,2-4", "succeededCount": 5}, {"succeededCount": 11}])),
            &[
                "spec.successPolicy.rules[0].succeededCount: Invalid value: 5: must be less than or equal to 4 (the number of \
                 indexes in the specified succeededIndexes field)",
                "spec.successPolicy.rules[1].succeededCount: Invalid value: 11: must be less than or equal to 10 (the number \
                 of specified completions)",
            ],
        ),
        (
            with(json!([{"succeededIndexes": "0-10"}])),
            &[
                "spec.successPolicy.rules[0].succeededIndexes: Invalid value: \"0-10\": error parsing succeededIndexes: too \
               large index: \"10\"",
            ],
        ),
        (
            job(json!({"successPolicy": {"rules": [{"succeededCount": 1}]}})),
            &[
                "spec.successPolicy: Invalid value: {\"Rules\":[{\"SucceededIndexes\":null,\"SucceededCount\":1}]}: requires indexed completion mode",
            ],
        ),
    ];
    for (object, want) in cases {
        refuses(&RESOURCE, object, want);
    }
}
