use std::sync::Arc;

use corten_apimachinery::codec::json::Outlined;
use serde_json::{Value, json};

use super::{
    NodeFacts, PodInfo, Resources, Sums,
    affinity::{label_selector, map_selector},
    resources::DEFAULT_MEMORY_BYTES,
};
use crate::testutil::{node, node_with, pod, pod_of_cpu, snapshot};

#[track_caller]
fn check_cpu(spec: Value, want_millis: i64, want_scored_millis: i64) {
    let pod = pod("a", spec);
    assert_eq!((pod.requests.cpu_millis, pod.non_zero.0), (want_millis, want_scored_millis));
}

fn cpu(amount: &str) -> Value {
    json!({"resources": {"requests": {"cpu": amount}}})
}

fn sidecar(amount: &str) -> Value {
    json!({"resources": {"requests": {"cpu": amount}}, "restartPolicy": "Always"})
}

#[test]
fn containers_add_up_and_missing_requests_are_assumed_for_scoring_only() {
    check_cpu(json!({"containers": [cpu("250m"), cpu("1")]}), 1_250, 1_250);
    check_cpu(json!({"containers": [cpu("250m"), {}]}), 250, 350);
}

#[test]
fn init_containers_count_by_the_largest_beside_the_sidecars_started_before() {
    check_cpu(json!({"containers": [cpu("1")], "initContainers": [cpu("2"), cpu("3")]}), 3_000, 3_000);
    check_cpu(json!({"containers": [cpu("1")], "initContainers": [sidecar("2")]}), 3_000, 3_000);
    check_cpu(json!({"containers": [cpu("1")], "initContainers": [sidecar("2"), cpu("3")]}), 5_000, 5_000);
    check_cpu(json!({"containers": [cpu("1")], "initContainers": [cpu("3"), sidecar("1")]}), 3_000, 3_000);
}

#[test]
fn overhead_comes_on_top_and_amounts_of_the_pod_replace_those_of_containers() {
    check_cpu(json!({"containers": [cpu("1")], "overhead": {"cpu": "100m"}}), 1_100, 1_100);
    let whole = json!({"requests": {"cpu": "5"}});
    check_cpu(json!({"containers": [cpu("1")], "resources": whole, "overhead": {"cpu": "1"}}), 6_000, 6_000);
}

#[test]
fn extended_resources_are_counted_and_unknown_native_names_are_not() {
    let requests = json!({"example.com/gpu": 2, "memory": "1Gi", "storage": "1Gi"});
    let pod = pod("a", json!({"containers": [{"resources": {"requests": requests}}]}));
    let want = Resources {
        memory_bytes: 1 << 30,
        scalars: [("example.com/gpu".into(), 2)].into_iter().collect(),
        ..Resources::default()
    };
    assert_eq!(pod.requests, want);
}

// The sums stopped at the largest number: taking pods off again left less than nothing, which overflowed when pods were
// compared with it, and kept every later pod away from the node.
#[test]
fn pods_that_ask_for_too_much_leave_nothing_behind() {
    let requests =
        json!({"cpu": "9223372036854775", "memory": "9223372036854775807", "example.com/gpu": "9223372036854775807"});
    let greedy = |name| pod(name, json!({"containers": [{"resources": {"requests": requests}}]}));
    let pods = [("n1", greedy("a")), ("n1", greedy("b")), ("n1", pod_of_cpu("c", "1"))];
    let mut snapshot = snapshot(&[node("n1")], &pods);
    assert!(snapshot.nodes().next().unwrap().requested.memory_bytes > i128::from(i64::MAX));
    for name in ["a", "b"] {
        snapshot.remove_pod(&"default".into(), &name.into()).unwrap();
    }
    let node = snapshot.nodes().next().unwrap();
    assert_eq!(node.requested, Sums { cpu_millis: 1_000, ..Sums::default() });
    assert_eq!(node.non_zero_requested, (1_000, i128::from(DEFAULT_MEMORY_BYTES)));
}

