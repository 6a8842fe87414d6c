//! The watch cache on the engine in memory: what its readers see of what is written.

mod slow;

use std::{
    convert::Infallible,
    sync::atomic::{AtomicUsize, Ordering},
    task::{Context, Poll, Wake, Waker},
};

use bytes::Bytes;
use corten_apimachinery::stored::Facts;
use corten_base::{Shutdown, ShutdownTrigger, SimClock, SimRng, TaskSet};

use super::{pages::DECODED_AT_ONCE_BYTES, *};
use crate::{
    kv::{Change as KvChange, Expected, Outcome, Write},
    memory::{MemoryEngine, MemoryStore},
    object::CorruptObject,
};

/// Serves stored bytes as they are; those that begin with `bad` are no object.
#[derive(Debug, Default)]
struct Plain {
    decoded: AtomicUsize,
}

impl ObjectCodec for Plain {
    fn decode(&self, key: &str, value: &Bytes, revision: Revision) -> Result<Arc<Stored>, CorruptObject> {
        self.decoded.fetch_add(1, Ordering::Relaxed);
        if value.starts_with(b"bad") {
            return Err(CorruptObject { key: key.to_owned(), revision, why: "it is bad".to_owned() });
        }
        let (namespace, name) = key.split_once('/').unwrap_or(("", key));
        let (namespace, name, uid) = (namespace.into(), name.into(), "".into());
        Ok(Arc::new(Stored { revision, namespace, name, uid, json: value.clone().into(), facts: Facts::default() }))
    }

    fn at_revision(&self, object: &Stored, revision: Revision) -> Arc<Stored> {
        Arc::new(Stored { revision, ..object.clone() })
    }
}

struct Fixture {
    engine: Arc<MemoryEngine>,
    clock: Arc<SimClock>,
    codec: Arc<Plain>,
    cacher: Cacher,
    tasks: TaskSet,
    trigger: ShutdownTrigger,
}

