//! Whether a controller's copy already shows what the controller itself has written.
//!
//! A reconcile that decides on a copy from before its own last write would do the work twice. So each key remembers how
//! far its writes went, and a reconcile that comes too early is put off until the informer has caught up.
//! Upstream has several forms of this: k8s.io/endpointslice/util/endpointslice_tracker.go, stale_endpoints_tracker.go.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use corten_apimachinery::{stored::Stored, value::Str};
use corten_controller::{Key, WorkQueue};
use corten_informer::{Handler, SharedInformer};
use parking_lot::Mutex;

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
    /// `handler`.
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

    /// We deleted the object with this UID for `key`.
    pub(crate) fn deleted(&self, key: &Key, uid: Str) {
        self.by_key.lock().entry(key.clone()).or_default().deleted.insert(uid);
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
    use corten_base::SimClock;
    use corten_client::WatchEvent;
    use corten_controller::RateLimit;
    use corten_informer::{Sink as _, testutil::object};

    use super::*;

    #[test]
    fn a_copy_from_before_the_last_write_is_not_read_and_its_end_is_told() {
        let informer = SharedInformer::new("slices");
        informer.replace(Vec::new(), 1);
        let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
        let queue = Arc::new(WorkQueue::new("test", RateLimit::per_key(), clock));
        let (writes, key) = (OwnWrites::new(&informer), Key::new("ns", "web"));
        let of_web = key.clone();
        informer.add_handler(writes.handler(&queue, move |_| Some(of_web.clone())));
        let read = || writes.read(&key, || informer.lister().list()).map(|objects| objects.len());
        assert_eq!(read(), Some(0));

        let slice = object("ns/web-1", 5).build();
        writes.wrote(&key, &slice);
        assert_eq!((read(), queue.try_next()), (None, None));
        informer.apply(WatchEvent::Added(Arc::clone(&slice)));
        assert_eq!((queue.try_next(), read()), (Some(key.clone()), Some(1)));
        queue.done(&key);

        // Nobody waits for a write that comes in time; what others write is news.
        let ours = object("ns/web-1", 6).build();
        writes.wrote(&key, &ours);
        informer.apply(WatchEvent::Modified(ours));
        assert_eq!(queue.try_next(), None);
        informer.apply(WatchEvent::Modified(object("ns/web-1", 7).build()));
        assert_eq!(queue.try_next(), Some(key.clone()));
        queue.done(&key);

        writes.deleted(&key, slice.uid.clone());
        assert_eq!(read(), None);
        informer.apply(WatchEvent::Deleted(object("ns/web-1", 8).build()));
        assert_eq!((queue.try_next(), read()), (Some(key.clone()), Some(0)));
    }
}
