//! What endpoints a service gets, by table.

use std::sync::Arc;

use corten_api::core::v1::{EndpointSubset, Endpoints, Service};
use corten_informer::{Projection, testutil::object};
use serde_json::{Value, json};

use super::{plan::plan, subsets};
use crate::{
    pods::{NamedPort, Phase, PodState, Rare},
    service_pods::ServicePod,
};

fn pod(name: &str, ip: &str, change: impl FnOnce(&mut PodState)) -> ServicePod {
    let mut value = PodState { ips: [ip.parse().unwrap()].into(), is_ready: true, ..PodState::default() };
    change(&mut value);
    Arc::new(Projection { object: object(&format!("ns/{name}"), 1).uid(name).build(), value })
}

fn service(spec: Value) -> Service {
    let mut service = json!({"metadata": {"name": "web", "namespace": "ns"}, "spec": {
        "clusterIP": "10.96.0.1", "ipFamilies": ["IPv4"], "ports": [{"port": 80}],
    }});
    for (key, value) in spec.as_object().unwrap() {
        service["spec"][key] = value.clone();
    }
    serde_json::from_value(service).unwrap()
}

/// Subsets as `ready addresses|unready addresses:ports`.
#[track_caller]
fn check(spec: Value, pods: &[ServicePod], want: &[&str]) {
    let draft = plan(&service(spec), pods, None).expect("there are no endpoints yet");
    let ips = |list: &Option<Vec<corten_api::core::v1::EndpointAddress>>| {
        list.iter().flatten().map(|address| address.ip.clone()).collect::<Vec<_>>().join(",")
    };
    let ports = |subset: &EndpointSubset| {
        subset.ports.iter().flatten().map(|port| port.port.to_string()).collect::<Vec<_>>().join(",")
    };
    let show = |subset: &EndpointSubset| {
        format!("{}|{}:{}", ips(&subset.addresses), ips(&subset.not_ready_addresses), ports(subset))
    };
    assert_eq!(draft.subsets.iter().map(show).collect::<Vec<_>>(), want);
}

#[test]
fn pods_are_listed_by_readiness_and_ports() {
    let (a, b) = (pod("a", "10.0.0.1", |_| {}), pod("b", "10.0.0.2", |pod| pod.is_ready = false));
    check(json!({}), &[a.clone(), b.clone()], &["10.0.0.1|10.0.0.2:80"]);
    check(json!({"publishNotReadyAddresses": true}), &[a.clone(), b.clone()], &["10.0.0.1,10.0.0.2|:80"]);
    let two = json!([{"name": "a", "port": 80, "targetPort": 8080}, {"name": "b", "port": 81, "targetPort": 9090}]);
    check(json!({"ports": two}), std::slice::from_ref(&a), &["10.0.0.1|:8080,9090"]);
    check(json!({"ports": [], "clusterIP": "None"}), std::slice::from_ref(&a), &["10.0.0.1|:"]);
    check(json!({"ports": [{"port": 80, "targetPort": "nowhere"}]}), &[a], &[]);
}

#[test]
fn pods_that_answer_named_ports_alike_are_listed_together() {
    let named = |number: i32| {
        move |pod: &mut PodState| {
            let port = |name: &'static str, port| NamedPort { name: name.into(), protocol: "TCP".into(), port };
            // The first of a name counts.
            let ports = [port("web", number), port("web", 1), port("other", 2)].into();
            pod.few = Some(Rare { ports, ..Rare::default() }.into());
        }
    };
    let pods = [
        pod("a", "10.0.0.1", named(8080)),
        pod("b", "10.0.0.2", named(9090)),
        pod("c", "10.0.0.3", named(8080)),
        pod("d", "10.0.0.4", |_| {}),
    ];
    let ports = json!([{"name": "n", "port": 80, "targetPort": "web"}, {"name": "f", "port": 81, "targetPort": 8080}]);
    check(
        json!({"ports": ports}),
        &pods,
        &["10.0.0.1,10.0.0.2,10.0.0.3,10.0.0.4|:8080", "10.0.0.1,10.0.0.3|:8080", "10.0.0.2|:9090"],
    );
    let udp = json!([{"name": "n", "port": 80, "targetPort": "web", "protocol": "UDP"}]);
    check(json!({"ports": udp}), &pods, &[]);
}

