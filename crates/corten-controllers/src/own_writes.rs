//! Whether a controller's copy already shows what the controller itself has written.
//!
//! A reconcile that decides on a copy from before its own last write would do the work twice. So each key remembers how
//! far its writes went, and a reconcile that comes too early is put off until the informer has caught up.
//! Upstream has several forms of this: k8s.io/endpointslice/util/endpointslice_tracker.go, stale_endpoints_tracker.go.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    sync::Arc,
};

use corten_apimachinery::{status::Status, stored::Stored, value::Str};
use corten_controller::{Key, WorkQueue};
use corten_informer::{Handler, SharedInformer};
use parking_lot::Mutex;

use crate::objects::gone_is_fine;

#[derive(Debug, Default)]
struct Written {
    /// The newest revision of our writes.
    revision: u64,
    /// UIDs of what we have deleted and still saw.
    deleted: BTreeSet<Str>,
    /// A reconcile came too early and wants to be told.
    is_awaited: bool,
}

/// The writes of one controller to one resource, by the key of the queue. Capacity: one entry per key; `forget` it with
/// the key's object.
#[derive(Debug)]
pub(crate) struct OwnWrites {
    informer: Arc<SharedInformer>,
    by_key: Mutex<BTreeMap<Key, Written>>,
}

impl OwnWrites {
    /// For writes to the resource that `informer` follows.
    pub(crate) fn new(informer: &Arc<SharedInformer>) -> Arc<Self> {
        Arc::new(Self { informer: Arc::clone(informer), by_key: Mutex::default() })
    }

    /// Reads the copy if it shows all writes for `key`. Otherwise nothing, and `key` is queued when it does: see
    /// `handler`. What is on its way out counts as deleted, so `read` leaves it out: a finalizer may hold it for ever.
    pub(crate) fn read(&self, key: &Key, read: impl FnOnce() -> Vec<Arc<Stored>>) -> Option<Vec<Arc<Stored>>> {
        let mut by_key = self.by_key.lock();
        let objects = read();
        let Some(written) = by_key.get_mut(key) else { return Some(objects) };
        written.deleted.retain(|uid| objects.iter().any(|object| object.uid == *uid));
        // Under the lock: a change that comes later finds `is_awaited`.
        written.is_awaited = self.informer.revision() < written.revision || !written.deleted.is_empty();
        (!written.is_awaited).then_some(objects)
    }

    /// We made or changed `object` for `key`.
    pub(crate) fn wrote(&self, key: &Key, object: &Stored) {
        let mut by_key = self.by_key.lock();
        let written = by_key.entry(key.clone()).or_default();
        written.revision = written.revision.max(object.revision);
    }

    /// Deletes the object with this UID for `key` by `call`. That it is gone already is fine.
    ///
    /// Errors: those of `call`; the object counts as not deleted then. Should it be deleted all the same, its event is
    /// news like that of anybody else's delete.
    pub(crate) async fn delete(
        &self,
        key: &Key,
        uid: &Str,
        call: impl Future<Output = Result<(), Status>>,
    ) -> Result<(), Status> {
        // Before the call: its event may come before its answer.
        self.by_key.lock().entry(key.clone()).or_default().deleted.insert(uid.clone());
        let outcome = gone_is_fine(call.await);
        if outcome.is_err()
            && let Some(written) = self.by_key.lock().get_mut(key)
        {
            written.deleted.remove(uid);
        }
        outcome
    }

    /// The object behind `key` is gone.
    pub(crate) fn forget(&self, key: &Key) {
        self.by_key.lock().remove(key);
    }

    /// Queues the key that `key_of` gives when somebody else has changed an object, and when a write of our own has come
    /// that a reconcile waits for.
    pub(crate) fn handler(
        self: &Arc<Self>,
        queue: &Arc<WorkQueue<Key>>,
        key_of: impl Fn(&Stored) -> Option<Key> + Send + Sync + 'static,
    ) -> Arc<dyn Handler> {
        Arc::new(Told {
            writes: Arc::clone(self),
            queue: Arc::clone(queue),
            key_of: Box::new(key_of),
            others_too: true,
        })
    }

    /// As `handler`, but what others change queues nothing.
    pub(crate) fn handler_of_own(
        self: &Arc<Self>,
        queue: &Arc<WorkQueue<Key>>,
        key_of: impl Fn(&Stored) -> Option<Key> + Send + Sync + 'static,
    ) -> Arc<dyn Handler> {
        Arc::new(Told {
            writes: Arc::clone(self),
            queue: Arc::clone(queue),
            key_of: Box::new(key_of),
            others_too: false,
        })
    }
}

/// Which key an object belongs to.
type KeyOf = dyn Fn(&Stored) -> Option<Key> + Send + Sync;

struct Told {
    writes: Arc<OwnWrites>,
    queue: Arc<WorkQueue<Key>>,
    key_of: Box<KeyOf>,
    others_too: bool,
}

impl Told {
    fn hear(&self, object: &Stored, is_gone: bool) {
        let Some(key) = (self.key_of)(object) else { return };
        let is_news = match self.writes.by_key.lock().get_mut(&key) {
            None => self.others_too,
            Some(written) => {
                let is_ours =
                    if is_gone { written.deleted.remove(&object.uid) } else { object.revision <= written.revision };
                std::mem::take(&mut written.is_awaited) || (self.others_too && !is_ours)
            }
        };
        if is_news {
            self.queue.add(key);
        }
    }
}

