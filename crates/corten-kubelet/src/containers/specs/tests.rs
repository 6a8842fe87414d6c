use corten_base::{Shutdown, ShutdownTrigger, SimClock, SimRng, TaskSet};
use corten_informer::testutil::{ScriptedServer, object};
use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::interfaces::{ImageRef, MountedVolume, MountedVolumes, containers_of};

struct Fixture {
    root: tempfile::TempDir,
    specs: Arc<Specs>,
    tasks: TaskSet,
    stop: ShutdownTrigger,
    server: ScriptedServer,
}

impl Fixture {
    async fn new() -> Self {
        let (mut server, client) = ScriptedServer::new();
        let (stop, shutdown) = Shutdown::new();
        let tasks = TaskSet::new("test");
        let clock: corten_base::SharedClock = SimClock::new(Timestamp::UNIX_EPOCH);
        let objects = ApiObjects::new(client, Arc::clone(&clock), SimRng::shared(1), tasks.clone(), shutdown);
        let service = r#"{"metadata":{"name":"kubernetes","namespace":"default"},
            "spec":{"clusterIP":"10.0.0.1","ports":[{"name":"https","port":443}]}}"#;
        server.next().await.list(3, [object("default/kubernetes", 3).json(service).build()]);
        let root = tempfile::tempdir().unwrap();
        let (recorder, _) = Recorder::new("kubelet", "n", clock);
        let resolv_conf = root.path().join("resolv.conf");
        fs::write(&resolv_conf, "nameserver 9.9.9.9\nsearch example.org\n").unwrap();
        let config = Config {
            node_name: "n".to_owned(),
            node_ips: vec!["192.0.2.1".parse().unwrap()],
            root: root.path().join("kubelet"),
            pod_logs: root.path().join("logs"),
            cluster_dns: vec!["10.0.0.10".parse().unwrap()],
            resolv_conf,
            ..crate::config::tests::config()
        };
        let specs = Specs::new(SpecsParts {
            layout: Layout::new(&config.root),
            config: Arc::new(config),
            objects,
            node: Arc::new(NodeFacts { ips: vec!["192.0.2.1".parse().unwrap()], ..NodeFacts::default() }),
            limits: NodeLimits { memory_bytes: 8 << 30, cpu_quota: true, unified_cgroups: false },
            mounter: Arc::new(crate::volumes::SystemMounter),
            recorder,
            rng: SimRng::shared(2),
        });
        fs::create_dir_all(root.path().join("kubelet/pods/u")).unwrap();
        Self { root, specs, tasks, stop, server }
    }

    async fn end(self) {
        self.stop.request();
        self.tasks.join().await.unwrap();
    }
}

fn pod() -> SharedPod {
    Arc::new(
        serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "ns", "uid": "u"},
            "spec": {
                "terminationGracePeriodSeconds": 30,
                "volumes": [{"name": "v", "emptyDir": {}}],
                "containers": [{
                    "name": "c", "image": "example/image:1",
                    "command": ["run", "$(WHO)"], "args": ["$(NOBODY)", "$$(WHO)"],
                    "env": [
                        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                        {"name": "WHO", "value": "$(IP)@$(KUBERNETES_SERVICE_HOST)"},
                    ],
                    "volumeMounts": [{"name": "v", "mountPath": "/data", "readOnly": true}],
                    "terminationMessagePath": "/dev/termination-log",
                    "terminationMessagePolicy": "File",
                    "resources": {"limits": {"memory": "64Mi"}},
                }],
            },
        }))
        .unwrap(),
    )
}

