//! The objects that tell of addresses: `IPAddress` and `ServiceCIDR`.

use super::*;

const ADDRESSES: &str = "/apis/networking.k8s.io/v1/ipaddresses";
const RANGES: &str = "/apis/networking.k8s.io/v1/servicecidrs";

/// How many addresses have an object.
async fn count(cluster: &Cluster) -> Value {
    cluster.get(admin(), ADDRESSES).await.unwrap()
}

fn address_of(service: &str) -> serde_json::Value {
    let parent = json!({"resource": "services", "namespace": "default", "name": service});
    json!({"metadata": {"name": "10.96.0.50"}, "spec": {"parentRef": parent}})
}

fn range(name: &str, cidrs: &[&str]) -> serde_json::Value {
    json!({"metadata": {"name": name}, "spec": {"cidrs": cidrs}})
}

fn pinned(name: &str, ip: &str) -> serde_json::Value {
    service(name, json!({"clusterIP": ip}))
}

#[tokio::test]
async fn each_address_of_a_service_has_an_object_as_long_as_the_service_has_it() {
    let cluster = dual_stack().await;
    let made =
        cluster.post(admin(), SERVICES, service("a", json!({"ipFamilyPolicy": "RequireDualStack"}))).await.unwrap();
    let ips = families::texts(&made, &["spec", "clusterIPs"]);
    for (ip, family) in ips.iter().zip(["IPv4", "IPv6"]) {
        let object = cluster.get(admin(), &format!("{ADDRESSES}/{ip}")).await.unwrap();
        let label = |name: &str| object.str_at(&["metadata", "labels", name]).unwrap();
        assert_eq!(
            (label("ipaddress.kubernetes.io/ip-family"), label("ipaddress.kubernetes.io/managed-by")),
            (family, "ipallocator.k8s.io")
        );
        let parent = object.at(&["spec", "parentRef"]).unwrap();
        assert_eq!(parent, &tree(json!({"resource": "services", "namespace": "default", "name": "a"})));
        let manager = object.items_at(&["metadata", "managedFields"])[0].str_at(&["manager"]);
        assert_eq!(manager, Some("kube-apiserver"));
    }
    let path = format!("{SERVICES}/a");
    let single = json!({"ipFamilyPolicy": "SingleStack", "clusterIP": ips[0], "clusterIPs": ips, "ipFamilies": ["IPv4", "IPv6"]});
    cluster.put(admin(), &path, service("a", single)).await.unwrap();
    assert_eq!(cluster.get(admin(), &format!("{ADDRESSES}/{}", ips[1])).await.unwrap_err().code, 404);
    let external = json!({"type": "ExternalName", "externalName": "x.example", "ports": []});
    cluster.put(admin(), &path, service("a", external)).await.unwrap();
    assert_eq!(count(&cluster).await, Value::Int(0));
    cluster.put(admin(), &path, service("a", json!({"type": "ClusterIP"}))).await.unwrap();
    cluster.post(admin(), SERVICES, pinned("headless", "None")).await.unwrap();
    assert_eq!(count(&cluster).await, Value::Int(1));
    cluster.delete(admin(), &path).await.unwrap();
    assert_eq!(count(&cluster).await, Value::Int(0));
    cluster.stop().await;
}

/// An invalid service cost two writes of an address.
#[tokio::test]
async fn what_is_refused_writes_nothing_and_leaves_nothing() {
    let cluster = Cluster::start().await;
    cluster.post(admin(), SERVICES, pinned("a", "10.96.0.50")).await.unwrap();
    let before = cluster.revision().await;
    for bad in
        [json!({"sessionAffinity": "Nonsense"}), json!({"clusterIP": "10.96.0.50"}), json!({"clusterIP": "1.1.1.1"})]
    {
        assert_eq!(cluster.post(admin(), SERVICES, service("b", bad)).await.unwrap_err().code, 422);
    }
    cluster.post(admin(), &format!("{SERVICES}?dryRun=All"), service("b", json!({}))).await.unwrap();
    assert_eq!(cluster.revision().await, before);
    // Its name is taken, which only the engine knows.
    assert_eq!(cluster.post(admin(), SERVICES, service("a", json!({}))).await.unwrap_err().code, 409);
    assert_eq!(count(&cluster).await, Value::Int(1));
    // A change that is overtaken or refused gives back what it took.
    let mut stale = service("a", json!({"clusterIP": "10.96.0.50", "type": "NodePort"}));
    stale["metadata"]["resourceVersion"] = json!("1");
    assert_eq!(cluster.put(admin(), &format!("{SERVICES}/a"), stale).await.unwrap_err().code, 409);
    assert_eq!(count(&cluster).await, Value::Int(1));
    cluster.stop().await;
}

