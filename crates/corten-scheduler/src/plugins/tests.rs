//! Tables of (pod, node, what is there) -> what filters say, and of scores.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    cache::{ClaimFacts, NodeFacts, PodInfo, Snapshot, VolumeFacts},
    framework::{
        CycleState, Profile,
        config::{Config, PluginConfig, ProfileConfig},
    },
    testutil::{node, node_with, pod, pod_of_cpu, pod_with, snapshot},
};

fn args(json: &Value) -> corten_apimachinery::value::Value {
    use corten_apimachinery::value::Value as Tree;
    match json {
        Value::Null => Tree::Null,
        Value::Bool(truth) => (*truth).into(),
        Value::Number(number) => Tree::Int(number.as_i64().unwrap()),
        Value::String(text) => text.as_str().into(),
        Value::Array(items) => items.iter().map(args).collect::<Vec<_>>().into(),
        Value::Object(map) => Tree::object_of(map.iter().map(|(key, value)| (key.as_str(), args(value)))),
    }
}

/// The default profile, or one plugin with arguments besides what every profile needs.
fn profile(only: Option<(&str, Value)>) -> Profile {
    let mut config = Config::default().profiles.remove(0);
    if let Some((name, plugin_args)) = only {
        config.plugins.retain(|plugin| [name, "PrioritySort", "DefaultBinder"].contains(&plugin.name.as_str()));
        config
            .plugins
            .iter_mut()
            .filter(|plugin| plugin.name == name)
            .for_each(|plugin| plugin.args = args(&plugin_args));
    }
    Profile::build(&config).unwrap()
}

/// What the default filters say about a pod on node `n1`; empty if it fits.
fn said(pod: &PodInfo, snapshot: &Snapshot) -> String {
    let (profile, mut state) = (profile(None), CycleState::default());
    if let Err(status) = profile.run_pre_filter(&mut state, pod, snapshot) {
        return format!("pre: {}", status.message());
    }
    profile.run_filters(&state, pod, snapshot.node(snapshot.find("n1").unwrap())).message()
}

#[track_caller]
fn check(pod: &PodInfo, nodes: &[NodeFacts], pods: &[(&str, Arc<PodInfo>)], want: &str) {
    assert_eq!(said(pod, &snapshot(nodes, pods)), want);
}

/// The normalized, unweighted scores of one plugin, in the order of `nodes`.
#[track_caller]
fn check_scores(
    plugin: &str,
    args: Value,
    pod: &PodInfo,
    nodes: &[NodeFacts],
    pods: &[(&str, Arc<PodInfo>)],
    want: &[i64],
) {
    let (profile, mut state, snapshot) = (profile(Some((plugin, args))), CycleState::default(), snapshot(nodes, pods));
    let weight = Config::default().profiles[0].plugins.iter().find(|entry| entry.name == plugin).unwrap().weight;
    let at: Vec<_> = nodes.iter().map(|node| snapshot.find(&node.name).unwrap()).collect();
    let scores = profile.run_scores(&mut state, pod, &snapshot, &at).unwrap();
    assert_eq!(scores.iter().map(|score| score / weight).collect::<Vec<_>>(), want);
}

fn cpus(amount: i64) -> Value {
    json!({"containers": [{"resources": {"requests": {"cpu": amount}}}]})
}

#[test]
fn every_plugin_has_its_own_name_and_builds_without_arguments() {
    let names: std::collections::BTreeSet<_> = super::catalog::PLUGINS.iter().map(|plugin| plugin.name).collect();
    assert_eq!(names.len(), super::catalog::PLUGINS.len());
    for plugin in super::catalog::PLUGINS {
        (plugin.build)(&corten_apimachinery::value::Value::Null).unwrap();
    }
}

#[test]
fn cordoned_nodes_take_only_pods_that_tolerate_it() {
    let cordoned = [node_with("n1", json!({}), json!({"unschedulable": true}))];
    check(&pod("a", json!({})), &cordoned, &[], "node(s) were unschedulable");
    let tolerations = json!({"tolerations": [{"key": "node.kubernetes.io/unschedulable", "operator": "Exists"}]});
    check(&pod("a", tolerations), &cordoned, &[], "");
}

