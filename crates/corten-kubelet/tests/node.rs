//! The node object against a real API server in memory and a scripted runtime.

use std::{net::IpAddr, sync::Arc, time::Duration};

use corten_api::{
    coordination::v1::Lease,
    core::v1::{Node as NodeObject, Taint},
};
use corten_apimachinery::{gvk::GroupVersionResource, stored::Stored};
use corten_base::{Shutdown, ShutdownTrigger, TaskSet};
use corten_client::{
    Api, PatchKind,
    api::{decode, encode, resource_of},
    events::{EventQueue, Recorder},
};
use corten_cri::fake::FakeCri;
use corten_kubelet::{
    Config,
    log_rotation::LogRotation,
    node::{Node, status::Pressure},
};
use corten_testkit::{Cluster, user};

fn config() -> Config {
    Config {
        node_name: "n1".into(),
        hostname: "host1".into(),
        node_ips: vec![IpAddr::from([192, 0, 2, 7])],
        root: "/nowhere/kubelet".into(),
        pod_logs: "/nowhere/pods".into(),
        static_pods: None,
        cluster_dns: Vec::new(),
        cluster_domain: "cluster.local".into(),
        resolv_conf: "/etc/resolv.conf".into(),
        cgroup_root: "corten".into(),
        node_labels: vec![("zone".into(), "a".into())],
        pod_cidr: None,
        max_pods: 110,
        server_address: IpAddr::from([0, 0, 0, 0]),
        server_port: 10_250,
        healthz: None,
        node_status_update: Duration::from_secs(10),
        node_status_report: Duration::from_secs(300),
        lease_duration: Duration::from_secs(40),
        cpu_cfs_quota: true,
        allowed_unsafe_sysctls: Vec::new(),
        log_rotation: LogRotation::default(),
        register_with_taints: Vec::new(),
    }
}

/// One kubelet's node in one cluster.
struct Fixture {
    cluster: Cluster,
    fake: FakeCri,
    node: Node,
    events: EventQueue,
    tasks: TaskSet,
    stop: ShutdownTrigger,
}

impl Fixture {
    async fn start() -> Self {
        let cluster = Cluster::start().await;
        Self::start_in(cluster).await
    }

    async fn start_in(cluster: Cluster) -> Self {
        Self::start_with(cluster, config()).await
    }

    async fn start_with(cluster: Cluster, config: Config) -> Self {
        let fake = FakeCri::new(cluster.shared_clock());
        let (recorder, events) = Recorder::new("kubelet", "n1", cluster.shared_clock());
        let client = cluster.client(user("system:node:n1", &["system:nodes", "system:authenticated"]));
        let node = Node::build(
            config,
            fake.cri(),
            client.with_field_manager("kubelet"),
            recorder,
            cluster.shared_clock(),
            cluster.rng(),
            10_250,
        )
        .unwrap();
        let (stop, shutdown) = Shutdown::new();
        let tasks = TaskSet::new("test");
        let running = node.clone();
        tasks.spawn("node", async move { running.run(shutdown).await.unwrap() });
        Self { cluster, fake, node, events, tasks, stop }
    }

    /// Waits until the API's node is as wanted.
    async fn wait(&self, wanted: impl Fn(&NodeObject) -> bool) -> NodeObject {
        let decoded =
            |objects: &[Arc<Stored>]| -> Option<NodeObject> { objects.first().map(|one| decode(one).unwrap()) };
        let nodes = resource_of::<NodeObject>();
        let found = self.cluster.wait_for(&nodes, |all| decoded(all).is_some_and(|node| wanted(&node))).await;
        decoded(&found).unwrap()
    }

    async fn event(&mut self, reason: &str) -> String {
        loop {
            let event = self.events.next().await.unwrap();
            if event.reason == reason {
                return event.message;
            }
        }
    }

    async fn stop(self) {
        self.stop.request();
        self.tasks.join().await.unwrap();
        drop(self.node);
        self.cluster.stop().await;
    }
}

fn is_ready(node: &NodeObject) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
    conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

