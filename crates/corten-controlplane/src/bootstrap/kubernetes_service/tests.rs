use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use corten_apimachinery::{gvk::GroupVersionResource, meta::ObjectMeta as _, status::Status, value::Value};
use corten_apiserver::admission::{Attributes, Operation, Plugin};
use corten_base::SimClock;
use serde_json::json;

use super::{Advertised, corrected};
use crate::{
    bootstrap::{Progress, Step},
    testing::{Cluster, admin, tree},
};

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

/// Refuses endpoints, as a full disk does.
#[derive(Debug, Default)]
struct Full {
    refused: AtomicUsize,
    has_room: AtomicBool,
}

#[async_trait]
impl Plugin for Full {
    fn name(&self) -> &'static str {
        "Full"
    }

    fn handles(&self, _operation: Operation, resource: &GroupVersionResource, _subresource: &str) -> bool {
        resource.resource == "endpoints" && !self.has_room.load(Ordering::Relaxed)
    }

    async fn validate(&self, _attributes: &Attributes<'_>) -> Result<(), Status> {
        self.refused.fetch_add(1, Ordering::Relaxed);
        Err(Status::internal("no space"))
    }
}

/// A server that began on a full disk with another address than before was not ready until there was room, though it could read.
#[tokio::test]
async fn a_server_is_ready_though_its_service_cannot_be_written() {
    let (full, clock) = (Arc::new(Full::default()), SimClock::new("2026-01-01T00:00:00Z".parse().unwrap()));
    let cluster = Cluster::start_admitted(clock, Arc::clone(&full) as _).await;
    let progress = Progress::default();
    cluster.keep_bootstrapped_telling(progress.clone());
    while full.refused.load(Ordering::Relaxed) < 3 {
        cluster.clock.advance(Duration::from_secs(1));
        tokio::task::yield_now().await;
    }
    assert!(progress.has(Step::KubernetesService), "it has been tried");
    assert_eq!(cluster.get(admin(), ENDPOINTS).await.unwrap_err().code, 404);
    full.has_room.store(true, Ordering::Relaxed);
    while cluster.get(admin(), ENDPOINTS).await.is_err() {
        cluster.clock.advance(Duration::from_secs(1));
        tokio::task::yield_now().await;
    }
    until(&cluster, SLICE, |_| true).await;
    cluster.stop().await;
}