impl Handler for Told {
    fn on_add(&self, object: &Arc<Stored>) {
        self.hear(object, false);
    }

    fn on_update(&self, old: &Arc<Stored>, new: &Arc<Stored>) {
        // A label may have moved the object from one key to another.
        if (self.key_of)(old) != (self.key_of)(new) {
            self.hear(old, false);
        }
        self.hear(new, false);
    }

    fn on_delete(&self, object: &Arc<Stored>, _final_state_unknown: bool) {
        self.hear(object, true);
    }
}

#[cfg(test)]
mod tests {
    use corten_apimachinery::status::Reason;
    use corten_base::SimClock;
    use corten_client::WatchEvent;
    use corten_controller::RateLimit;
    use corten_informer::{Sink as _, testutil::object};
    use futures::FutureExt as _;

    use super::*;

    struct Fixture {
        informer: Arc<SharedInformer>,
        queue: Arc<WorkQueue<Key>>,
        writes: Arc<OwnWrites>,
        key: Key,
    }

    impl Fixture {
        /// Slices that all are of `web`.
        fn new() -> Self {
            let informer = SharedInformer::new("slices");
            informer.replace(Vec::new(), 1);
            let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
            let queue = Arc::new(WorkQueue::new("test", RateLimit::per_key(), clock));
            let (writes, key) = (OwnWrites::new(&informer), Key::new("ns", "web"));
            let of_web = key.clone();
            informer.add_handler(writes.handler(&queue, move |_| Some(of_web.clone())));
            Self { informer, queue, writes, key }
        }

        /// How many slices a reconcile gets to see.
        fn read(&self) -> Option<usize> {
            let live = || self.informer.lister().list().into_iter().filter(|slice| !slice.facts.is_deleting).collect();
            self.writes.read(&self.key, live).map(|objects| objects.len())
        }

        /// Whether the key is queued.
        fn is_told(&self) -> bool {
            let told = self.queue.try_next();
            told.iter().for_each(|key| self.queue.done(key));
            told.is_some()
        }

        fn delete(&self, slice: &Stored, outcome: Result<(), Status>) -> Result<(), Status> {
            let call = self.writes.delete(&self.key, &slice.uid, std::future::ready(outcome));
            call.now_or_never().expect("the call is answered at once")
        }
    }

    #[test]
    fn a_copy_from_before_the_last_write_is_not_read_and_its_end_is_told() {
        let test = Fixture::new();
        assert_eq!(test.read(), Some(0));

        let slice = object("ns/web-1", 5).build();
        test.writes.wrote(&test.key, &slice);
        assert_eq!((test.read(), test.is_told()), (None, false));
        test.informer.apply(WatchEvent::Added(Arc::clone(&slice)));
        assert_eq!((test.is_told(), test.read()), (true, Some(1)));

        // Nobody waits for a write that comes in time; what others write is news.
        let ours = object("ns/web-1", 6).build();
        test.writes.wrote(&test.key, &ours);
        test.informer.apply(WatchEvent::Modified(ours));
        assert!(!test.is_told());
        test.informer.apply(WatchEvent::Modified(object("ns/web-1", 7).build()));
        assert!(test.is_told());

        test.delete(&slice, Ok(())).unwrap();
        assert_eq!(test.read(), None);
        test.informer.apply(WatchEvent::Deleted(object("ns/web-1", 8).build()));
        assert_eq!((test.is_told(), test.read()), (true, Some(0)));
    }

    // The UID was kept when the call failed: no reconcile read the copy again, and the endpoints stood still.
    #[test]
    fn what_could_not_be_deleted_is_still_there() {
        let test = Fixture::new();
        let slice = object("ns/web-1", 5).build();
        test.informer.apply(WatchEvent::Added(Arc::clone(&slice)));
        assert!(test.is_told());
        test.delete(&slice, Err(Status::service_unavailable("later"))).unwrap_err();
        assert_eq!(test.read(), Some(1));

        // The server did it after all.
        test.informer.apply(WatchEvent::Deleted(object("ns/web-1", 6).build()));
        assert_eq!((test.is_told(), test.read()), (true, Some(0)));
    }

    #[test]
    fn what_is_gone_already_is_waited_for_until_the_copy_shows_it() {
        let test = Fixture::new();
        let slice = object("ns/web-1", 5).build();
        test.informer.apply(WatchEvent::Added(Arc::clone(&slice)));
        assert!(test.is_told());
        test.delete(&slice, Err(Status::new(Reason::NotFound, "gone"))).unwrap();
        assert_eq!(test.read(), None);
        test.informer.apply(WatchEvent::Deleted(object("ns/web-1", 6).build()));
        assert_eq!((test.is_told(), test.read()), (true, Some(0)));
    }

    // One that a finalizer held was waited for as long as it lived.
    #[test]
    fn what_is_on_its_way_out_is_not_waited_for() {
        let test = Fixture::new();
        let slice = object("ns/web-1", 5).build();
        test.informer.apply(WatchEvent::Added(Arc::clone(&slice)));
        assert!(test.is_told());
        test.delete(&slice, Ok(())).unwrap();
        assert_eq!(test.read(), None);
        test.informer.apply(WatchEvent::Modified(object("ns/web-1", 6).deleting().build()));
        assert_eq!((test.is_told(), test.read()), (true, Some(0)));
    }
}
