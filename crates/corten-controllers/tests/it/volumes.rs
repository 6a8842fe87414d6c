//! Claims and volumes on a control plane in memory.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Harness, core, pods};

fn volume(name: &str, size: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": {
        "capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/srv"}}})
}

fn claim(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name, "namespace": "default"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}})
}

const BINDER: &str = "persistentvolume-binder-controller";

/// What lets claims and volumes go once they are not used any more.
const PROTECTION: [&str; 2] = ["persistentvolume-protection-controller", "persistentvolumeclaim-protection-controller"];

fn has_phase(phase: &'static str) -> impl Fn(&Value) -> bool {
    move |object| object["status"]["phase"] == phase
}

#[tokio::test]
async fn a_claim_waits_for_a_volume_and_leaves_it_released() {
    let harness = Harness::start(&[BINDER, PROTECTION[0], PROTECTION[1]]).await;
    let (claims, volumes) = (core("persistentvolumeclaims"), core("persistentvolumes"));
    harness.cluster.create(&claims, claim("data")).await;
    assert_eq!(
        harness.events("FailedBinding", 1).await[0],
        "no persistent volumes available for this claim and no storage class is set"
    );
    harness.cluster.create(&volumes, volume("small", "1Mi")).await;
    harness.wait_object(&volumes, "small", has_phase("Available")).await;
    harness.cluster.create(&volumes, volume("right", "2Gi")).await;
    let bound = harness.wait_object(&claims, "default/data", has_phase("Bound")).await;
    assert_eq!(bound["spec"]["volumeName"], "right");
    assert_eq!(bound["status"]["capacity"]["storage"], "2Gi");
    assert_eq!(bound["status"]["accessModes"], json!(["ReadWriteOnce"]));
    let annotations = &bound["metadata"]["annotations"];
    assert_eq!(annotations["pv.kubernetes.io/bind-completed"], "yes");
    assert_eq!(annotations["pv.kubernetes.io/bound-by-controller"], "yes");
    let kept = harness.wait_object(&volumes, "right", has_phase("Bound")).await;
    assert_eq!(kept["spec"]["claimRef"]["uid"], bound["metadata"]["uid"]);
    harness.delete(&claims, "default/data").await;
    harness.wait_object(&volumes, "right", has_phase("Released")).await;
    harness.stop().await;
}

#[tokio::test]
async fn of_two_claims_one_gets_the_only_volume_and_a_lost_volume_is_told() {
    let harness = Harness::start(&[BINDER, PROTECTION[0], PROTECTION[1]]).await;
    let (claims, volumes) = (core("persistentvolumeclaims"), core("persistentvolumes"));
    let mut named = claim("named");
    named["spec"]["volumeName"] = json!("v");
    harness.cluster.create(&claims, named).await;
    harness.cluster.create(&claims, claim("any")).await;
    harness.cluster.create(&volumes, volume("v", "1Gi")).await;
    let phases = |all: &[Value]| -> Option<String> {
        let bound: Vec<&Value> = all.iter().filter(|claim| claim["status"]["phase"] == "Bound").collect();
        (bound.len() == 1).then(|| bound[0]["metadata"]["name"].as_str().unwrap_or_default().to_owned())
    };
    let winner = harness.wait(&claims, phases).await;
    // Events about one object at one moment share a name.
    harness.cluster.clock().advance(Duration::from_secs(1));
    // Only who takes its protection away loses a volume that is bound.
    harness.patch(&volumes, "v", json!({"metadata": {"finalizers": null}})).await;
    harness.delete(&volumes, "v").await;
    harness.wait_object(&claims, &format!("default/{winner}"), has_phase("Lost")).await;
    assert_eq!(
        harness.events("ClaimLost", 1).await,
        ["Bound claim has lost its PersistentVolume. Data on the volume is lost!"]
    );
    harness.stop().await;
}

#[tokio::test]
async fn a_claim_in_use_goes_after_its_pods_and_its_volume_after_it() {
    let harness = Harness::start(&[BINDER, PROTECTION[0], PROTECTION[1]]).await;
    let (claims, volumes) = (core("persistentvolumeclaims"), core("persistentvolumes"));
    harness.cluster.create(&volumes, volume("v", "1Gi")).await;
    harness.cluster.create(&claims, claim("data")).await;
    harness.wait_object(&claims, "default/data", has_phase("Bound")).await;
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "default"}, "spec": {
        "nodeName": "n", "containers": [{"name": "c", "image": "i"}],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]}});
    harness.cluster.create(&pods(), pod).await;
    harness.delete(&claims, "default/data").await;
    harness.delete(&volumes, "v").await;
    // Another claim comes and goes: the first was looked at before.
    harness.cluster.create(&claims, claim("free")).await;
    harness.delete(&claims, "default/free").await;
    let only =
        |name: &'static str| move |all: &[Value]| (all.len() == 1 && all[0]["metadata"]["name"] == name).then_some(());
    harness.wait(&claims, only("data")).await;
    let kept = harness.get(&claims, "default/data").await;
    assert_eq!(kept["metadata"]["finalizers"], json!(["kubernetes.io/pvc-protection"]));
    assert!(kept["metadata"]["deletionTimestamp"].is_string());
    harness.delete(&pods(), "default/p").await;
    harness.wait(&claims, |all| all.is_empty().then_some(())).await;
    harness.wait(&volumes, |all| all.is_empty().then_some(())).await;
    harness.stop().await;
}

/// The list of pods that had shown the first claim to be free was believed of the second, whose pod had been there then.
#[tokio::test]
async fn claims_go_one_after_the_other_as_their_pods_do() {
    let harness = Harness::start(&[PROTECTION[1]]).await;
    let claims = core("persistentvolumeclaims");
    for number in 1..=3 {
        harness.cluster.create(&claims, claim(&format!("c{number}"))).await;
        let volume = json!({"name": "data", "persistentVolumeClaim": {"claimName": format!("c{number}")}});
        let spec = json!({"nodeName": "n", "containers": [{"name": "c", "image": "i"}], "volumes": [volume]});
        let name = format!("p{number}");
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"}, "spec": spec});
        harness.cluster.create(&pods(), pod).await;
    }
    for number in 1..=3 {
        harness.delete(&claims, &format!("default/c{number}")).await;
    }
    for number in 1..=3 {
        harness.delete(&pods(), &format!("default/p{number}")).await;
        harness.wait(&claims, |all| (all.len() == 3 - number).then_some(())).await;
    }
    harness.stop().await;
}
