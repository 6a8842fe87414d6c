//! The status by tables.

use corten_cri::api;

use super::*;
pub(crate) use crate::config::tests::config;
use crate::node::registration::status_patch;

fn machine() -> Machine {
    Machine {
        cpus: 4,
        memory_bytes: 8 << 30,
        storage_bytes: 1_000_003 * 1_024,
        huge_pages: [(2 << 20, 8), (1 << 30, 0)].into(),
        ..Machine::default()
    }
}

fn runtime() -> RuntimeView {
    let ready = |kind: &str| api::RuntimeCondition { r#type: kind.into(), status: true, ..Default::default() };
    RuntimeView {
        status: api::StatusResponse {
            status: Some(api::RuntimeStatus { conditions: vec![ready("RuntimeReady"), ready("NetworkReady")] }),
            ..Default::default()
        },
        ..RuntimeView::default()
    }
}

fn compute(runtime: Result<&RuntimeView, &str>, pressure: Pressure, before: &[NodeCondition], now: i64) -> NodeStatus {
    status(&Observed {
        config: &config(),
        machine: &machine(),
        server_port: 10_250,
        runtime,
        pressure,
        unhealthy: &[],
        volumes_in_use: &[],
        conditions: before,
        now: Timestamp::from_second(now).unwrap(),
    })
}

fn words(status: &NodeStatus, type_: &str) -> (String, String, String) {
    let found = status.conditions.iter().flatten().find(|condition| condition.type_ == type_).unwrap().clone();
    (found.status, found.reason.unwrap(), found.message.unwrap())
}

#[track_caller]
fn check_ready(runtime: Result<&RuntimeView, &str>, message: &str) {
    let status = compute(runtime, Pressure::default(), &[], 0);
    let want = ("False".to_owned(), "KubeletNotReady".to_owned(), message.to_owned());
    assert_eq!(words(&status, "Ready"), want);
}

#[test]
fn a_ready_runtime_makes_a_ready_node() {
    let status = compute(Ok(&runtime()), Pressure::default(), &[], 0);
    let (status, reason, message) = words(&status, "Ready");
    assert_eq!((&*status, &*reason, &*message), ("True", "KubeletReady", "kubelet is posting ready status"));
}

#[test]
fn what_the_runtime_lacks_is_told_in_upstreams_words() {
    let mut view = runtime();
    let conditions = &mut view.status.status.as_mut().unwrap().conditions;
    conditions[1].status = false;
    conditions[1].reason = "NetworkPluginNotReady".into();
    conditions[1].message = "Network plugin returns error: cni plugin not initialized".into();
    let network = "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady \
                   message:Network plugin returns error: cni plugin not initialized";
    check_ready(Ok(&view), network);
    view.status.status.as_mut().unwrap().conditions[0].status = false;
    let both = format!("[container runtime not ready: RuntimeReady=false reason: message:, {network}]");
    check_ready(Ok(&view), &both);
    check_ready(Err("connection refused"), "container runtime is down");
}

#[test]
fn pressure_shows_in_its_condition() {
    let status = compute(Ok(&runtime()), Pressure { disk: true, ..Pressure::default() }, &[], 0);
    assert_eq!(words(&status, "DiskPressure").1, "KubeletHasDiskPressure");
    assert_eq!(words(&status, "MemoryPressure").2, "kubelet has sufficient memory available");
    assert_eq!(words(&status, "PIDPressure").0, "False");
}

#[test]
fn a_transition_is_dated_once() {
    let first = compute(Ok(&runtime()), Pressure::default(), &[], 100);
    let later = compute(Ok(&runtime()), Pressure::default(), first.conditions.as_ref().unwrap(), 200);
    let ready = later.conditions.as_ref().unwrap().last().unwrap();
    assert_eq!(ready.last_transition_time, Some(Time(Timestamp::from_second(100).unwrap())));
    assert_eq!(ready.last_heartbeat_time, Some(Time(Timestamp::from_second(200).unwrap())));
    assert!(!has_changed(&first, &later));
    assert!(has_changed(&first, &compute(Err("down"), Pressure::default(), &[], 200)));
}

#[test]
fn resources_are_what_the_machine_has_less_what_eviction_defends() {
    let text = |map: BTreeMap<String, Text>| {
        map.into_iter().map(|(key, value)| format!("{key}={}", value.0)).collect::<Vec<_>>()
    };
    let want =
        ["cpu=4", "ephemeral-storage=1000003Ki", "hugepages-1Gi=0", "hugepages-2Mi=16Mi", "memory=8Gi", "pods=110"];
    assert_eq!(text(capacity(&config(), &machine())), want);
    let want =
        ["cpu=4", "ephemeral-storage=921602765", "hugepages-1Gi=0", "hugepages-2Mi=16Mi", "memory=8076Mi", "pods=110"];
    assert_eq!(text(allocatable(&config(), &machine())), want);
}

#[test]
fn the_largest_images_come_first() {
    let mut view = runtime();
    view.images = (0..60)
        .map(|size| api::Image {
            id: format!("i{size}"),
            size,
            repo_tags: vec![format!("t:{size}")],
            ..Default::default()
        })
        .collect();
    let images = compute(Ok(&view), Pressure::default(), &[], 0).images.unwrap();
    assert_eq!((images.len(), images[0].size_bytes, images[49].size_bytes), (50, Some(59), Some(10)));
}

/// A resource that a client had added to the node's capacity never became one that pods can ask for.
#[test]
fn what_others_add_to_the_capacity_can_be_asked_for_and_goes_with_it() {
    let amount = |text: &str| Text(text.to_owned());
    let own = compute(Ok(&runtime()), Pressure::default(), &[], 0);
    let mut served = own.clone();
    served.capacity.as_mut().unwrap().insert("example.com/foo".to_owned(), amount("5"));
    served.capacity.as_mut().unwrap().insert("cpu".to_owned(), amount("64"));
    let mut status = own.clone();
    keep_added(&mut status, &served);
    assert_eq!(status.capacity.as_ref().unwrap()["example.com/foo"], amount("5"));
    assert_eq!(status.allocatable.as_ref().unwrap()["example.com/foo"], amount("5"));
    assert!(has_changed(&served, &status));
    let patch = status_patch(&status, &served);
    assert_eq!(patch["status"]["capacity"], serde_json::json!({"cpu": "4"}));
    assert_eq!(patch["status"]["allocatable"], serde_json::json!({"example.com/foo": "5"}));

    // Gone from the capacity, it goes from there, too.
    let mut status = own.clone();
    served.allocatable = own.allocatable.clone();
    served.capacity = own.capacity.clone();
    served.allocatable.as_mut().unwrap().insert("example.com/foo".to_owned(), amount("5"));
    keep_added(&mut status, &served);
    assert!(has_changed(&served, &status));
    let patch = status_patch(&status, &served);
    assert_eq!(patch["status"]["allocatable"], serde_json::json!({"example.com/foo": null}));
    assert_eq!(patch["status"]["capacity"], serde_json::json!({}));
}