#[tokio::test]
async fn a_node_registers_and_is_ready_before_time_moves() {
    let mut fixture = Fixture::start().await;
    fixture.node.ready().await;
    let node = fixture.wait(is_ready).await;
    let labels = node.metadata.labels.unwrap();
    assert_eq!(labels["kubernetes.io/hostname"], "host1");
    assert_eq!((labels["beta.kubernetes.io/os"].as_str(), labels["zone"].as_str()), ("linux", "a"));
    let status = node.status.unwrap();
    let addresses: Vec<_> = status.addresses.unwrap().into_iter().map(|one| (one.type_, one.address)).collect();
    assert_eq!(addresses, [("InternalIP".into(), "192.0.2.7".into()), ("Hostname".into(), "host1".into())]);
    assert_eq!(status.daemon_endpoints.unwrap().kubelet_endpoint.unwrap().port, 10_250);
    assert!(status.node_info.unwrap().kubelet_version.starts_with("v1.35."));
    assert_eq!(fixture.event("Starting").await, "Starting kubelet.");
    assert_eq!(fixture.event("NodeReady").await, "Node n1 status is now: NodeReady");
    fixture.stop().await;
}

#[tokio::test]
async fn the_pod_address_range_reaches_the_runtime() {
    let fixture = Fixture::start().await;
    fixture.node.ready().await;
    let api: Api<NodeObject> = Api::all(&fixture.cluster.admin());
    let cidr = "10.1.0.0/24";
    let patch = serde_json::json!({"spec": {"podCIDR": cidr, "podCIDRs": [cidr]}});
    api.patch("n1", PatchKind::Merge, encode(&patch).unwrap()).await.unwrap();
    let mut object = fixture.node.object();
    object
        .wait_for(|node| node.as_ref().is_some_and(|node| node.spec.as_ref().unwrap().pod_cidr.is_some()))
        .await
        .unwrap();
    // The next report comes after the runtime was told.
    fixture.node.set_pressure(Pressure { pids: true, ..Pressure::default() });
    fixture.wait(|node| condition(node, "PIDPressure").0 == "True").await;
    let calls = fixture.fake.take_calls();
    assert!(calls.iter().any(|call| call.contains("update_runtime_config")), "{calls:?}");
    fixture.stop().await;
}

fn condition(node: &NodeObject, kind: &str) -> (String, String) {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
    let found = conditions.into_iter().find(|condition| condition.type_ == kind).unwrap();
    (found.status, found.message.unwrap_or_default())
}

#[tokio::test]
async fn an_unhealthy_part_makes_the_node_not_ready_and_back() {
    let mut fixture = Fixture::start().await;
    fixture.node.ready().await;
    fixture.node.set_health("pleg", Some("PLEG is not healthy: pleg was last seen active 3m1s ago".into()));
    let node = fixture.wait(|node| !is_ready(node)).await;
    assert_eq!(condition(&node, "Ready").1, "PLEG is not healthy: pleg was last seen active 3m1s ago");
    fixture.event("NodeNotReady").await;
    fixture.node.set_health("pleg", None);
    fixture.wait(is_ready).await;
    fixture.event("NodeReady").await;
    fixture.stop().await;
}

#[tokio::test]
async fn a_network_that_comes_later_is_seen_within_a_tenth_of_a_second() {
    let cluster = Cluster::start().await;
    let fixture = Fixture::start_in(cluster).await;
    fixture.fake.set_condition("NetworkReady", false, "NetworkPluginNotReady", "not yet");
    // Whether the first look saw it or not: some look does.
    fixture.node.set_volumes_in_use(vec!["v".into()]);
    fixture.wait(|node| !is_ready(node) && condition(node, "Ready").1.contains("NetworkPluginNotReady")).await;
    fixture.fake.set_condition("NetworkReady", true, "", "");
    while !*fixture.node.ready_now().borrow() {
        fixture.cluster.clock().advance(Duration::from_millis(100));
        tokio::task::yield_now().await;
    }
    fixture.wait(is_ready).await;
    fixture.stop().await;
}