/// There was a subset for each port and pod, and a map with all addresses for each port: gigabytes for a service of 1.5 MB.
#[test]
fn many_ports_of_many_pods_are_one_subset() {
    let ports: Vec<Value> =
        (0..20_000).map(|n| json!({"name": format!("p{n}"), "port": 1, "targetPort": format!("t{}", n % 9)})).collect();
    let facts = |pod: &mut PodState| {
        let port = |n| NamedPort { name: format!("t{n}").into(), protocol: "TCP".into(), port: n };
        pod.few = Some(Rare { ports: (0..9).map(port).collect(), ..Rare::default() }.into());
    };
    let pods: Vec<ServicePod> =
        (0..1_000).map(|n| pod(&n.to_string(), &format!("10.0.{}.{}", n / 250, n % 250), facts)).collect();
    let draft = plan(&service(json!({"ports": ports})), &pods, None).unwrap();
    assert_eq!((draft.subsets.len(), draft.is_truncated), (1, false));
    assert_eq!(draft.subsets[0].ports.as_ref().unwrap().len(), 20_000);
    assert_eq!(draft.subsets[0].addresses.as_ref().unwrap().len(), 1_000);
}

#[test]
fn pods_that_have_ended_or_are_ending_are_left_out() {
    let ended = pod("a", "10.0.0.1", |pod| pod.phase = Phase::Failed);
    let ending = pod("b", "10.0.0.2", |pod| pod.deletion = Some(jiff::Timestamp::UNIX_EPOCH));
    let other_family = pod("c", "fd00::1", |_| {});
    check(json!({}), &[ended.clone(), ending.clone(), other_family.clone()], &[]);
    check(json!({"publishNotReadyAddresses": true}), &[ended, ending, other_family.clone()], &["10.0.0.2|:80"]);
    check(json!({"ipFamilies": ["IPv6", "IPv4"]}), &[other_family], &["fd00::1|:80"]);
}

#[test]
fn nothing_is_written_when_nothing_changes() {
    let (service, pods) = (service(json!({})), [pod("a", "10.0.0.1", |_| {})]);
    let draft = plan(&service, &pods, None).unwrap();
    let current: Endpoints =
        serde_json::from_value(json!({"metadata": {"name": "web", "labels": draft.labels}, "subsets": draft.subsets}))
            .unwrap();
    assert_eq!(plan(&service, &pods, Some(&current)), None);
    assert!(plan(&service, &[], Some(&current)).is_some());
}

#[test]
fn too_many_addresses_are_cut_unready_ones_first() {
    let ready = |n: usize| format!("10.1.{}.{}", n / 250, n % 250);
    let unready = |n: usize| format!("10.2.{}.{}", n / 250, n % 250);
    let addresses = |count: usize, ip: &dyn Fn(usize) -> String| -> Vec<Value> {
        (0..count).map(|n| json!({"ip": ip(n)})).collect()
    };
    for (ready_count, unready_count, want) in [(900, 200, (900, 100)), (1_200, 50, (1_000, 0)), (500, 500, (500, 500))]
    {
        let subset = json!({
            "addresses": addresses(ready_count, &ready), "notReadyAddresses": addresses(unready_count, &unready),
            "ports": [{"port": 80}],
        });
        let mut subsets: Vec<EndpointSubset> = vec![serde_json::from_value(subset).unwrap()];
        let is_cut = subsets::truncate(&mut subsets);
        let count = |list: &Option<Vec<_>>| list.as_ref().map_or(0, Vec::len);
        assert_eq!((count(&subsets[0].addresses), count(&subsets[0].not_ready_addresses)), want);
        assert_eq!(is_cut, ready_count + unready_count > 1_000);
    }
}
