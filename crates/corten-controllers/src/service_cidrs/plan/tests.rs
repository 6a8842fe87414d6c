use std::convert::Infallible;

use serde_json::json;

use super::*;
use crate::objects::from_json;

const NOW: &str = "2026-01-01T00:00:30Z";

fn object(metadata: serde_json::Value, condition: serde_json::Value) -> Value {
    from_json(&json!({"metadata": metadata, "status": {"conditions": [condition]}}))
}

fn says(condition: Condition) -> serde_json::Value {
    json!({"type": "Ready", "status": condition.status, "reason": condition.reason, "message": condition.message})
}

#[track_caller]
fn check(object: &Value, is_blocked: bool, want: Plan) {
    let planned: Result<Plan, Infallible> = plan(object, NOW.parse().unwrap(), || Ok(is_blocked));
    assert_eq!(planned.unwrap(), want, "{object:?}");
}

#[test]
fn a_range_is_kept_and_ready() {
    let kept = json!({"name": "a", "finalizers": [FINALIZER]});
    check(&object(kept.clone(), says(READY)), true, Plan::Nothing);
    let keep = |adds_finalizer, condition| Plan::Keep { adds_finalizer, condition };
    check(&object(json!({"name": "a", "finalizers": ["other"]}), says(READY)), true, keep(true, None));
    check(&object(json!({"name": "a"}), json!({})), true, keep(true, Some(READY)));
    let by_server = json!({"type": "Ready", "status": "True", "message": "Kubernetes default Service CIDR is ready"});
    check(&object(kept.clone(), by_server), true, keep(false, Some(READY)));
    check(&object(kept, says(TERMINATING)), true, keep(false, Some(READY)));
}

#[test]
fn a_range_goes_when_nobody_needs_it_and_everybody_knows() {
    let going = |since: &str| json!({"name": "a", "finalizers": [FINALIZER], "deletionTimestamp": since});
    let (long, just) = (going("2026-01-01T00:00:20Z"), going("2026-01-01T00:00:27Z"));
    check(&object(long.clone(), says(READY)), true, Plan::Block(TERMINATING));
    check(&object(long.clone(), says(TERMINATING)), true, Plan::Nothing);
    check(&object(just.clone(), says(READY)), true, Plan::Block(TERMINATING));
    check(&object(just, says(READY)), false, Plan::Wait(Duration::from_secs(7)));
    check(&object(long, says(TERMINATING)), false, Plan::Release);
    let other = json!({"name": "a", "finalizers": ["other"], "deletionTimestamp": "2026-01-01T00:00:20Z"});
    check(&object(other, says(READY)), false, Plan::Nothing);
}

/// Ranges as `name: net net`, with `!` behind the name of those on their way out.
fn ranges(text: &str) -> Ranges {
    let (name, nets) = text.split_once(": ").unwrap();
    Ranges {
        name: name.trim_end_matches('!').to_owned(),
        is_deleting: name.ends_with('!'),
        nets: nets.split(' ').map(|net| net.parse().unwrap()).collect(),
    }
}

#[track_caller]
fn check_blocked(going: &str, others: &[&str], addresses: &[&str], want: bool) {
    let known: Vec<Ranges> = others.iter().map(|text| ranges(text)).collect();
    let used = addresses.iter().map(|text| text.parse().unwrap());
    assert_eq!(is_blocked(&ranges(going), &known, used), want, "{going} beside {others:?} with {addresses:?}");
}

#[test]
fn a_range_is_needed_while_no_other_one_has_its_addresses() {
    const A: &str = "a!: 10.0.0.0/24";
    check_blocked(A, &[], &[], false);
    check_blocked(A, &[], &["10.0.0.5"], true);
    check_blocked(A, &[], &["10.0.1.5", "fd00::1"], false);
    // Addresses that no service can have of it.
    check_blocked(A, &[], &["10.0.0.0", "10.0.0.255"], false);
    check_blocked(A, &["b: 10.0.0.0/16"], &["10.0.0.5"], false);
    check_blocked(A, &["b: 10.0.0.0/24"], &["10.0.0.5"], false);
    check_blocked(A, &["b: 10.1.0.0/24"], &["10.0.0.5"], true);
    check_blocked(A, &["b: 10.0.0.0/28"], &["10.0.0.5"], false);
    check_blocked(A, &["b: 10.0.0.0/28"], &["10.0.0.5", "10.0.0.15"], true);
    check_blocked(A, &["b: 10.0.0.0/28"], &["10.0.0.100"], true);
    check_blocked(A, &["b: 10.0.0.0/25", "c: 10.0.0.128/25"], &["10.0.0.5", "10.0.0.200"], false);
}

#[test]
fn both_families_have_to_be_covered() {
    const A: &str = "a!: 10.0.0.0/24 fd00::/112";
    check_blocked(A, &["b: 10.0.0.0/24"], &["10.0.0.5"], false);
    check_blocked(A, &["b: 10.0.0.0/24"], &["10.0.0.5", "fd00::5"], true);
    check_blocked(A, &["b: 10.0.0.0/24", "c: fd00::/108"], &["10.0.0.5", "fd00::5"], false);
    check_blocked(A, &[], &["fd00::"], false);
    check_blocked(A, &[], &["fd00::ffff"], true);
}

/// Two ranges that were deleted at once each relied on the other, and services had addresses of no range.
#[test]
fn of_ranges_that_go_together_one_stays() {
    check_blocked("a!: 10.0.0.0/24", &["b!: 10.0.0.0/24"], &["10.0.0.5"], true);
    check_blocked("b!: 10.0.0.0/24", &["a!: 10.0.0.0/24"], &["10.0.0.5"], false);
    check_blocked("a!: 10.0.0.0/24", &["b!: 10.0.0.0/16"], &["10.0.0.5"], false);
    check_blocked("b!: 10.0.0.0/16", &["a!: 10.0.0.0/24"], &["10.0.0.5"], true);
    check_blocked("b!: 10.0.0.0/16", &["a!: 10.0.0.0/24", "c: 10.0.0.0/28"], &["10.0.0.5"], false);
}