#[tokio::test]
async fn the_lease_belongs_to_the_node_and_is_renewed() {
    let fixture = Fixture::start().await;
    fixture.node.ready().await;
    let leases: GroupVersionResource = resource_of::<Lease>();
    let found = fixture.cluster.wait_for(&leases, |all| all.iter().any(|lease| lease.name == "n1")).await;
    let of = |all: &[Arc<Stored>]| -> Lease {
        decode(all.iter().find(|lease: &&Arc<Stored>| lease.name == "n1").unwrap()).unwrap()
    };
    let lease = of(&found);
    let node = fixture.wait(|_| true).await;
    let owner = &lease.metadata.owner_references.as_ref().unwrap()[0];
    assert_eq!((owner.kind.as_str(), Some(&owner.uid)), ("Node", node.metadata.uid.as_ref()));
    let spec = lease.spec.unwrap();
    assert_eq!((spec.holder_identity.as_deref(), spec.lease_duration_seconds), (Some("n1"), Some(40)));
    let first = spec.renew_time.unwrap();
    fixture.cluster.clock().advance(Duration::from_secs(11));
    let renewed = |all: &[Arc<Stored>]| of(all).spec.unwrap().renew_time.unwrap() > first;
    fixture.cluster.wait_for(&leases, renewed).await;
    fixture.stop().await;
}

#[tokio::test]
async fn a_node_that_exists_is_taken_over_with_what_others_gave_it() {
    let cluster = Cluster::start().await;
    let nodes = resource_of::<NodeObject>();
    let existing = serde_json::json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": "n1", "labels": {"mine": "yes", "kubernetes.io/hostname": "old"}},
    });
    cluster.create(&nodes, existing).await;
    let fixture = Fixture::start_in(cluster).await;
    fixture.node.ready().await;
    let node = fixture.wait(is_ready).await;
    let labels = node.metadata.labels.unwrap();
    assert_eq!((labels["mine"].as_str(), labels["kubernetes.io/hostname"].as_str()), ("yes", "host1"));
    fixture.stop().await;
}

#[tokio::test]
async fn an_unchanged_status_is_written_only_when_the_report_is_due() {
    let fixture = Fixture::start().await;
    fixture.node.ready().await;
    let before = fixture.wait(is_ready).await.metadata.resource_version;
    for _ in 0..3 {
        fixture.cluster.clock().advance(Duration::from_secs(10));
        tokio::task::yield_now().await;
    }
    assert_eq!(fixture.wait(is_ready).await.metadata.resource_version, before);
    fixture.cluster.clock().advance(Duration::from_secs(300));
    fixture.wait(|node| node.metadata.resource_version != before).await;
    fixture.stop().await;
}

#[tokio::test]
async fn a_node_that_is_deleted_comes_back_with_its_lease() {
    let fixture = Fixture::start().await;
    fixture.node.ready().await;
    let first = fixture.wait(is_ready).await.metadata.uid;
    let leases: GroupVersionResource = resource_of::<Lease>();
    fixture.cluster.wait_for(&leases, |all| all.iter().any(|lease| lease.name == "n1")).await;
    let nodes = resource_of::<NodeObject>();
    let nothing = corten_apimachinery::value::Value::Null;
    fixture.cluster.admin().delete(corten_client::Target::object(&nodes, "", "n1"), nothing).await.unwrap();
    let second = fixture.wait(|node| is_ready(node) && node.metadata.uid != first).await.metadata.uid;
    fixture.cluster.clock().advance(Duration::from_secs(11));
    let owner = |all: &[Arc<Stored>]| -> Option<String> {
        let lease = all.iter().find(|lease| lease.name == "n1")?;
        let lease: Lease = decode(lease).unwrap();
        lease.metadata.owner_references?.first().map(|owner| owner.uid.clone())
    };
    fixture.cluster.wait_for(&leases, |all| owner(all) == second).await;
    fixture.stop().await;
}

