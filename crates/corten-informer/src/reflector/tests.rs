//! The reflector against a server whose answers are scripted.

use std::time::Duration;

use corten_apimachinery::{
    gvk::GroupVersionResource,
    status::{Cause, Details},
};
use corten_base::{Clock as _, SimClock, SimRng, TaskSet};
use corten_client::Verb;
use parking_lot::Mutex;

use super::*;
use crate::testutil::{ScriptedServer, WatchSender, advance_to_next_deadline, object};

/// Writes down what it is told.
#[derive(Debug, Default)]
struct Log(Mutex<Vec<String>>);

impl Sink for Log {
    fn replace(&self, objects: Vec<Arc<Stored>>, revision: u64) {
        let names: Vec<_> = objects.iter().map(|object| format!("{}@{}", object.name, object.revision)).collect();
        self.0.lock().push(format!("list {revision}: {}", names.join(" ")));
    }

    fn apply(&self, event: WatchEvent) {
        self.0.lock().push(match event {
            WatchEvent::Added(object) => format!("add {}@{}", object.name, object.revision),
            WatchEvent::Modified(object) => format!("modify {}@{}", object.name, object.revision),
            WatchEvent::Deleted(object) => format!("delete {}@{}", object.name, object.revision),
            WatchEvent::Bookmark { revision, .. } => format!("mark {revision}"),
        });
    }
}

struct Fixture {
    server: ScriptedServer,
    clock: Arc<SimClock>,
    log: Arc<Log>,
    metrics: Arc<Metrics>,
    trigger: corten_base::ShutdownTrigger,
    tasks: TaskSet,
}

fn start(initial: InitialList) -> Fixture {
    let (server, client) = ScriptedServer::new();
    let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
    let (trigger, shutdown) = Shutdown::new();
    let (log, metrics, tasks) = (Arc::new(Log::default()), Arc::new(Metrics::default()), TaskSet::new("test"));
    let reflector = Reflector {
        client,
        target: Target::collection(&GroupVersionResource::new("", "v1", "pods"), "ns"),
        selection: Selection { labels: "app=web".into(), fields: String::new() },
        initial,
        clock: clock.clone(),
        rng: SimRng::shared(1),
        metrics: Arc::clone(&metrics),
    };
    let sink = Arc::clone(&log);
    tasks.spawn("reflector", async move { reflector.run(&*sink, shutdown).await });
    Fixture { server, clock, log, metrics, trigger, tasks }
}

impl Fixture {
    #[track_caller]
    fn told(&self, want: &[&str]) {
        assert_eq!(std::mem::take(&mut *self.log.0.lock()), want);
    }

    async fn expect_list(&mut self, revision: &str) -> crate::testutil::Incoming {
        let call = self.server.next().await;
        assert_eq!((call.call.verb, call.query("resourceVersion")), (Verb::List, revision));
        assert_eq!(call.query("labelSelector"), "app=web");
        call
    }

    async fn expect_watch(&mut self, revision: &str) -> WatchSender {
        let call = self.server.next().await;
        assert_eq!((call.call.verb, call.query("resourceVersion")), (Verb::Watch, revision));
        assert_eq!((call.query("labelSelector"), call.query("allowWatchBookmarks")), ("app=web", "true"));
        call.watch()
    }
}

fn bookmark(revision: u64) -> Result<WatchEvent, Status> {
    Ok(WatchEvent::Bookmark { revision, initial_events_end: false })
}

#[tokio::test]
async fn a_broken_watch_resumes_from_the_last_revision_seen() {
    let mut t = start(InitialList::List);
    t.expect_list("0").await.list(10, [object("ns/a", 7).build()]);
    let watch = t.expect_watch("10").await;
    watch.send(Ok(WatchEvent::Added(object("ns/b", 11).build()))).unwrap();
    drop(watch);
    let watch = t.expect_watch("11").await;
    watch.send(bookmark(20)).unwrap();
    drop(watch);
    let watch = t.expect_watch("20").await;
    watch.send(Ok(WatchEvent::Deleted(object("ns/a", 21).build()))).unwrap();
    watch.send(Err(Status::internal("broken"))).unwrap();
    advance_to_next_deadline(&t.clock).await;
    let _watch = t.expect_watch("21").await;
    t.told(&["list 10: a@7", "add b@11", "mark 20", "delete a@21"]);
    assert_eq!((t.metrics.snapshot().lists, t.metrics.snapshot().failures), (1, 1));
}

#[tokio::test]
async fn an_expired_revision_leads_to_another_list() {
    let mut t = start(InitialList::List);
    t.expect_list("0").await.list(10, []);
    // At the opening of the watch.
    t.server.next().await.fail(Status::expired("too old resource version: 10 (20)"));
    t.expect_list("10").await.list(25, []);
    // In the middle of it.
    let watch = t.expect_watch("25").await;
    watch.send(bookmark(30)).unwrap();
    watch.send(Err(Status::expired("The resourceVersion for the provided watch is too old."))).unwrap();
    t.expect_list("30").await.list(40, [object("ns/c", 39).build()]);
    let _watch = t.expect_watch("40").await;
    t.told(&["list 10: ", "list 25: ", "mark 30", "list 40: c@39"]);
}

