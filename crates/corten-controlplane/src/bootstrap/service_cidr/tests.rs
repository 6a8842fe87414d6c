use serde_json::json;

use super::*;
use crate::testing::{Cluster, admin, tree};

const PATH: &str = "/apis/networking.k8s.io/v1/servicecidrs/kubernetes";

#[test]
fn a_range_stays_as_it_is_but_for_a_second_family() {
    let wanted = |ranges: &[&str]| -> Vec<String> { ranges.iter().map(|&range| range.to_owned()).collect() };
    let (one, two) = (wanted(&["10.0.0.0/24"]), wanted(&["10.0.0.0/24", "fd00::/112"]));
    let object = |ranges: &[String], ready: serde_json::Value| {
        tree(json!({"metadata": {"name": NAME}, "spec": {"cidrs": ranges}, "status": {"conditions": ready}}))
    };
    let ready = |status: &str| json!([{"type": "Ready", "status": status}]);
    let mismatch = |message: &str| Plan::Complain(Complaint::Mismatch { message: message.to_owned() });
    let cases = [
        (object(&one, json!([])), &one, Plan::Ready),
        (object(&one, ready("Unknown")), &one, Plan::Ready),
        (object(&one, ready("True")), &one, Plan::Nothing),
        (object(&one, ready("True")), &two, Plan::SecondFamily),
        (
            object(&one, json!([{"type": "Ready", "status": "False", "reason": "Why", "message": "it is late"}])),
            &one,
            Plan::Complain(Complaint::NotReady {
                reason: "Why".to_owned(),
                message: "Configuration matches, but it is late".to_owned(),
            }),
        ),
        (
            object(&two, ready("True")),
            &one,
            mismatch(
                "The default ServiceCIDR [10.0.0.0/24 fd00::/112] does not match the controller flag configurations \
                 [10.0.0.0/24]",
            ),
        ),
        (
            object(&wanted(&["10.1.0.0/24"]), json!([])),
            &two,
            mismatch(
                "The default ServiceCIDR [10.1.0.0/24] does not match the controller flag configurations \
                 [10.0.0.0/24 fd00::/112]",
            ),
        ),
    ];
    for (current, ranges, want) in cases {
        assert_eq!(plan(&current, ranges), want, "{current:?}");
    }
    let mut going = object(&one, json!([]));
    going.set_meta("deletionTimestamp", "2026-01-01T00:00:00Z");
    assert_eq!(plan(&going, &one), Plan::Nothing);
}

#[tokio::test]
async fn the_default_range_is_there_and_comes_back() {
    let cluster = Cluster::start().await;
    let old = cluster.get(admin(), PATH).await.unwrap();
    assert_eq!(old.items_at(&["spec", "cidrs"]), [Value::from("10.96.0.0/12")]);
    let condition = &old.items_at(&["status", "conditions"])[0];
    assert_eq!(
        (condition.str_at(&["type"]), condition.str_at(&["status"]), condition.str_at(&["message"])),
        (Some("Ready"), Some("True"), Some("Kubernetes default Service CIDR is ready"))
    );
    cluster.keep_bootstrapped();
    cluster.delete(admin(), PATH).await.unwrap();
    let is_back = |object: &Value| object.uid() != old.uid() && !object.items_at(&["status", "conditions"]).is_empty();
    while !cluster.get(admin(), PATH).await.is_ok_and(|object| is_back(&object)) {
        // The keeper runs when this task lets it.
        tokio::task::yield_now().await;
    }
    cluster.stop().await;
}

#[tokio::test]
async fn a_second_family_is_added() {
    let cluster = Cluster::start().await;
    let clock: SharedClock = std::sync::Arc::clone(&cluster.clock) as _;
    let ranges: [IpNet; 2] = ["10.96.0.0/12", "fd00::/112"].map(|range| range.parse().unwrap());
    let (recorder, mut events) = cluster.recorder();
    let reports = Reports::new(&recorder);
    ensure(&cluster.client(admin()), &clock, &ranges, &reports).await.unwrap();
    let object = cluster.get(admin(), PATH).await.unwrap();
    assert_eq!(object.items_at(&["spec", "cidrs"]), [Value::from("10.96.0.0/12"), "fd00::/112".into()]);
    assert!(events.try_next().is_none());
    // What somebody decides by hand stays, and is told of once.
    for _ in 0..2 {
        ensure(&cluster.client(admin()), &clock, &ranges[..1], &reports).await.unwrap();
    }
    assert_eq!(cluster.get(admin(), PATH).await.unwrap(), object);
    let event = events.try_next().unwrap();
    assert_eq!(
        (&*event.component, &*event.reason, &*event.object.kind, &*event.object.name),
        (MANAGER, "KubernetesDefaultServiceCIDRInconsistent", "ServiceCIDR", "kubernetes")
    );
    assert!(events.try_next().is_none());
    cluster.stop().await;
}