impl Fixture {
    fn new() -> Self {
        let (tasks, (trigger, shutdown)) = (TaskSet::new("test"), Shutdown::new());
        let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
        let engine = Arc::new(MemoryEngine::open(&MemoryStore::default(), clock.clone(), &tasks, &shutdown));
        let codec = Arc::<Plain>::default();
        let cacher =
            Cacher::new(KeySpace::new("pods"), engine.clone(), codec.clone(), clock.clone(), SimRng::shared(1));
        tasks.spawn("cacher", cacher.clone().run(shutdown));
        Self { engine, clock, codec, cacher, tasks, trigger }
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

/// A watch that began at a revision of another server, or of a store before it was restored, was sent what comes before that.
#[tokio::test]
async fn a_watch_after_a_revision_to_come_gets_what_comes_after_it() {
    let t = Fixture::new();
    let first = t.put("ns/a", "1").await;
    t.cacher.not_older_than(first).await.unwrap();
    let mut watcher = t.cacher.watch_after(first + 2).await.unwrap();
    let mut named = t.cacher.watch_after(first + 2).await.unwrap().only(Some("ns"), "a");
    for value in ["2", "3"] {
        let at = t.put("ns/a", value).await;
        t.cacher.not_older_than(at).await.unwrap();
        for watcher in [&mut watcher, &mut named] {
            assert_eq!((watcher.drain(&mut Vec::new()), watcher.revision()), (Ok(false), first + 2));
        }
    }
    let next = t.put("ns/a", "4").await;
    for watcher in [&mut watcher, &mut named] {
        assert_eq!(take(watcher, 1).await, [format!("Put a@{next} after {}", next - 1)]);
    }
    t.end().await;
}

/// A thousand objects were decoded in one go, however large.
#[tokio::test]
async fn a_first_read_lets_others_have_their_turn() {
    let t = Fixture::new();
    let value = Bytes::from(vec![b'x'; DECODED_AT_ONCE_BYTES / 2]);
    for n in 0..8 {
        let change = KvChange::Put { value: value.clone(), expires_at: None };
        t.write(&format!("ns/{n}"), Expected::Absent, change).await;
    }
    let none = Snapshot::default();
    let mut seen = 0;
    let turns = {
        let mut reading = std::pin::pin!(t.cacher.read_pages(None, "", &none, |_, _| seen += 1));
        let mut context = Context::from_waker(Waker::noop());
        let mut turns = 1;
        while reading.as_mut().poll(&mut context).is_pending() {
            turns += 1;
        }
        turns
    };
    assert_eq!((seen, turns), (8, 4));
    t.end().await;
}

/// Everything was decoded and held a second time, and what states kept for lists held of the old was not counted.
#[tokio::test]
async fn a_new_read_shares_what_has_not_changed_and_counts_what_has() {
    let t = Fixture::new();
    t.put("ns/a", "first").await;
    t.put("ns/b", "1").await;
    // Nobody follows this one: it reads when it is told to.
    let keys = KeySpace::new("pods");
    let cacher = Cacher::new(keys, t.engine.clone(), t.codec.clone(), t.clock.clone(), SimRng::shared(1));
    cacher.read_all().await.unwrap();
    let before = cacher.any();
    cacher.keep(&before);
    t.put("ns/a", "second").await;
    let decoded = t.codec.decoded.load(Ordering::Relaxed);
    cacher.read_all().await.unwrap();
    let after = cacher.any();
    assert!(Arc::ptr_eq(before.get("ns/b").unwrap(), after.get("ns/b").unwrap()));
    assert_eq!(after.get("ns/a").unwrap().json.len(), "second".len());
    assert_eq!(cacher.inner.state.read().kept.bytes(), "first".len() as u64);
    // Each cache has decoded the change.
    assert!(t.codec.decoded.load(Ordering::Relaxed) - decoded <= 2);
    t.end().await;
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
    let old = t.cacher.exact(b, "").await.unwrap();
    assert_eq!(shown(&old), [format!("ns/a=1@{a}"), format!("ns/b=2@{b}")]);
    assert!(Arc::ptr_eq(old.get("ns/a").unwrap(), newest.get("ns/a").unwrap()));
    // Kept: the engine has forgotten it, the cache has not.
    t.engine.compact(b2).await.unwrap();
    assert_eq!(shown(&t.cacher.exact(b, "").await.unwrap()), shown(&old));
    t.cacher.forget_before(b2);
    let error = t.cacher.exact(b, "").await.unwrap_err();
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
    assert_eq!(shown(&t.cacher.exact(gone, "").await.unwrap()), [format!("ns/a=1@{a}")]);
    assert_eq!(shown(&t.cacher.exact(b, "").await.unwrap()), [format!("ns/a=1@{a}"), format!("ns/b=2@{b}")]);
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
        let state = t.cacher.exact(revision, "").await.unwrap();
        assert_eq!((state.revision(), shown(&state)), (revision, vec![format!("ns/a=1@{a}")]));
    }
    t.end().await;
}

/// A list right after a definition was changed could miss what a request on the routes of old had just been told is stored.
#[tokio::test]
async fn a_cache_in_the_place_of_another_waits_for_writes_through_that() {
    let t = Fixture::new();
    t.put("ns/a", "1").await;
    let keys = KeySpace::new("pods");
    let newer = Cacher::new(keys, t.engine.clone(), t.codec.clone(), t.clock.clone(), SimRng::shared(1));
    let newer = newer.in_place_of(&t.cacher);
    let (stop, shutdown) = Shutdown::new();
    t.tasks.spawn("newer", newer.clone().run(shutdown));
    newer.ready().await;
    let at = t.put("ns/a", "2").await;
    t.cacher.acknowledge(at);
    assert_eq!(shown(&newer.consistent().await.unwrap()), [format!("ns/a=2@{at}")]);
    stop.request();
    t.end().await;
}

/// Who asked for the revision of a write elsewhere waited for the next progress mark.
#[tokio::test]
async fn a_revision_that_touched_nothing_here_is_not_waited_for() {
    let t = Fixture::new();
    t.put("ns/a", "1").await;
    t.cacher.ready().await;
    for n in 0..20 {
        let change = KvChange::Put { value: Bytes::from_static(b"1"), expires_at: None };
        let elsewhere = t.write_in("secrets", &format!("ns/{n}"), Expected::Absent, change).await;
        let mut read = std::pin::pin!(t.cacher.not_older_than(elsewhere));
        let mut state = None;
        // No time passes; the cache runs when this task lets it.
        for _ in 0..100 {
            if let Poll::Ready(read) = read.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                state = Some(read);
                break;
            }
            tokio::task::yield_now().await;
        }
        let state = state.unwrap_or_else(|| panic!("still waiting for {elsewhere}, write {n}")).unwrap();
        assert!(state.revision() >= elsewhere);
    }
    t.end().await;
}

