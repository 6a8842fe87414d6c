use corten_apimachinery::status::{Reason, Status};
use corten_base::{SimClock, SimRng};
use corten_client::WatchEvent;
use corten_informer::testutil::{Incoming, ScriptedServer, object};
use jiff::Timestamp;

use super::*;

fn pod(uid: &str, config_maps: &[&str]) -> Pod {
    let volumes = config_maps.iter().map(|name| serde_json::json!({"name": name, "configMap": {"name": name}}));
    serde_json::from_value(serde_json::json!({
        "metadata": {"name": uid, "namespace": "ns", "uid": uid},
        "spec": {"containers": [], "volumes": volumes.collect::<Vec<_>>()},
    }))
    .unwrap()
}

struct Fixture {
    server: ScriptedServer,
    objects: Arc<ApiObjects>,
    tasks: TaskSet,
    stop: corten_base::ShutdownTrigger,
}

impl Fixture {
    async fn new() -> Self {
        let (mut server, client) = ScriptedServer::new();
        let (stop, shutdown) = Shutdown::new();
        let (tasks, clock) = (TaskSet::new("test"), SimClock::new(Timestamp::UNIX_EPOCH));
        let objects = ApiObjects::new(client, clock, SimRng::shared(1), tasks.clone(), shutdown);
        // The list of services is left unanswered by dropping it: its reflector waits for the clock.
        drop(server.next().await);
        Self { server, objects, tasks, stop }
    }

    async fn next(&mut self) -> Incoming {
        self.server.next().await
    }

    async fn end(self) {
        self.stop.request();
        self.tasks.join().await.unwrap();
    }
}

fn map(name: &str, revision: u64, value: &str) -> Arc<Stored> {
    let json = format!(r#"{{"metadata":{{"name":"{name}","namespace":"ns"}},"data":{{"k":"{value}"}}}}"#);
    object(&format!("ns/{name}"), revision).json(&json).build()
}

#[tokio::test]
async fn one_watch_serves_all_pods_and_a_change_names_them() {
    let mut fixture = Fixture::new().await;
    fixture.objects.register(&pod("a", &["x"]));
    fixture.objects.register(&pod("b", &["x"]));
    let list = fixture.next().await;
    assert_eq!(list.query("fieldSelector"), "metadata.name=x");
    assert_eq!(list.call.namespace, "ns");
    list.list(5, [map("x", 5, "one")]);
    let watch = fixture.next().await.watch();
    let found = fixture.objects.config_map("ns", "x").await.unwrap();
    assert_eq!(found.data.unwrap()["k"], "one");
    assert!(fixture.objects.changes().is_empty(), "the first list is no change");

    watch.send(Ok(WatchEvent::Modified(map("x", 6, "two")))).unwrap();
    let mut told = Vec::new();
    for _ in 0..2 {
        let uid = fixture.objects.changes().next().await.unwrap();
        fixture.objects.changes().done(&uid);
        told.push(uid);
    }
    told.sort();
    assert_eq!(told, ["a", "b"]);
    let found = fixture.objects.config_map("ns", "x").await.unwrap();
    assert_eq!(found.data.unwrap()["k"], "two");

    fixture.objects.unregister("a");
    assert!(!watch.is_closed(), "pod b still refers to it");
    fixture.objects.unregister("b");
    watch.closed().await;
    fixture.end().await;
}

#[tokio::test]
async fn what_nobody_registered_is_read_from_the_server() {
    let mut fixture = Fixture::new().await;
    let objects = Arc::clone(&fixture.objects);
    let (read, _) = tokio::join!(objects.secret("ns", "s"), async {
        let call = fixture.next().await;
        call.fail(Status::new(Reason::NotFound, "secrets \"s\" not found"));
    });
    let error = read.unwrap_err();
    assert_eq!(error.to_string(), "secret \"s\" not found");
    assert!(error.is_not_found());
    fixture.end().await;
}

#[test]
fn references_are_found_in_volumes_and_in_the_environment() {
    let pod: Pod = serde_json::from_value(serde_json::json!({
        "metadata": {"name": "p", "namespace": "ns"},
        "spec": {
            "imagePullSecrets": [{"name": "pull"}],
            "initContainers": [{"name": "i", "envFrom": [{"configMapRef": {"name": "m1"}}]}],
            "containers": [{"name": "c", "env": [
                {"name": "A", "valueFrom": {"secretKeyRef": {"name": "s1", "key": "k"}}},
                {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "m2", "key": "k"}}},
            ]}],
            "volumes": [
                {"name": "v", "secret": {"secretName": "s2"}},
                {"name": "w", "projected": {"sources": [{"configMap": {"name": "m3"}}, {"secret": {"name": "s3"}}]}},
            ],
        },
    }))
    .unwrap();
    let found: Vec<String> =
        references::of_pod(&pod).into_iter().map(|one| format!("{}/{}", one.kind.word(), one.name)).collect();
    assert_eq!(found, ["configmap/m1", "configmap/m2", "configmap/m3", "secret/s1", "secret/s2", "secret/s3"]);
}

/// Each name had a watch of its own, which the server was asked for and woke at every change.
#[tokio::test]
async fn of_ten_thousand_names_a_few_are_followed_and_the_rest_is_read() {
    let mut fixture = Fixture::new().await;
    let names: Vec<String> = (0..10_000).map(|number| format!("m{number:05}")).collect();
    let mut many = pod("a", &names.iter().map(String::as_str).collect::<Vec<_>>());
    let pull = names.iter().map(|name| serde_json::json!({"name": name}));
    many.spec.as_mut().unwrap().image_pull_secrets =
        Some(pull.map(|secret| serde_json::from_value(secret).unwrap()).collect());
    fixture.objects.register(&many);
    let mut followed = BTreeSet::new();
    for _ in 0..references::FOLLOWED_MAX {
        followed.insert(fixture.next().await.query("fieldSelector").to_owned());
    }
    let want = names[..references::FOLLOWED_MAX].iter().map(|name| format!("metadata.name={name}"));
    assert_eq!(followed, want.collect());
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert!(fixture.server.try_next().is_none(), "nothing else is followed");
    let objects = Arc::clone(&fixture.objects);
    let (read, ()) = tokio::join!(objects.config_map("ns", "m09999"), async {
        fixture.next().await.object(map("m09999", 5, "one"));
    });
    assert_eq!(read.unwrap().data.unwrap()["k"], "one");
    fixture.end().await;
}
