//! The watch cache on the engine in memory: what its readers see of what is written.

use corten_apimachinery::stored::Facts;
use corten_base::{ShutdownTrigger, SimClock, SimRng, TaskSet};

use super::*;
use crate::{
    kv::{Change as KvChange, Expected, Outcome, Write},
    memory::{MemoryEngine, MemoryStore},
};

/// Serves stored bytes as they are; those that begin with `bad` are no object.
#[derive(Debug)]
struct Plain;

impl ObjectCodec for Plain {
    fn decode(&self, key: &str, value: &Bytes, revision: Revision) -> Result<Arc<Stored>, CorruptObject> {
        if value.starts_with(b"bad") {
            return Err(CorruptObject { key: key.to_owned(), why: "it is bad".to_owned() });
        }
        let (namespace, name) = key.split_once('/').unwrap_or(("", key));
        let (namespace, name, uid) = (namespace.into(), name.into(), "".into());
        Ok(Arc::new(Stored { revision, namespace, name, uid, json: value.clone(), facts: Facts::default() }))
    }

    fn at_revision(&self, object: &Stored, revision: Revision) -> Arc<Stored> {
        Arc::new(Stored { revision, ..object.clone() })
    }
}

struct Fixture {
    engine: Arc<MemoryEngine>,
    clock: Arc<SimClock>,
    cacher: Cacher,
    tasks: TaskSet,
    trigger: ShutdownTrigger,
}

impl Fixture {
    fn new() -> Self {
        let (tasks, (trigger, shutdown)) = (TaskSet::new("test"), Shutdown::new());
        let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
        let engine = Arc::new(MemoryEngine::open(&MemoryStore::default(), clock.clone(), &tasks, &shutdown));
        let cacher =
            Cacher::new(KeySpace::new("pods"), engine.clone(), Arc::new(Plain), clock.clone(), SimRng::shared(1));
        tasks.spawn("cacher", cacher.clone().run(shutdown));
        Self { engine, clock, cacher, tasks, trigger }
    }

    async fn write(&self, key: &str, expected: Expected, change: KvChange) -> Revision {
        self.write_in("pods", key, expected, change).await
    }

    async fn write_in(&self, resource: &'static str, key: &str, expected: Expected, change: KvChange) -> Revision {
        let key = KeySpace::new(resource).full(key);
        match self.engine.commit(vec![Write { key, expected, change }]).await.unwrap()[..] {
            [Outcome::Done { revision }] => revision,
            ref other => panic!("{other:?}"),
        }
    }

    async fn put(&self, key: &str, value: &'static str) -> Revision {
        let full = KeySpace::new("pods").full(key);
        let kv = self.engine.get(&full, None).await.unwrap().kv;
        let expected = kv.map_or(Expected::Absent, |kv| Expected::ModRevision(kv.mod_revision));
        self.write(key, expected, KvChange::Put { value: Bytes::from_static(value.as_bytes()), expires_at: None }).await
    }

    async fn delete(&self, key: &str, at: Revision) -> Revision {
        self.write(key, Expected::ModRevision(at), KvChange::Delete).await
    }

    /// Ends all tasks, and with them fails a test in which one has panicked.
    async fn end(self) {
        self.trigger.request();
        self.tasks.join().await.unwrap();
    }
}

fn shown(snapshot: &Snapshot) -> Vec<String> {
    let text = |object: &Stored| format!("{}@{}", String::from_utf8_lossy(&object.json), object.revision);
    snapshot.range("", "").map(|(key, object)| format!("{key}={}", text(object))).collect()
}

async fn take(watcher: &mut Watcher, count: usize) -> Vec<String> {
    let mut events = Vec::new();
    while events.len() < count {
        watcher.next(&mut events).await.unwrap();
    }
    let before = |event: &CacheEvent| event.previous.as_ref().map_or(0, |object| object.revision);
    let text = |event: &Arc<CacheEvent>| {
        format!("{:?} {}@{} after {}", event.change, event.object.name, event.object.revision, before(event))
    };
    events.iter().map(text).collect()
}