#[tokio::test]
async fn what_cannot_be_decoded_is_named_until_it_is_repaired() {
    let t = Fixture::new();
    t.put("ns/before", "bad").await;
    let good = t.put("ns/a", "1").await;
    let (_, mut watcher) = t.cacher.watch_from_now(good).await.unwrap();
    let bad = t.put("ns/a", "bad").await;
    // To watchers it is gone: better no object than one that it no longer is.
    assert_eq!(take(&mut watcher, 1).await, [format!("Delete a@{bad} after {good}")]);
    assert_eq!(shown(&t.cacher.any()), [""; 0]);
    let state = t.cacher.any();
    assert_eq!(state.corrupt("", "").count(), 2);
    assert_eq!(state.corrupt_at("ns/a").unwrap().why, "it is bad");
    let keys = |namespace: &str, start: &str| -> Vec<String> {
        state.corrupt(namespace, start).map(|(key, _)| key.to_owned()).collect()
    };
    assert_eq!(keys("", ""), ["ns/a", "ns/before"]);
    assert_eq!(keys("ns", "ns/b"), ["ns/before"]);
    assert_eq!(keys("n", ""), [""; 0]);
    // The state before has what could not be decoded then.
    let before = t.cacher.exact(good, "").await.unwrap();
    assert_eq!(shown(&before), [format!("ns/a=1@{good}")]);
    assert_eq!(before.corrupt("", "").map(|(key, _)| key).collect::<Vec<_>>(), ["ns/before"]);
    let repaired = t.put("ns/a", "2").await;
    assert_eq!(take(&mut watcher, 1).await, [format!("Put a@{repaired} after 0")]);
    assert!(t.cacher.any().corrupt_at("ns/a").is_none());
    assert!(state.corrupt_at("ns/a").is_some(), "what was does not change");
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
    let purpose = |api_version: &str, form| Purpose { api_version: api_version.into(), form };
    let frame = |purpose: Purpose, text: &'static str| {
        events[0].frame(&purpose, || Ok::<_, Infallible>(Bytes::from_static(text.as_bytes()))).unwrap()
    };
    assert_eq!(frame(purpose("v1", 1), "first"), "first");
    assert_eq!(frame(purpose("v1", 1), "again"), "first");
    assert_eq!(frame(purpose("v1", 2), "second"), "second");
    assert_eq!(frame(purpose("events.k8s.io/v1", 1), "third"), "third");
    // What says how long ago something was is made once for all who read it at that time.
    let frame_at = |moment: i64, text: &'static str| {
        events[0]
            .frame_at(&purpose("v1", 3), moment, || Ok::<_, Infallible>(Bytes::from_static(text.as_bytes())))
            .unwrap()
    };
    assert_eq!(
        [frame_at(7, "7s"), frame_at(7, "again"), frame_at(8, "8s"), frame_at(8, "again")],
        ["7s", "7s", "8s", "8s"]
    );
    assert_eq!(frame(purpose("v1", 2), "again"), "second");
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
    for (taken, revision) in [(3, revisions[2]), (4, revisions[3])] {
        assert!(watcher.drain(&mut events).unwrap());
        assert_eq!((events.len(), watcher.revision()), (taken, revision));
    }
    assert!(!watcher.drain(&mut events).unwrap());
    t.end().await;
}

