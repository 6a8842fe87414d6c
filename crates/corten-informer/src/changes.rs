//! `Changes`: which objects of several resources changed, for one consumer that reads their newest states in its own time.

use std::{collections::BTreeMap, fmt, sync::Arc};

use corten_apimachinery::{gvk::GroupVersionResource, stored::Stored};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{factory::InformerFactory, handler::Handler, key::Key, lister::Lister};

/// Follows resources on behalf of one consumer.
///
/// `S` names a resource; its order is the order in which changes are taken, so that what others refer to can come first.
/// Handlers only note which object changed, and how it is now. Of each object there is one note: however slow the consumer is,
/// they never outnumber the objects.
#[derive(Debug)]
pub struct Changes<S> {
    notes: Arc<Notes<S>>,
    listers: Vec<(S, Lister)>,
    factory: InformerFactory,
}

/// An object that changed: which resource, which object, and its newest state if it is still there.
pub type Changed<S> = (S, Key, Option<Arc<Stored>>);

impl<S> Changes<S>
where
    S: Copy + Ord + fmt::Debug + Send + Sync + 'static,
{
    /// Asks `factory` for the informers of `sources` (name, API group, resource; version `v1`); whoever owns the factory
    /// starts them.
    #[must_use]
    pub fn follow(factory: &InformerFactory, sources: &[(S, &str, &str)]) -> Self {
        let notes = Arc::new(Notes { changed: Mutex::default(), wake: Notify::new() });
        let listers = sources.iter().map(|(source, group, resource)| {
            let informer = factory.informer(&GroupVersionResource::new(*group, "v1", *resource));
            informer.add_handler(Arc::new(Noting { source: *source, notes: Arc::clone(&notes) }));
            (*source, informer.lister())
        });
        Self { listers: listers.collect(), notes, factory: factory.clone() }
    }

    /// Waits until every informer of the factory has had its first list.
    pub async fn synced(&self) {
        self.factory.synced().await;
    }

    /// Takes what has changed since the last take; nothing when nothing has.
    pub fn take(&self) -> impl Iterator<Item = Changed<S>> + use<S> {
        let noted = std::mem::take(&mut *self.notes.changed.lock());
        noted.into_iter().map(|((source, key), object)| (source, key, object))
    }

    /// Forgets what has changed and gives every object that is there, for a consumer that begins anew.
    pub fn restart(&self) -> impl Iterator<Item = Changed<S>> + use<S> {
        let mut notes = self.notes.changed.lock();
        notes.clear();
        // Under the lock: no note that comes later is older than what is given here.
        let all = self.listers.iter().flat_map(|(source, lister)| {
            lister.list().into_iter().map(|object| (*source, Key::of(&object), Some(object)))
        });
        all.collect::<Vec<_>>().into_iter()
    }

    /// Waits until something may have changed since the last wait. Loses nothing when it is cancelled.
    pub async fn wait(&self) {
        self.notes.wake.notified().await;
    }
}

/// The newest state of what changed; `None` of what is gone.
type Noted<S> = BTreeMap<(S, Key), Option<Arc<Stored>>>;

#[derive(Debug)]
struct Notes<S> {
    changed: Mutex<Noted<S>>,
    wake: Notify,
}

struct Noting<S> {
    source: S,
    notes: Arc<Notes<S>>,
}

impl<S: Copy + Ord> Noting<S> {
    fn note(&self, object: &Stored, now: Option<&Arc<Stored>>) {
        self.notes.changed.lock().insert((self.source, Key::of(object)), now.cloned());
        self.notes.wake.notify_one();
    }
}

impl<S: Copy + Ord + Send + Sync + 'static> Handler for Noting<S> {
    fn on_add(&self, object: &Arc<Stored>) {
        self.note(object, Some(object));
    }

    fn on_update(&self, _old: &Arc<Stored>, new: &Arc<Stored>) {
        self.note(new, Some(new));
    }

    fn on_delete(&self, object: &Arc<Stored>, _final_state_unknown: bool) {
        self.note(object, None);
    }
}

#[cfg(test)]
mod tests {
    use corten_base::{Shutdown, SimClock, SimRng, TaskSet};
    use corten_client::WatchEvent;

    use super::*;
    use crate::{
        reflector::InitialList,
        testutil::{ScriptedServer, object},
    };

    fn keys(changed: impl Iterator<Item = Changed<u8>>) -> Vec<String> {
        changed.map(|(source, key, object)| format!("{source} {key} {:?}", object.map(|o| o.revision))).collect()
    }

    #[tokio::test]
    async fn an_object_is_taken_once_in_its_newest_state() {
        let (mut server, client) = ScriptedServer::new();
        let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
        let factory = InformerFactory::new(client, InitialList::List, clock, SimRng::shared(1));
        let changes = Changes::follow(&factory, &[(1, "", "pods")]);
        let (tasks, (trigger, shutdown)) = (TaskSet::new("test"), Shutdown::new());
        factory.start(&tasks, &shutdown);
        server.next().await.list(1, [object("ns/a", 1).build(), object("ns/b", 1).build()]);
        changes.synced().await;
        changes.wait().await;
        assert_eq!(keys(changes.take()), ["1 ns/a Some(1)", "1 ns/b Some(1)"]);
        assert_eq!(keys(changes.take()), [""; 0]);

        let watch = server.next().await.watch();
        watch.send(Ok(WatchEvent::Modified(object("ns/a", 2).build()))).unwrap();
        watch.send(Ok(WatchEvent::Deleted(object("ns/b", 3).build()))).unwrap();
        watch.send(Ok(WatchEvent::Modified(object("ns/a", 4).build()))).unwrap();
        let a = Key::new("ns", "a");
        while factory.informer(&GroupVersionResource::new("", "v1", "pods")).lister().get(&a).unwrap().revision < 4 {
            changes.wait().await;
        }
        assert_eq!(keys(changes.take()), ["1 ns/a Some(4)", "1 ns/b None"]);
        assert_eq!(keys(changes.restart()), ["1 ns/a Some(4)"]);

        trigger.request();
        tasks.join().await.unwrap();
    }
}
