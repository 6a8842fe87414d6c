use std::{fs, path::Path};

use corten_apimachinery::{stored::Stored, value::Value};
use corten_base::{ShutdownTrigger, SimClock, SimRng, TaskSet};
use corten_client::{Answer, Verb, WatchEvent};
use corten_informer::testutil::{Incoming, ScriptedServer, object};
use serde_json::json;

use super::{mounter::fake::FakeMounter, *};

struct Fixture {
    server: ScriptedServer,
    root: tempfile::TempDir,
    mounter: Arc<FakeMounter>,
    manager: Arc<VolumeManager>,
    clock: Arc<SimClock>,
    tasks: TaskSet,
    stop: ShutdownTrigger,
}

impl Fixture {
    async fn new() -> Self {
        let (mut server, client) = ScriptedServer::new();
        let (stop, shutdown) = Shutdown::new();
        let (tasks, clock) = (TaskSet::new("test"), SimClock::new(Timestamp::UNIX_EPOCH));
        let shared: SharedClock = clock.clone();
        let objects = ApiObjects::new(client, Arc::clone(&shared), SimRng::shared(1), tasks.clone(), shutdown.clone());
        // The list of services: nobody here asks for them.
        drop(server.next().await);
        let (root, mounter) = (tempfile::tempdir().unwrap(), Arc::new(FakeMounter::default()));
        // Dropped, the queue of events takes none: reports are not waited for.
        let (recorder, _) = Recorder::new("kubelet", "n", Arc::clone(&shared));
        let manager = VolumeManager::new(Parts {
            layout: Layout::new(root.path()),
            objects,
            node: Arc::default(),
            mounter: Arc::clone(&mounter) as Arc<dyn Mounter>,
            recorder,
            clock: shared,
        });
        tasks.spawn("volumes", Arc::clone(&manager).run(shutdown));
        Self { server, root, mounter, manager, clock, tasks, stop }
    }

    async fn next(&mut self) -> Incoming {
        self.server.next().await
    }

    fn path(&self, path: &str) -> std::path::PathBuf {
        self.root.path().join("pods/u").join(path)
    }

    async fn end(self) {
        self.stop.request();
        self.tasks.join().await.unwrap();
    }
}

/// A pod whose one container mounts the volume `v`.
fn pod(volume: serde_json::Value) -> SharedPod {
    let mut volume = volume;
    volume["name"] = json!("v");
    Arc::new(
        serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "ns", "uid": "u", "labels": {"a": "1"}},
            "spec": {
                "serviceAccountName": "sa",
                "volumes": [volume, {"name": "unused", "configMap": {"name": "nowhere"}}],
                "containers": [{"name": "c", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}],
            },
        }))
        .unwrap(),
    )
}

