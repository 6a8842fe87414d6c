//! Clauses about opening, closing, backup and status.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use corten_base::TaskSet;

use super::{Subject, create, put, remove, update};
use crate::kv::{Expected, KvError, ListRequest, Revision};

fn whole(revision: Option<Revision>) -> ListRequest {
    ListRequest { prefix: Bytes::new(), start: Bytes::new(), limit: 0, revision }
}

/// Closing and opening changes nothing: values, history, revisions.
pub async fn a_reopened_store_is_the_same(subject: &dyn Subject) {
    let engine = subject.open().await;
    let a = create(&*engine, "/a", "a").await;
    let b = create(&*engine, "/b", "b").await;
    let a2 = update(&*engine, "/a", a, "a2").await;
    let gone = remove(&*engine, "/b", b).await;
    let mut before = Vec::new();
    for revision in [a, b, a2, gone] {
        before.push(engine.list(whole(Some(revision))).await.unwrap());
    }
    let status = engine.status().await.unwrap();
    drop(engine);
    subject.close().await;
    let engine = subject.open().await;
    for (revision, page) in [a, b, a2, gone].into_iter().zip(before) {
        assert_eq!(engine.list(whole(Some(revision))).await.unwrap(), page);
    }
    let again = engine.status().await.unwrap();
    assert_eq!((again.revision, again.compact_revision), (status.revision, status.compact_revision));
    assert_eq!(create(&*engine, "/c", "").await, gone + 1);
}

/// A backup taken under load is the store at one revision, whole.
pub async fn a_backup_taken_while_writing_is_one_state(subject: &dyn Subject) {
    let engine = subject.open().await;
    for n in 0..200 {
        create(&*engine, &format!("/before/{n}"), "x").await;
    }
    let (stop, tasks) = (Arc::new(AtomicBool::new(false)), TaskSet::new("backup-test"));
    let (started, running) = tokio::sync::oneshot::channel();
    let (writer, stopped) = (Arc::clone(&engine), Arc::clone(&stop));
    tasks.spawn("writer", async move {
        let mut started = Some(started);
        let mut n = 0;
        while !stopped.load(Ordering::Relaxed) {
            let batch = (0..8).map(|i| put(&format!("/during/{n}/{i}"), Expected::Absent, "y")).collect();
            writer.commit(batch).await.unwrap();
            n += 1;
            if let Some(started) = started.take() {
                started.send(()).unwrap();
            }
        }
    });
    running.await.unwrap();
    let target = subject.scratch().join("copy");
    let revision = engine.backup(&target).await.unwrap();
    stop.store(true, Ordering::Relaxed);
    tasks.join().await.unwrap();
    let copy = subject.open_backup(&target).await;
    let status = copy.status().await.unwrap();
    assert_eq!(status.revision, revision, "the revision that backup returned is the copy's");
    let (mut got, mut want) =
        (copy.list(whole(None)).await.unwrap(), engine.list(whole(Some(revision))).await.unwrap());
    (got.revision, want.revision) = (0, 0);
    assert_eq!(got, want);
    assert!(got.kvs.len() >= 208);
    assert_eq!(create(&*copy, "/on/the/copy", "").await, revision + 1, "the copy is a store like any other");
    let error = engine.backup(&target).await.unwrap_err();
    assert!(matches!(error, KvError::Storage { .. }), "an existing file is not overwritten: {error:?}");
}

/// A closed engine says so, to every call and to every watcher.
pub async fn a_closed_engine_refuses(subject: &dyn Subject) {
    let engine = subject.open().await;
    let revision = create(&*engine, "/a", "a").await;
    let mut watch = engine.watch(Bytes::from_static(b"/"), revision).await.unwrap();
    subject.close().await;
    assert!(watch.recv().await.is_none(), "the watch has ended");
    let target = subject.scratch().join("copy");
    for error in [
        engine.get(b"/a", None).await.unwrap_err(),
        engine.list(whole(None)).await.unwrap_err(),
        engine.count(b"/").await.unwrap_err(),
        engine.commit(vec![put("/b", Expected::Absent, "b")]).await.unwrap_err(),
        engine.watch(Bytes::from_static(b"/"), revision).await.unwrap_err(),
        engine.request_progress(b"/").await.unwrap_err(),
        engine.compact(revision).await.unwrap_err(),
        engine.status().await.unwrap_err(),
        engine.backup(&target).await.unwrap_err(),
    ] {
        assert!(matches!(error, KvError::Closed), "not {error:?}");
    }
    let engine = subject.open().await;
    assert_eq!(engine.status().await.unwrap().revision, revision);
}

/// `status` tells where the store is and how far it is compacted.
pub async fn status_tells_the_revisions(subject: &dyn Subject) {
    let engine = &*subject.open().await;
    let before = engine.status().await.unwrap();
    let a = create(engine, "/a", &"a".repeat(10_000)).await;
    let b = update(engine, "/a", a, "b").await;
    engine.compact(a).await.unwrap();
    let after = engine.status().await.unwrap();
    assert_eq!((before.revision + 2, after.revision, after.compact_revision), (b, b, a));
    assert!(after.size_bytes > 0);
}
