//! Ranges of services that come and go, on a control plane in memory.

use std::time::Duration;

use corten_apimachinery::gvk::GroupVersionResource;
use serde_json::{Value, json};

use crate::harness::{Harness, core};

fn ranges() -> GroupVersionResource {
    GroupVersionResource::new("networking.k8s.io", "v1", "servicecidrs")
}

fn ready(range: &Value) -> Option<(&str, &str, &str)> {
    let condition = range["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == "Ready")?;
    Some((condition["status"].as_str()?, condition["reason"].as_str()?, condition["message"].as_str()?))
}

fn is_kept(range: &Value) -> bool {
    range["metadata"]["finalizers"] == json!(["networking.k8s.io/service-cidr-finalizer"])
}

const READY: (&str, &str, &str) = ("True", "", "Kubernetes Service CIDR is ready");

#[tokio::test]
async fn a_range_is_ready_and_goes_when_no_service_needs_it() {
    let harness = Harness::start(&["service-cidr-controller"]).await;
    let (services, is_ready) = (core("services"), |range: &Value| is_kept(range) && ready(range) == Some(READY));
    harness.wait_object(&ranges(), "kubernetes", is_ready).await;
    let more = json!({"metadata": {"name": "more"}, "spec": {"cidrs": ["10.200.0.0/24"]}});
    harness.cluster.create(&ranges(), more).await;
    harness.wait_object(&ranges(), "more", is_ready).await;
    let service = json!({"metadata": {"name": "a", "namespace": "default"},
        "spec": {"clusterIP": "10.200.0.5", "ports": [{"port": 80}]}});
    harness.cluster.create(&services, service).await;
    harness.delete(&ranges(), "more").await;
    let message =
        "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR";
    let is_terminating = |range: &Value| ready(range) == Some(("False", "Terminating", message));
    harness.wait_object(&ranges(), "more", is_terminating).await;
    // Another range has the address: this one may go, once everybody knows.
    let larger = json!({"metadata": {"name": "larger"}, "spec": {"cidrs": ["10.200.0.0/16"]}});
    harness.cluster.create(&ranges(), larger).await;
    harness.wait_object(&ranges(), "larger", is_ready).await;
    let is_gone = |all: &[Value]| !all.iter().any(|range| range["metadata"]["name"] == "more");
    for _ in 0..12 {
        harness.cluster.clock().advance(Duration::from_secs(1));
        tokio::task::yield_now().await;
    }
    harness.wait(&ranges(), |all| is_gone(all).then_some(())).await;
    // The other way: the service goes.
    harness.delete(&ranges(), "larger").await;
    harness.wait_object(&ranges(), "larger", is_terminating).await;
    harness.delete(&services, "default/a").await;
    for _ in 0..12 {
        harness.cluster.clock().advance(Duration::from_secs(1));
        tokio::task::yield_now().await;
    }
    harness.wait(&ranges(), |all| (all.len() == 1).then_some(())).await;
    harness.stop().await;
}
