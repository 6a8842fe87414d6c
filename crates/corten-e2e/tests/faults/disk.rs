//! A full disk as clients see it: writes are refused in words, reads and watches go on, what makes room is enough, and nothing
//! acknowledged is lost.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::{Context as _, ensure};
use corten_base::TaskSet;
use corten_e2e::{Cluster, Piece, in_sandbox};
use http::Method;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::{
    client::{Answer, Client, JSON, MERGE_PATCH},
    history::{Change, Heard},
    watching::{BOOKMARKS, Ended, Watching, listed},
};

/// The disk: room for the ballast of 64 MiB, for what else lies there, and for some 60 MiB of objects.
const DISK: &str = "size=176m";

/// Of it, what somebody else uses, who makes room in the end.
const OTHERS_BYTES: usize = 40 << 20;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const EVENTS: &str = "/api/v1/namespaces/default/events";
const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases";

/// How large the objects are that fill it.
const OBJECT_BYTES: usize = 400_000;

/// What every refusal begins with. Upstream: `ErrNoSpace` of etcd, which nobody on the way up gives a reason.
const REFUSAL: &str = "etcdserver: mvcc: database space exceeded";

/// What was acknowledged: each object with the version that it has.
type Acknowledged = Arc<Mutex<BTreeMap<String, u64>>>;

#[test]
fn a_full_disk_refuses_writes_and_loses_nothing() {
    in_sandbox("disk::a_full_disk_refuses_writes_and_loses_nothing", || {
        let folder = Path::new("/run/small-disk");
        fs::create_dir_all(folder).context("make the mount point")?;
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", DISK, "none"]).arg(folder).status()?;
        ensure!(mount.success(), "the small disk is mounted: {mount}");
        fs::write(folder.join("others"), vec![b'x'; OTHERS_BYTES]).context("use some of the disk")?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(on_a_small_disk(folder))
    });
}

fn map(name: &str) -> Value {
    json!({"metadata": {"name": name}, "data": {"text": "x".repeat(OBJECT_BYTES)}})
}

fn refused(answer: &Answer) -> anyhow::Result<()> {
    let message = answer.body["message"].as_str().unwrap_or_default();
    let said = (answer.code, &answer.body["kind"], &answer.body["code"], answer.body.get("reason"));
    ensure!(said == (500, &json!("Status"), &json!(500), None) && message.starts_with(REFUSAL), "{answer:?}");
    Ok(())
}

/// Writes objects until some are refused, while others flood the server with events and leases.
async fn fill(client: &Client, round: u32, acknowledged: &Acknowledged) -> anyhow::Result<()> {
    let is_full = Arc::new(AtomicBool::new(false));
    let writers = TaskSet::new("writers");
    for writer in 0..4 {
        let (client, is_full, acknowledged) = (client.clone(), Arc::clone(&is_full), Arc::clone(acknowledged));
        writers.spawn("maps", async move {
            for number in 0.. {
                let name = format!("o-{round}-{writer}-{number}");
                let answer = client.call(writer, Method::POST, MAPS, JSON, &map(&name)).await.unwrap();
                if answer.code != 201 {
                    refused(&answer).unwrap();
                    is_full.store(true, Ordering::SeqCst);
                    break;
                }
                acknowledged.lock().insert(name, answer.version().unwrap());
            }
        });
    }
    let lease = json!({"metadata": {"name": "o-beat"}, "spec": {"leaseDurationSeconds": 1}});
    client.post(LEASES, &lease).await?;
    for (path, method) in [(EVENTS, Method::POST), (LEASES, Method::PATCH)] {
        let (client, is_full) = (client.clone(), Arc::clone(&is_full));
        writers.spawn("flood", async move {
            for number in 0_u64.. {
                let was_full = is_full.load(Ordering::SeqCst);
                let answer = if method == Method::POST {
                    let event = json!({
                        "metadata": {"generateName": "flood-"}, "reason": "Flood", "message": "x".repeat(900),
                        "involvedObject": {"kind": "ConfigMap", "namespace": "default", "name": "o"},
                    });
                    client.call(1, Method::POST, path, JSON, &event).await
                } else {
                    let beat = json!({"spec": {"holderIdentity": format!("{number}-{}", "x".repeat(900))}});
                    client.call(2, Method::PATCH, &format!("{path}/o-beat"), MERGE_PATCH, &beat).await
                };
                let answer = answer.unwrap();
                if !matches!(answer.code, 200 | 201) {
                    refused(&answer).unwrap();
                }
                if was_full && answer.code == 500 {
                    break;
                }
            }
        });
    }
    writers.join().await.context("who writes is refused in words")
}