#[test]
fn taints_keep_pods_away_that_do_not_tolerate_them() {
    let taints =
        |effect: &str| [node_with("n1", json!({}), json!({"taints": [{"key": "k", "value": "v", "effect": effect}]}))];
    let tolerating = |toleration: Value| pod("a", json!({"tolerations": [toleration]}));
    const REFUSED: &str = "node(s) had untolerated taint(s)";
    check(&pod("a", json!({})), &taints("NoSchedule"), &[], REFUSED);
    check(&pod("a", json!({})), &taints("NoExecute"), &[], REFUSED);
    check(&pod("a", json!({})), &taints("PreferNoSchedule"), &[], "");
    check(&tolerating(json!({"key": "k", "value": "v"})), &taints("NoSchedule"), &[], "");
    check(&tolerating(json!({"key": "k", "value": "w"})), &taints("NoSchedule"), &[], REFUSED);
    check(
        &tolerating(json!({"key": "k", "operator": "Exists", "effect": "NoExecute"})),
        &taints("NoSchedule"),
        &[],
        REFUSED,
    );
    check(&tolerating(json!({"operator": "Exists"})), &taints("NoExecute"), &[], "");
}

#[test]
fn soft_taints_lower_the_score() {
    let taint = |key: &str| json!({"key": key, "effect": "PreferNoSchedule"});
    let nodes = [
        node("n1"),
        node_with("n2", json!({}), json!({"taints": [taint("a")]})),
        node_with("n3", json!({}), json!({"taints": [taint("a"), taint("b")]})),
    ];
    check_scores("TaintToleration", Value::Null, &pod("a", json!({})), &nodes, &[], &[100, 50, 0]);
}

#[test]
fn node_selectors_and_affinity_choose_nodes() {
    let ssd = [node_with("n1", json!({"disk": "ssd", "rank": "5"}), json!({}))];
    const REFUSED: &str = "node(s) didn't match Pod's node affinity/selector";
    let selecting = |value: &str| pod("a", json!({"nodeSelector": {"disk": value}}));
    check(&selecting("ssd"), &ssd, &[], "");
    check(&selecting("hdd"), &ssd, &[], REFUSED);
    let required = |terms: Value| {
        let affinity = json!({"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}});
        pod("a", json!({"affinity": {"nodeAffinity": affinity}}))
    };
    let expression = |key: &str, operator: &str, values: Value| json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]});
    check(&required(json!([expression("disk", "In", json!(["hdd", "ssd"]))])), &ssd, &[], "");
    check(&required(json!([expression("disk", "NotIn", json!(["ssd"]))])), &ssd, &[], REFUSED);
    check(&required(json!([expression("disk", "DoesNotExist", json!([]))])), &ssd, &[], REFUSED);
    check(&required(json!([expression("rank", "Gt", json!(["4"]))])), &ssd, &[], "");
    check(&required(json!([expression("rank", "Lt", json!(["4"]))])), &ssd, &[], REFUSED);
    check(
        &required(json!([expression("disk", "In", json!(["hdd"])), expression("rank", "Exists", json!([]))])),
        &ssd,
        &[],
        "",
    );
    check(&required(json!([{}])), &ssd, &[], REFUSED);
    let named = |names: Value| json!([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": names}]}]);
    check(&required(named(json!(["n1"]))), &ssd, &[], "");
    check(&required(named(json!(["n2"]))), &ssd, &[], REFUSED);
}

#[test]
fn preferred_node_affinity_scores_by_weight() {
    let term = |weight: i32, value: &str| {
        let preference = json!({"matchExpressions": [{"key": "disk", "operator": "In", "values": [value]}]});
        json!({"weight": weight, "preference": preference})
    };
    let affinity = json!({"preferredDuringSchedulingIgnoredDuringExecution": [term(4, "ssd"), term(1, "hdd")]});
    let pod = pod("a", json!({"affinity": {"nodeAffinity": affinity}}));
    let disk = |name: &str, disk: &str| node_with(name, json!({"disk": disk}), json!({}));
    check_scores(
        "NodeAffinity",
        Value::Null,
        &pod,
        &[disk("n1", "ssd"), disk("n2", "hdd"), node("n3")],
        &[],
        &[100, 25, 0],
    );
}

#[test]
fn ports_of_the_node_are_taken_once() {
    let port = |port: u16, more: Value| {
        let mut entry = json!({"hostPort": port});
        entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"containers": [{"ports": [entry]}]})
    };
    const REFUSED: &str = "node(s) didn't have free ports for the requested pod ports";
    let there = [("n1", pod("b", port(80, json!({"hostIP": "127.0.0.1"}))))];
    check(&pod("a", port(80, json!({}))), &[node("n1")], &there, REFUSED);
    check(&pod("a", port(81, json!({}))), &[node("n1")], &there, "");
    check(&pod("a", port(80, json!({"protocol": "UDP"}))), &[node("n1")], &there, "");
    check(&pod("a", port(80, json!({"hostIP": "127.0.0.2"}))), &[node("n1")], &there, "");
    check(&pod("a", port(80, json!({"hostIP": "127.0.0.1"}))), &[node("n1")], &there, REFUSED);
}

