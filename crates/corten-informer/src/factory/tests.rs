//! Sharing, starting and stopping informers.

use std::sync::atomic::{AtomicUsize, Ordering};

use corten_base::{SimClock, SimRng};
use corten_client::{Verb, WatchEvent};

use super::*;
use crate::{
    Key,
    projected::{Projection, ProjectionHandler},
    testutil::{ScriptedServer, object},
};

fn pods() -> GroupVersionResource {
    GroupVersionResource::new("", "v1", "pods")
}

fn factory() -> (ScriptedServer, InformerFactory) {
    let (server, client) = ScriptedServer::new();
    let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
    (server, InformerFactory::new(client, InitialList::List, clock, SimRng::shared(1)))
}

#[tokio::test]
async fn equal_requests_share_one_informer_and_others_do_not() {
    let (mut server, factory) = factory();
    let (tasks, (trigger, shutdown)) = (TaskSet::new("test"), Shutdown::new());
    let one = factory.informer(&pods());
    assert!(Arc::ptr_eq(&one, &factory.informer(&pods())));
    let on_node = InformerId::all(&pods()).fields("spec.nodeName=n1");
    assert!(!Arc::ptr_eq(&one, &factory.informer_of(&on_node)));
    factory.start(&tasks, &shutdown);
    factory.start(&tasks, &shutdown);
    let mut selectors = Vec::new();
    for _ in 0..2 {
        let call = server.next().await;
        assert_eq!(call.call.verb, Verb::List);
        selectors.push(call.query("fieldSelector").to_owned());
        call.list(1, [object("ns/a", 1).build()]);
    }
    selectors.sort();
    assert_eq!(selectors, ["", "spec.nodeName=n1"]);
    factory.synced().await;
    assert_eq!(one.lister().get(&Key::new("ns", "a")).unwrap().revision, 1);
    trigger.request();
    tasks.join().await.unwrap();
}

#[tokio::test]
async fn a_stopped_informer_ends_its_task_and_a_new_one_starts_afresh() {
    let (mut server, factory) = factory();
    let (tasks, (_trigger, shutdown)) = (TaskSet::new("test"), Shutdown::new());
    let old = factory.informer(&pods());
    factory.start(&tasks, &shutdown);
    server.next().await.list(1, []);
    factory.synced().await;
    factory.stop(&InformerId::all(&pods()));
    tasks.join().await.unwrap();
    assert!(!Arc::ptr_eq(&old, &factory.informer(&pods())));
}

/// Counts what it hears.
#[derive(Default)]
struct Count {
    added: AtomicUsize,
    updated: AtomicUsize,
    deleted: AtomicUsize,
}

impl ProjectionHandler<usize> for Count {
    fn on_add(&self, _object: &Arc<Projection<usize>>) {
        self.added.fetch_add(1, Ordering::Relaxed);
    }

    fn on_update(&self, old: &Arc<Projection<usize>>, new: &Arc<Projection<usize>>) {
        assert!(old.object.revision < new.object.revision);
        self.updated.fetch_add(1, Ordering::Relaxed);
    }

    fn on_delete(&self, _object: &Arc<Projection<usize>>) {
        self.deleted.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn projections_follow_their_informer_and_are_shared() {
    use crate::reflector::Sink as _;
    let (_server, factory) = factory();
    let id = InformerId::all(&pods());
    let informer = factory.informer_of(&id);
    informer.replace(vec![object("ns/a", 1).label("x", "1").build(), object("ns/b", 2).build()], 2);
    let labels = factory.projected(&id, |object, before| {
        let was = before.map_or(0, |before| before.value);
        10 * was + object.facts.labels.len()
    });
    assert!(Arc::ptr_eq(
        &labels,
        &factory.projected::<usize>(&id, |_, _| unreachable!("the first projection is shared"))
    ));
    let count = Arc::new(Count::default());
    labels.add_handler(count.clone());
    assert_eq!(labels.get(&Key::new("ns", "a")).unwrap().value, 1);
    informer.apply(WatchEvent::Modified(object("ns/a", 3).build()));
    informer.apply(WatchEvent::Deleted(object("ns/b", 4).build()));
    assert_eq!(labels.list().iter().map(|p| (p.object.name.as_str(), p.value)).collect::<Vec<_>>(), [("a", 10)]);
    let counted = [&count.added, &count.updated, &count.deleted].map(|counter| counter.load(Ordering::Relaxed));
    assert_eq!(counted, [2, 1, 1]);
}
