use std::collections::BTreeSet;

use corten_base::SimRng;
use futures::FutureExt as _;
use serde_json::json;

use super::*;
use crate::testing::tree;

/// Hooks whose pools nobody has taken anything from.
fn hooks() -> ServiceHooks {
    let hooks = ServiceHooks::new(Arc::default(), SimRng::shared(1), &ServiceNetwork::default());
    hooks.pools.lock().early = None;
    ServiceHooks { filled: OnceCell::new_with(Some(())), ..hooks }
}

fn service(ports: impl IntoIterator<Item = serde_json::Value>) -> Value {
    let ports: Vec<_> = ports.into_iter().collect();
    tree(
        json!({"metadata": {"uid": "a"}, "spec": {"type": "NodePort", "clusterIP": "None", "clusterIPs": ["None"], "ports": ports}}),
    )
}

/// Everybody waited until the range was exhausted and all was given back.
#[test]
fn more_ports_than_the_range_has_are_refused_while_somebody_else_takes() {
    let hooks = hooks();
    let _other = hooks.pools.lock();
    let mut whole = service((1..=60_000).map(|port| json!({"port": port})));
    let refused = hooks.before_create(&mut whole).now_or_never().expect("it waits for nobody").unwrap_err();
    assert_eq!(refused.message, "Internal error occurred: failed to allocate a nodePort: range is full");
}

/// Each port looked through all ports, a hundred thousand of them, while everybody waited.
#[test]
fn ports_are_looked_up() {
    let hooks = hooks();
    let mut many = service((0..100_000).map(|index| json!({"port": index % 2_700 + 1})));
    let taken = hooks.before_create(&mut many).now_or_never().expect("nobody else takes").unwrap();
    let numbers: BTreeSet<i64> = port_numbers(&many).into_iter().collect();
    assert_eq!((port_numbers(&many).len(), numbers.len()), (100_000, 2_700));
    drop(taken);
    assert!(hooks.pools.lock().ports.take(*numbers.first().unwrap(), "b").is_ok());
}

#[track_caller]
fn check_needed(ports: serde_json::Value, want_new: usize, want_changed: usize) {
    let service = service(ports.as_array().unwrap().clone());
    let needed = [true, false].map(|is_new| given_ports_needed(&service, is_new));
    assert_eq!(needed, [want_new, want_changed], "{ports}");
}

#[test]
fn a_port_of_two_protocols_needs_one_number_when_it_is_new() {
    check_needed(json!([]), 0, 0);
    check_needed(json!([{"port": 1}, {"port": 1}, {"port": 2}]), 2, 3);
    check_needed(json!([{"port": 1}, {"port": 1, "nodePort": 30_001}]), 0, 1);
    check_needed(json!([{"port": 1, "nodePort": 30_001}, {"port": 2}]), 1, 1);
    let cluster_ip = tree(json!({"spec": {"type": "ClusterIP", "ports": [{"port": 1}]}}));
    assert_eq!(given_ports_needed(&cluster_ip, true), 0);
}
