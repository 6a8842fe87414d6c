//! Calls of the disk fail: once, or for a while.

use corten_base::ErrorChain;
use corten_storage::{
    conformance::{recovery::is_of, seeded_rng},
    kv::{Expected, KvError, Revision},
};
use corten_storage_sqlite::Config;

use super::{
    disk::{self, Disk, Fault, Kind},
    history::{LOG_PAGES, Told, Wanted, events_until, verify, work},
    support::{Open, clock, commit, config, put, try_commit, whole},
};

/// How many calls in a row fail.
const DURATIONS: &[u64] = &[1, 2, 7, 40];

async fn open(directory: &std::path::Path) -> Open {
    let config = Config { ballast_bytes: 0, log_pages: LOG_PAGES, ..config(directory) };
    Open::try_new(config, clock()).await.unwrap()
}

/// From the `first`-th call of a kind on, `count` of them fail.
fn plan(disk: &Disk, kind: Kind, fault: Fault, first: u64, count: u64) {
    let mut seen = 0;
    disk.fail(Box::new(move |called, _| {
        if called != kind {
            return None;
        }
        seen += 1;
        (first < seen && seen <= first + count).then_some(fault)
    }));
}

/// What the caller was told and what is there agree: all of it, in order, once.
async fn agree(open: Open, told: &Told, mut watch: corten_storage::kv::Watch, directory: &std::path::Path, what: &str) {
    let engine = &*open.engine;
    let next = commit(engine, put("/healed", Expected::Absent, "works")).await;
    let events = events_until(&mut watch, 0, next).await;
    let is = |write, revision: Revision| is_of(&events[revision as usize - 1], write);
    for (write, revision) in &told.done {
        assert!(is(write, *revision), "{what}: the acknowledged {revision} is another write");
    }
    let claimed: Vec<Revision> = told.done.iter().map(|(_, revision)| *revision).chain([next]).collect();
    for revision in (1..=next).filter(|revision| !claimed.contains(revision)) {
        let explained = told.unknown.iter().any(|write| is(write, revision));
        assert!(explained, "{what}: {revision} was written by nobody: {:?}", events[revision as usize - 1]);
    }
    let found = engine.list(whole()).await.unwrap().kvs;
    open.close().await;
    let borders: Vec<Revision> = (1..=next).collect();
    let wanted = Wanted { events: &events, borders: &borders, tried: &[], acknowledged: next, compacted: 0 };
    verify(directory, &wanted, what).await;
    assert!(!found.is_empty());
}

async fn check(kind: Kind, fault: Fault) {
    let rng = seeded_rng();
    let mut failed = 0;
    for count in DURATIONS {
        for _ in 0..4 {
            let directory = tempfile::tempdir().unwrap();
            let disk = disk::watch(directory.path());
            let open = open(directory.path()).await;
            let watch = open.engine.watch(bytes::Bytes::new(), 0).await.unwrap();
            let mut told = Told::default();
            work(&*open.engine, &disk, &*rng, 8, &mut told).await;
            // A commit has about as many calls of each kind as it has pages; the first ones meet the first commits.
            let first = rng.below(30);
            let before = disk.calls(kind);
            plan(&disk, kind, fault, first, *count);
            work(&*open.engine, &disk, &*rng, 30, &mut told).await;
            disk.heal();
            failed += u64::from(disk.calls(kind) > before + first);
            work(&*open.engine, &disk, &*rng, 4, &mut told).await;
            let what = format!("{kind:?} {fault:?}: {count} from {first} on");
            agree(open, &told, watch, directory.path(), &what).await;
        }
    }
    assert!(failed > 8, "{kind:?} was hit {failed} times");
}

#[tokio::test]
async fn failing_writes_lose_nothing_and_pass() {
    check(Kind::Write, Fault::Error).await;
}

#[tokio::test]
async fn half_written_pages_lose_nothing_and_pass() {
    check(Kind::Write, Fault::Torn).await;
}

#[tokio::test]
async fn no_space_loses_nothing_and_passes() {
    check(Kind::Write, Fault::Full).await;
}

#[tokio::test]
async fn failing_syncs_lose_nothing_and_pass() {
    check(Kind::Sync, Fault::Error).await;
}

#[tokio::test]
async fn failing_reads_lose_nothing_and_pass() {
    check(Kind::Read, Fault::Error).await;
}

/// What a caller is told says what failed, not only that it did.
#[tokio::test]
async fn the_error_names_what_failed_and_reads_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let disk = disk::watch(directory.path());
    let open = open(directory.path()).await;
    let engine = &*open.engine;
    let first = commit(engine, put("/a", Expected::Absent, "kept")).await;
    for (kind, fault, want, unknown) in [
        (Kind::Write, Fault::Error, "disk I/O error", None),
        (Kind::Write, Fault::Full, "disk is full", Some(false)),
        (Kind::Sync, Fault::Error, "disk I/O error", Some(true)),
    ] {
        plan(&disk, kind, fault, 0, u64::MAX);
        let error = try_commit(engine, put("/a", Expected::ModRevision(first), "never")).await.unwrap_err();
        let text = ErrorChain(&error).to_string();
        assert!(text.contains(want), "{kind:?} {fault:?}: {text}");
        match error {
            KvError::Storage { outcome_unknown, .. } => {
                assert!(unknown.is_none_or(|unknown| unknown == outcome_unknown), "{kind:?} {fault:?}: {text}");
            }
            KvError::NoSpace { .. } => assert_eq!(fault, Fault::Full),
            other => panic!("not {other:?}"),
        }
        let kv = engine.get(b"/a", None).await.unwrap().kv.unwrap();
        assert_eq!((&kv.value[..], kv.mod_revision), (&b"kept"[..], first), "reads go on");
        disk.heal();
        // After a failure the next write opens the store again: so that each kind meets a commit.
        commit(engine, put(&format!("/{kind:?}{fault:?}"), Expected::Absent, "works")).await;
    }
    open.close().await;
}