#[tokio::test]
async fn a_container_is_formed_as_upstream_forms_it() {
    let fixture = Fixture::new().await;
    let pod = pod();
    let container = containers_of(&pod).remove(0);
    let image =
        ImageRef { id: "sha256:1".to_owned(), repo_digest: String::new(), uid: Some(7), username: String::new() };
    let volume = MountedVolume { host_path: "/host/v".into(), read_only: false };
    let volumes = MountedVolumes { by_name: BTreeMap::from([("v".to_owned(), volume)]) };
    let request = ContainerRequest {
        pod: &pod,
        container: &container,
        attempt: 3,
        image: &image,
        volumes: &volumes,
        pod_ips: &["10.1.0.2".parse().unwrap()],
        target_id: None,
    };
    let config = fixture.specs.container(request).await.unwrap();
    assert_eq!(config.command, ["run", "10.1.0.2@10.0.0.1"]);
    assert_eq!(config.args, ["$(NOBODY)", "$(WHO)"]);
    assert_eq!(config.log_path, "c/3.log");
    assert!(fixture.root.path().join("logs/ns_p_u/c").is_dir());
    assert_eq!(config.labels[labels::CONTAINER_NAME], "c");
    assert_eq!(config.annotations[labels::RESTART_COUNT], "3");
    assert_eq!(config.annotations[labels::CONTAINER_HASH], fixture.specs.hash(&container));
    assert_eq!(config.annotations[labels::TERMINATION_GRACE_PERIOD], "30");
    let value = |name: &str| config.envs.iter().find(|pair| pair.key == name).map(|pair| pair.value.as_str());
    assert_eq!(value("KUBERNETES_SERVICE_PORT_HTTPS"), Some("443"));
    assert_eq!(value("IP"), Some("10.1.0.2"));
    let paths: Vec<&str> = config.mounts.iter().map(|mount| mount.container_path.as_str()).collect();
    assert_eq!(paths, ["/data", "/etc/hosts", "/dev/termination-log"]);
    assert!(config.mounts[0].readonly);
    let hosts = fs::read_to_string(&config.mounts[1].host_path).unwrap();
    assert!(hosts.ends_with("10.1.0.2\tp\n"), "{hosts}");
    let words = fs::metadata(&config.mounts[2].host_path).unwrap();
    assert_eq!(words.permissions().mode() & 0o777, 0o666);
    let linux = config.linux.unwrap();
    assert_eq!(linux.resources.unwrap().memory_limit_in_bytes, 64 << 20);
    assert_eq!(linux.security_context.unwrap().run_as_user.unwrap().value, 7);
    fixture.end().await;
}

#[tokio::test]
async fn a_sandbox_asks_the_clusters_name_servers() {
    let fixture = Fixture::new().await;
    let config = fixture.specs.sandbox(&pod(), 0).await.unwrap();
    let dns = config.dns_config.unwrap();
    assert_eq!(dns.servers, ["10.0.0.10"]);
    assert_eq!(dns.searches, ["ns.svc.cluster.local", "svc.cluster.local", "cluster.local", "example.org"]);
    assert_eq!(dns.options, ["ndots:5"]);
    assert_eq!(config.log_directory, fixture.root.path().join("logs/ns_p_u").display().to_string());
    fixture.end().await;
}

async fn form_of(specs: &Specs, container: serde_json::Value) -> Result<api::ContainerConfig, Failure> {
    form_with(specs, container, &MountedVolumes::default()).await
}

async fn form_with(
    specs: &Specs,
    container: serde_json::Value,
    volumes: &MountedVolumes,
) -> Result<api::ContainerConfig, Failure> {
    let mut container = container;
    container["name"] = json!("c");
    let pod = json!({"metadata": {"name": "p", "namespace": "ns", "uid": "u"}, "spec": {"containers": [container]}});
    let pod: SharedPod = Arc::new(serde_json::from_value(pod).unwrap());
    let container = containers_of(&pod).remove(0);
    let image = ImageRef { id: "i".to_owned(), repo_digest: String::new(), uid: None, username: String::new() };
    let request = ContainerRequest {
        pod: &pod,
        container: &container,
        attempt: 0,
        image: &image,
        volumes,
        pod_ips: &[],
        target_id: None,
    };
    specs.container(request).await
}