/// What is there is what was acknowledged; some of it may be gone by deletes, which are not counted.
async fn nothing_is_lost(client: &Client, acknowledged: &Acknowledged) -> anyhow::Result<()> {
    let (_, objects) = listed(&client.get(MAPS).await?.expect(200)?.body)?;
    let found: BTreeMap<String, u64> = objects.into_iter().map(|(name, seen)| (name, seen.version)).collect();
    let acknowledged = acknowledged.lock();
    let lost: Vec<_> = acknowledged.iter().filter(|(name, version)| found.get(*name) != Some(version)).collect();
    let more: Vec<_> = found.keys().filter(|name| !acknowledged.contains_key(*name)).collect();
    ensure!(lost.is_empty() && more.is_empty(), "lost: {lost:?}; from nowhere: {more:?}");
    Ok(())
}

/// A watcher that goes on over everything, until the object `o-last` is made.
fn follow(client: &Client, tasks: &TaskSet, heard: &Arc<Mutex<Vec<Heard>>>) {
    let (client, heard) = (client.clone(), Arc::clone(heard));
    tasks.spawn("watcher", async move {
        let mut watching = Watching::new(MAPS, BOOKMARKS, 600);
        let ended = watching.watch(&client, 3, "o-last").await.unwrap();
        assert_eq!(ended, Ended::Heard, "the watch goes on while the disk is full");
        *heard.lock() = watching.heard;
    });
}

async fn on_a_small_disk(folder: &Path) -> anyhow::Result<()> {
    let mut cluster = Cluster::start_in(folder)?;
    let kubeconfig = cluster.root().join("admin.conf");
    let acknowledged = Acknowledged::default();
    let client = Client::open(&kubeconfig, 4).await?;
    fill(&client, 0, &acknowledged).await.context("the first time")?;
    writeln!(std::io::stderr(), "{} objects fitted", acknowledged.lock().len())?;
    reads_go_on(&client, &acknowledged).await?;

    // It is killed with its disk full, and comes back so.
    drop(client);
    cluster.crash()?;
    cluster.restart().context("start on a full disk")?;
    let client = Client::open(&kubeconfig, 4).await?;
    client.until_read(MAPS).await?;
    nothing_is_lost(&client, &acknowledged).await.context("after a restart on a full disk")?;
    refused(&client.post(MAPS, &map("o-more")).await?)?;

    // Whoever else is on the disk makes room: no restart, nor anything else, is needed.
    let (watchers, heard) = (TaskSet::new("watchers"), Arc::default());
    follow(&client, &watchers, &heard);
    a_delete_passes(&client, &acknowledged).await?;
    fs::remove_file(folder.join("others")).context("make room")?;
    let made = client.post(MAPS, &map("o-after")).await?.expect(201).context("there is room again")?;
    acknowledged.lock().insert("o-after".to_owned(), made.version()?);
    let metrics = client.get("/metrics").await?.expect(200)?;
    ensure!(metrics.body.as_str().is_some_and(|text| text.contains("\ncorten_storage_full 0\n")), "it tells");
    let last = client.post(MAPS, &json!({"metadata": {"name": "o-last"}})).await?.expect(201)?;
    acknowledged.lock().insert("o-last".to_owned(), last.version()?);
    watchers.join().await?;
    let changes: Vec<Change> = heard.lock().iter().filter_map(change_of).collect();
    ensure!(changes == [Change::Deleted, Change::Added, Change::Added], "{changes:?}");

    fill(&client, 1, &acknowledged).await.context("the second time")?;
    drop(client);
    cluster.crash()?;
    cluster.restart().context("start on a full disk again")?;
    let client = Client::open(&kubeconfig, 4).await?;
    client.until_read(MAPS).await?;
    nothing_is_lost(&client, &acknowledged).await?;
    drop(client);
    cluster.stop()?;
    deletes_make_room(&cluster, &acknowledged).await
}

