//! The engine stays up when the medium fails: errors say what is known, nothing acknowledged is lost, watchers miss nothing.

mod support;

use std::{io, path::Path, process::Command, sync::Arc};

use bytes::Bytes;
use corten_storage::kv::{Expected, KvError, Revision};
use corten_storage_sqlite::faults::{Faults, Step};
use parking_lot::Mutex;

use support::{Open, clock, commit, config, delete, put, try_commit, whole};

/// Fails one step, once.
#[derive(Debug, Default)]
struct FailOnce(Mutex<Option<(Step, io::ErrorKind)>>);

impl Faults for FailOnce {
    fn reached(&self, step: Step) -> io::Result<()> {
        let mut planned = self.0.lock();
        match planned.take_if(|(at, _)| *at == step) {
            Some((_, kind)) => Err(kind.into()),
            None => Ok(()),
        }
    }
}

fn outcome_unknown(error: KvError) -> bool {
    match error {
        KvError::Storage { outcome_unknown, .. } => outcome_unknown,
        KvError::NoSpace { .. } => false,
        other => panic!("not {other:?}"),
    }
}

/// Fails a write at `step`; the write may be there afterwards only if the error said so.
async fn check(step: Step, kind: io::ErrorKind, unknown: bool, happened: bool) {
    let directory = tempfile::tempdir().unwrap();
    let faults = Arc::new(FailOnce::default());
    let mut config = config(directory.path());
    config.faults = Arc::clone(&faults) as Arc<dyn Faults>;
    let open = Open::try_new(config, clock()).await.unwrap();
    let engine = &*open.engine;
    let before = commit(engine, put("/before", Expected::Absent, "kept")).await;
    let mut watch = engine.watch(Bytes::from_static(b"/"), before).await.unwrap();

    *faults.0.lock() = Some((step, kind));
    let error = try_commit(engine, put("/failed", Expected::Absent, "failed")).await.unwrap_err();
    assert_eq!(outcome_unknown(error), unknown, "{step:?} {kind:?}");
    let fails = async || engine.status().await.unwrap().writes_fail;
    assert_eq!(fails().await, kind != io::ErrorKind::StorageFull, "{step:?} {kind:?}: who asks for health is told");

    let after = commit(engine, put("/after", Expected::Absent, "works again")).await;
    assert_eq!(after, before + 1 + Revision::from(happened), "{step:?} {kind:?}");
    assert!(!fails().await, "{step:?} {kind:?}: a write that was done is told, too");
    let read = engine.get(b"/failed", None).await.unwrap();
    assert_eq!(read.kv.is_some(), happened, "{step:?} {kind:?}");
    let mut seen = Vec::new();
    while seen.last() != Some(&after) {
        seen.extend(watch.recv().await.unwrap().unwrap().events.iter().map(|event| event.revision));
    }
    assert_eq!(seen, (before + 1..=after).collect::<Vec<_>>(), "watchers see what is there, in order");
    let want = engine.list(whole()).await.unwrap();
    open.close().await;
    let open = Open::new(directory.path()).await;
    assert_eq!(open.engine.list(whole()).await.unwrap(), want);
    open.close().await;
}

#[tokio::test]
async fn a_failed_write_says_whether_it_may_have_happened() {
    use io::ErrorKind::{Other, StorageFull};
    check(Step::Begun, Other, false, false).await;
    check(Step::Inserted, Other, false, false).await;
    check(Step::BeforeCommit, Other, true, false).await;
    check(Step::AfterCommit, Other, true, true).await;
    check(Step::Inserted, StorageFull, false, false).await;
    check(Step::BeforeCommit, StorageFull, false, false).await;
}

