use std::{collections::BTreeSet, sync::Arc};

use corten_apimachinery::value::Value;
use corten_base::SimClock;
use serde_json::json;

use super::{ServiceNetwork, families, pool::Pool, ports::Ports};
use crate::testing::{Cluster, admin, tree};

mod objects;
mod rehearsals;

const SERVICES: &str = "/api/v1/namespaces/default/services";

fn service(name: &str, spec: serde_json::Value) -> serde_json::Value {
    let mut whole = json!({"ports": [{"port": 80}]});
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    json!({"metadata": {"name": name}, "spec": whole})
}

async fn dual_stack() -> Cluster {
    let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
    let ranges = ["10.0.0.0/28", "fd00::/112"].map(|range| range.parse().unwrap());
    let network = ServiceNetwork { cluster_ip_ranges: ranges.to_vec(), node_ports: (30_000, 30_019) };
    Cluster::start_with(clock, network).await
}

#[test]
fn numbers_for_hand_picking_go_last() {
    let mut pool = Pool::new(4, 2);
    let last = |bound: u64| bound - 1;
    let taken: Vec<_> = (0..5).map(|_| pool.take_any("a", last)).collect();
    assert_eq!(taken, [Some(3), Some(2), Some(1), Some(0), None]);
}

#[test]
fn only_the_owner_gives_a_number_back() {
    let mut pool = Pool::new(4, 0);
    assert!(pool.take(1, "a"));
    assert!(!pool.take(1, "a"));
    pool.release(1, "b");
    assert!(!pool.take(1, "b"));
    pool.release(1, "a");
    assert!(pool.take(1, "b"));
}

#[test]
fn ports_have_a_range() {
    let mut ports = Ports::new((30_000, 32_767));
    assert_eq!(ports.take_any("a", |_| 0), Ok(30_086));
    assert_eq!(
        ports.take(29_999, "a").unwrap_err(),
        "provided port is not in the valid range. The range of valid ports is 30000-32767"
    );
}