#[tokio::test]
async fn an_address_that_somebody_else_has_is_not_given() {
    let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
    let network =
        ServiceNetwork { cluster_ip_ranges: vec!["10.0.0.0/30".parse().unwrap()], ..ServiceNetwork::default() };
    let cluster = Cluster::start_with(clock, network).await;
    let gateway = json!({"group": "g.io", "resource": "gateways", "namespace": "default", "name": "g"});
    let object = json!({"metadata": {"name": "10.0.0.1"}, "spec": {"parentRef": gateway}});
    cluster.post(admin(), ADDRESSES, object).await.unwrap();
    let made = cluster.post(admin(), SERVICES, service("a", json!({}))).await.unwrap();
    assert_eq!(made.str_at(&["spec", "clusterIP"]), Some("10.0.0.2"));
    let refused = cluster.post(admin(), SERVICES, service("b", json!({}))).await.unwrap_err();
    assert_eq!(refused.message, "Internal error occurred: failed to allocate a serviceIP: range is full");
    let refused = cluster.post(admin(), SERVICES, pinned("b", "10.0.0.1")).await.unwrap_err();
    assert!(
        refused.message.ends_with("failed to allocate IP 10.0.0.1: provided IP is already allocated"),
        "{refused:?}"
    );
    cluster.stop().await;
}

#[tokio::test]
async fn ranges_come_and_go() {
    let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
    let network =
        ServiceNetwork { cluster_ip_ranges: vec!["10.0.0.0/30".parse().unwrap()], ..ServiceNetwork::default() };
    let cluster = Cluster::start_with(clock, network).await;
    for name in ["a", "b"] {
        cluster.post(admin(), SERVICES, service(name, json!({}))).await.unwrap();
    }
    let full = cluster.post(admin(), SERVICES, service("c", json!({}))).await.unwrap_err();
    assert_eq!((full.code, full.message.ends_with("range is full")), (500, true));
    let outside = cluster.post(admin(), SERVICES, pinned("c", "10.1.0.5")).await.unwrap_err();
    assert!(outside.message.ends_with("the provided network does not match the current range"), "{outside:?}");
    cluster.post(admin(), RANGES, range("more", &["10.1.0.0/28"])).await.unwrap();
    let made = cluster.post(admin(), SERVICES, service("c", json!({}))).await.unwrap();
    assert!(made.str_at(&["spec", "clusterIP"]).unwrap().starts_with("10.1.0."));
    cluster.delete(admin(), &format!("{SERVICES}/c")).await.unwrap();
    cluster.post(admin(), SERVICES, pinned("c", "10.1.0.5")).await.unwrap();
    // One that is not ready, or on its way out, gives none.
    let status = json!({"metadata": {"name": "more"}, "spec": {"cidrs": ["10.1.0.0/28"]},
        "status": {"conditions": [{"type": "Ready", "status": "False", "reason": "Terminating", "message": ""}]}});
    cluster.put(admin(), &format!("{RANGES}/more/status"), status).await.unwrap();
    let unready = cluster.post(admin(), SERVICES, pinned("d", "10.1.0.6")).await.unwrap_err();
    assert!(unready.message.ends_with("the provided network does not match the current range"), "{unready:?}");
    let mut kept = range("kept", &["10.2.0.0/28"]);
    kept["metadata"]["finalizers"] = json!(["networking.k8s.io/service-cidr-finalizer"]);
    cluster.post(admin(), RANGES, kept).await.unwrap();
    cluster.post(admin(), SERVICES, pinned("d", "10.2.0.6")).await.unwrap();
    cluster.delete(admin(), &format!("{RANGES}/kept")).await.unwrap();
    let going = cluster.post(admin(), SERVICES, pinned("e", "10.2.0.7")).await.unwrap_err();
    assert!(going.message.ends_with("the provided network does not match the current range"), "{going:?}");
    cluster.stop().await;
}

/// The family of a range that the cluster is not configured for is not one of its families.
#[tokio::test]
async fn a_range_does_not_bring_a_family() {
    let cluster = Cluster::start().await;
    cluster.post(admin(), RANGES, range("six", &["fd00::/112"])).await.unwrap();
    let refused = cluster.post(admin(), SERVICES, pinned("a", "fd00::5")).await.unwrap_err();
    assert!(refused.message.contains("IPv6 is not configured on this cluster"), "{refused:?}");
    cluster.post(admin(), ADDRESSES, address_of("nobody")).await.unwrap();
    assert_eq!(count(&cluster).await, Value::Int(1));
    cluster.stop().await;
}