#[tokio::test]
async fn a_node_is_made_with_its_taints_and_keeps_those_of_an_administrator() {
    let taint = |key: &str| Taint { key: key.into(), effect: "NoSchedule".into(), ..Taint::default() };
    let has = |node: &NodeObject, key: &str| {
        let taints = node.spec.as_ref().and_then(|spec| spec.taints.clone()).unwrap_or_default();
        taints.iter().any(|one| one.key == key && one.effect == "NoSchedule")
    };
    let tainted = |key: &str| Config { register_with_taints: vec![taint(key)], ..config() };
    let fixture = Fixture::start_with(Cluster::start().await, tainted("dedicated")).await;
    fixture.wait(|node| has(node, "dedicated")).await;
    fixture.stop.request();
    fixture.tasks.join().await.unwrap();
    // Upstream: taints count when the object is made.
    let again = Fixture::start_with(fixture.cluster, tainted("later")).await;
    let node = again.wait(is_ready).await;
    assert!(has(&node, "dedicated") && !has(&node, "later"));
    again.stop().await;
}

/// Each restart told people that a node had become ready which had been so all the time.
#[tokio::test]
async fn a_restart_beside_a_ready_node_is_no_news_of_its_readiness() {
    let mut fixture = Fixture::start().await;
    fixture.node.ready().await;
    fixture.event("NodeReady").await;
    fixture.wait(is_ready).await;
    fixture.stop.request();
    fixture.tasks.join().await.unwrap();
    let mut again = Fixture::start_in(fixture.cluster).await;
    again.node.ready().await;
    again.node.set_health("pleg", Some("gone".into()));
    let mut told = Vec::new();
    while told.last().is_none_or(|reason| reason != "NodeNotReady") {
        told.push(again.events.next().await.unwrap().reason.to_string());
    }
    assert!(!told.contains(&"NodeReady".to_owned()), "{told:?}");
    again.node.set_health("pleg", None);
    again.event("NodeReady").await;
    again.stop().await;
}

/// Once, one of twenty restarts of the kubelet wrote `Ready=False` before its first list of the runtime's pods, and took all
/// pods out of their services for a second.
#[tokio::test]
async fn a_kubelet_that_comes_up_does_not_take_the_readiness_of_its_node() {
    let since = |node: &NodeObject| {
        let conditions = node.status.as_ref().unwrap().conditions.clone().unwrap();
        conditions.into_iter().find(|one| one.type_ == "Ready").unwrap().last_transition_time
    };
    let fixture = Fixture::start().await;
    fixture.node.ready().await;
    let before = fixture.wait(is_ready).await;
    fixture.stop.request();
    fixture.tasks.join().await.unwrap();
    fixture.cluster.clock().advance(Duration::from_secs(5));

    let yet = Some("PLEG is not healthy: pleg has yet to be successful".to_owned());
    let told = Config { pod_cidr: Some("10.1.0.0/24".into()), ..config() };
    let again = Fixture::start_with(fixture.cluster, told).await;
    again.node.set_health("pleg", yet.clone());
    // The first look begins with this call; what follows it takes no time but this thread's.
    let looked = async {
        while !again.fake.take_calls().iter().any(|call| call.contains("update_runtime_config")) {
            tokio::task::yield_now().await;
        }
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
    };
    let clock = corten_base::SystemClock::shared();
    corten_base::timeout(&*clock, Duration::from_secs(20), looked).await.unwrap();
    assert!(!*again.node.ready_now().borrow());
    again.node.set_health("pleg", None);
    again.node.ready().await;
    assert_eq!(since(&again.wait(|_| true).await), since(&before));
    again.stop.request();
    again.tasks.join().await.unwrap();

    // It does not wait for ever.
    let third = Fixture::start_in(again.cluster).await;
    third.node.set_health("pleg", yet);
    let silent = async {
        loop {
            let nodes = third.cluster.list(&resource_of::<NodeObject>()).await;
            if !is_ready(&decode::<NodeObject>(&nodes[0]).unwrap()) {
                return;
            }
            third.cluster.clock().advance(Duration::from_millis(100));
            tokio::task::yield_now().await;
        }
    };
    corten_base::timeout(&*clock, Duration::from_secs(20), silent).await.unwrap();
    third.stop().await;
}
