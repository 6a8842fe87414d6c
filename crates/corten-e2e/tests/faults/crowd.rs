//! Thousands of watchers over HTTP/2 that do not read: they cost little, hold up nobody, and are ended; who reads hears all.

use std::{io::Write as _, time::Duration};

use anyhow::{Context as _, ensure};
use bytes::BytesMut;
use corten_base::{SystemClock, TaskSet, timeout};
use corten_e2e::Cluster;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use http::Method;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;

use crate::{
    client::{Client, JSON, version_of},
    history::Heard,
    is_long,
    watching::{BOOKMARKS, Ended, PLAIN, Watching},
};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// As many as the server takes on one connection.
const PER_CONNECTION: usize = 250;

/// What a slow watcher lets the server send: a few events.
const WINDOW: u32 = 8 << 10;

/// How many watchers read.
const QUICK: usize = 8;

/// How many of the slow ones go on from where they were, once they are ended.
const RESUMING: usize = 50;

/// How many objects are written before the crowd, while its windows are filled, and after that.
const WRITES: [usize; 3] = [1_000, 200, 1_000];

const OBJECT_BYTES: usize = 2_000;

/// How many writers there are.
const WRITERS: usize = 16;

/// After so long without reading a watch is ended, and a little for the machine.
const STALLED: Duration = Duration::from_secs(30 + 5);

/// What one slow watcher may cost while it stands still: stream, request and task, and what it holds of its own.
const WATCHER_BYTES_MAX: usize = 24 << 10;

/// What all of them may hold together: events that are shared.
const SHARED_BYTES_MAX: usize = 96 << 20;

/// A write beside watchers that stand still may cost so many times as much processor time as one by itself.
const FACTOR_MAX: f64 = 2.0;

#[test]
fn watchers_that_do_not_read_disturb_nobody() {
    let slow = if is_long() { 10_000 } else { 2_000 };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    if let Err(error) = runtime.block_on(crowd(slow)) {
        panic!("{error:?}");
    }
}

/// What the server's process uses.
struct Usage(u32);

impl Usage {
    fn resident_bytes(&self, key: &str) -> anyhow::Result<usize> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0))?;
        let line = status.lines().find_map(|line| line.strip_prefix(key)).context("the process has memory")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<usize>()? << 10)
    }

    /// Processor time, in hundredths of a second.
    fn ticks(&self) -> anyhow::Result<u64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0))?;
        let (_, fields) = stat.rsplit_once(')').context("a program has a name")?;
        let field = |number: usize| {
            fields.split_whitespace().nth(number - 3).context("a number")?.parse::<u64>().context("a number")
        };
        Ok(field(14)? + field(15)?)
    }
}

/// Writes `count` objects; gives their versions, and the processor time that the server took for each, in microseconds.
async fn write(client: &Client, usage: &Usage, from: usize, count: usize) -> anyhow::Result<(Vec<u64>, f64)> {
    let before = usage.ticks()?;
    let text = "x".repeat(OBJECT_BYTES);
    let text = &text;
    let versions: Vec<u64> = stream::iter(from..from + count)
        .map(|number| async move {
            let map = json!({"metadata": {"name": format!("o-{number}")}, "data": {"text": text}});
            client.call(number, Method::POST, MAPS, JSON, &map).await?.expect(201)?.version()
        })
        .buffer_unordered(WRITERS)
        .try_collect()
        .await?;
    let micros = (usage.ticks()? - before) as f64 * 10_000.0 / count as f64;
    Ok((versions, micros))
}

/// What a slow watcher was sent before it was ended: the versions of whole events.
async fn sent(mut body: Incoming) -> anyhow::Result<Vec<u64>> {
    let mut unread = BytesMut::new();
    let end = async {
        while let Some(Ok(frame)) = body.frame().await {
            unread.extend_from_slice(&frame.into_data().unwrap_or_default());
        }
    };
    timeout(&*SystemClock::shared(), Duration::from_secs(10), end)
        .await
        .context("a watch that was not read is ended")?;
    let mut versions = Vec::new();
    // The last line may have been cut.
    for line in unread.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n")) {
        let event: Value = serde_json::from_slice(line).context("an event is JSON")?;
        ensure!(event["type"] == "ADDED", "{event}");
        versions.push(version_of(&event["object"])?);
    }
    Ok(versions)
}

fn versions(heard: &[Heard]) -> Vec<u64> {
    let each = heard.iter().filter_map(|heard| match heard {
        Heard::Changed { seen, .. } => Some(seen.version),
        _ => None,
    });
    each.collect()
}