/// Each variable was twice as long as the one before: forty of them asked for ten terabytes, and the process ended.
#[tokio::test]
async fn variables_that_grow_without_end_are_refused() {
    let fixture = Fixture::new().await;
    let doubled = |number: usize| match number {
        0 => json!({"name": "A0", "value": "xxxxxxxxxx"}),
        _ => json!({"name": format!("A{number}"), "value": format!("$(A{0})$(A{0})", number - 1)}),
    };
    let env: Vec<_> = (0..40).map(doubled).collect();
    let refused = form_of(&fixture.specs, json!({"env": env})).await.unwrap_err();
    assert_eq!(refused.reason, "CreateContainerConfigError");
    assert!(refused.message.contains("131072 bytes"), "{refused}");
    let one_name: Vec<_> = (0..40).map(|_| json!({"name": "A", "value": "$(A)$(A)xxxxxxxxxx"})).collect();
    assert!(form_of(&fixture.specs, json!({"env": one_name})).await.is_err());
    let few: Vec<_> = (0..10).map(doubled).collect();
    assert_eq!(form_of(&fixture.specs, json!({"env": few})).await.unwrap().envs.len(), 18);
    let words = vec!["$(A)"; 100_000];
    let long = json!([{"name": "A", "value": "x".repeat(100_000)}]);
    assert!(form_of(&fixture.specs, json!({"env": long, "args": words})).await.is_err());
    fixture.end().await;
}

/// Answers the read of the object `m`.
async fn answer(server: &mut ScriptedServer, object: Arc<corten_apimachinery::stored::Stored>) {
    loop {
        let call = server.next().await;
        if call.call.name == "m" {
            return call.object(object);
        }
    }
}

/// Each reference decoded the whole object and copied its value, and nobody counted: 30 GB.
#[tokio::test]
async fn an_object_is_read_once_however_many_variables_name_it() {
    let mut fixture = Fixture::new().await;
    let data = json!({"k": "v", "long": "x".repeat(900_000)});
    let map = json!({"metadata": {"name": "m", "namespace": "ns"}, "data": data}).to_string();
    let map = || object("ns/m", 5).json(&map).build();
    let key = |number: usize| {
        let from = json!({"configMapKeyRef": {"name": "m", "key": "k"}});
        json!({"name": format!("A{number}"), "valueFrom": from})
    };
    let env: Vec<_> = (0..20_000).map(key).collect();
    let asked = answer(&mut fixture.server, map());
    let (formed, ()) = tokio::join!(form_of(&fixture.specs, json!({"env": env})), asked);
    assert!(formed.unwrap().envs.len() > 20_000);
    while let Some(call) = fixture.server.try_next() {
        assert_ne!(call.call.name, "m", "asked twice");
    }

    let from = |number: usize| json!({"prefix": format!("P{number}_"), "configMapRef": {"name": "m"}});
    let env_from: Vec<_> = (0..20_000).map(from).collect();
    let asked = answer(&mut fixture.server, map());
    let (formed, ()) = tokio::join!(form_of(&fixture.specs, json!({"envFrom": env_from})), asked);
    let refused = formed.unwrap_err();
    assert!(refused.message.contains("6291456 bytes together"), "{refused}");
    fixture.end().await;
}

/// Each variable read and searched the whole file.
#[tokio::test]
async fn a_file_is_read_once_however_many_variables_it_has() {
    let fixture = Fixture::new().await;
    let text: String = (0..60_000).map(|number| format!("B{number}=1\n")).collect();
    fs::write(fixture.root.path().join("variables"), text + "A=last\n").unwrap();
    let volume = MountedVolume { host_path: fixture.root.path().to_owned(), read_only: false };
    let volumes = MountedVolumes { by_name: BTreeMap::from([("v".to_owned(), volume)]) };
    let key = |number: usize| {
        let from = json!({"fileKeyRef": {"volumeName": "v", "path": "variables", "key": "A"}});
        json!({"name": format!("C{number}"), "valueFrom": from})
    };
    let env: Vec<_> = (0..20_000).map(key).collect();
    let formed = form_with(&fixture.specs, json!({"env": env}), &volumes).await.unwrap();
    assert_eq!(formed.envs.iter().filter(|variable| variable.value == "last").count(), 20_000);
    fixture.end().await;
}