/// Each port was compared with each: a look at pods with tens of thousands of them took a second or more. All of these
/// looks then take minutes, after which whoever runs tests ends this one.
#[test]
fn pods_with_tens_of_thousands_of_ports_cost_one_look_each() {
    let ports = |ip: &str| {
        let ports: Vec<_> = (1..=29_000_u16).map(|port| json!({"hostPort": port, "hostIP": ip})).collect();
        json!({"containers": [{"ports": ports}]})
    };
    let there = [("n1", pod("b", ports("127.0.0.1"))), ("n1", pod("c", ports("127.0.0.2")))];
    let (snapshot, wanting) = (snapshot(&[node("n1")], &there), pod("a", ports("127.0.0.3")));
    let (profile, state) = (profile(Some(("NodePorts", Value::Null))), CycleState::default());
    for _ in 0..150 {
        let status = profile.run_filters(&state, &wanting, snapshot.node(snapshot.find("n1").unwrap()));
        assert_eq!(status.message(), "");
    }
}

#[test]
fn resources_must_be_free() {
    let there = [("n1", pod("b", cpus(3)))];
    check(&pod("a", cpus(1)), &[node("n1")], &there, "");
    check(&pod("a", cpus(2)), &[node("n1")], &there, "Insufficient cpu");
    let many: Vec<_> = (0..10).map(|at| ("n1", pod(&format!("p{at}"), json!({})))).collect();
    check(&pod("a", json!({})), &[node("n1")], &many, "Too many pods");
    let gpu = json!({"containers": [{"resources": {"requests": {"example.com/gpu": 1, "memory": "9Gi"}}}]});
    check(&pod("a", gpu), &[node("n1")], &[], "Insufficient memory, Insufficient example.com/gpu");
}

// The sum of what is there overflowed, which ended the process in builds that check for it.
#[test]
fn pods_that_ask_for_too_much_fill_their_node_and_no_other() {
    let requests =
        json!({"cpu": "9223372036854775", "memory": "9223372036854775807", "example.com/gpu": "9223372036854775807"});
    let greedy = |name| pod(name, json!({"containers": [{"resources": {"requests": requests}}]}));
    let there = [("n1", greedy("a")), ("n1", greedy("b"))];
    let small = json!({"cpu": 1, "memory": "1Gi", "example.com/gpu": 1});
    let small = pod("c", json!({"containers": [{"resources": {"requests": small}}]}));
    let want = "Insufficient cpu, Insufficient memory, Insufficient example.com/gpu";
    check(&small, &[node("n1")], &there, want);
    let nodes = [node("n1"), node("n2")];
    let small = pod_of_cpu("c", "1");
    check_scores("NodeResourcesFit", Value::Null, &small, &nodes, &there, &[0, 86]);
    check_scores("NodeResourcesBalancedAllocation", Value::Null, &small, &nodes, &there, &[100, 87]);
}

#[test]
fn free_nodes_score_better_unless_packing_is_wanted() {
    let pod = pod("a", json!({"containers": [{"resources": {"requests": {"cpu": 1, "memory": "2Gi"}}}]}));
    let there = [(
        "n2",
        pod_with("b", json!({}), json!({"containers": [{"resources": {"requests": {"cpu": 2, "memory": "4Gi"}}}]})),
    )];
    let nodes = [node("n1"), node("n2")];
    check_scores("NodeResourcesFit", Value::Null, &pod, &nodes, &there, &[75, 25]);
    let most = json!({"scoringStrategy": {"type": "MostAllocated", "resources": [{"name": "cpu", "weight": 1}]}});
    check_scores("NodeResourcesFit", most, &pod, &nodes, &there, &[25, 75]);
    let shape = json!({"shape": [{"utilization": 0, "score": 0}, {"utilization": 100, "score": 10}]});
    let ratio = json!({"scoringStrategy": {"type": "RequestedToCapacityRatio", "requestedToCapacityRatio": shape}});
    check_scores("NodeResourcesFit", ratio, &pod, &nodes, &there, &[25, 75]);
}

