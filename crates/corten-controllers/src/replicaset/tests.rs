//! The plan by table.

use std::time::Duration;

use jiff::Timestamp;

use super::plan::*;
use crate::{
    conditions,
    pods::{Phase, PodState},
};

fn now() -> Timestamp {
    "2026-01-01T12:00:00Z".parse().unwrap()
}

fn ago(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp::from_second(now().as_second() - seconds).unwrap())
}

fn ready(node: &str) -> PodState {
    PodState {
        node: node.into(),
        phase: Phase::Running,
        is_ready: true,
        ready_since: ago(100),
        created: ago(110),
        ..PodState::default()
    }
}

#[test]
fn the_difference_is_made_up_in_bursts() {
    assert_eq!(change(3, 3), Change::None);
    assert_eq!(change(1, 3), Change::Create(2));
    assert_eq!(change(0, 2_000), Change::Create(500));
    assert_eq!(change(3, 0), Change::Delete(3));
    assert_eq!(change(0, -1), Change::None);
}

/// `first` is deleted before `second`, whichever way they are listed.
#[track_caller]
fn check_order(first: PodState, second: PodState) {
    for (pods, want) in [([&first, &second], 0), ([&second, &first], 1)] {
        let candidates: Vec<_> = pods.iter().map(|state| Candidate { uid: "same", state }).collect();
        assert_eq!(victims(&candidates, pods, 1, now()), [want]);
    }
}

#[test]
fn the_least_useful_pod_goes_first() {
    check_order(PodState { node: "".into(), ..ready("") }, ready("a"));
    check_order(PodState { phase: Phase::Pending, ..ready("a") }, PodState { phase: Phase::Unknown, ..ready("a") });
    check_order(PodState { phase: Phase::Unknown, ..ready("a") }, ready("a"));
    check_order(PodState { is_ready: false, ready_since: None, ..ready("a") }, ready("a"));
    check_order(PodState { deletion_cost: -1, ..ready("a") }, ready("a"));
    check_order(PodState { ready_since: ago(3), ..ready("a") }, ready("a"));
    check_order(PodState { restarts: (1, 0), ..ready("a") }, ready("a"));
    check_order(PodState { restarts: (0, 1), ..ready("a") }, ready("a"));
    check_order(PodState { created: ago(3), ..ready("a") }, ready("a"));
    // A cost matters less than readiness, and more than age.
    check_order(PodState { is_ready: false, deletion_cost: 9, ..ready("a") }, ready("a"));
    check_order(ready("a"), PodState { ready_since: ago(3), deletion_cost: 9, ..ready("a") });
}

#[test]
fn the_more_crowded_node_loses_one_first() {
    let pods = [ready("a"), ready("b")];
    let candidates: Vec<_> = pods.iter().map(|state| Candidate { uid: "same", state }).collect();
    let others =
        [ready("b"), PodState { deletion: ago(1), ..ready("a") }, PodState { phase: Phase::Failed, ..ready("a") }];
    assert_eq!(victims(&candidates, pods.iter().chain(&others), 1, now()), [1]);
}

#[test]
fn of_pods_that_are_about_as_old_the_uid_decides() {
    let (older, younger) =
        (PodState { ready_since: ago(120), ..ready("a") }, PodState { ready_since: ago(100), ..ready("a") });
    let candidates = [Candidate { uid: "1", state: &older }, Candidate { uid: "2", state: &younger }];
    assert_eq!(victims(&candidates, [&older, &younger], 1, now()), [0]);
}

/// The sort found that this was no order and panicked, at each attempt: sets of more than twenty pods of which some had
/// restarted were never made smaller.
#[test]
fn many_pods_of_all_ages_and_restarts_have_an_order() {
    let state = |n: i32| PodState {
        ready_since: ago(100 + i64::from(n % 5)),
        created: ago(110 + i64::from(n % 3)),
        restarts: (n % 2, n % 7),
        ..ready("a")
    };
    let states: Vec<_> = (0..200).map(state).collect();
    let uids: Vec<_> = (0..200).map(|n: usize| format!("{:03}", n * 7_919 % 1_000)).collect();
    let candidates: Vec<_> = states.iter().zip(&uids).map(|(state, uid)| Candidate { uid, state }).collect();
    let some = victims(&candidates, &states, 45, now());
    let more = victims(&candidates, &states, 90, now());
    assert_eq!((some.len(), &some[..]), (45, &more[..45]));
    assert!(some.iter().all(|&index| states[index].restarts.0 == 1));
}

#[test]
fn the_status_counts_pods_and_keeps_the_first_failure() {
    let fresh = PodState { ready_since: ago(5), ..ready("a") };
    let pending = PodState { is_ready: false, phase: Phase::Pending, ..ready("") };
    let states = [ready("a"), fresh, pending];
    let pods: Vec<_> =
        states.iter().enumerate().map(|(at, state)| Counted { state, is_fully_labeled: at > 0 }).collect();
    let old = SetStatus::default();
    let observed = Observed {
        old: &old,
        generation: 4,
        wanted: 5,
        min_ready: Duration::from_secs(10),
        pods: &pods,
        terminating: Some(1),
        failure: Some("quota"),
        now: now(),
    };
    let failed = status(&observed);
    assert_eq!((failed.replicas, failed.fully_labeled, failed.ready, failed.available), (3, 2, 2, 1));
    assert_eq!((failed.terminating, failed.observed_generation), (Some(1), 4));
    let condition = conditions::find(&failed.conditions, REPLICA_FAILURE).unwrap();
    assert_eq!(condition.str_at(&["reason"]), Some("FailedCreate"));
    let again = status(&Observed { old: &failed, failure: Some("another"), ..observed });
    assert_eq!(again, failed);
    assert!(status(&Observed { old: &failed, failure: None, ..observed }).conditions.is_empty());
    assert_eq!(next_available(&states, Duration::from_secs(10), now()), Some(Duration::from_secs(5)));
    let set = corten_apimachinery::value::Value::object_of([("status", failed.to_value())]);
    assert_eq!(SetStatus::of(&set), failed);
}