#[test]
fn names_of_resources_are_added_up_whatever_their_order() {
    let amounts = |names: &[(&str, i64)]| Resources {
        scalars: names.iter().map(|(name, amount)| ((*name).into(), *amount)).collect(),
        ..Resources::default()
    };
    let mut sum = amounts(&[("x/b", 1), ("x/d", 2)]);
    sum.add(&amounts(&[("x/a", 3), ("x/b", 4), ("x/e", 5)]));
    assert_eq!(sum, amounts(&[("x/a", 3), ("x/b", 5), ("x/d", 2), ("x/e", 5)]));
    assert_eq!((sum.get("x/e"), sum.get("x/c")), (5, 0));
}

#[test]
fn a_bad_quantity_is_refused_with_its_resource() {
    let bad = json!({"metadata": {}, "spec": {"containers": [cpu("1x")]}}).to_string();
    let error = PodInfo::from_json(&bad.into()).unwrap_err();
    assert_eq!(error.to_string(), "read the quantity of resource cpu");
}

#[test]
fn nulls_read_as_absent() {
    let json = r#"{"metadata":{"name":"a","creationTimestamp":null,"labels":null},"spec":{"affinity":null,"containers":null}}"#;
    assert_eq!(PodInfo::from_json(&json.into()).unwrap().name, "a");
}

#[test]
fn projections_stay_small() {
    // 150,000 pods are to fit in memory.
    assert!(size_of::<PodInfo>() <= 768, "{} bytes", size_of::<PodInfo>());
}

#[test]
fn an_assumed_pod_counts_until_it_is_forgotten_and_stays_once_confirmed() {
    let mut snapshot = snapshot(&[node("n1")], &[]);
    let assumed = Arc::new(pod_of_cpu("a", "1").on_node("n1"));
    snapshot.assume(Arc::clone(&assumed));
    let at = snapshot.find("n1").unwrap();
    assert_eq!(snapshot.node(at).requested.cpu_millis, 1_000);
    snapshot.forget(&assumed);
    assert_eq!(snapshot.node(at).requested.cpu_millis, 0);
    snapshot.assume(Arc::clone(&assumed));
    snapshot.set_pod(Arc::clone(&assumed));
    snapshot.forget(&assumed);
    assert_eq!(snapshot.node(at).requested.cpu_millis, 1_000);
}

#[test]
fn pods_on_unknown_nodes_wait_for_the_node() {
    let mut snapshot = snapshot(&[], &[("n1", pod_of_cpu("a", "1"))]);
    assert!(snapshot.order().is_empty() && snapshot.find("n1").is_none());
    snapshot.set_node(node("n1"));
    assert_eq!(snapshot.nodes().next().unwrap().requested.cpu_millis, 1_000);
    snapshot.remove_node("n1");
    assert!(snapshot.order().is_empty());
    snapshot.remove_pod(&"default".into(), &"a".into()).unwrap();
    snapshot.set_node(node("n2"));
    assert_eq!(snapshot.find("n2"), Some(0), "the slot is used again");
}

#[test]
fn nodes_are_taken_from_all_zones_in_turn() {
    let zoned = |name: &str, zone: &str| node_with(name, json!({"topology.kubernetes.io/zone": zone}), json!({}));
    let nodes = [zoned("a1", "a"), zoned("a2", "a"), zoned("b1", "b"), zoned("c1", "c")];
    let snapshot = snapshot(&nodes, &[]);
    let names: Vec<_> = snapshot.nodes().map(|node| node.name().as_str()).collect();
    assert_eq!(names, ["a1", "b1", "c1", "a2"]);
}

