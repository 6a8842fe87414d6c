//! The repair beside a server in memory, in simulated time.

use std::time::Duration;

use corten_apimachinery::{gvk::GroupVersionResource, value::Value};
use corten_client::{ListOptions, Target};
use serde_json::json;

use crate::testing::{Cluster, admin};

const SERVICES: &str = "/api/v1/namespaces/default/services";
const ADDRESSES: &str = "/apis/networking.k8s.io/v1/ipaddresses";

fn service(name: &str, ip: &str) -> serde_json::Value {
    json!({"metadata": {"name": name}, "spec": {"clusterIP": ip, "ports": [{"port": 80}]}})
}

fn address(ip: &str, parent: serde_json::Value, is_managed: bool) -> serde_json::Value {
    let mut labels = json!({"ipaddress.kubernetes.io/ip-family": "IPv4"});
    if is_managed {
        labels["ipaddress.kubernetes.io/managed-by"] = json!("ipallocator.k8s.io");
    }
    json!({"metadata": {"name": ip, "labels": labels}, "spec": {"parentRef": parent}})
}

fn of_service(name: &str) -> serde_json::Value {
    json!({"resource": "services", "namespace": "default", "name": name})
}

/// Lets everything that can run do so until `is_so`.
async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..10_000 {
        if is_so().await {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("it has not come to that");
}

/// Whose an address is, by its object.
async fn holder(cluster: &Cluster, ip: &str) -> Option<String> {
    let object = cluster.get(admin(), &format!("{ADDRESSES}/{ip}")).await.ok()?;
    object.str_at(&["spec", "parentRef", "name"]).map(str::to_owned)
}

/// Reasons of all events, with what they are about.
async fn events(cluster: &Cluster) -> Vec<(String, String)> {
    let events = GroupVersionResource::new("events.k8s.io", "v1", "events");
    let list = cluster.client(admin()).list(Target::collection(&events, ""), &ListOptions::default()).await.unwrap();
    let mut told: Vec<(String, String)> = list
        .items
        .iter()
        .map(|event| {
            let event: Value = crate::caches::tree(event).unwrap();
            let text = |path: &[&str]| event.str_at(path).unwrap_or_default().to_owned();
            assert_eq!(text(&["reportingController"]), "ipallocator-repair-controller");
            (text(&["reason"]), text(&["regarding", "name"]))
        })
        .collect();
    told.sort();
    told
}

fn told(events: &[(&str, &str)]) -> Vec<(String, String)> {
    events.iter().map(|&(reason, about)| (reason.to_owned(), about.to_owned())).collect()
}

#[tokio::test]
async fn an_older_store_gets_its_objects_at_the_start() {
    let cluster = Cluster::start().await;
    for (name, ip) in [("a", "10.96.0.50"), ("b", "10.96.0.51"), ("headless", "None")] {
        cluster.post(admin(), SERVICES, service(name, ip)).await.unwrap();
    }
    for ip in ["10.96.0.50", "10.96.0.51"] {
        cluster.delete(admin(), &format!("{ADDRESSES}/{ip}")).await.unwrap();
    }
    cluster.post(admin(), ADDRESSES, address("10.96.0.51", of_service("gone"), true)).await.unwrap();
    cluster.keep_bootstrapped();
    until(async || {
        holder(&cluster, "10.96.0.50").await.as_deref() == Some("a")
            && holder(&cluster, "10.96.0.51").await.as_deref() == Some("b")
    })
    .await;
    let want = told(&[("ClusterIPNotAllocated", "a"), ("ClusterIPNotAllocated", "b")]);
    until(async || events(&cluster).await == want).await;
    cluster.stop().await;
}

#[tokio::test]
async fn an_object_that_is_deleted_by_hand_comes_back_and_a_new_service_needs_no_repair() {
    let cluster = Cluster::start().await;
    cluster.keep_bootstrapped();
    cluster.post(admin(), SERVICES, service("a", "10.96.0.50")).await.unwrap();
    let first = cluster.get(admin(), &format!("{ADDRESSES}/10.96.0.50")).await.unwrap();
    cluster.delete(admin(), &format!("{ADDRESSES}/10.96.0.50")).await.unwrap();
    until(async || holder(&cluster, "10.96.0.50").await.is_some()).await;
    assert_ne!(cluster.get(admin(), &format!("{ADDRESSES}/10.96.0.50")).await.unwrap(), first);
    cluster.post(admin(), SERVICES, service("b", "10.96.0.51")).await.unwrap();
    cluster.delete(admin(), &format!("{SERVICES}/b")).await.unwrap();
    let want = told(&[("ClusterIPNotAllocated", "a")]);
    until(async || events(&cluster).await == want).await;
    // All is looked at again, and nothing is found.
    cluster.clock.advance(Duration::from_secs(181));
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(events(&cluster).await, want);
    assert_eq!(holder(&cluster, "10.96.0.51").await, None);
    cluster.stop().await;
}

#[tokio::test]
async fn what_no_service_has_goes_after_a_minute() {
    let cluster = Cluster::start().await;
    cluster.post(admin(), SERVICES, service("a", "10.96.0.50")).await.unwrap();
    let gateway = json!({"group": "g.io", "resource": "gateways", "name": "g"});
    let made = [
        address("10.96.0.60", of_service("gone"), true),
        address("10.96.0.61", of_service("a"), true),
        address("10.96.0.62", gateway.clone(), true),
        address("10.96.0.63", gateway, false),
        address("10.96.0.64", of_service("gone"), false),
    ];
    for object in made {
        cluster.post(admin(), ADDRESSES, object).await.unwrap();
    }
    cluster.keep_bootstrapped();
    let left = async |hosts: &[u8]| {
        let mut left = Vec::new();
        for host in hosts {
            if holder(&cluster, &format!("10.96.0.{host}")).await.is_some() {
                left.push(*host);
            }
        }
        left
    };
    // One that was changed to be nobody's is no write's on its way.
    until(async || left(&[62]).await.is_empty()).await;
    assert_eq!(left(&[50, 60, 61, 62, 63, 64]).await, [50, 60, 61, 63, 64]);
    cluster.clock.advance(Duration::from_secs(59));
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(left(&[60, 61]).await, [60, 61]);
    cluster.clock.advance(Duration::from_secs(3));
    until(async || left(&[60, 61]).await.is_empty()).await;
    assert_eq!(left(&[50, 63, 64]).await, [50, 63, 64]);
    let want = told(&[
        ("IPAddressNotAllocated", "10.96.0.60"),
        ("IPAddressNotAllocated", "10.96.0.62"),
        ("IPAddressWrongReference", "10.96.0.61"),
    ]);
    until(async || events(&cluster).await == want).await;
    cluster.stop().await;
}

/// Its service was not there yet, and then it was: nothing is to be done about its object.
#[tokio::test]
async fn an_object_whose_service_comes_later_stays() {
    let cluster = Cluster::start().await;
    cluster.keep_bootstrapped();
    for _ in 0..20 {
        cluster.post(admin(), SERVICES, service("a", "10.96.0.50")).await.unwrap();
        cluster.delete(admin(), &format!("{SERVICES}/a")).await.unwrap();
    }
    cluster.post(admin(), SERVICES, service("a", "10.96.0.50")).await.unwrap();
    cluster.clock.advance(Duration::from_secs(62));
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(holder(&cluster, "10.96.0.50").await.as_deref(), Some("a"));
    assert_eq!(events(&cluster).await, told(&[]));
    cluster.stop().await;
}
