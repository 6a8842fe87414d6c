use serde_json::{Value, json};

use super::*;

fn node(spec: Value) -> Node {
    serde_json::from_value(json!({"metadata": {"name": "n1", "labels": {"disk": "ssd"}}, "spec": spec,
        "status": {"allocatable": {"cpu": "1", "memory": "1Gi", "pods": "2", "example.com/known": "1"}}}))
    .unwrap()
}

fn pod(labels: Value, spec: Value) -> Pod {
    let mut spec = spec;
    if spec.get("containers").is_none() {
        spec["containers"] = json!([{"name": "a"}]);
    }
    serde_json::from_value(json!({"metadata": {"name": "p", "labels": labels}, "spec": spec})).unwrap()
}

#[track_caller]
fn check(pod: &Pod, node: &Node, want: &[&str]) {
    let found = failures(pod, node, &[], 110);
    assert_eq!(found.iter().map(|it| it.reason.as_str()).collect::<Vec<_>>(), want, "{found:?}");
}

#[test]
fn a_pod_of_another_system_is_refused() {
    check(&pod(json!({}), json!({"os": {"name": "linux"}})), &node(json!({})), &[]);
    check(&pod(json!({}), json!({"os": {"name": "windows"}})), &node(json!({})), &["PodOSNotSupported"]);
    let label = json!({"kubernetes.io/os": "windows"});
    check(&pod(label, json!({})), &node(json!({})), &["PodOSSelectorNodeLabelDoesNotMatch"]);
    let strict = json!({"securityContext": {"supplementalGroupsPolicy": "Strict"}});
    check(&pod(json!({}), strict), &node(json!({})), &["SupplementalGroupsPolicyNotSupported"]);
}

#[test]
fn taints_that_end_pods_keep_them_away() {
    let tainted = |effect: &str| node(json!({"taints": [{"key": "k", "value": "v", "effect": effect}]}));
    let plain = pod(json!({}), json!({}));
    check(&plain, &tainted("NoSchedule"), &[]);
    check(&plain, &tainted("NoExecute"), &["TaintToleration"]);
    for (toleration, is_enough) in [
        (json!({"operator": "Exists"}), true),
        (json!({"key": "k", "operator": "Exists", "effect": "NoExecute"}), true),
        (json!({"key": "k", "value": "v"}), true),
        (json!({"key": "k", "value": "w"}), false),
        (json!({"key": "k", "operator": "Exists", "effect": "NoSchedule"}), false),
    ] {
        let want: &[&str] = if is_enough { &[] } else { &["TaintToleration"] };
        check(&pod(json!({}), json!({"tolerations": [toleration]})), &tainted("NoExecute"), want);
    }
}

#[test]
fn resources_that_the_node_has_never_heard_of_are_not_its_matter() {
    let asks = |name: &str, amount: &str| {
        pod(json!({}), json!({"containers": [{"name": "a", "resources": {"requests": {name: amount}}}]}))
    };
    check(&asks("example.com/unknown", "1"), &node(json!({})), &[]);
    check(&asks("example.com/known", "1"), &node(json!({})), &[]);
    check(&asks("example.com/known", "2"), &node(json!({})), &["OutOfexample.com/known"]);
    check(&asks("hugepages-2Mi", "2Mi"), &node(json!({})), &["OutOfhugepages-2Mi"]);
}

#[test]
fn a_pod_asks_for_the_most_that_it_needs_at_once() {
    let asks = |amounts: Value| json!({"requests": amounts});
    let init = json!([
        {"name": "i", "resources": asks(json!({"cpu": "900m", "a": "1"}))},
        {"name": "s", "restartPolicy": "Always", "resources": asks(json!({"cpu": "100m", "memory": "1"}))},
        {"name": "j", "resources": asks(json!({"cpu": "950m"}))},
    ]);
    let main = json!([{"name": "c", "resources": asks(json!({"cpu": "1", "memory": "2"}))}]);
    let overhead = json!({"cpu": "10m", "memory": "9223372036854775"});
    let found = requests(&pod(json!({}), json!({"containers": main, "initContainers": init, "overhead": overhead})));
    let want = [("a", 1_000), ("cpu", 1_110), ("memory", i64::MAX)];
    assert_eq!(found, want.map(|(name, amount)| (name.to_owned(), amount)).into());
}

/// All that the others had made up was parsed anew, at each admission and resize.
#[test]
fn of_other_pods_only_what_the_node_has_is_read() {
    let made_up: BTreeMap<String, &str> =
        (0..18_000).map(|number| (format!("example.com/r{number}"), "1")).chain([("cpu".to_owned(), "10m")]).collect();
    let spec = |requests: Value| json!({"containers": [{"name": "a", "resources": {"requests": requests}}]});
    let other = pod(json!({}), spec(json!(made_up)));
    let others = vec![&other; 20_000];
    let found = failures(&pod(json!({}), spec(json!({"cpu": "1m"}))), &node(json!({})), &others, 110);
    let text = "Pod was rejected: Node didn't have enough resource: cpu, requested: 1, used: 200000, capacity: 1000";
    assert!(found.iter().any(|failure| failure.message == text), "{found:?}");
}