#[test]
fn evenly_used_nodes_score_better() {
    let pod = pod("a", json!({"containers": [{"resources": {"requests": {"cpu": 1, "memory": "2Gi"}}}]}));
    let there = [("n2", pod_of_cpu("b", "3"))];
    check_scores("NodeResourcesBalancedAllocation", Value::Null, &pod, &[node("n1"), node("n2")], &there, &[100, 62]);
    let nothing = crate::testutil::pod("a", json!({}));
    check_scores("NodeResourcesBalancedAllocation", Value::Null, &nothing, &[node("n1")], &[], &[0]);
}

#[test]
fn nodes_with_the_images_score_better() {
    let with_image = json!({
        "metadata": {"name": "n1"},
        "status": {"images": [{"names": ["docker.io/web:latest"], "sizeBytes": 1_000 * 1024 * 1024_i64}]},
    });
    let with_image = NodeFacts::from_json(&with_image.to_string().into()).unwrap();
    let pod = pod("a", json!({"containers": [{"image": "docker.io/web"}]}));
    // One node of two has it: half of its size counts.
    check_scores("ImageLocality", Value::Null, &pod, &[with_image, node("n2")], &[], &[48, 0]);
}

fn spreading(more: Value) -> Arc<PodInfo> {
    let mut constraint = json!({
        "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "web"}},
    });
    constraint.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let tolerations = json!([{"key": "other", "operator": "Exists"}]);
    pod_with(
        "a",
        json!({"app": "web", "v": "2"}),
        json!({"topologySpreadConstraints": [constraint], "tolerations": tolerations}),
    )
}

fn zoned(name: &str, zone: &str) -> NodeFacts {
    node_with(name, json!({"zone": zone, "kubernetes.io/hostname": name}), json!({}))
}

fn web(name: &str) -> Arc<PodInfo> {
    pod_with(name, json!({"app": "web", "v": "1"}), json!({}))
}

#[test]
fn domains_differ_by_no_more_than_the_skew() {
    const REFUSED: &str = "node(s) didn't match pod topology spread constraints";
    let nodes = [zoned("n1", "a"), zoned("n2", "b")];
    check(&spreading(json!({})), &nodes, &[], "");
    check(&spreading(json!({})), &nodes, &[("n1", web("b"))], REFUSED);
    check(&spreading(json!({"maxSkew": 2})), &nodes, &[("n1", web("b"))], "");
    check(&spreading(json!({})), &nodes, &[("n1", web("b")), ("n2", web("c"))], "");
    check(&spreading(json!({})), &nodes, &[("n1", pod("b", json!({})))], "");
    check(&spreading(json!({})), &[node("n1")], &[], &format!("{REFUSED} (missing required label)"));
    check(&spreading(json!({"minDomains": 3})), &nodes, &[("n1", web("b")), ("n2", web("c"))], REFUSED);
    check(&spreading(json!({"matchLabelKeys": ["v"]})), &nodes, &[("n1", web("b"))], "");
}

#[test]
fn nodes_with_taints_count_as_domains_unless_taints_are_honored() {
    const REFUSED: &str = "node(s) didn't match pod topology spread constraints";
    let tainted = node_with("n2", json!({"zone": "b"}), json!({"taints": [{"key": "k", "effect": "NoSchedule"}]}));
    let nodes = [zoned("n1", "a"), tainted];
    check(&spreading(json!({})), &nodes, &[("n1", web("b"))], REFUSED);
    check(&spreading(json!({"nodeTaintsPolicy": "Honor"})), &nodes, &[("n1", web("b"))], "");
}

#[test]
fn soft_spreading_scores_empty_domains_better() {
    let pod = spreading(json!({"whenUnsatisfiable": "ScheduleAnyway"}));
    let nodes = [zoned("n1", "a"), zoned("n2", "b")];
    check_scores("PodTopologySpread", Value::Null, &pod, &nodes, &[("n1", web("b"))], &[0, 100]);
    check_scores("PodTopologySpread", Value::Null, &pod, &nodes, &[], &[100, 100]);
}

