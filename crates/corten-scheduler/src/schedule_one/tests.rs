use std::sync::Arc;

use corten_base::SimRng;
use serde_json::json;

use super::{Failure, nodes_to_find, schedule};
use crate::{
    cache::{NodeFacts, PodInfo},
    framework::{Config, Profile},
    testutil::{node, node_with, pod, pod_of_cpu, snapshot},
};

/// The node that is chosen, or the message.
fn outcome(pod: &PodInfo, nodes: &[NodeFacts], pods: &[(&str, Arc<PodInfo>)], seed: u64) -> String {
    let profile = Profile::build(&Config::default().profiles[0]).unwrap();
    let rng = SimRng::shared(seed);
    match schedule(&profile, 0, &snapshot(nodes, pods), pod, &mut 0, rng.as_ref()) {
        Ok(suggestion) => suggestion.node.to_string(),
        Err(Failure::Unschedulable { message, .. }) => message,
        Err(Failure::Error(message)) => panic!("{message}"),
    }
}

#[track_caller]
fn check(pod: &PodInfo, nodes: &[NodeFacts], pods: &[(&str, Arc<PodInfo>)], want: &str) {
    assert_eq!(outcome(pod, nodes, pods, 1), want);
}

#[test]
fn a_pod_goes_to_the_free_node() {
    check(&pod_of_cpu("a", "2"), &[node("n1"), node("n2")], &[("n1", pod_of_cpu("b", "3"))], "n2");
}

#[test]
fn ties_are_broken_by_chance_and_the_same_chance_breaks_them_alike() {
    let nodes: Vec<_> = (0..8).map(|at| node(&format!("n{at}"))).collect();
    let chosen: std::collections::BTreeSet<_> =
        (0..32).map(|seed| outcome(&pod_of_cpu("a", "1"), &nodes, &[], seed)).collect();
    assert!(chosen.len() > 3, "{chosen:?}");
    assert_eq!(outcome(&pod_of_cpu("a", "1"), &nodes, &[], 5), outcome(&pod_of_cpu("a", "1"), &nodes, &[], 5));
}

#[test]
fn messages_are_those_that_users_know() {
    check(&pod_of_cpu("a", "1"), &[], &[], "no nodes available to schedule pods");
    check(
        &pod_of_cpu("a", "2"),
        &[node("n1")],
        &[("n1", pod_of_cpu("b", "3"))],
        "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes are available: \
         1 No preemption victims found for incoming pod.",
    );
    check(
        &pod_of_cpu("a", "100"),
        &[node("n1")],
        &[],
        "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes are available: \
         1 Preemption is not helpful for scheduling.",
    );
    let tainted = node_with("n2", json!({}), json!({"taints": [{"key": "k", "effect": "NoSchedule"}]}));
    check(
        &pod_of_cpu("a", "2"),
        &[node("n1"), tainted],
        &[("n1", pod_of_cpu("b", "3"))],
        "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint(s). no new claims to deallocate, preemption: \
         0/2 nodes are available: 1 No preemption victims found for incoming pod, \
         1 Preemption is not helpful for scheduling.",
    );
    let never = pod("a", json!({"preemptionPolicy": "Never", "nodeSelector": {"a": "b"}}));
    check(
        &never,
        &[node("n1")],
        &[],
        "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector. no new claims to deallocate, preemption: not eligible due to \
         preemptionPolicy=Never.",
    );
}

#[test]
fn enough_nodes_adapts_to_the_size_of_the_cluster() {
    for (percentage, nodes, want) in [
        (0, 50, 50),
        (0, 1_000, 420),
        (0, 5_000, 500),
        (0, 6_000, 300),
        (0, 10_000, 500),
        (30, 1_000, 300),
        (1, 1_000, 100),
    ] {
        assert_eq!(nodes_to_find(percentage, nodes), want, "{percentage}% of {nodes}");
    }
}