#[tokio::test]
async fn readers_see_what_was_there_before_and_what_came_after() {
    let t = Fixture::new();
    let a = t.put("ns/a", "1").await;
    t.cacher.ready().await;
    let b = t.put("ns/b", "2").await;
    let seen = t.cacher.not_older_than(b).await.unwrap();
    assert_eq!(shown(&seen), [format!("ns/a=1@{a}"), format!("ns/b=2@{b}")]);
    let gone = t.delete("ns/a", a).await;
    assert_eq!(shown(&t.cacher.not_older_than(gone).await.unwrap()), [format!("ns/b=2@{b}")]);
    assert_eq!(shown(&seen).len(), 2, "a snapshot stays as it is");
    assert!(t.cacher.get("ns/a").is_none());
    t.end().await;
}

#[tokio::test]
async fn a_read_waits_for_what_was_acknowledged_and_gives_up_on_what_never_comes() {
    let t = Fixture::new();
    let a = t.put("ns/a", "1").await;
    t.cacher.acknowledge(a);
    assert_eq!(shown(&t.cacher.consistent().await.unwrap()).len(), 1);
    let future = a + 10;
    let (read, ()) = tokio::join!(biased; t.cacher.not_older_than(future), async { t.clock.advance(FRESH_TIMEOUT) });
    assert_eq!(read.unwrap_err().to_string(), format!("Too large resource version: {future}, current: {a}"));
    t.end().await;
}

#[tokio::test]
async fn a_watcher_gets_every_change_once_and_in_order() {
    let t = Fixture::new();
    let a = t.put("ns/a", "1").await;
    let (first, mut from_now) = t.cacher.watch_from_now(a).await.unwrap();
    assert_eq!(shown(&first), [format!("ns/a=1@{a}")]);
    let b = t.put("ns/b", "2").await;
    let a2 = t.put("ns/a", "3").await;
    let gone = t.delete("ns/b", b).await;
    let want = [
        format!("Put b@{b} after 0"),
        format!("Put a@{a2} after {a}"),
        // The last state, at the revision of the deletion.
        format!("Delete b@{gone} after {b}"),
    ];
    assert_eq!(take(&mut from_now, 3).await, want);
    assert_eq!(take(&mut t.cacher.watch_after(a).await.unwrap(), 3).await, want);
    assert_eq!(take(&mut t.cacher.watch_after(b).await.unwrap(), 2).await, want[1..]);
    // What happened before the cache was filled is not in the ring.
    let error = t.cacher.watch_after(a - 1).await.unwrap_err();
    assert_eq!(error.to_string(), format!("too old resource version: {} ({a})", a - 1));
    t.end().await;
}

#[tokio::test]
async fn an_old_state_shares_what_has_not_changed_and_is_kept() {
    let t = Fixture::new();
    let a = t.put("ns/a", "1").await;
    let b = t.put("ns/b", "2").await;
    let b2 = t.put("ns/b", "3").await;
    let newest = t.cacher.not_older_than(b2).await.unwrap();
    let old = t.cacher.exact(b).await.unwrap();
    assert_eq!(shown(&old), [format!("ns/a=1@{a}"), format!("ns/b=2@{b}")]);
    assert!(Arc::ptr_eq(old.get("ns/a").unwrap(), newest.get("ns/a").unwrap()));
    // Kept: the engine has forgotten it, the cache has not.
    t.engine.compact(b2).await.unwrap();
    assert_eq!(shown(&t.cacher.exact(b).await.unwrap()), shown(&old));
    t.cacher.forget_before(b2);
    let error = t.cacher.exact(b).await.unwrap_err();
    assert_eq!(error.to_string(), format!("too old resource version: {b} ({b2})"));
    t.end().await;
}