#[test]
fn pods_of_a_service_are_spread_over_hosts_by_default() {
    let (nodes, there) = ([node("n1"), node("n2")], [("n1", web("b")), ("n1", web("c"))]);
    let pod = web("a");
    let (profile, mut state) = (profile(Some(("PodTopologySpread", Value::Null))), CycleState::default());
    let mut snapshot = snapshot(&nodes, &there);
    let selector = corten_apimachinery::selector::label::Selector::parse("app=web").unwrap();
    snapshot.set_service("default".into(), "web".into(), Some(selector));
    let at: Vec<_> = nodes.iter().map(|node| snapshot.find(&node.name).unwrap()).collect();
    let scores = profile.run_scores(&mut state, &pod, &snapshot, &at).unwrap();
    assert!(scores[0] < scores[1], "{scores:?}");
}

fn near(kind: &str, app: &str) -> Value {
    let term = json!({"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": app}}});
    json!({"affinity": {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}})
}

#[test]
fn affinity_to_pods_is_kept_on_both_sides() {
    let nodes = [zoned("n1", "a"), zoned("n2", "a"), zoned("n3", "b")];
    const AFFINITY: &str = "node(s) didn't match pod affinity rules";
    const ANTI: &str = "node(s) didn't match pod anti-affinity rules";
    const EXISTING: &str = "node(s) didn't satisfy existing pods anti-affinity rules";
    let wants = pod("a", near("podAffinity", "web"));
    check(&wants, &nodes, &[("n2", web("b"))], "");
    check(&wants, &nodes, &[("n3", web("b"))], AFFINITY);
    check(&wants, &nodes, &[], AFFINITY);
    // The first of a group that wants to be together may go anywhere.
    check(&pod_with("a", json!({"app": "web"}), near("podAffinity", "web")), &nodes, &[], "");
    let avoids = pod("a", near("podAntiAffinity", "web"));
    check(&avoids, &nodes, &[("n2", web("b"))], ANTI);
    check(&avoids, &nodes, &[("n3", web("b"))], "");
    let avoiding = pod("b", near("podAntiAffinity", "web"));
    check(&web("a"), &nodes, &[("n2", Arc::clone(&avoiding))], EXISTING);
    check(&pod("a", json!({})), &nodes, &[("n2", avoiding)], "");
}

#[test]
fn preferred_affinity_scores_topologies() {
    let term = json!({"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "web"}}});
    let preferred =
        json!({"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 10, "podAffinityTerm": term}]});
    let nodes = [zoned("n1", "a"), zoned("n2", "b")];
    let wants = pod("a", json!({"affinity": {"podAffinity": preferred}}));
    check_scores("InterPodAffinity", Value::Null, &wants, &nodes, &[("n1", web("b"))], &[100, 0]);
    let avoids = pod("a", json!({"affinity": {"podAntiAffinity": preferred}}));
    check_scores("InterPodAffinity", Value::Null, &avoids, &nodes, &[("n1", web("b"))], &[0, 100]);
}

#[test]
fn gates_keep_pods_out_of_the_queue() {
    let gated = pod("a", json!({"schedulingGates": [{"name": "one"}, {"name": "two"}]}));
    assert_eq!(profile(None).run_pre_enqueue(&gated).message(), "waiting for scheduling gates: [one two]");
}

#[test]
fn wrong_arguments_are_refused() {
    let build = |name: &str, plugin_args: Value| {
        let plugins =
            vec![PluginConfig { name: name.into(), weight: 1, args: args(&plugin_args), disabled_points: vec![] }];
        Profile::build(&ProfileConfig { plugins, ..ProfileConfig::default() }).unwrap_err().to_string()
    };
    assert_eq!(
        build("NodeResourcesFit", json!({"scoringStrategy": {"type": "Best"}})),
        "scoringStrategy.type: unsupported value \"Best\""
    );
    assert_eq!(
        build("InterPodAffinity", json!({"hardPodAffinityWeight": 101})),
        "hardPodAffinityWeight: not in valid range [0-100]"
    );
}

/// The world of one claim `data`, and of the volume `disk` that it may name.
fn claim_world(claim: Option<Value>, volume: Option<Value>, class: Option<(&str, bool)>) -> Snapshot {
    let mut snapshot = snapshot(&[node("n1")], &[]);
    let claim = claim.map(|claim| ClaimFacts::from_json(&claim.to_string().into()).unwrap());
    snapshot.set_claim("default".into(), "data".into(), claim);
    let volume = volume.map(|volume| VolumeFacts::from_json(&volume.to_string().into()).unwrap());
    snapshot.set_volume("disk".into(), volume);
    if let Some((name, binds_late)) = class {
        snapshot.set_class(name.into(), Some(binds_late));
    }
    snapshot
}

fn claiming(name: &str) -> Arc<PodInfo> {
    pod(name, json!({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]}))
}

#[test]
fn pods_wait_for_claims_that_are_not_bound() {
    #[track_caller]
    fn check(claim: Option<Value>, class: Option<(&str, bool)>, want: &str) {
        assert_eq!(said(&claiming("a"), &claim_world(claim, Some(json!({})), class)), want);
    }
    let unbound = json!({"spec": {"storageClassName": "slow"}});
    const IMMEDIATE: &str = "pre: pod has unbound immediate PersistentVolumeClaims";
    check(None, None, "pre: persistentvolumeclaim \"data\" not found");
    check(Some(json!({"spec": {}})), None, IMMEDIATE);
    check(Some(unbound.clone()), None, IMMEDIATE);
    check(Some(unbound.clone()), Some(("slow", false)), IMMEDIATE);
    check(Some(unbound), Some(("slow", true)), "node(s) didn't find available persistent volumes to bind");
    check(Some(json!({"spec": {"volumeName": "disk"}})), None, "");
    check(
        Some(json!({"spec": {"volumeName": "none"}})),
        None,
        "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)",
    );
    check(
        Some(json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}, "spec": {"volumeName": "disk"}})),
        None,
        "pre: persistentvolumeclaim \"data\" is being deleted",
    );
    check(
        Some(json!({"spec": {"volumeName": "disk"}, "status": {"phase": "Lost"}})),
        None,
        "pre: persistentvolumeclaim \"data\" bound to non-existent persistentvolume \"disk\"",
    );
}