/// All objects of the resource were read, whatever namespace was asked for, and once more for each who asked meanwhile.
#[tokio::test]
async fn an_old_state_of_a_namespace_is_read_once_and_without_the_others() {
    let t = Fixture::new();
    t.put("ns/a", "1").await;
    for name in ["ns/b", "ns2/a", "ns2/b", "nt/a"] {
        t.put(name, "old").await;
    }
    let old = t.put("ns/c", "1").await;
    for name in ["ns/b", "ns2/a", "ns2/b", "nt/a"] {
        t.put(name, "new").await;
    }
    t.cacher.not_older_than(old + 4).await.unwrap();
    let before = t.codec.decoded.load(Ordering::Relaxed);
    let decoded = || t.codec.decoded.load(Ordering::Relaxed) - before;
    let (one, other) = tokio::join!(t.cacher.exact(old, "ns"), t.cacher.exact(old, "ns"));
    let one = one.unwrap();
    let text = |(key, object): (&str, &Arc<Stored>)| format!("{key}={}", String::from_utf8_lossy(&object.json));
    assert_eq!(one.range("ns", "").map(text).collect::<Vec<_>>(), ["ns/a=1", "ns/b=old", "ns/c=1"]);
    assert_eq!((other.unwrap().len(), decoded()), (3, 1), "only `ns/b` has changed since");
    // Another namespace is not in it, and a state of all of them is one of each.
    assert_eq!((t.cacher.exact(old, "ns2").await.unwrap().len(), decoded()), (2, 3));
    assert_eq!((t.cacher.exact(old, "").await.unwrap().len(), decoded()), (6, 7));
    assert_eq!((t.cacher.exact(old, "nt").await.unwrap().range("nt", "").count(), decoded()), (1, 7));
    t.end().await;
}