#[test]
fn families_follow_policy_and_addresses() {
    let settle = |cluster: &[&str], spec: serde_json::Value| {
        let mut service = tree(json!({"metadata": {}, "spec": spec}));
        families::settle(&mut service, None, cluster).map_err(|errors| errors[0].to_string()).map(|()| {
            let policy = service.str_at(&["spec", "ipFamilyPolicy"]).unwrap_or_default().to_owned();
            (policy, families::texts(&service, &["spec", "ipFamilies"]).join(","))
        })
    };
    let check = |cluster: &[&str], spec: serde_json::Value, want: Result<(&str, &str), &str>| {
        let want = want.map(|(policy, families)| (policy.to_owned(), families.to_owned())).map_err(str::to_owned);
        assert_eq!(settle(cluster, spec.clone()), want, "{spec}");
    };
    let (one, two) = (["IPv4"], ["IPv4", "IPv6"]);
    check(&one, json!({"type": "ClusterIP"}), Ok(("SingleStack", "IPv4")));
    check(&two, json!({"type": "ClusterIP"}), Ok(("SingleStack", "IPv4")));
    check(&two, json!({"type": "ClusterIP", "ipFamilies": ["IPv6"]}), Ok(("SingleStack", "IPv6")));
    check(&one, json!({"type": "ClusterIP", "ipFamilyPolicy": "PreferDualStack"}), Ok(("PreferDualStack", "IPv4")));
    check(
        &two,
        json!({"type": "ClusterIP", "ipFamilyPolicy": "PreferDualStack"}),
        Ok(("PreferDualStack", "IPv4,IPv6")),
    );
    check(
        &one,
        json!({"type": "ClusterIP", "clusterIP": "None", "clusterIPs": ["None"]}),
        Ok(("RequireDualStack", "IPv4,IPv6")),
    );
    check(
        &one,
        json!({"type": "ClusterIP", "clusterIP": "None", "clusterIPs": ["None"], "selector": {"a": "b"}}),
        Ok(("SingleStack", "IPv4")),
    );
    check(
        &two,
        json!({"type": "ClusterIP", "clusterIP": "fd00::5", "clusterIPs": ["fd00::5"]}),
        Ok(("SingleStack", "IPv6")),
    );
    check(
        &one,
        json!({"type": "ClusterIP", "ipFamilyPolicy": "RequireDualStack"}),
        Err("spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": this cluster is not configured for dual-stack \
             services"),
    );
    check(
        &one,
        json!({"type": "ClusterIP", "ipFamilies": ["IPv6"]}),
        Err("spec.ipFamilies[0]: Invalid value: \"IPv6\": not configured on this cluster"),
    );
    check(&one, json!({"type": "ExternalName"}), Ok(("", "")));
}

#[tokio::test]
async fn sixty_four_creates_at_once_share_no_address() {
    let cluster = Arc::new(Cluster::start().await);
    let creates = (0..64).map(|number| {
        let object = service(&format!("s{number}"), json!({"type": "NodePort"}));
        cluster.post(admin(), SERVICES, object)
    });
    let made: Vec<Value> = futures::future::join_all(creates).await.into_iter().map(Result::unwrap).collect();
    let addresses: BTreeSet<_> = made.iter().map(|one| one.str_at(&["spec", "clusterIP"]).unwrap()).collect();
    let ports: BTreeSet<_> =
        made.iter().map(|one| one.items_at(&["spec", "ports"])[0].i64_at(&["nodePort"]).unwrap()).collect();
    assert_eq!((addresses.len(), ports.len()), (64, 64));
    assert_eq!(families::texts(&made[0], &["spec", "clusterIPs"]), [made[0].str_at(&["spec", "clusterIP"]).unwrap()]);
    Arc::into_inner(cluster).unwrap().stop().await;
}

#[tokio::test]
async fn an_address_is_free_again_when_its_service_is_gone_or_was_never_made() {
    let cluster = Cluster::start().await;
    let pinned = |name: &str| service(name, json!({"clusterIP": "10.96.0.50"}));
    cluster.post(admin(), &format!("{SERVICES}?dryRun=All"), pinned("dry")).await.unwrap();
    // Refused after the address was taken.
    let bad = service("bad", json!({"clusterIP": "10.96.0.50", "sessionAffinity": "Nonsense"}));
    assert_eq!(cluster.post(admin(), SERVICES, bad).await.unwrap_err().code, 422);
    cluster.post(admin(), SERVICES, pinned("a")).await.unwrap();
    // A name that is taken costs nothing.
    assert_eq!(cluster.post(admin(), SERVICES, service("a", json!({}))).await.unwrap_err().code, 409);
    let refused = cluster.post(admin(), SERVICES, pinned("b")).await.unwrap_err();
    assert_eq!(
        refused.message,
        "Service \"b\" is invalid: spec.clusterIPs: Invalid value: [\"10.96.0.50\"]: failed to allocate IP 10.96.0.50: \
         provided IP is already allocated"
    );
    cluster.delete(admin(), &format!("{SERVICES}/a")).await.unwrap();
    cluster.post(admin(), SERVICES, pinned("b")).await.unwrap();
    let refused = cluster.post(admin(), SERVICES, service("c", json!({"clusterIP": "1.1.1.1"}))).await.unwrap_err();
    assert!(
        refused
            .message
            .ends_with("failed to allocate IP 1.1.1.1: the provided network does not match the current range")
    );
    cluster.stop().await;
}

/// A client that went away while its write was on the way to the disk left cluster IPs and node ports taken for good.
#[tokio::test]
async fn a_client_that_goes_away_leaves_nothing_taken() {
    let cluster = Cluster::start().await;
    let spec = json!({"type": "NodePort", "clusterIP": "10.96.0.50", "ports": [{"port": 80, "nodePort": 30_050}]});
    let goes_away_after = async |polls: usize, request: &mut (dyn Future<Output = ()> + Unpin)| {
        for _ in 0..polls {
            if futures::poll!(&mut *request).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    for polls in 0..12 {
        let name = format!("s{polls}");
        let path = format!("{SERVICES}/{name}");
        let mut create = Box::pin(async { drop(cluster.post(admin(), SERVICES, service(&name, spec.clone())).await) });
        goes_away_after(polls, &mut create).await;
        drop(create);
        // What was begun goes on without the client.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        // Refused is it only where the service is there: for its name, or before that for its address.
        if let Err(status) = cluster.post(admin(), SERVICES, service(&name, spec.clone())).await {
            assert!(cluster.get(admin(), &path).await.is_ok(), "after {polls}: {}", status.message);
        }
        let mut delete = Box::pin(async { drop(cluster.delete(admin(), &path).await) });
        goes_away_after(polls, &mut delete).await;
        drop(delete);
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        if cluster.get(admin(), &path).await.is_ok() {
            cluster.delete(admin(), &path).await.unwrap();
        }
    }
    cluster.post(admin(), SERVICES, service("last", spec)).await.unwrap();
    cluster.stop().await;
}

#[tokio::test]
async fn a_change_of_type_takes_and_gives_back() {
    let cluster = dual_stack().await;
    let port = |node_port: i64| json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": node_port}]});
    let made = cluster.post(admin(), SERVICES, service("a", port(30_005))).await.unwrap();
    let ip = made.str_at(&["spec", "clusterIP"]).unwrap().to_owned();
    let refused = cluster.post(admin(), SERVICES, service("b", port(30_005))).await.unwrap_err();
    assert_eq!(
        refused.message,
        "Service \"b\" is invalid: spec.ports[0].nodePort: Invalid value: 30005: provided port is already allocated"
    );
    let path = format!("{SERVICES}/a");
    let changed = cluster.put(admin(), &path, service("a", json!({"type": "ClusterIP"}))).await.unwrap();
    assert_eq!(changed.str_at(&["spec", "clusterIP"]), Some(ip.as_str()));
    assert_eq!(changed.items_at(&["spec", "ports"])[0].i64_at(&["nodePort"]).unwrap_or_default(), 0);
    cluster.post(admin(), SERVICES, service("b", port(30_005))).await.unwrap();
    let external = json!({"type": "ExternalName", "externalName": "x.example", "ports": []});
    let changed = cluster.put(admin(), &path, service("a", external)).await.unwrap();
    assert_eq!(changed.at(&["spec", "clusterIP"]), None);
    cluster.post(admin(), SERVICES, service("c", json!({"clusterIP": ip}))).await.unwrap();
    let changed = cluster.put(admin(), &path, service("a", json!({"type": "ClusterIP"}))).await.unwrap();
    assert_ne!(changed.str_at(&["spec", "clusterIP"]).unwrap(), ip);
    cluster.stop().await;
}

#[tokio::test]
async fn a_second_family_comes_and_goes() {
    let cluster = dual_stack().await;
    let path = format!("{SERVICES}/a");
    let made = cluster.post(admin(), SERVICES, service("a", json!({}))).await.unwrap();
    assert_eq!(families::texts(&made, &["spec", "ipFamilies"]), ["IPv4"]);
    let both = service("a", json!({"ipFamilyPolicy": "RequireDualStack"}));
    let made = cluster.put(admin(), &path, both).await.unwrap();
    let ips = families::texts(&made, &["spec", "clusterIPs"]);
    assert_eq!(ips.len(), 2);
    assert!(ips[1].starts_with("fd00::"), "{ips:?}");
    let single = service(
        "a",
        json!({"ipFamilyPolicy": "SingleStack", "clusterIPs": ips, "ipFamilies": ["IPv4", "IPv6"],
        "clusterIP": ips[0]}),
    );
    let made = cluster.put(admin(), &path, single).await.unwrap();
    assert_eq!(families::texts(&made, &["spec", "clusterIPs"]), ips[..1]);
    cluster.post(admin(), SERVICES, service("b", json!({"clusterIP": ips[1]}))).await.unwrap();
    cluster.stop().await;
}

#[tokio::test]
async fn ports_of_two_protocols_share_a_number_and_health_checks_get_their_own() {
    let cluster = dual_stack().await;
    let spec = json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local", "ports": [
        {"name": "tcp", "port": 53, "protocol": "TCP"}, {"name": "udp", "port": 53, "protocol": "UDP"},
    ]});
    let made = cluster.post(admin(), SERVICES, service("a", spec)).await.unwrap();
    let ports: Vec<i64> =
        made.items_at(&["spec", "ports"]).iter().filter_map(|port| port.i64_at(&["nodePort"])).collect();
    assert_eq!((ports.len(), ports[0]), (2, ports[1]));
    let check = made.i64_at(&["spec", "healthCheckNodePort"]).unwrap();
    assert!((30_000..30_020).contains(&check) && check != ports[0], "{check}");
    let asked = (30_000..30_020).find(|port| *port != check && *port != ports[0]).unwrap();
    // What one of them asks for, both have, whichever is first.
    let spec = json!({"type": "NodePort", "ports": [
        {"name": "tcp", "port": 53, "protocol": "TCP"}, {"name": "udp", "port": 53, "protocol": "UDP", "nodePort": asked},
    ]});
    let made = cluster.post(admin(), SERVICES, service("asks", spec)).await.unwrap();
    assert_eq!(made.items_at(&["spec", "ports"])[0].i64_at(&["nodePort"]), Some(asked));
    cluster.delete(admin(), &format!("{SERVICES}/asks")).await.unwrap();
    // 18 of 20 are left.
    let ports: Vec<_> = (1..=19).map(|port| json!({"name": format!("p{port}"), "port": port})).collect();
    let full = service("b", json!({"type": "NodePort", "ports": ports}));
    let refused = cluster.post(admin(), SERVICES, full).await.unwrap_err();
    assert_eq!(refused.message, "Internal error occurred: failed to allocate a nodePort: range is full");
    // And those that it had taken are free again.
    let fits = service("b", json!({"type": "NodePort", "ports": ports[..18]}));
    cluster.post(admin(), SERVICES, fits).await.unwrap();
    cluster.stop().await;
}
