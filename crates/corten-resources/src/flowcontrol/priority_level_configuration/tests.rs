use serde_json::{Value, json};

use super::RESOURCE;
use crate::testing::{created, patched, refuses, row, value};

fn level(name: &str, spec: Value) -> Value {
    json!({"metadata": {"name": name}, "spec": spec})
}

fn limited(patch: Value) -> Value {
    let base = json!({"limitResponse": {"type": "Queue", "queuing": {}}});
    level("l", json!({"type": "Limited", "limited": patched(base, patch)}))
}

#[track_caller]
fn check(object: Value, want: &[&str]) {
    let want: Vec<String> = want.iter().map(|error| format!("spec.{error}")).collect();
    let want: Vec<&str> = want.iter().map(String::as_str).collect();
    refuses(&RESOURCE, object, &want);
}

#[test]
fn a_level_has_shares_and_queues() {
    let (object, errors) = created(&RESOURCE, limited(json!({})));
    assert_eq!(errors, [""; 0]);
    let want = json!({
        "metadata": {"name": "l", "generation": 1},
        "spec": {"type": "Limited", "limited": {
            "nominalConcurrencyShares": 30, "lendablePercent": 0,
            "limitResponse": {"type": "Queue", "queuing": {"handSize": 8, "queues": 64, "queueLengthLimit": 50}},
        }},
        "status": {},
    });
    assert_eq!(object, value(want));
    let (object, _) = created(&RESOURCE, limited(json!({"nominalConcurrencyShares": 0})));
    assert_eq!(object.i64_at(&["spec", "limited", "nominalConcurrencyShares"]), Some(0));
}

#[test]
fn a_level_is_limited_or_named_exempt() {
    check(
        level("l", json!({"type": "Exempt"})),
        &["type: Invalid value: \"Exempt\": type must be 'Exempt' if and only if name is 'exempt'"],
    );
    check(
        level("l", json!({"type": "Odd"})),
        &["type: Unsupported value: \"Odd\": supported values: \"Exempt\", \"Limited\""],
    );
    check(
        level("l", json!({"type": "Limited", "exempt": {}})),
        &[
            "exempt: Forbidden: must be nil if the type is Limited",
            "limited: Required value: must not be empty when type is Limited",
        ],
    );
}

#[test]
fn exempt_may_change_its_part_of_the_server() {
    let exempt = |patch: Value| level("exempt", patched(json!({"type": "Exempt", "exempt": {}}), patch));
    check(exempt(json!({"exempt": {"nominalConcurrencyShares": 10, "lendablePercent": 50}})), &[]);
    check(
        exempt(json!({"exempt": {"nominalConcurrencyShares": -1, "lendablePercent": 101}})),
        &[
            "exempt.nominalConcurrencyShares: Invalid value: -1: must be a non-negative integer",
            "exempt.lendablePercent: Invalid value: 101: must be between 0 and 100, inclusive",
        ],
    );
    refuses(
        &RESOURCE,
        exempt(json!({"limited": {"limitResponse": {"type": "Reject"}}})),
        &[
            "spec.limited: Forbidden: must be nil if the type is not Limited",
            "spec: Invalid value: {\"Type\":\"Exempt\",\"Limited\":{\"NominalConcurrencyShares\":30,\"LimitResponse\":\
             {\"Type\":\"Reject\",\"Queuing\":null},\"LendablePercent\":0,\"BorrowingLimitPercent\":null},\"Exempt\":\
             {\"NominalConcurrencyShares\":0,\"LendablePercent\":0}}: spec of 'exempt' except the 'spec.exempt' field must equal the fixed value",
        ],
    );
}

#[test]
fn the_last_level_is_fixed() {
    let with = |shares: i64| {
        let limited = json!({"nominalConcurrencyShares": shares, "limitResponse": {"type": "Reject"}});
        level("catch-all", json!({"type": "Limited", "limited": limited}))
    };
    check(with(5), &[]);
    let (_, errors) = created(&RESOURCE, with(6));
    assert_eq!(errors.len(), 1);
    assert!(errors[0].ends_with("spec of 'catch-all' must equal the fixed value"), "{errors:?}");
}

#[test]
fn requests_wait_or_are_refused() {
    let path = "limited.limitResponse";
    check(
        limited(json!({"limitResponse": {"type": "Reject"}})),
        &[&format!("{path}.queuing: Forbidden: must be nil if limited.limitResponse.type is not Limited")],
    );
    check(
        limited(json!({"limitResponse": {"queuing": null}})),
        &[&format!("{path}.queuing: Required value: must not be empty if limited.limitResponse.type is Limited")],
    );
    check(
        limited(json!({"limitResponse": {"type": "Odd"}})),
        &[&format!("{path}.type: Unsupported value: \"Odd\": supported values: \"Queue\", \"Reject\"")],
    );
    check(
        limited(json!({"nominalConcurrencyShares": -1, "lendablePercent": -1, "borrowingLimitPercent": -1})),
        &[
            "limited.nominalConcurrencyShares: Invalid value: -1: must be a non-negative integer",
            "limited.lendablePercent: Invalid value: -1: must be between 0 and 100, inclusive",
            "limited.borrowingLimitPercent: Invalid value: -1: if specified, must be a non-negative integer",
        ],
    );
}

/// (queues, hand size, error): upstream's cases.
#[test]
fn a_hand_of_queues_can_be_dealt() {
    let entropy = |queues: i64, hand: i64| {
        format!(
            "handSize: Invalid value: {hand}: required entropy bits of deckSize {queues} and handSize {hand} should not be \
             greater than 60"
        )
    };
    for (queues, hand, want) in [
        (512, 4, vec![]),
        (10_000_000, 2, vec![]),
        (512, 8, vec![entropy(512, 8)]),
        (128, 10, vec![entropy(128, 10)]),
        (
            2_147_483_647,
            3,
            vec![
                "queues: Invalid value: 2147483647: must not be greater than 10000000".to_owned(),
                entropy(2_147_483_647, 3),
            ],
        ),
        (7, 8, vec!["handSize: Invalid value: 8: should not be greater than queues (7)".to_owned()]),
        (
            -1,
            -1,
            vec![
                "queues: Invalid value: -1: must be positive".to_owned(),
                "handSize: Invalid value: -1: must be positive".to_owned(),
            ],
        ),
    ] {
        let want: Vec<String> = want.iter().map(|error| format!("limited.limitResponse.queuing.{error}")).collect();
        let want: Vec<&str> = want.iter().map(String::as_str).collect();
        check(limited(json!({"limitResponse": {"queuing": {"queues": queues, "handSize": hand}}})), &want);
    }
}

#[test]
fn the_annotation_of_an_older_version_means_nothing() {
    let key = "flowcontrol.k8s.io/v1beta3-preserve-zero-concurrency-shares";
    let object = patched(limited(json!({})), json!({"metadata": {"annotations": {key: ""}}}));
    refuses(&RESOURCE, object, &[&format!("metadata.annotations: Forbidden: annotation '{key}' is forbidden")]);
}

#[test]
fn a_row_shows_shares_and_queues() {
    let queuing = json!({"queues": 64, "handSize": 6, "queueLengthLimit": 50});
    let object = limited(json!({"nominalConcurrencyShares": 30, "limitResponse": {"queuing": queuing}}));
    assert_eq!(row(&RESOURCE, object), ["l", "Limited", "30", "64", "6", "50", "<unknown>"]);
    let object = level("exempt", json!({"type": "Exempt"}));
    assert_eq!(row(&RESOURCE, object), ["exempt", "Exempt", "<none>", "<none>", "<none>", "<none>", "<unknown>"]);
}
