use std::net::SocketAddr;

use corten_apimachinery::{meta::ObjectMeta as _, value::Value};
use serde_json::json;

use super::{Advertised, corrected};
use crate::testing::{Cluster, admin, tree};

fn advertised(address: &str) -> Advertised {
    let address: SocketAddr = address.parse().unwrap();
    Advertised { cluster_ip: "10.96.0.1".parse().unwrap(), address }
}

#[test]
fn an_address_that_only_this_machine_knows_is_no_endpoint() {
    for (address, want) in [("192.0.2.1:6443", 1), ("127.0.0.1:6443", 0), ("0.0.0.0:6443", 0), ("[fd00::1]:6443", 0)] {
        let advertised = advertised(address);
        assert_eq!(advertised.slice().items_at(&["endpoints"]).len(), want, "{address}");
        assert_eq!(advertised.endpoints().items_at(&["subsets"]).len(), want, "{address}");
    }
}

#[test]
fn only_what_is_wrong_is_written() {
    let wanted = advertised("192.0.2.1:6443").slice();
    assert_eq!(corrected(&wanted, &wanted), None);
    let mut wrong = wanted.clone();
    wrong.set(&["endpoints"], Value::array([]));
    wrong.set(&["metadata", "resourceVersion"], "7");
    let right = corrected(&wrong, &wanted).unwrap();
    assert_eq!(right.items_at(&["endpoints"]).len(), 1);
    assert_eq!(right.resource_version(), "7");
}

const SERVICE: &str = "/api/v1/namespaces/default/services/kubernetes";
const ENDPOINTS: &str = "/api/v1/namespaces/default/endpoints/kubernetes";
const SLICE: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes";

async fn until(cluster: &Cluster, path: &str, holds: impl Fn(&Value) -> bool) -> Value {
    loop {
        match cluster.get(admin(), path).await {
            Ok(object) if holds(&object) => return object,
            // The keeper runs when this task lets it.
            _ => tokio::task::yield_now().await,
        }
    }
}

#[tokio::test]
async fn the_service_leads_to_the_server_and_comes_back() {
    let cluster = Cluster::start().await;
    cluster.keep_bootstrapped();
    let service = until(&cluster, SERVICE, |_| true).await;
    assert_eq!(service.str_at(&["spec", "clusterIP"]), Some("10.96.0.1"));
    assert_eq!(
        service.items_at(&["spec", "ports"]),
        [tree(json!({"name": "https", "protocol": "TCP", "port": 443, "targetPort": 6443}))]
    );
    assert_eq!((service.label("component"), service.label("provider")), (Some("apiserver"), Some("kubernetes")));
    let endpoints = until(&cluster, ENDPOINTS, |_| true).await;
    assert_eq!(
        endpoints.items_at(&["subsets"]),
        [tree(
            json!({"addresses": [{"ip": "192.0.2.1"}], "ports": [{"name": "https", "port": 6443, "protocol": "TCP"}]})
        )]
    );
    assert_eq!(endpoints.label("endpointslice.kubernetes.io/skip-mirror"), Some("true"));
    let slice = until(&cluster, SLICE, |_| true).await;
    assert_eq!(slice.label("kubernetes.io/service-name"), Some("kubernetes"));
    assert_eq!(slice.items_at(&["endpoints"])[0].items_at(&["addresses"]), [Value::from("192.0.2.1")]);

    for (path, old) in [(SERVICE, &service), (ENDPOINTS, &endpoints), (SLICE, &slice)] {
        cluster.delete(admin(), path).await.unwrap();
        until(&cluster, path, |object| object.uid() != old.uid()).await;
    }
    let broken = json!({
        "metadata": {"name": "kubernetes", "labels": {"kubernetes.io/service-name": "kubernetes"}},
        "addressType": "IPv4", "endpoints": [{"addresses": ["192.0.2.9"]}], "ports": [],
    });
    cluster.put(admin(), SLICE, broken).await.unwrap();
    until(&cluster, SLICE, |slice| {
        slice.items_at(&["endpoints"])[0].items_at(&["addresses"]) == [Value::from("192.0.2.1")]
    })
    .await;
    cluster.stop().await;
}