#[test]
fn claims_made_for_a_pod_must_be_its_own() {
    let ephemeral = pod("p", json!({"volumes": [{"name": "v", "ephemeral": {}}]}));
    #[track_caller]
    fn check(pod: &PodInfo, owner: Option<&str>, want: &str) {
        let mut snapshot = snapshot(&[node("n1")], &[]);
        snapshot.set_volume("disk".into(), Some(VolumeFacts::default()));
        let claim = owner.map(|uid| ClaimFacts {
            volume_name: "disk".into(),
            controller_uid: uid.into(),
            ..ClaimFacts::default()
        });
        snapshot.set_claim("default".into(), "p-v".into(), claim);
        assert_eq!(said(pod, &snapshot), want);
    }
    check(&ephemeral, None, "pre: waiting for ephemeral volume controller to create the persistentvolumeclaim \"p-v\"");
    check(&ephemeral, Some("x"), "pre: PVC default/p-v was not created for pod default/p (pod is not owner)");
    check(&ephemeral, Some("uid-p"), "");
}

#[test]
fn volumes_keep_pods_where_they_can_be_reached() {
    #[track_caller]
    fn check(host: &str, want: &str) {
        let expression = json!({"key": "kubernetes.io/hostname", "operator": "In", "values": [host]});
        let terms = json!([{"matchExpressions": [expression]}]);
        let volume = json!({"spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": terms}}}});
        let claim = json!({"spec": {"volumeName": "disk"}});
        assert_eq!(said(&claiming("a"), &claim_world(Some(claim), Some(volume), None)), want);
    }
    check("n1", "");
    check("n2", "node(s) didn't match PersistentVolume's node affinity");
}

#[test]
fn a_claim_for_one_pod_is_used_by_one() {
    #[track_caller]
    fn check(mode: &str, user: Option<&str>, want: &str) {
        let claim = json!({"spec": {"volumeName": "disk", "accessModes": [mode]}});
        let mut snapshot = claim_world(Some(claim), Some(json!({})), None);
        if let Some(user) = user {
            snapshot.set_pod(Arc::new(claiming(user).on_node("n1")));
        }
        assert_eq!(said(&claiming("a"), &snapshot), want);
    }
    check("ReadWriteOncePod", None, "");
    check("ReadWriteOnce", Some("b"), "");
    check(
        "ReadWriteOncePod",
        Some("b"),
        "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode",
    );
}