/// A pod whose container, and sidecar, have these ports: `protocol address number`.
fn with_ports(ports: impl IntoIterator<Item = (&'static str, &'static str, u16)>) -> Pod {
    let mut lists = [Vec::new(), Vec::new()];
    for (place, (protocol, address, number)) in ports.into_iter().enumerate() {
        let port = json!({"protocol": protocol, "hostIP": address, "hostPort": number, "containerPort": 1});
        lists[place % 2].push(port);
    }
    let [main, sidecar] = lists;
    pod(
        json!({}),
        json!({"containers": [{"name": "a", "ports": main}],
            "initContainers": [{"name": "s", "restartPolicy": "Always", "ports": sidecar}]}),
    )
}

#[track_caller]
fn check_ports(wanted: &Pod, others: &[&Pod], is_taken: bool) {
    let mut found = failures(wanted, &node(json!({})), others, 110);
    found.retain(|failure| failure.reason == "NodePorts");
    assert_eq!(found.len(), usize::from(is_taken), "{found:?}");
}

#[test]
fn a_host_port_is_taken_at_its_address_or_at_all() {
    for (wanted, taken, is_taken) in [
        (("TCP", "0.0.0.0", 80), ("TCP", "10.0.0.1", 80), true),
        (("TCP", "", 80), ("TCP", "10.0.0.1", 80), true),
        (("TCP", "10.0.0.1", 80), ("TCP", "0.0.0.0", 80), true),
        (("TCP", "10.0.0.1", 80), ("TCP", "10.0.0.1", 80), true),
        (("TCP", "10.0.0.1", 80), ("TCP", "10.0.0.2", 80), false),
        (("TCP", "0.0.0.0", 80), ("UDP", "0.0.0.0", 80), false),
        (("TCP", "0.0.0.0", 80), ("TCP", "0.0.0.0", 81), false),
        (("TCP", "0.0.0.0", 0), ("TCP", "0.0.0.0", 0), false),
    ] {
        let more = ("TCP", "10.0.0.9", 9);
        check_ports(&with_ports([more, wanted]), &[&with_ports([taken])], is_taken);
        check_ports(&with_ports([wanted]), &[&with_ports([]), &with_ports([taken, ("UDP", "", 1)])], is_taken);
    }
}

/// Each was compared with each of every other pod, three strings a time: minutes of a thread that others wait for.
#[test]
fn tens_of_thousands_of_host_ports_are_looked_at_once() {
    let others = with_ports((1_000..30_000).map(|number| ("TCP", "10.0.0.1", number)));
    let apart = with_ports((1_000..30_000).map(|number| ("TCP", "10.0.0.2", number)));
    let last = with_ports((30_000..59_000).map(|number| ("TCP", "10.0.0.1", number)).chain([("TCP", "", 29_999)]));
    let others = [&others; 60];
    check_ports(&apart, &others, false);
    check_ports(&last, &others, true);
}

#[test]
fn only_labels_are_worth_a_second_look() {
    let elsewhere = json!({"nodeSelector": {"disk": "tape"}});
    let alone = failures(&pod(json!({}), elsewhere.clone()), &node(json!({})), &[], 110);
    assert!(is_about_labels(&alone), "{alone:?}");
    let tainted = node(json!({"taints": [{"key": "k", "effect": "NoExecute"}]}));
    let both = failures(&pod(json!({}), elsewhere), &tainted, &[], 110);
    assert!(!is_about_labels(&both), "{both:?}");
    assert!(!is_about_labels(&[]));
}

#[test]
fn a_node_in_need_takes_only_what_does_not_add_to_it() {
    let greedless = pod(json!({}), json!({}));
    let tolerant =
        pod(json!({}), json!({"tolerations": [{"key": "node.kubernetes.io/memory-pressure", "operator": "Exists"}]}));
    let burstable =
        pod(json!({}), json!({"containers": [{"name": "a", "resources": {"requests": {"memory": "1Mi"}}}]}));
    let critical = pod(json!({}), json!({"priority": 2_000_000_000}));
    let memory = Pressure { memory: true, ..Pressure::default() };
    let disk = Pressure { disk: true, ..Pressure::default() };
    for (pod, pressure, want) in [
        (&greedless, Pressure::default(), None),
        (&greedless, memory, Some("[MemoryPressure]")),
        (&tolerant, memory, None),
        (&tolerant, Pressure { disk: true, ..memory }, Some("[MemoryPressure DiskPressure]")),
        (&burstable, memory, None),
        (&burstable, disk, Some("[DiskPressure]")),
        (&critical, disk, None),
    ] {
        let found = admit_under_pressure(pod, pressure).err().map(|failure| (failure.reason, failure.message));
        let want =
            want.map(|shown| ("Evicted".to_owned(), format!("Pod was rejected: The node had condition: {shown}. ")));
        assert_eq!(found, want, "{pressure:?}");
    }
}
