//! One reflector, one store and any number of handlers for one collection.
//!
//! Invariants: the store shows a change before any handler hears of it; handlers hear of changes one at a time, in
//! order, and a handler that comes late first hears of everything that is there.
//! Upstream: k8s.io/client-go/tools/cache/shared_informer.go (v1.35), without the queue between: handlers here only put
//! keys into workqueues, so that there is nothing to decouple and no second copy of the events.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use corten_apimachinery::stored::Stored;
use corten_base::Shutdown;
use corten_client::WatchEvent;
use parking_lot::Mutex;
use tokio::sync::watch;
use tracing::{debug, info};

use crate::{
    handler::Handler,
    indexer::Indexer,
    lister::Lister,
    metrics,
    metrics::Metrics,
    reflector::{Reflector, Sink},
    store::Store,
};

/// Keeps one collection and tells its handlers.
pub struct SharedInformer {
    resource: String,
    store: Arc<Store>,
    /// Held while a change is stored and told, and while a handler is added: that orders them.
    handlers: Mutex<Vec<Arc<dyn Handler>>>,
    synced: watch::Sender<bool>,
    revision: AtomicU64,
    metrics: Arc<Metrics>,
}

impl SharedInformer {
    /// An empty informer; `resource` is for logs.
    #[must_use]
    pub fn new(resource: impl Into<String>) -> Arc<Self> {
        Arc::new(Self {
            resource: resource.into(),
            store: Arc::default(),
            handlers: Mutex::default(),
            synced: watch::Sender::new(false),
            revision: AtomicU64::new(0),
            metrics: Arc::default(),
        })
    }

    /// Tells `handler` of everything that is there, then of every change. Handlers live as long as the informer.
    pub fn add_handler(&self, handler: Arc<dyn Handler>) {
        let mut handlers = self.handlers.lock();
        for object in self.store.list() {
            handler.on_add(&object);
        }
        handlers.push(handler);
    }

    /// Adds an index; a second one of the same name changes nothing.
    pub fn add_index(&self, indexer: Indexer) {
        self.store.add_index(indexer);
    }

    /// Read access.
    #[must_use]
    pub fn lister(&self) -> Lister {
        Lister::new(Arc::clone(&self.store))
    }

    /// Whether the first list is stored and told.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        *self.synced.borrow()
    }

    /// Completes once the first list is stored and told. Cancel-safe.
    pub async fn synced(&self) {
        let mut synced = self.synced.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        let _ = synced.wait_for(|synced| *synced).await;
    }

    /// Everything up to this revision is stored and told; 0 before the first list.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    /// The counters.
    #[must_use]
    pub fn metrics(&self) -> metrics::Snapshot {
        self.metrics.snapshot()
    }

    pub(crate) fn metrics_handle(&self) -> Arc<Metrics> {
        Arc::clone(&self.metrics)
    }

    /// Follows the collection until shutdown is requested.
    pub async fn run(self: Arc<Self>, reflector: Reflector, shutdown: Shutdown) {
        reflector.run(&*self, shutdown).await;
        debug!(resource = %self.resource, "Stopped informer");
    }
}

impl std::fmt::Debug for SharedInformer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedInformer")
            .field("resource", &self.resource)
            .field("objects", &self.store.len())
            .field("synced", &self.is_synced())
            .finish_non_exhaustive()
    }
}

impl Sink for SharedInformer {
    fn replace(&self, objects: Vec<Arc<Stored>>, revision: u64) {
        let handlers = self.handlers.lock();
        let replaced = self.store.replace(objects);
        self.revision.store(revision, Ordering::Release);
        // Deletes first: names and addresses that moved to another object are free before they are taken.
        for old in &replaced.deleted {
            handlers.iter().for_each(|handler| handler.on_delete(old, true));
        }
        for (old, new) in &replaced.updated {
            tell_update(&handlers, old, new);
        }
        for new in &replaced.added {
            handlers.iter().for_each(|handler| handler.on_add(new));
        }
        if !self.synced.send_replace(true) {
            info!(resource = %self.resource, objects = self.store.len(), rv = revision, "Synced informer");
        }
    }

    fn apply(&self, event: WatchEvent) {
        let handlers = self.handlers.lock();
        match event {
            WatchEvent::Added(new) | WatchEvent::Modified(new) => {
                let old = self.store.insert(&new);
                self.revision.store(new.revision, Ordering::Release);
                match old {
                    None => handlers.iter().for_each(|handler| handler.on_add(&new)),
                    Some(old) => tell_update(&handlers, &old, &new),
                }
            }
            WatchEvent::Deleted(last) => {
                let old = self.store.remove(&last.namespace, &last.name);
                self.revision.store(last.revision, Ordering::Release);
                // The event carries the final state; an object that was never told of needs no goodbye.
                if old.is_some() {
                    handlers.iter().for_each(|handler| handler.on_delete(&last, false));
                }
            }
            WatchEvent::Bookmark { revision, .. } => self.revision.store(revision, Ordering::Release),
        }
    }
}

fn tell_update(handlers: &[Arc<dyn Handler>], old: &Arc<Stored>, new: &Arc<Stored>) {
    for handler in handlers {
        if old.uid == new.uid {
            handler.on_update(old, new);
        } else {
            handler.on_delete(old, true);
            handler.on_add(new);
        }
    }
}

#[cfg(test)]
mod tests;
