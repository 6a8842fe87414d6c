//! The plan and the status by table.

use corten_apimachinery::{
    codec::{FieldValidation, json},
    value::Value,
};
use jiff::Timestamp;
use serde_json::json;

use super::{plan, status::*, view::*};
use crate::conditions;

fn value(json: &serde_json::Value) -> Value {
    json::decode(json.to_string().as_bytes(), None, FieldValidation::Ignore).unwrap().value
}

fn rolling(replicas: i32, surge: &str, unavailable: &str) -> Deployment {
    let number = |text: &str| text.parse::<i32>().map_or_else(|_| json!(text), |number| json!(number));
    let strategy = json!({"type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": number(surge), "maxUnavailable": number(unavailable)}});
    Deployment {
        tree: value(&json!({"metadata": {"name": "web", "generation": 2},
            "spec": {"replicas": replicas, "strategy": strategy, "progressDeadlineSeconds": 600,
                "revisionHistoryLimit": 2}})),
    }
}

/// A ReplicaSet with so many pods of which so many are available; the name tells its age.
fn set(name: &str, replicas: i32, available: i32) -> ReplicaSet {
    ReplicaSet {
        tree: value(&json!({"metadata": {"name": name, "uid": name, "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"replicas": replicas},
            "status": {"replicas": replicas, "readyReplicas": available, "availableReplicas": available}})),
    }
}

fn annotated(mut set: ReplicaSet, annotation: &str, number: i32) -> ReplicaSet {
    set.tree.set(&["metadata", "annotations", annotation], number.to_string());
    set
}

#[test]
fn fenceposts_never_block_both_ways() {
    #[track_caller]
    fn check(replicas: i32, surge: &str, unavailable: &str, want: (i32, i32)) {
        let deployment = rolling(replicas, surge, unavailable);
        assert_eq!((deployment.max_surge(), deployment.max_unavailable()), want);
    }
    check(10, "25%", "25%", (3, 2));
    check(1, "25%", "25%", (1, 0));
    check(3, "0%", "25%", (0, 1));
    check(2, "0", "5", (0, 2));
    check(0, "1", "1", (1, 0));
}

#[test]
fn the_newest_grows_as_far_as_the_surge_allows() {
    #[track_caller]
    fn check(replicas: i32, surge: &str, new: i32, old: i32, want: i32) {
        assert_eq!(plan::new_size(&rolling(replicas, surge, "0"), new, old), want);
    }
    check(3, "1", 0, 0, 3);
    check(3, "1", 0, 3, 1);
    check(3, "1", 1, 3, 1);
    check(3, "1", 1, 2, 2);
    check(3, "1", 5, 0, 3);
    check(10, "100%", 0, 10, 10);
    check(10, "1", 2, 20, 2);
}

#[test]
fn old_ones_shrink_first_where_pods_are_of_no_use() {
    #[track_caller]
    fn check(unavailable: &str, new: ReplicaSet, old: &[ReplicaSet], want: &[(usize, i32)]) {
        assert_eq!(plan::shrink_old(&rolling(10, "2", unavailable), Some(&new), old), want);
    }
    // Nothing available has come in return yet.
    check("0", set("new", 2, 0), &[set("a", 10, 10)], &[]);
    check("0", set("new", 2, 2), &[set("a", 10, 10)], &[(0, 8)]);
    check("2", set("new", 2, 0), &[set("a", 10, 10)], &[(0, 8)]);
    // Three pods never came up: those go first.
    check("2", set("new", 2, 0), &[set("a", 10, 7)], &[(0, 8)]);
    check("2", set("new", 2, 2), &[set("a", 5, 5), set("b", 5, 1)], &[(1, 1)]);
    check("0", set("new", 10, 10), &[set("a", 1, 1), set("b", 1, 1)], &[(0, 0), (1, 0)]);
    check("0", set("new", 10, 10), &[set("a", 0, 0)], &[]);
}

#[test]
fn scaling_in_the_middle_keeps_the_proportions() {
    let deployment = rolling(20, "0", "1");
    let sets = [annotated(set("a", 6, 6), MAX_REPLICAS, 10), annotated(set("b", 4, 4), MAX_REPLICAS, 10)];
    assert_eq!(plan::proportional(&deployment, &sets), [(0, 12), (1, 8)]);
    let deployment = rolling(5, "0", "1");
    assert_eq!(plan::proportional(&deployment, &sets), [(0, 3), (1, 2)]);
    // What rounding leaves goes to the largest; of the same size the newer one counts as larger when growing.
    let sets = [annotated(set("a", 5, 5), MAX_REPLICAS, 10), annotated(set("b", 5, 5), MAX_REPLICAS, 10)];
    let sizes = plan::proportional(&rolling(11, "0", "1"), &sets);
    assert_eq!(sizes.iter().map(|(_, size)| size).sum::<i32>(), 11);
    assert_eq!(sizes[0], (1, 6));
    assert_eq!(plan::proportional(&rolling(0, "0", "1"), &sets), [(0, 0), (1, 0)]);
}

#[test]
fn the_history_loses_its_oldest_unused_revisions() {
    let old = [
        annotated(set("c", 0, 0), REVISION, 3),
        annotated(set("a", 0, 0), REVISION, 1),
        annotated(set("b", 1, 0), REVISION, 2),
        annotated(set("d", 0, 0), REVISION, 4),
    ];
    assert_eq!(plan::beyond_history(&rolling(1, "1", "0"), &old), [1]);
}

fn at(text: &str) -> Timestamp {
    format!("2026-01-01T{text}Z").parse().unwrap()
}

fn progressing(status: &DeploymentStatus) -> (String, String, String) {
    let condition = status.progressing().unwrap();
    let text = |field| condition.str_at(&[field]).unwrap_or_default().to_owned();
    (text("status"), text("reason"), text("message"))
}

#[test]
fn progress_is_noted_until_it_is_complete_or_late() {
    let mut deployment = rolling(2, "1", "0");
    let step = |deployment: &mut Deployment, new: &ReplicaSet, old: &[ReplicaSet], now: &str| {
        let status = rollout(deployment, Some(new), old, at(now));
        deployment.tree.set(&["status"], status.to_value());
        assert_eq!(DeploymentStatus::of(&deployment.tree), status);
        status
    };
    let status = step(&mut deployment, &set("new", 1, 0), &[set("old", 2, 2)], "00:00:00");
    assert_eq!(progressing(&status).1, "ReplicaSetUpdated");
    assert_eq!((status.replicas, status.updated, status.unavailable), (3, 1, 1));
    let available = conditions::find(&status.conditions, AVAILABLE).unwrap();
    assert_eq!(available.str_at(&["reason"]), Some("MinimumReplicasAvailable"));
    assert_eq!(deadline_in(&deployment, &status, at("00:00:01")).unwrap().as_secs(), 600);
    // Such a time made each reconcile of the deployment panic.
    let mut late = DeploymentStatus::of(&deployment.tree);
    late.conditions.iter_mut().for_each(|one| one.set(&["lastUpdateTime"], "9999-12-30T21:59:59Z"));
    assert_eq!(deadline_in(&deployment, &late, at("00:00:01")), None);

    let status = step(&mut deployment, &set("new", 1, 0), &[set("old", 2, 2)], "00:10:01");
    let want = ("False", TIMED_OUT, "ReplicaSet \"new\" has timed out progressing.");
    assert_eq!(progressing(&status), (want.0.into(), want.1.into(), want.2.into()));
    assert_eq!(deadline_in(&deployment, &status, at("00:10:01")), None);

    let status = step(&mut deployment, &set("new", 2, 2), &[set("old", 0, 0)], "00:11:00");
    let want = ("True", NEW_AVAILABLE, "ReplicaSet \"new\" has successfully progressed.");
    assert_eq!(progressing(&status), (want.0.into(), want.1.into(), want.2.into()));
    assert!(is_complete(&deployment, &status));
    // A pod that fails later takes nothing of it back.
    let status = step(&mut deployment, &set("new", 2, 1), &[], "01:00:00");
    assert_eq!(progressing(&status).1, NEW_AVAILABLE);
    let available = conditions::find(&status.conditions, AVAILABLE).unwrap();
    assert_eq!(available.str_at(&["reason"]), Some("MinimumReplicasUnavailable"));
    assert_eq!(available.str_at(&["lastTransitionTime"]), Some("2026-01-01T01:00:00Z"));
}

#[test]
fn annotations_follow_the_deployment_and_keep_the_history() {
    let mut deployment = rolling(2, "1", "0");
    deployment.tree.set(&["metadata", "annotations", "team"], "a");
    deployment.tree.set(&["metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration"], "{}");
    let mut new = set("new", 0, 0);
    assert!(new.set_annotations(&deployment, 1, false));
    let annotations = |set: &ReplicaSet| {
        let map = set.tree.at(&["metadata", "annotations"]).unwrap().as_object().unwrap().clone();
        map.iter().map(|(key, value)| format!("{key}={}", value.as_str().unwrap())).collect::<Vec<_>>()
    };
    let prefix = "deployment.kubernetes.io";
    let mut want = vec![
        format!("{prefix}/desired-replicas=2"),
        format!("{prefix}/max-replicas=3"),
        format!("{prefix}/revision=1"),
        "team=a".to_owned(),
    ];
    assert_eq!(annotations(&new), want);
    assert!(!new.set_annotations(&deployment, 1, true));
    assert!(new.set_annotations(&deployment, 3, true));
    want[2] = format!("{prefix}/revision=3");
    want.insert(3, format!("{prefix}/revision-history=1"));
    assert_eq!(annotations(&new), want);
}

/// The sums went round: a panic here, and in a release build numbers of pods below zero.
#[test]
fn counts_beyond_what_there_can_be_stay_the_largest_number() {
    const MOST: i32 = i32::MAX;
    let (deployment, sets) = (rolling(MOST, "2147483647", "0"), [set("a", MOST, MOST), set("b", MOST, MOST)]);
    assert_eq!(plan::total(&sets), MOST);
    assert_eq!(plan::new_size(&deployment, 0, MOST), MOST);
    assert_eq!(plan::shrink_old(&deployment, Some(&set("new", MOST, MOST)), &sets), [(0, 0), (1, 0)]);
    assert!(plan::proportional(&deployment, &sets).iter().all(|(_, size)| *size >= 0));
    let status = counted(&deployment, None, &sets, "2026-01-01T00:00:00Z".parse().unwrap());
    assert_eq!((status.replicas, status.available, status.unavailable), (MOST, MOST, 0));
    let mut new = set("new", 0, 0);
    new.set_size_annotations(&deployment);
    assert_eq!(new.number(MAX_REPLICAS), Some(MOST));
}