/// Counts how often it is woken.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Each change of any secret woke the watch of each other one: a pod may name tens of thousands.
#[tokio::test]
async fn a_watch_of_one_name_is_woken_for_that_name_alone() {
    let t = Fixture::new();
    t.put("ns/hot", "1").await;
    t.cacher.ready().await;
    let mut watchers = Vec::new();
    for n in 0..10_000 {
        watchers.push(t.cacher.watch_from_now(0).await.unwrap().1.only(Some("ns"), &format!("quiet-{n}")));
    }
    let (mut here, mut anywhere) = (
        t.cacher.watch_from_now(0).await.unwrap().1.only(Some("ns"), "hot"),
        t.cacher.watch_from_now(0).await.unwrap().1.only(None, "quiet-7"),
    );
    let mut batches: Vec<Vec<Arc<CacheEvent>>> = watchers.iter().map(|_| Vec::new()).collect();
    let wakes = Arc::<Wakes>::default();
    let waker = Waker::from(Arc::clone(&wakes));
    let mut waiting: Vec<_> =
        watchers.iter_mut().zip(&mut batches).map(|(watch, batch)| Box::pin(watch.next(batch))).collect();
    for watch in &mut waiting {
        assert!(watch.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    let mut last = 0;
    for _ in 0..100 {
        last = t.put("ns/hot", "2").await;
        t.put("other/quiet-7", "1").await;
    }
    t.cacher.not_older_than(last + 1).await.unwrap();
    assert_eq!(wakes.0.load(Ordering::Relaxed), 0);
    last = t.put("ns/quiet-7", "1").await;
    t.cacher.not_older_than(last).await.unwrap();
    assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
    assert!(waiting[7].as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
    drop(waiting);
    assert_eq!(batches[7].len(), 1);
    assert_eq!((watchers[7].revision(), batches[8].len()), (last, 0));
    assert_eq!((take(&mut here, 100).await.len(), take(&mut anywhere, 101).await.len()), (100, 101));
    drop((watchers, here));
    assert_eq!(t.cacher.inner.state.read().named.len(), 1, "who has ended is forgotten");
    t.end().await;
}

#[tokio::test]
async fn a_watch_of_one_name_sees_what_happened_before_it_was_narrowed() {
    let t = Fixture::new();
    let first = t.put("ns/a", "1").await;
    t.cacher.ready().await;
    t.put("ns/b", "1").await;
    let second = t.put("ns/a", "2").await;
    let third = t.put("ns/a", "3").await;
    t.cacher.not_older_than(third).await.unwrap();
    // The later one begins with fewer events than the earlier one needs.
    let mut late = t.cacher.watch_after(second).await.unwrap().only(Some("ns"), "a");
    let mut early = t.cacher.watch_after(first).await.unwrap().only(Some("ns"), "a");
    let fourth = t.put("ns/a", "4").await;
    let put = |at: Revision, before: Revision| format!("Put a@{at} after {before}");
    assert_eq!(take(&mut late, 2).await, [put(third, second), put(fourth, third)]);
    assert_eq!(take(&mut early, 3).await, [put(second, first), put(third, second), put(fourth, third)]);
    t.end().await;
}

/// Events of others go from the ring without loss; an event of its own that goes unread closes the watch.
#[tokio::test]
async fn a_watch_of_one_name_falls_behind_by_its_own_events_alone() {
    let t = Fixture::new();
    let first = t.put("ns/a", "1").await;
    t.cacher.not_older_than(first).await.unwrap();
    let watch = async |name: &str| t.cacher.watch_from_now(0).await.unwrap().1.only(Some("ns"), name);
    let (mut quiet, mut lost) = (watch("quiet").await, watch("lost").await);
    let mut all = t.cacher.watch_from_now(0).await.unwrap().1;
    let mut last = t.put("ns/lost", "1").await;
    t.cacher.not_older_than(last).await.unwrap();
    t.clock.advance(Duration::from_secs(100));
    for _ in 0..1_000 {
        last = t.put("ns/a", "2").await;
    }
    t.cacher.not_older_than(last).await.unwrap();
    let mut events = Vec::new();
    let closed = Err(WatcherClosed::Behind { after: first });
    assert_eq!((all.drain(&mut events), lost.drain(&mut events)), (closed, closed));
    assert_eq!((quiet.drain(&mut events), quiet.revision(), events.len()), (Ok(false), last, 0));
    let change = t.put("ns/quiet", "1").await;
    assert_eq!(take(&mut quiet, 1).await, [format!("Put quiet@{change} after 0")]);
    t.end().await;
}

/// A cache that another one had replaced kept the watches that came late: nothing ended them, and nothing came by them.
#[tokio::test]
async fn a_cache_that_is_replaced_ends_watches_also_those_that_come_late() {
    let t = Fixture::new();
    let first = t.put("ns/a", "1").await;
    t.cacher.not_older_than(first).await.unwrap();
    let mut early = t.cacher.watch_from_now(0).await.unwrap().1;
    let mut named = t.cacher.watch_from_now(0).await.unwrap().1.only(Some("ns"), "a");
    let mut behind = t.cacher.watch_from_now(0).await.unwrap().1;
    let mut events = Vec::new();
    let close = async {
        t.cacher.close_watchers();
        t.cacher.watch_from_now(0).await.unwrap().1
    };
    let (mut others, mut more) = (Vec::new(), Vec::new());
    let closed = Err(WatcherClosed::Replaced);
    // Those that wait are woken.
    let (first, second, mut late) = tokio::join!(early.next(&mut others), named.next(&mut more), close);
    assert_eq!((first, second, late.next(&mut events).await), (closed, closed, closed));
    assert!(events.is_empty());
    let second = t.put("ns/a", "2").await;
    t.cacher.not_older_than(second).await.unwrap();
    assert_eq!((behind.next(&mut events).await, events.len()), (Ok(()), 1), "what happened before it looked");
    assert_eq!(behind.next(&mut events).await, closed);
    t.end().await;
}

/// A progress mark that came before the woken watch had looked took the wake back: the watch stayed open, and nothing came by it
/// until its time was up.
#[tokio::test]
async fn a_watch_that_was_woken_for_its_end_ends_whatever_comes_before_it_looks() {
    let t = Fixture::new();
    let first = t.put("ns/a", "1").await;
    t.cacher.not_older_than(first).await.unwrap();
    let mut watcher = t.cacher.watch_from_now(0).await.unwrap().1;
    let mut events = Vec::new();
    let mut next = std::pin::pin!(watcher.next(&mut events));
    let mut context = Context::from_waker(Waker::noop());
    assert!(next.as_mut().poll(&mut context).is_pending());
    t.cacher.close_watchers();
    let change = KvChange::Put { value: Bytes::from_static(b"1"), expires_at: None };
    let elsewhere = t.write_in("secrets", "ns/a", Expected::Absent, change).await;
    t.cacher.not_older_than(elsewhere).await.unwrap();
    assert_eq!(next.as_mut().poll(&mut context), Poll::Ready(Err(WatcherClosed::Replaced)));
    t.end().await;
}
