//! Clauses about keys that go by themselves.

use std::time::Duration;

use bytes::Bytes;

use super::{Subject, commit, done, read_until, remove};
use crate::kv::{Change, Expected, KvEngine, Revision, Write};

const LIFETIME: Duration = Duration::from_secs(2);

async fn put_expiring(subject: &dyn Subject, engine: &dyn KvEngine, key: &'static str, expected: Expected) -> Revision {
    let change = Change::Put { value: "v".into(), expires_at: Some(subject.now() + LIFETIME) };
    done(commit(engine, Write { key: key.into(), expected, change }).await)
}

/// Expiry is a delete with a revision and an event, not before its time.
pub async fn an_expired_key_is_deleted_like_any_other(subject: &dyn Subject) {
    let engine = &*subject.open().await;
    let created = put_expiring(subject, engine, "/e/1", Expected::Absent).await;
    let mut watch = engine.watch(Bytes::from_static(b"/e/"), created).await.unwrap();
    assert!(engine.get(b"/e/1", None).await.unwrap().kv.is_some());
    subject.pass_time(LIFETIME).await;
    let events = read_until(&mut watch, created, created + 1).await;
    assert_eq!(events.len(), 1);
    assert!(events[0].is_delete() && events[0].prev_value.as_deref() == Some(b"v"), "{:?}", events[0]);
    assert_eq!((events[0].revision, events[0].create_revision), (created + 1, created));
    let read = engine.get(b"/e/1", None).await.unwrap();
    assert_eq!((read.kv, read.revision), (None, created + 1));
    assert!(engine.get(b"/e/1", Some(created)).await.unwrap().kv.is_some(), "history stays");
}

/// A key that was written again lives as long as its last value says; one that was deleted is not deleted twice.
pub async fn a_renewed_key_stays(subject: &dyn Subject) {
    let engine = &*subject.open().await;
    let first = put_expiring(subject, engine, "/e/renewed", Expected::Absent).await;
    let kept = put_expiring(subject, engine, "/e/kept", Expected::Absent).await;
    let deleted = put_expiring(subject, engine, "/e/deleted", Expected::Absent).await;
    let mut watch = engine.watch(Bytes::from_static(b"/e/"), deleted).await.unwrap();
    let change = Change::Put { value: "for ever".into(), expires_at: None };
    let write = Write { key: Bytes::from_static(b"/e/kept"), expected: Expected::ModRevision(kept), change };
    done(commit(engine, write).await);
    let last = remove(engine, "/e/deleted", deleted).await;
    subject.pass_time(LIFETIME / 2).await;
    let renewed = put_expiring(subject, engine, "/e/renewed", Expected::ModRevision(first)).await;
    assert_eq!(renewed, last + 1);
    // The first lifetime is over, the second is not.
    subject.pass_time(LIFETIME * 3 / 4).await;
    assert!(engine.get(b"/e/renewed", None).await.unwrap().kv.is_some());
    subject.pass_time(LIFETIME).await;
    let events = read_until(&mut watch, deleted, renewed + 1).await;
    let expired = events.last().unwrap();
    assert_eq!((&expired.key[..], expired.is_delete()), (b"/e/renewed".as_slice(), true));
    assert_eq!(engine.count(b"/e/").await.unwrap(), 1);
}

/// A lifetime that ends while the store is closed ends with a revisioned delete at the next start.
pub async fn a_key_expired_while_closed_goes_at_open(subject: &dyn Subject) {
    let engine = subject.open().await;
    let gone = put_expiring(subject, &*engine, "/e/1", Expected::Absent).await;
    drop(engine);
    subject.close().await;
    subject.pass_time(LIFETIME).await;
    let engine = subject.open().await;
    let late = put_expiring(subject, &*engine, "/e/2", Expected::Absent).await;
    let mut watch = engine.watch(Bytes::from_static(b"/e/"), gone).await.unwrap();
    subject.pass_time(LIFETIME / 2).await;
    let events = read_until(&mut watch, gone, gone + 2).await;
    let deleted: Vec<_> = events.iter().filter(|event| event.is_delete()).collect();
    assert_eq!((deleted.len(), &deleted[0].key[..]), (1, b"/e/1".as_slice()));
    assert!(engine.get(b"/e/2", None).await.unwrap().kv.is_some(), "written at {late}, not expired");
    drop((watch, engine));
    subject.close().await;
    let engine = subject.open().await;
    let after = gone + 2;
    let mut watch = engine.watch(Bytes::from_static(b"/e/"), after).await.unwrap();
    subject.pass_time(LIFETIME).await;
    let events = read_until(&mut watch, after, after + 1).await;
    assert_eq!((&events[0].key[..], events[0].is_delete()), (b"/e/2".as_slice(), true), "the time is durable");
}
