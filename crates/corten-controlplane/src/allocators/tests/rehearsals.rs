//! Dry runs name what upstream names, and take nothing.

use serde_json::json;

use super::{Cluster, SERVICES, admin, dual_stack, service};

/// What a service has.
fn has(service: &corten_apimachinery::Value) -> (String, Vec<i64>, i64) {
    let ips = super::families::texts(service, &["spec", "clusterIPs"]).join(",");
    let ports = service.items_at(&["spec", "ports"]).iter().filter_map(|port| port.i64_at(&["nodePort"])).collect();
    (ips, ports, service.i64_at(&["spec", "healthCheckNodePort"]).unwrap_or_default())
}

/// A free address and a free port were named.
#[tokio::test]
async fn a_dry_run_names_the_range_and_ports_beyond_it() {
    let cluster = dual_stack().await;
    cluster.post(admin(), SERVICES, service("taken", json!({"clusterIP": "10.0.0.5"}))).await.unwrap();
    let ports = json!([{"port": 1, "name": "a"}, {"port": 2, "name": "b"}]);
    let local = json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local"});
    for (spec, want) in [
        (json!({}), ("10.0.0.0", vec![], 0)),
        (json!({"ipFamilyPolicy": "RequireDualStack"}), ("10.0.0.0,fd00::", vec![], 0)),
        (json!({"ipFamilies": ["IPv6"]}), ("fd00::", vec![], 0)),
        // Whether it is free is not looked at.
        (json!({"clusterIP": "10.0.0.5"}), ("10.0.0.5", vec![], 0)),
        (json!({"type": "NodePort", "ports": ports}), ("10.0.0.0", vec![32_769, 32_770], 0)),
        (json!({"type": "NodePort", "ports": [{"port": 1, "nodePort": 30_007}]}), ("10.0.0.0", vec![30_007], 0)),
        // Nor the range.
        (json!({"type": "NodePort", "ports": [{"port": 1, "nodePort": 80}]}), ("10.0.0.0", vec![80], 0)),
        (local, ("10.0.0.0", vec![32_769], 32_770)),
    ] {
        let made = cluster.post(admin(), &format!("{SERVICES}?dryRun=All"), service("dry", spec.clone())).await;
        let (ips, ports, health) = has(&made.unwrap_or_else(|status| panic!("{spec}: {}", status.message)));
        assert_eq!((&*ips, ports, health), want, "{spec}");
    }
    let code = async |address: &str| {
        cluster.code(http::Method::GET, &format!("/apis/networking.k8s.io/v1/ipaddresses/{address}"), admin()).await
    };
    assert_eq!((code("10.0.0.5").await, code("10.0.0.0").await, code("fd00::").await), (200, 404, 404));
    cluster.stop().await;
}

#[tokio::test]
async fn a_dry_run_is_refused_what_no_service_can_have() {
    let cluster = Cluster::start().await;
    let node_port = |port: i64| json!({"type": "NodePort", "ports": [{"port": 1, "nodePort": port}]});
    cluster.post(admin(), SERVICES, service("taken", node_port(30_007))).await.unwrap();
    for (spec, want) in [
        (
            json!({"clusterIP": "192.0.2.1"}),
            "spec.clusterIPs: Invalid value: [\"192.0.2.1\"]: failed to allocate IP 192.0.2.1: the provided IP \
             (192.0.2.1) is not in the valid range. The range of valid IPs is 10.96.0.0/12",
        ),
        (node_port(30_007), "spec.ports[0].nodePort: Invalid value: 30007: provided port is already allocated"),
    ] {
        let refused = cluster.post(admin(), &format!("{SERVICES}?dryRun=All"), service("dry", spec)).await;
        assert_eq!(refused.unwrap_err().message, format!("Service \"dry\" is invalid: {want}"));
    }
    cluster.stop().await;
}

/// An update that asks for more names what a create would.
#[tokio::test]
async fn an_update_in_a_dry_run_keeps_what_the_service_has() {
    let cluster = Cluster::start().await;
    let mut made = cluster.post(admin(), SERVICES, service("a", json!({}))).await.unwrap();
    let (address, ..) = has(&made);
    made.set(&["spec", "type"], "NodePort");
    let body = serde_json::from_slice(&corten_apimachinery::codec::json::encode(&made, None)).unwrap();
    let changed = cluster.put(admin(), &format!("{SERVICES}/a?dryRun=All"), body).await.unwrap();
    assert_eq!(has(&changed), (address.clone(), vec![32_769], 0));
    let stored = cluster.get(admin(), &format!("{SERVICES}/a")).await.unwrap();
    assert_eq!(has(&stored), (address, vec![], 0));
    cluster.stop().await;
}
