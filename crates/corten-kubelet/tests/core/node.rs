//! A node of a cluster in memory, with a kubelet that the test can stop and start.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use corten_api::core::v1::{ContainerStatus, Pod};
use corten_apimachinery::gvk::GroupVersionResource;
use corten_base::{Clock as _, Shutdown, ShutdownTrigger, TaskSet};
use corten_client::{
    Target,
    api::decode,
    events::{EventQueue, Recorder},
};
use corten_cri::fake::FakeCri;
use corten_kubelet::{
    Config, Deps, Kubelet,
    interfaces::{Pods, ProbeKind, ProbeOutcome},
    log_rotation::LogRotation,
    pod_workers::sysctls::Allowlist,
};
use corten_testkit::{Cluster, tree, user};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::fakes::{Fakes, Holdings, HookCalls, Probes, Pulls, Specs};

pub(crate) struct Node {
    pub(crate) cluster: Cluster,
    pub(crate) cri: FakeCri,
    pub(crate) fakes: Fakes,
    pub(crate) root: tempfile::TempDir,
    running: Option<Running>,
}

struct Running {
    trigger: ShutdownTrigger,
    tasks: TaskSet,
    events: EventQueue,
    outcomes: mpsc::Sender<ProbeOutcome>,
    pods: Arc<dyn Pods>,
}

pub(crate) fn pods() -> GroupVersionResource {
    GroupVersionResource::new("", "v1", "pods")
}