async fn crowd(slow: usize) -> anyhow::Result<()> {
    let mut cluster = Cluster::start()?;
    let kubeconfig = cluster.root().join("admin.conf");
    let usage = Usage(cluster.process_id()?);
    let client = Client::open(&kubeconfig, 4).await?;
    let quick = Client::open(&kubeconfig, 2).await?;
    let start = client.get(MAPS).await?.expect(200).and_then(|list| list.version())?;
    let (readers, heard) = (TaskSet::new("readers"), Arc::new(Mutex::new(Vec::new())));
    for reader in 0..QUICK {
        let (quick, heard) = (quick.clone(), Arc::clone(&heard));
        let mut watching = Watching::resuming(MAPS, if reader % 2 == 0 { PLAIN } else { BOOKMARKS }, 600, start);
        readers.spawn("reader", async move {
            let ended = watching.watch(&quick, reader, "o-last").await.unwrap();
            assert_eq!(ended, Ended::Heard, "who reads is not ended");
            heard.lock().push(versions(&watching.heard));
        });
    }
    let (mut all, alone) = write(&client, &usage, 0, WRITES[0]).await?;
    let start = all.iter().copied().max().context("something was written")?;

    let resident = usage.resident_bytes("VmRSS:")?;
    let connections = Client::open_narrow(&kubeconfig, slow.div_ceil(PER_CONNECTION), WINDOW).await?;
    let path = format!("{MAPS}?watch=true&resourceVersion={start}&timeoutSeconds=600");
    let unread: Vec<Incoming> = stream::iter(0..slow)
        .map(|number| {
            let (connections, path) = (&connections, &path);
            async move {
                let answer = connections.send(number, Method::GET, path, (JSON, JSON), "").await?;
                ensure!(answer.status() == 200, "{}", answer.status());
                Ok(answer.into_body())
            }
        })
        .buffer_unordered(64)
        .try_collect()
        .await?;
    let with_watchers = usage.resident_bytes("VmRSS:")?;

    let (during, filling) = write(&client, &usage, WRITES[0], WRITES[1]).await?;
    let (more, beside) = write(&client, &usage, WRITES[0] + WRITES[1], WRITES[2]).await?;
    all.extend(during.into_iter().chain(more));
    let standing = usage.resident_bytes("VmRSS:")?;
    let map = json!({"metadata": {"name": "o-last"}});
    all.push(client.post(MAPS, &map).await?.expect(201)?.version()?);
    all.sort_unstable();
    readers.join().await?;
    for heard in &*heard.lock() {
        ensure!(*heard == all, "who reads hears everything: {} of {}", heard.len(), all.len());
    }

    // Nobody says when they are ended but the clock: to ask a stream would be to read it.
    SystemClock::shared().sleep(STALLED).await;
    let ended = usage.resident_bytes("VmRSS:")?;
    let (mut fewest, mut most, mut last_of) = (usize::MAX, 0, Vec::new());
    let of_slow = &all[all.partition_point(|version| *version <= start)..];
    for body in unread {
        let sent = sent(body).await?;
        ensure!(of_slow.starts_with(&sent) && sent.len() < of_slow.len(), "{sent:?} is not how {of_slow:?} begins");
        (fewest, most) = (fewest.min(sent.len()), most.max(sent.len()));
        last_of.push(sent.last().copied().unwrap_or(start));
    }
    for at in last_of.into_iter().take(RESUMING) {
        let mut watching = Watching::resuming(MAPS, PLAIN, 60, at);
        ensure!(watching.watch(&quick, 0, "o-last").await? == Ended::Heard, "it goes on from {at}");
        let after = all.partition_point(|version| *version <= at);
        ensure!(versions(&watching.heard) == all[after..], "it misses nothing from {at} on");
    }
    let each = with_watchers.saturating_sub(resident) / slow;
    let held = standing.saturating_sub(with_watchers);
    writeln!(
        std::io::stderr(),
        "{slow} slow watchers: {each} bytes each, {} MiB for what they hold, {} MiB when they are ended, {} MiB at most; \
         a write takes {alone:.0} us, {filling:.0} while they are sent to, {beside:.0} beside them; {fewest} to {most} events sent",
        held >> 20,
        ended >> 20,
        usage.resident_bytes("VmHWM:")? >> 20,
    )?;
    ensure!(each < WATCHER_BYTES_MAX, "{each} bytes for each watcher");
    ensure!(held < SHARED_BYTES_MAX + slow * WATCHER_BYTES_MAX, "{held} bytes for what they hold");
    ensure!(beside < alone * FACTOR_MAX, "{beside} us for a write beside them, {alone} us without");
    drop((client, connections, quick));
    cluster.stop()
}