fn map(revision: u64, value: &str) -> Arc<Stored> {
    let json = format!(r#"{{"metadata":{{"name":"m","namespace":"ns"}},"data":{{"k":"{value}"}}}}"#);
    object("ns/m", revision).json(&json).build()
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

/// Until a projected file says `want`. A reader that has followed `..data` to the version before the exchange finds its
/// directory gone, as with any atomic writer, and has to look again.
async fn until_text(path: &Path, want: &str) {
    loop {
        match fs::read_to_string(path) {
            Ok(text) if text == want => return,
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{}: {error}", path.display()),
            _ => tokio::task::yield_now().await,
        }
    }
}

#[tokio::test]
async fn an_empty_directory_comes_and_goes_with_its_pod() {
    let fixture = Fixture::new().await;
    let pod = pod(json!({"emptyDir": {}}));
    let mounted = fixture.manager.set_up(&pod).await.unwrap();
    let directory = fixture.path("volumes/kubernetes.io~empty-dir/v");
    assert_eq!(mounted.by_name["v"], MountedVolume { host_path: directory.clone(), read_only: false });
    fs::write(directory.join("kept"), "x").unwrap();
    fixture.manager.set_up(&pod).await.unwrap();
    assert_eq!(text(&directory.join("kept")), "x");
    assert_eq!(fixture.manager.pods_on_node().await.unwrap(), ["u"]);
    fixture.manager.tear_down("u").await.unwrap();
    fixture.manager.tear_down("u").await.unwrap();
    assert!(fixture.manager.pods_on_node().await.unwrap().is_empty());
    fixture.end().await;
}

#[tokio::test]
async fn memory_is_limited_and_unmounted_before_anything_is_removed() {
    let fixture = Fixture::new().await;
    let pod = pod(json!({"emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}));
    fixture.manager.set_up(&pod).await.unwrap();
    fixture.manager.set_up(&pod).await.unwrap();
    assert_eq!(*fixture.mounter.sizes.lock(), [Some(1 << 20)]);
    fixture.manager.tear_down("u").await.unwrap();
    assert!(fixture.mounter.points.lock().is_empty());
    assert!(!fixture.path("").exists());
    fixture.end().await;
}

/// The work of a `set_up` that was dropped went on while `tear_down` removed the pod: what it mounted and wrote then stayed
/// for ever.
#[tokio::test]
async fn a_pod_is_removed_after_what_a_dropped_set_up_began() {
    let fixture = Fixture::new().await;
    let pod = pod(json!({"emptyDir": {"medium": "Memory"}}));
    // A mutex that a thread of its own holds: the guard must not live across an await.
    let (begin, held) = std::sync::mpsc::channel::<()>();
    let mounter = Arc::clone(&fixture.mounter);
    let (hold, is_held) = tokio::sync::oneshot::channel();
    let holder = std::thread::spawn(move || {
        let _gate = mounter.gate.lock();
        hold.send(()).unwrap();
        held.recv().unwrap();
    });
    is_held.await.unwrap();
    let (manager, mounter) = (Arc::clone(&fixture.manager), Arc::clone(&fixture.mounter));
    {
        let set_up = manager.set_up(&pod);
        let is_mounting = async {
            while mounter.sizes.lock().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            _ = set_up => panic!("it waits for the gate"),
            () = is_mounting => {}
        }
    }
    let mut tear_down = std::pin::pin!(manager.tear_down("u"));
    // It would be over after a while, most of the time: the threads of other work are free.
    let soon = async {
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        _ = &mut tear_down => panic!("it did not wait for its turn"),
        () = soon => {}
    }
    // Nor does the manager end before that.
    let soon = async {
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        _ = manager.join() => panic!("it did not wait for what was begun"),
        () = soon => {}
    }
    begin.send(()).unwrap();
    tear_down.await.unwrap();
    holder.join().unwrap();
    assert!(mounter.points.lock().is_empty());
    assert!(!fixture.path("").exists());
    fixture.end().await;
}

#[tokio::test]
async fn a_config_map_is_followed() {
    let mut fixture = Fixture::new().await;
    let (manager, pod) = (Arc::clone(&fixture.manager), pod(json!({"configMap": {"name": "m"}})));
    let (mounted, watch) = tokio::join!(manager.set_up(&pod), async {
        // One watch for each of the two that the pod names, in their order.
        fixture.next().await.list(5, [map(5, "one")]);
        fixture.next().await.list(5, []);
        [fixture.next().await.watch(), fixture.next().await.watch()]
    });
    let directory = fixture.path("volumes/kubernetes.io~configmap/v");
    assert_eq!(mounted.unwrap().by_name["v"], MountedVolume { host_path: directory.clone(), read_only: true });
    assert_eq!(text(&directory.join("k")), "one");
    let before = fs::read_link(directory.join("..data")).unwrap();
    watch[0].send(Ok(WatchEvent::Modified(map(6, "two")))).unwrap();
    until_text(&directory.join("k"), "two").await;
    assert_ne!(fs::read_link(directory.join("..data")).unwrap(), before);
    fixture.end().await;
}

/// A config map of 1 MB and a pod of 1 MB were 30 GB in memory, and then on the disk.
#[tokio::test]
async fn files_without_measure_are_refused() {
    let mut fixture = Fixture::new().await;
    let items: Vec<_> = (0..30_000).map(|number| json!({"key": "k", "path": format!("b{number}")})).collect();
    let (manager, greedy) = (Arc::clone(&fixture.manager), pod(json!({"configMap": {"name": "m", "items": items}})));
    let (failed, _watches) = tokio::join!(manager.set_up(&greedy), async {
        fixture.next().await.list(5, [map(5, &"x".repeat(1 << 20))]);
        fixture.next().await.list(5, []);
    });
    let want = "MountVolume.SetUp failed for volume \"v\" : the files of this pod's volumes have more than 67108864 bytes \
                together";
    assert_eq!(failed.unwrap_err(), Failure::new("FailedMount", want));
    let directory = fixture.path("volumes/kubernetes.io~configmap/v");
    assert!(!directory.exists(), "nothing is written");
    fixture.end().await;
}

#[tokio::test]
async fn what_is_missing_is_named_in_upstreams_words() {
    let mut fixture = Fixture::new().await;
    let (manager, pod) = (Arc::clone(&fixture.manager), pod(json!({"configMap": {"name": "m"}})));
    let (failed, _watches) = tokio::join!(manager.set_up(&pod), async {
        fixture.next().await.list(5, []);
        fixture.next().await.list(5, []);
    });
    let want = "MountVolume.SetUp failed for volume \"v\" : configmap \"m\" not found";
    assert_eq!(failed.unwrap_err(), Failure::new("FailedMount", want));
    fixture.end().await;
}

#[tokio::test]
async fn a_token_is_projected_and_replaced_before_it_ends() {
    let mut fixture = Fixture::new().await;
    let source = json!({"serviceAccountToken": {"path": "token", "expirationSeconds": 1000, "audience": "x"}});
    let own = json!({"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}});
    let pod = pod(json!({"projected": {"sources": [source, own]}}));
    let grant = |call: Incoming, token: &str, until: &str| {
        assert_eq!((call.call.verb, call.call.subresource.as_str()), (Verb::Create, "token"));
        let mut answer = Value::object();
        answer.set(&["status", "token"], token);
        answer.set(&["status", "expirationTimestamp"], until);
        call.answer(Ok(Answer::Success(answer)));
    };
    let manager = Arc::clone(&fixture.manager);
    let (mounted, ()) = tokio::join!(manager.set_up(&pod), async {
        // The watch of the config map that no container mounts comes, too.
        loop {
            let call = fixture.next().await;
            if call.call.verb == Verb::Create {
                break grant(call, "first", "1970-01-01T00:16:40Z");
            }
        }
    });
    mounted.unwrap();
    let directory = fixture.path("volumes/kubernetes.io~projected/v");
    assert_eq!(text(&directory.join("token")), "first");
    assert_eq!(text(&directory.join("labels")), "a=\"1\"");

    let mut changed = (*pod).clone();
    changed.metadata.labels.as_mut().unwrap().insert("b".to_owned(), "2".to_owned());
    fixture.manager.update(&Arc::new(changed));
    until_text(&directory.join("labels"), "a=\"1\"\nb=\"2\"").await;

    fixture.clock.advance(Duration::from_secs(801));
    loop {
        let call = fixture.next().await;
        if call.call.verb == Verb::Create {
            break grant(call, "second", "1970-01-01T00:30:00Z");
        }
    }
    until_text(&directory.join("token"), "second").await;
    fixture.end().await;
}

/// Real mounts, in a mount namespace of this test's own.
#[test]
fn mounts_of_the_kernel_come_and_go() {
    use nix::{
        mount::{MsFlags, mount},
        sched::{CloneFlags, unshare},
    };
    // A thread of its own: the namespace ends with it.
    let outcome = std::thread::spawn(|| {
        if unshare(CloneFlags::CLONE_NEWNS).is_err() {
            println!("skipped: may not make a mount namespace");
            return;
        }
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_PRIVATE | MsFlags::MS_REC, None::<&str>).unwrap();
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path());
        let directory = layout.volume("u", "kubernetes.io/empty-dir", "a b");
        fs::create_dir_all(&directory).unwrap();
        SystemMounter.mount_memory(&directory, Some(1 << 20)).unwrap();
        fs::write(directory.join("inside"), "x").unwrap();
        let target = layout.sub_path("u", "v", "c", 0);
        // `mountinfo` of the process is that of its first thread: what this thread mounted is in its own file.
        let own = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
        assert!(own.contains("a\\040b"));
        fs::create_dir_all(&target).unwrap();
        SystemMounter.bind(&directory, &target).unwrap();
        assert_eq!(text(&target.join("inside")), "x");
        SystemMounter.unmount(&target).unwrap();
        SystemMounter.unmount(&directory).unwrap();
        assert!(!directory.join("inside").exists());
    });
    outcome.join().unwrap();
}
