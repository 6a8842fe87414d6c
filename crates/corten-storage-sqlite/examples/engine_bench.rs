//! Measures the embedded engine: durable writes per second and CPU per write with 1, 16 and 64 commits at once, reads,
//! compaction, opening, and backup.
//!
//! `cargo run --release -p corten-storage-sqlite --example engine_bench <directory> [objects]`. CPU is that of the whole
//! process, user and system, measured inside; values are 1.2 KB.

#![expect(clippy::print_stdout, reason = "the figures are the purpose")]

use std::{path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use corten_base::{Clock, Shutdown, SystemClock, TaskSet};
use corten_storage::kv::{Change, Expected, KvEngine, ListRequest, Outcome, Revision, Write};
use corten_storage_sqlite::{Config, SqliteEngine};
use parking_lot::Mutex;

const VALUE_BYTES: usize = 1_200;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The processor time that this process has used.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

fn put(key: String, expected: Expected, value: &Bytes) -> Write {
    Write { key: key.into(), expected, change: Change::Put { value: value.clone(), expires_at: None } }
}

async fn commit(engine: &dyn KvEngine, write: Write) -> Result<Revision, Failure> {
    match engine.commit(vec![write]).await?.remove(0) {
        Outcome::Done { revision } => Ok(revision),
        conflict => Err(format!("nobody else writes: {conflict:?}").into()),
    }
}

/// What `width` callers at once achieve with `writes` writes in all; each writes, then updates, its own keys.
async fn measure(
    engine: &Arc<SqliteEngine>,
    clock: &Arc<dyn Clock>,
    name: &str,
    width: usize,
    writes: usize,
    updates: bool,
) -> Result<(), Failure> {
    let tasks = TaskSet::new("bench");
    let latencies: Arc<Mutex<Vec<Duration>>> = Arc::default();
    let value = Bytes::from(vec![b'v'; VALUE_BYTES]);
    let (start, cpu_start) = (clock.monotonic(), cpu());
    for caller in 0..width {
        let (engine, clock, value) = (Arc::clone(engine), Arc::clone(clock), value.clone());
        let (latencies, name) = (Arc::clone(&latencies), name.to_owned());
        tasks.spawn("caller", async move {
            let mut own = Vec::with_capacity(writes / width);
            let mut last = None;
            for n in 0..writes / width {
                let expected = last.map_or(Expected::Absent, Expected::ModRevision);
                let write = if updates {
                    put(format!("/registry/pods/bench/{name}-{width}-{caller}"), expected, &value)
                } else {
                    put(format!("/registry/pods/bench/{name}-{width}-{caller}-{n}"), Expected::Absent, &value)
                };
                let began = clock.monotonic();
                last = Some(commit(&*engine, write).await.expect("the bench's writes succeed"));
                own.push(clock.monotonic() - began);
            }
            latencies.lock().extend(own);
        });
    }
    tasks.join().await?;
    let (elapsed, used) = (clock.monotonic() - start, cpu() - cpu_start);
    let mut latencies = latencies.lock();
    latencies.sort_unstable();
    let at = |fraction: f64| latencies[((latencies.len() - 1) as f64 * fraction) as usize];
    println!(
        "{name:<26} {width:>3} at once: {:>7.0} writes/s  {:>6.1} us cpu/write  p50 {:>8.1?}  p99 {:>8.1?}",
        latencies.len() as f64 / elapsed.as_secs_f64(),
        used.as_secs_f64() * 1e6 / latencies.len() as f64,
        at(0.5),
        at(0.99),
    );
    Ok(())
}

fn report(clock: &dyn Clock, what: &str, start: (Duration, Duration)) {
    println!("{what:<40} {:>9.1?}  cpu {:>9.1?}", clock.monotonic() - start.0, cpu() - start.1);
}

async fn open(directory: &PathBuf, clock: &Arc<dyn Clock>) -> Result<(Arc<SqliteEngine>, TaskSet, impl Fn()), Failure> {
    let (tasks, (trigger, shutdown)) = (TaskSet::new("engine"), Shutdown::new());
    let engine = SqliteEngine::open(Config::new(directory), Arc::clone(clock), &tasks, &shutdown).await?;
    Ok((Arc::new(engine), tasks, move || trigger.request()))
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let directory: PathBuf = arguments.next().ok_or("the first argument is a directory that does not exist")?.into();
    let clock = SystemClock::shared();
    if directory.as_os_str() == "open" {
        let directory = arguments.next().ok_or("the second argument is the store to open")?;
        return open_only(directory.into(), clock).await;
    }
    let objects: usize = arguments.next().map_or(Ok(100_000), |objects| objects.parse())?;
    if directory.exists() {
        return Err(format!("{} exists: the bench makes and removes its own directory", directory.display()).into());
    }
    println!("load average {}", std::fs::read_to_string("/proc/loadavg")?.trim());
    let (engine, tasks, close) = open(&directory, &clock).await?;

    measure(&engine, &clock, "fill", 64, objects, false).await?;
    for round in 1..=3 {
        measure(&engine, &clock, &format!("create {round}"), 1, 10_000, false).await?;
        measure(&engine, &clock, &format!("create {round}"), 16, 80_000, false).await?;
        measure(&engine, &clock, &format!("create {round}"), 64, 80_000, false).await?;
    }
    let (prefix, after) = (Bytes::from_static(b"/registry/pods/"), engine.status().await?.revision);
    let mut watch = engine.watch(prefix.clone(), after).await?;
    let reader = TaskSet::new("reader");
    reader.spawn("watch", async move { while watch.recv().await.is_some_and(|batch| batch.is_ok()) {} });
    for round in 1..=3 {
        measure(&engine, &clock, &format!("update+watch {round}"), 1, 10_000, true).await?;
        measure(&engine, &clock, &format!("update+watch {round}"), 16, 80_000, true).await?;
        measure(&engine, &clock, &format!("update+watch {round}"), 64, 80_000, true).await?;
    }
    engine.compact(engine.status().await?.revision).await?;
    measure(&engine, &clock, "update while compacting", 16, 80_000, true).await?;
    measure(&engine, &clock, "update while compacting", 64, 80_000, true).await?;

    let start = (clock.monotonic(), cpu());
    let page = engine.list(ListRequest { prefix, start: Bytes::new(), limit: 0, revision: None }).await?;
    report(&*clock, &format!("list {} objects", page.kvs.len()), start);
    drop(page);
    let copy = directory.join("copy");
    let start = (clock.monotonic(), cpu());
    engine.backup(&copy).await?;
    report(&*clock, &format!("back up {} MB", std::fs::metadata(&copy)?.len() >> 20), start);
    println!("store {} MB", engine.status().await?.size_bytes >> 20);
    close();
    tasks.join().await?;
    drop(engine);

    // In a process of its own, whose memory is that of an engine at rest.
    let opened = std::process::Command::new(std::env::current_exe()?).arg("open").arg(&directory).status()?;
    println!("load average {}", std::fs::read_to_string("/proc/loadavg")?.trim());
    std::fs::remove_dir_all(&directory)?;
    if opened.success() { Ok(()) } else { Err(format!("the opening process ended with {opened}").into()) }
}

/// Opens a store, and says how long that took and how much memory it needs.
async fn open_only(directory: PathBuf, clock: Arc<dyn Clock>) -> Result<(), Failure> {
    let start = (clock.monotonic(), cpu());
    let (engine, tasks, close) = open(&directory, &clock).await?;
    report(&*clock, &format!("open with {} objects", engine.count(b"").await?), start);
    let status = std::fs::read_to_string("/proc/self/status")?;
    println!("{}", status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or_default());
    close();
    tasks.join().await?;
    Ok(())
}