#[tokio::test]
async fn a_failed_chunk_is_taken_up_by_the_next_compaction() {
    let directory = tempfile::tempdir().unwrap();
    let faults = Arc::new(FailOnce::default());
    let mut config = config(directory.path());
    config.faults = Arc::clone(&faults) as Arc<dyn Faults>;
    let open = Open::try_new(config, clock()).await.unwrap();
    let engine = &*open.engine;
    let mut revision = commit(engine, put("/a", Expected::Absent, "0")).await;
    for n in 1..600 {
        revision = commit(engine, put("/a", Expected::ModRevision(revision), n.to_string())).await;
    }
    *faults.0.lock() = Some((Step::ChunkDeleted, io::ErrorKind::Other));
    engine.compact(revision - 1).await.unwrap();
    revision = commit(engine, put("/a", Expected::ModRevision(revision), "after")).await;
    engine.compact(revision).await.unwrap();
    // Whatever is still to be deleted is deleted, or found again at the next start.
    open.close().await;
    let open = Open::new(directory.path()).await;
    assert_eq!(open.engine.list(whole()).await.unwrap().kvs.len(), 1);
    assert_eq!(open.engine.status().await.unwrap().compact_revision, revision);
    open.close().await;
}

const SMALL_DISK: &str = "CORTEN_TEST_SMALL_DISK";

/// Runs in its own mount namespace, on a small disk; on its own it does nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_small_disk() {
    let Ok(disk) = std::env::var(SMALL_DISK) else { return };
    let directory = Path::new(&disk).join("store");
    let open = Open::new(&directory).await;
    let engine = &*open.engine;
    let mut written: Vec<Revision> = Vec::new();
    let error = loop {
        let key = format!("/k/{}", written.len());
        match try_commit(engine, put(&key, Expected::Absent, vec![b'x'; 20_000])).await {
            Ok(revision) => written.push(revision),
            Err(error) => break error,
        }
    };
    let text = format!("{}", corten_base::ErrorChain(&error));
    assert!(matches!(error, KvError::NoSpace { .. }), "{error:?}");
    assert!(written.len() > 100, "{} objects fitted", written.len());
    let full = try_commit(engine, put("/more", Expected::Absent, vec![b'x'; 20_000])).await.unwrap_err();
    let text_again = format!("{}", corten_base::ErrorChain(&full));
    assert!(text_again.contains("disk is full"), "{text}; {text_again}");
    assert!(engine.status().await.unwrap().is_full, "the store says so, too");
    assert_eq!(engine.list(whole()).await.unwrap().kvs.len(), written.len(), "reads go on");

    // The ballast makes room for deletions; when they are compacted there is room for values.
    let keep = written.len() / 4;
    for (n, revision) in written.iter().enumerate().skip(keep) {
        commit(engine, delete(&format!("/k/{n}"), *revision)).await;
    }
    let revision = engine.status().await.unwrap().revision;
    engine.compact(revision).await.unwrap();
    // Chunks are removed in between; each attempt lets the writer have a pause.
    let mut again = None;
    for _ in 0..100_000 {
        match try_commit(engine, put("/again", Expected::Absent, vec![b'x'; 20_000])).await {
            Ok(revision) => {
                again = Some(revision);
                break;
            }
            Err(_) => tokio::task::yield_now().await,
        }
    }
    assert_eq!(again, Some(revision + 1), "values are taken again, and no revision was lost");
    assert!(!engine.status().await.unwrap().is_full);
    open.close().await;
    let open = Open::new(&directory).await;
    assert_eq!(open.engine.list(whole()).await.unwrap().kvs.len(), keep + 1);
    open.close().await;
}

#[test]
fn a_full_disk_fails_values_and_lets_deletions_pass() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: mounting a small disk in a mount namespace of its own needs root");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let script = format!(
        "set -e; mount -t tmpfs -o size=24m none '{disk}'; exec '{test}' on_a_small_disk --exact --nocapture",
        disk = directory.path().display(),
        test = std::env::current_exe().unwrap().display(),
    );
    // The mount goes with the namespace, and that with its process.
    let run = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", &script])
        .env(SMALL_DISK, directory.path())
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{out}\n{err}");
    assert!(out.contains("1 passed"), "{out}\n{err}");
}