/// The later state was taken for the earlier one: nothing in it says that something was deleted in between.
#[tokio::test]
async fn states_before_and_after_a_deletion_are_told_apart() {
    let t = Fixture::new();
    let a = t.put("ns/a", "1").await;
    let b = t.put("ns/b", "2").await;
    let gone = t.delete("ns/b", b).await;
    let last = t.put("ns/a", "3").await;
    t.cacher.not_older_than(last).await.unwrap();
    assert_eq!(shown(&t.cacher.exact(gone).await.unwrap()), [format!("ns/a=1@{a}")]);
    assert_eq!(shown(&t.cacher.exact(b).await.unwrap()), [format!("ns/a=1@{a}"), format!("ns/b=2@{b}")]);
    t.end().await;
}

/// The second page of a list said a later revision than the first one, if other resources were written in between.
#[tokio::test]
async fn a_state_has_the_revision_that_was_asked_for() {
    let t = Fixture::new();
    let a = t.put("ns/a", "1").await;
    let change = KvChange::Put { value: Bytes::from_static(b"1"), expires_at: None };
    let elsewhere = t.write_in("secrets", "ns/a", Expected::Absent, change).await;
    let newest = t.cacher.not_older_than(elsewhere).await.unwrap();
    t.cacher.keep(&newest);
    for revision in [a, elsewhere] {
        let state = t.cacher.exact(revision).await.unwrap();
        assert_eq!((state.revision(), shown(&state)), (revision, vec![format!("ns/a=1@{a}")]));
    }
    t.end().await;
}

#[tokio::test]
async fn what_cannot_be_decoded_is_left_out_and_named_until_it_is_repaired() {
    let t = Fixture::new();
    t.put("ns/before", "bad").await;
    let good = t.put("ns/a", "1").await;
    let (_, mut watcher) = t.cacher.watch_from_now(good).await.unwrap();
    let bad = t.put("ns/a", "bad").await;
    // To watchers it is gone: better no object than one that it no longer is.
    assert_eq!(take(&mut watcher, 1).await, [format!("Delete a@{bad} after {good}")]);
    assert_eq!(shown(&t.cacher.any()), [""; 0]);
    assert_eq!(t.cacher.corrupt().len(), 2);
    assert_eq!(t.cacher.corrupt_at("ns/a").unwrap().why, "it is bad");
    let repaired = t.put("ns/a", "2").await;
    assert_eq!(take(&mut watcher, 1).await, [format!("Put a@{repaired} after 0")]);
    assert!(t.cacher.corrupt_at("ns/a").is_none());
    t.end().await;
}

#[tokio::test]
async fn a_frame_is_made_once_for_each_encoding() {
    let t = Fixture::new();
    let a = t.put("ns/a", "1").await;
    let (_, mut watcher) = t.cacher.watch_from_now(a).await.unwrap();
    t.put("ns/a", "2").await;
    let mut events = Vec::new();
    watcher.next(&mut events).await.unwrap();
    assert_eq!(events[0].frame(1, || "first".into()), "first");
    assert_eq!(events[0].frame(1, || panic!("it is there")), "first");
    assert_eq!(events[0].frame(2, || "second".into()), "second");
    t.end().await;
}

/// A watch whose client did not read kept all events that it had taken in one go, however large they were.
#[tokio::test]
async fn a_watcher_takes_no_more_bytes_at_once_than_it_may_keep() {
    let t = Fixture::new();
    t.put("ns/a", "1").await;
    t.cacher.ready().await;
    let (_, mut watcher) = t.cacher.watch_from_now(0).await.unwrap();
    let large: &'static str = Box::leak(" ".repeat(100_000).into_boxed_str());
    let mut revisions = Vec::new();
    for name in ["ns/b", "ns/c", "ns/d", "ns/e"] {
        revisions.push(t.put(name, large).await);
    }
    t.cacher.not_older_than(revisions[3]).await.unwrap();
    let mut events = Vec::new();
    for (taken, revision) in [(2, revisions[1]), (4, revisions[3])] {
        assert!(watcher.drain(&mut events).unwrap());
        assert_eq!((events.len(), watcher.revision()), (taken, revision));
    }
    assert!(!watcher.drain(&mut events).unwrap());
    t.end().await;
}