fn change_of(heard: &Heard) -> Option<Change> {
    match heard {
        Heard::Changed { change, .. } => Some(*change),
        _ => None,
    }
}

async fn reads_go_on(client: &Client, acknowledged: &Acknowledged) -> anyhow::Result<()> {
    nothing_is_lost(client, acknowledged).await?;
    let (name, _) = acknowledged.lock().first_key_value().map(|(name, at)| (name.clone(), *at)).context("one")?;
    let one = format!("{MAPS}/{name}");
    client.get(&one).await?.expect(200)?;
    let label = json!({"metadata": {"labels": {"a": "b"}}});
    refused(&client.call(0, Method::PATCH, &one, MERGE_PATCH, &label).await?)?;
    let other = json!({"metadata": {"name": name}, "data": {"text": "other"}});
    refused(&client.call(0, Method::PUT, &one, JSON, &other).await?)?;
    // What writes nothing passes: a change that is none, a trial, a question.
    client.call(0, Method::PUT, &one, JSON, &map(&name)).await?.expect(200)?;
    client.call(0, Method::POST, &format!("{MAPS}?dryRun=All"), JSON, &map("o-dry")).await?.expect(201)?;
    let review = json!({"spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}});
    client.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", &review).await?.expect(201)?;
    // As upstream, whose check of etcd reads: who takes writes away from a server takes reads away, too.
    let ready = client.get("/readyz").await?;
    ensure!((ready.code, ready.body.as_str()) == (200, Some("ok")), "{ready:?}");
    let metrics = client.get("/metrics").await?.expect(200)?;
    let text = metrics.body.as_str().context("metrics are text")?;
    let failed =
        "apiserver_request_total{code=\"500\",component=\"apiserver\",dry_run=\"\",group=\"\",resource=\"configmaps\"";
    ensure!(text.contains("\ncorten_storage_full 1\n") && text.contains(failed), "{text}");
    ensure!(text.contains("\napiserver_storage_size_bytes{storage_cluster_id=\"etcd-0\"} "), "{text}");
    Ok(())
}

async fn a_delete_passes(client: &Client, acknowledged: &Acknowledged) -> anyhow::Result<()> {
    let (name, _) = acknowledged.lock().pop_first().context("there is one")?;
    client.delete(&format!("{MAPS}/{name}")).await?.expect(200).context("deletes pass on a full disk")?;
    client.get(&format!("{MAPS}/{name}")).await?.expect(404)?;
    Ok(())
}

/// What is deleted leaves room once its history is forgotten, without anybody else's help.
async fn deletes_make_room(cluster: &Cluster, acknowledged: &Acknowledged) -> anyhow::Result<()> {
    let kubeconfig = cluster.root().join("admin.conf");
    let port = port_of(&kubeconfig)?;
    let _server = Piece::api_server(cluster.root(), port, &["--etcd-compaction-interval=1s"])?;
    let client = loop {
        // Until it listens there is nothing to wait for.
        if let Ok(client) = Client::open(&kubeconfig, 4).await {
            break client;
        }
        tokio::task::yield_now().await;
    };
    client.until_read(MAPS).await?;
    refused(&client.post(MAPS, &map("o-more")).await?).context("before deletes")?;
    while acknowledged.lock().len() > 10 {
        a_delete_passes(&client, acknowledged).await?;
    }
    let again = loop {
        let answer = client.post(MAPS, &map("o-again")).await?;
        if answer.code == 201 {
            break answer;
        }
        refused(&answer)?;
    };
    acknowledged.lock().insert("o-again".to_owned(), again.version()?);
    nothing_is_lost(&client, acknowledged).await
}

fn port_of(kubeconfig: &Path) -> anyhow::Result<u16> {
    let text = fs::read_to_string(kubeconfig).context("read the kubeconfig")?;
    let server = text.lines().find_map(|line| line.trim().strip_prefix("server:")).context("there is a server")?;
    let port = server.trim().trim_matches('"').rsplit(':').next().context("with a port")?;
    port.parse().context("which is a number")
}