#[test]
fn selectors_of_services_and_replica_sets_are_read() {
    let service = json!({"spec": {"selector": {"app": "web"}}}).to_string();
    assert_eq!(map_selector(&service.into()).unwrap().unwrap().to_string(), "app=web");
    assert!(map_selector(&r#"{"spec":{"clusterIP":"None"}}"#.into()).unwrap().is_none());
    let set = json!({"spec": {"selector": {"matchExpressions": [{"key": "a", "operator": "Exists"}]}}}).to_string();
    assert_eq!(label_selector("ReplicaSet", &set.into()).unwrap().to_string(), "a");
}

#[test]
fn a_pod_reads_the_same_whether_the_version_before_is_known_or_not() {
    let spec = |cpu: &str, node: &str| {
        json!({"nodeName": node, "schedulerName": "s", "priority": 3, "tolerations": [{"operator": "Exists"}],
            "containers": [{"image": "i", "resources": {"requests": {"cpu": cpu}}, "ports": [{"hostPort": 80}]}],
            "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "z", "matchLabelKeys": ["app"]}]})
    };
    let metadata = |version: &str, app: &str| {
        json!({"name": "a", "namespace": "ns", "uid": "u", "resourceVersion": version, "labels": {"app": app},
            "ownerReferences": [{"kind": "Job", "name": "j", "controller": true}]})
    };
    let refused = json!([{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]);
    let versions = [
        json!({"metadata": metadata("1", "web"), "spec": spec("1", ""), "status": {}}),
        json!({"metadata": metadata("2", "web"), "spec": spec("1", ""), "status": {"conditions": refused}}),
        json!({"metadata": metadata("3", "web"), "spec": spec("1", ""), "status": {"nominatedNodeName": "n"}}),
        json!({"metadata": metadata("4", "db"), "spec": spec("1", ""), "status": {}}),
        json!({"metadata": metadata("5", "db"), "spec": spec("1", "n"), "status": {"startTime": "2026-01-01T00:00:00Z"}}),
        json!({"metadata": metadata("6", "db"), "spec": spec("2", "n"), "status": {"phase": "Failed"}}),
        json!({"metadata": {"name": "a", "namespace": "ns", "deletionTimestamp": "2026-01-01T00:00:00Z"}}),
    ]
    .map(|version| Outlined::from(version.to_string()));
    let mut pod = PodInfo::from_json(&versions[0]).unwrap();
    for [old, new] in versions.array_windows() {
        pod = pod.changed(old, new).unwrap();
        assert_eq!(format!("{pod:?}"), format!("{:?}", PodInfo::from_json(new).unwrap()));
    }
}

#[test]
fn a_heartbeat_changes_nothing_of_a_node() {
    let node = |labels: Value, taint: &str, heartbeat: u8, cpu: u8| {
        let node = json!({"metadata": {"name": "n", "labels": labels}, "spec": {"taints": [{"key": taint}]},
            "status": {"allocatable": {"cpu": cpu}, "conditions": [{"type": "Ready", "heartbeat": heartbeat}]}});
        Outlined::from(node.to_string())
    };
    let old = node(json!({}), "k", 1, 4);
    assert!(NodeFacts::is_same(&old, &node(json!({}), "k", 2, 4)));
    assert!(!NodeFacts::is_same(&old, &node(json!({"a": "b"}), "k", 1, 4)));
    assert!(!NodeFacts::is_same(&old, &node(json!({}), "l", 1, 4)));
    assert!(!NodeFacts::is_same(&old, &node(json!({}), "k", 1, 5)));
}

#[test]
fn a_pod_that_waits_is_its_schedulers() {
    for (pod, want) in [
        (json!({}), Some("default-scheduler")),
        (json!({"spec": {"schedulerName": ""}, "status": {}}), Some("default-scheduler")),
        (json!({"spec": {"nodeName": "", "schedulerName": "a"}, "status": {"nominatedNodeName": ""}}), Some("a")),
        (json!({"spec": {"nodeName": "n", "schedulerName": "a"}}), None),
        (json!({"spec": {"schedulerName": "a"}, "status": {"nominatedNodeName": "n"}}), None),
        (json!({"metadata": {"spec": {"nodeName": "n"}}, "spec": {"schedulerName": "a\"b"}}), Some("a\"b")),
    ] {
        let found = PodInfo::addressee(&Outlined::from(pod.to_string())).unwrap();
        assert_eq!(found.as_deref(), want, "{pod}");
    }
    assert!(PodInfo::addressee(&Outlined::from(r#"{"spec":{"schedulerName":1}}"#)).is_err());
}