fn config(root: &Path) -> Config {
    Config {
        node_name: "n1".to_owned(),
        hostname: "n1".to_owned(),
        node_ips: vec![IpAddr::from([192, 0, 2, 1])],
        root: root.join("kubelet"),
        pod_logs: root.join("pods"),
        static_pods: None,
        cluster_dns: Vec::new(),
        cluster_domain: "cluster.local".to_owned(),
        resolv_conf: PathBuf::from("/nowhere"),
        cgroup_root: "corten".to_owned(),
        node_labels: Vec::new(),
        pod_cidr: None,
        max_pods: 110,
        server_address: IpAddr::from([127, 0, 0, 1]),
        server_port: 0,
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

impl Node {
    /// A cluster with one node, whose kubelet runs.
    pub(crate) async fn start() -> Self {
        let mut node = Self::stopped().await;
        node.boot();
        node
    }

    /// A cluster with one node, whose kubelet does not run.
    pub(crate) async fn stopped() -> Self {
        // Shown with a test that fails; another test of the process may have set it.
        let _ = tracing_subscriber::fmt()
            .with_test_writer()
            .with_max_level(tracing_subscriber::filter::LevelFilter::DEBUG)
            .try_init();
        let cluster = Cluster::start().await;
        let resources = json!({"cpu": "4", "memory": "8Gi", "pods": "110"});
        let object = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1", "labels": {"disk": "ssd"}},
            "status": {"capacity": resources, "allocatable": resources}});
        let nodes = GroupVersionResource::new("", "v1", "nodes");
        cluster.create(&nodes, object).await;
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": "default", "namespace": "default"}});
        cluster.create(&GroupVersionResource::new("", "v1", "serviceaccounts"), account).await;
        let cri = FakeCri::new(cluster.shared_clock());
        let fakes = Fakes { holdings: Arc::default(), hooks: Arc::default(), probes: Arc::default() };
        let root = tempfile::tempdir().unwrap();
        Self { cluster, cri, fakes, root, running: None }
    }

    /// Starts the kubelet.
    pub(crate) fn boot(&mut self) {
        assert!(self.running.is_none());
        let (clock, rng) = (self.cluster.shared_clock(), self.cluster.rng());
        let (recorder, events) = Recorder::new("kubelet", "n1", Arc::clone(&clock));
        let (outcomes, probe_results) = mpsc::channel(16);
        let groups = ["system:nodes", "system:authenticated"];
        let Fakes { holdings, hooks, probes } = &self.fakes;
        let (holdings, hooks, probes): (Arc<Holdings>, Arc<HookCalls>, Arc<Probes>) =
            (Arc::clone(holdings), Arc::clone(hooks), Arc::clone(probes));
        let deps = Deps {
            cri: self.cri.cri(),
            client: self.cluster.client(user("system:node:n1", &groups)),
            volumes: Arc::clone(&holdings) as _,
            specs: Arc::new(Specs),
            images: Arc::new(Pulls(self.cri.cri())),
            hooks,
            prober: probes,
            probe_results,
            sysctls: Allowlist::new("6.1.0", &[]).unwrap(),
            cgroups: holdings,
            recorder,
            clock,
            rng,
        };
        let kubelet = Kubelet::build(config(self.root.path()), deps);
        let (trigger, shutdown) = Shutdown::new();
        let (tasks, pods) = (TaskSet::new("test"), kubelet.pods());
        tasks.spawn("kubelet", kubelet.run(shutdown));
        self.running = Some(Running { trigger, tasks, events, outcomes, pods });
    }

    /// Stops the kubelet; the containers go on.
    pub(crate) async fn halt(&mut self) {
        let Running { trigger, tasks, .. } = self.running.take().unwrap();
        trigger.request();
        tasks.join().await.unwrap();
    }

    /// Ends everything.
    pub(crate) async fn stop(mut self) {
        if self.running.is_some() {
            self.halt().await;
        }
        drop(self.fakes);
        self.cluster.stop().await;
    }

    /// Makes a pod that is bound to the node.
    pub(crate) async fn create(&self, name: &str, spec: Value) {
        let mut spec = spec;
        spec["nodeName"] = json!("n1");
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"}, "spec": spec});
        self.cluster.create(&pods(), pod).await;
    }

    /// Waits until `wanted` holds for a pod.
    pub(crate) async fn wait(&self, name: &str, wanted: impl Fn(&Pod) -> bool) -> Pod {
        let find = |items: &[Arc<corten_apimachinery::stored::Stored>]| {
            let found = items.iter().find(|pod| pod.name == name).map(|stored| decode::<Pod>(stored).unwrap());
            found.filter(|pod| wanted(pod))
        };
        let resource = pods();
        let waited = self.cluster.wait_for(&resource, |items| find(items).is_some());
        let found = corten_base::timeout(&*corten_base::SystemClock::shared(), Duration::from_secs(20), waited).await;
        match found {
            Ok(items) => find(&items).unwrap(),
            Err(_) => {
                let items = self.cluster.list(&pods()).await;
                let shown: Vec<_> = items.iter().map(|it| String::from_utf8_lossy(&it.json).into_owned()).collect();
                panic!("waited for {name} in vain: {shown:#?}, calls: {:?}", self.cri.take_calls());
            }
        }
    }

    /// Waits for a phase.
    pub(crate) async fn phase(&self, name: &str, phase: &str) -> Pod {
        self.wait(name, |pod| pod.status.as_ref().unwrap().phase.as_deref() == Some(phase)).await
    }

    /// Waits until a pod is ready.
    pub(crate) async fn ready(&self, name: &str) -> Pod {
        self.wait(name, |pod| condition(pod, "Ready") == "True").await
    }

    /// Waits until the runtime has nothing of a pod.
    pub(crate) async fn cleared(&self, name: &str) {
        let cleared = async {
            while self.cri.sandbox_id("default", name).is_some() {
                tokio::task::yield_now().await;
            }
        };
        let clock = corten_base::SystemClock::shared();
        corten_base::timeout(&*clock, Duration::from_secs(20), cleared).await.expect("the runtime forgets the pod");
    }

    /// Waits until the API has no such pod.
    pub(crate) async fn gone(&self, name: &str) {
        let resource = pods();
        let waited = self.cluster.wait_for(&resource, |items| items.iter().all(|pod| pod.name != name));
        let found = corten_base::timeout(&*corten_base::SystemClock::shared(), Duration::from_secs(20), waited).await;
        if found.is_err() {
            let items = self.cluster.list(&resource).await;
            let shown: Vec<_> = items.iter().map(|it| String::from_utf8_lossy(&it.json).into_owned()).collect();
            panic!("waited for {name} to go in vain: {shown:#?}, calls: {:?}", self.cri.take_calls());
        }
    }

    /// Deletes a pod as people do.
    pub(crate) async fn delete(&self, name: &str, grace_seconds: Option<i64>) {
        let options = match grace_seconds {
            Some(seconds) => tree(&json!({"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": seconds})),
            None => corten_apimachinery::value::Value::Null,
        };
        self.cluster.admin().delete(Target::object(&pods(), "default", name), options).await.unwrap();
    }

    /// Says that a probe has a new result.
    pub(crate) async fn probed(&self, pod: &Pod, container: &str, kind: ProbeKind, success: bool) {
        let id = self.cri.container_id("default", pod.metadata.name.as_deref().unwrap(), container).unwrap();
        self.fakes.probes.results.lock().insert((id.clone(), kind), success);
        let outcome = ProbeOutcome {
            pod_uid: pod.metadata.uid.clone().unwrap(),
            container: container.to_owned(),
            container_id: id,
            kind,
            success,
            message: String::new(),
        };
        self.running.as_ref().unwrap().outcomes.send(outcome).await.unwrap();
    }

    /// The events so far, as `reason: message`.
    pub(crate) fn events(&mut self) -> Vec<String> {
        let queue = &mut self.running.as_mut().unwrap().events;
        std::iter::from_fn(|| queue.try_next()).map(|event| format!("{}: {}", event.reason, event.message)).collect()
    }

    pub(crate) fn view(&self) -> Arc<dyn Pods> {
        Arc::clone(&self.running.as_ref().unwrap().pods)
    }

    /// Lets time pass, in one step.
    pub(crate) fn advance(&self, seconds: u64) {
        self.cluster.clock().advance(Duration::from_secs(seconds));
    }

    /// Lets time pass until `wanted` holds for a pod, one second at a time.
    pub(crate) async fn wait_while_time_passes(
        &self,
        name: &str,
        limit_seconds: u64,
        wanted: impl Fn(&Pod) -> bool,
    ) -> Pod {
        self.until_while_time_passes(name, limit_seconds, |pod| pod.is_some_and(&wanted)).await.expect("it was wanted")
    }

    /// As `wait_while_time_passes`; the API may have no such pod.
    pub(crate) async fn until_while_time_passes(
        &self,
        name: &str,
        limit_seconds: u64,
        wanted: impl Fn(Option<&Pod>) -> bool,
    ) -> Option<Pod> {
        let until = self.cluster.clock().monotonic() + Duration::from_secs(limit_seconds);
        loop {
            for _ in 0..200 {
                tokio::task::yield_now().await;
            }
            // What goes on beside the test's thread takes real time, of which this takes some as well.
            corten_base::blocking::run(&TaskSet::new("test"), "yield", std::thread::yield_now).await.unwrap();
            let items = self.cluster.list(&pods()).await;
            let found = items.iter().find(|pod| pod.name == name).map(|stored| decode::<Pod>(stored).unwrap());
            if wanted(found.as_ref()) {
                return found;
            }
            assert!(self.cluster.clock().monotonic() < until, "waited for {name} in vain");
            self.advance(1);
        }
    }
}

/// The status of a condition; empty if there is none.
pub(crate) fn condition(pod: &Pod, kind: &str) -> String {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    conditions.iter().find(|condition| condition.type_ == kind).map(|it| it.status.clone()).unwrap_or_default()
}

/// The status of a container.
pub(crate) fn container(pod: &Pod, name: &str) -> ContainerStatus {
    let status = pod.status.as_ref().unwrap();
    let lists = [&status.init_container_statuses, &status.container_statuses, &status.ephemeral_container_statuses];
    lists.into_iter().flatten().flatten().find(|it| it.name == name).cloned().unwrap_or_default()
}