#[tokio::test]
async fn a_server_that_went_back_in_time_is_asked_for_its_newest_state() {
    let mut t = start(InitialList::List);
    t.expect_list("0").await.list(100, []);
    t.server.next().await.fail(Status::expired("too old resource version"));
    let cause = Cause { reason: "ResourceVersionTooLarge".into(), ..Cause::default() };
    let details = Details { causes: vec![cause], ..Details::default() };
    let too_large =
        Status { details: Some(Box::new(details)), ..Status::timeout("Too large resource version: 100", 1) };
    t.expect_list("100").await.fail(too_large);
    t.expect_list("").await.list(5, [object("ns/a", 4).build()]);
    let _watch = t.expect_watch("5").await;
    t.told(&["list 100: ", "list 5: a@4"]);
}

#[tokio::test]
async fn failures_are_retried_with_growing_delays_and_the_servers_advice() {
    let mut t = start(InitialList::List);
    let mut delays = Vec::new();
    for _ in 0..8 {
        t.expect_list("0").await.fail(Status::service_unavailable("not yet"));
        let before = t.clock.monotonic();
        advance_to_next_deadline(&t.clock).await;
        delays.push(t.clock.monotonic() - before);
    }
    assert!(delays[0] >= BACKOFF_INITIAL && delays[0] < BACKOFF_INITIAL * 2, "{delays:?}");
    assert!(delays[7] >= BACKOFF_MAX && delays[7] < BACKOFF_MAX * 2, "{delays:?}");
    t.expect_list("0").await.fail(Status::too_many_requests("slow down", 300));
    let before = t.clock.monotonic();
    advance_to_next_deadline(&t.clock).await;
    assert_eq!(t.clock.monotonic() - before, Duration::from_secs(300));
}

#[tokio::test]
async fn a_watch_that_ends_at_once_counts_as_a_failure() {
    let mut t = start(InitialList::List);
    t.expect_list("0").await.list(1, []);
    drop(t.expect_watch("1").await);
    advance_to_next_deadline(&t.clock).await;
    let watch = t.expect_watch("1").await;
    // The clock must not move before the reflector has looked at it.
    while t.metrics.snapshot().watches < 2 {
        tokio::task::yield_now().await;
    }
    t.clock.advance(Duration::from_secs(2));
    drop(watch);
    // A quiet watch that lasted is followed by the next without a delay.
    let _watch = t.expect_watch("1").await;
    assert_eq!(t.metrics.snapshot().failures, 1);
}

#[tokio::test]
async fn pages_are_put_together() {
    let mut t = start(InitialList::List);
    let first = t.expect_list("0").await;
    first.answer(Ok(corten_client::Answer::List(corten_client::ObjectList {
        items: vec![object("ns/a", 1).build()],
        revision: 9,
        continue_token: "next".into(),
        remaining: None,
    })));
    let second = t.server.next().await;
    assert_eq!((second.query("continue"), second.query("resourceVersion")), ("next", ""));
    second.list(9, [object("ns/b", 2).build()]);
    let _watch = t.expect_watch("9").await;
    t.told(&["list 9: a@1 b@2"]);
}

#[tokio::test]
async fn a_watch_list_becomes_a_list_at_its_mark_and_goes_on() {
    let mut t = start(InitialList::WatchList);
    let call = t.server.next().await;
    assert_eq!((call.query("sendInitialEvents"), call.query("resourceVersionMatch")), ("true", "NotOlderThan"));
    let watch = call.watch();
    watch.send(Ok(WatchEvent::Added(object("ns/b", 2).build()))).unwrap();
    watch.send(Ok(WatchEvent::Added(object("ns/a", 3).build()))).unwrap();
    watch.send(Ok(WatchEvent::Deleted(object("ns/b", 4).build()))).unwrap();
    watch.send(Ok(WatchEvent::Bookmark { revision: 4, initial_events_end: true })).unwrap();
    watch.send(Ok(WatchEvent::Modified(object("ns/a", 5).build()))).unwrap();
    drop(watch);
    let _watch = t.expect_watch("5").await;
    t.told(&["list 4: a@3", "modify a@5"]);
}

#[tokio::test]
async fn a_watch_list_that_breaks_early_tells_nothing() {
    let mut t = start(InitialList::WatchList);
    let watch = t.server.next().await.watch();
    watch.send(Ok(WatchEvent::Added(object("ns/b", 2).build()))).unwrap();
    drop(watch);
    advance_to_next_deadline(&t.clock).await;
    assert_eq!(t.server.next().await.query("sendInitialEvents"), "true");
    t.told(&[]);
}

#[tokio::test]
async fn a_server_without_watch_lists_is_listed() {
    let mut t = start(InitialList::WatchList);
    t.server.next().await.fail(Status::new(Reason::Invalid, "sendInitialEvents is forbidden for watch"));
    t.expect_list("0").await.list(3, []);
    let _watch = t.expect_watch("3").await;
    t.told(&["list 3: "]);
}

#[tokio::test]
async fn shutdown_ends_the_reflector_wherever_it_waits() {
    let mut t = start(InitialList::List);
    let _unanswered = t.server.next().await;
    t.trigger.request();
    t.tasks.join().await.unwrap();
}
