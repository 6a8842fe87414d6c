//! Deletes objects whose owners are gone, and finishes deletions that wait for dependents or are to orphan them.
//!
//! Flow: discovery -> informers of every resource (`following`) -> `graph` of who depends on whom -> workqueue ->
//! `collector` looks at owners (in the cache, and live before it calls one absent) -> `plan` -> patch or delete, bound to
//! the version looked at.
//! Invariant: nothing is deleted before a live read says that each of its owners is gone or waits for it.
//! Upstream: pkg/controller/garbagecollector (v1.35).

mod collector;
mod following;
pub mod graph;
pub mod meta;
pub mod plan;
mod turns;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use async_trait::async_trait;
use corten_apimachinery::{gvk::GroupVersionResource, stored::Stored, value::Str};
use corten_base::{Shutdown, TaskSet};
use corten_controller::{Context, Controller, ControllerDescriptor, Key, RateLimit, Runner, WorkQueue};
use corten_informer::{Handler, Lister};
use parking_lot::{Mutex, RwLock};
use tokio::sync::oneshot;

use self::{
    collector::Collector,
    following::Following,
    graph::{AbsentOwners, Graph, Place},
    meta::{Meta, OwnerRef},
    turns::Turns,
};
use crate::config::Config;

/// The controller.
pub static CONTROLLER: ControllerDescriptor<Config> = ControllerDescriptor {
    name: "garbage-collector-controller",
    aliases: &["garbagecollector"],
    identity: "generic-garbage-collector",
    feature_gate: None,
    workers: 20,
    build,
};

fn build(context: Context<Config>) -> Box<dyn Controller> {
    let queue = Arc::new(WorkQueue::new(context.name, RateLimit::default(), Arc::clone(&context.clock)));
    let view = Arc::new(View::default());
    let collector = Collector {
        view: Arc::clone(&view),
        turns: Turns::new(Arc::clone(&queue)),
        queue: Arc::clone(&queue),
        client: context.client(),
        recorder: context.recorder.for_component("garbage-collector-controller"),
    };
    Box::new(GarbageCollector {
        following: Following {
            view,
            queue: Arc::clone(&queue),
            client: context.client(),
            informers: context.informers,
            clock: context.clock,
            rng: context.rng,
        },
        runner: Runner { name: context.name, workers: context.workers, queue, reconciler: Arc::new(collector) },
    })
}

struct GarbageCollector {
    following: Following,
    runner: Runner<Work>,
}

#[async_trait]
impl Controller for GarbageCollector {
    async fn run(self: Box<Self>, shutdown: Shutdown) {
        let Self { following, runner } = *self;
        let tasks = TaskSet::new("garbage-collector");
        let (ready, is_ready) = oneshot::channel();
        tasks.spawn("resources", following.run(tasks.clone(), ready, shutdown.clone()));
        let work = async {
            // An end before that is a shutdown.
            if is_ready.await.is_ok() {
                runner.run(shutdown).await;
            }
        };
        tasks.guard(work).await;
        if let Err(panic) = tasks.join().await {
            tracing::error!(err = %panic, "Garbage collector ended with a panic");
        }
    }
}

/// What there may be to do for an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Work {
    /// Its owners may be gone, or its own deletion may be complete.
    Collect(Place),
    /// Its dependents are to lose it.
    Orphan(Place),
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (verb, Place { resource, key }) = match self {
            Self::Collect(place) => ("collect", place),
            Self::Orphan(place) => ("orphan", place),
        };
        write!(f, "{verb} {resource}:{key}")
    }
}

/// A resource whose objects are collected.
#[derive(Debug, Clone)]
struct Collected {
    resource: GroupVersionResource,
    api_version: Str,
    kind: Str,
    is_namespaced: bool,
    lister: Lister,
}

/// What informers know, over all resources.
#[derive(Default)]
struct View {
    resources: RwLock<Resources>,
    graph: Mutex<Graph>,
    absent: Mutex<AbsentOwners>,
    /// Objects, of those that there are, with an owner of a kind that was not known when they were looked at.
    undecided: Mutex<BTreeSet<Place>>,
}

#[derive(Default)]
struct Resources {
    /// Only grows, so that places stay valid. Capacity: the resources that there ever were.
    all: Vec<Arc<Collected>>,
    /// By group and kind; only those that are served now.
    by_kind: BTreeMap<(Str, Str), u16>,
}

impl View {
    fn resource(&self, place: &Place) -> Arc<Collected> {
        self.resource_at(place.resource)
    }

    fn resource_at(&self, resource: u16) -> Arc<Collected> {
        Arc::clone(&self.resources.read().all[usize::from(resource)])
    }

    fn get(&self, place: &Place) -> Option<Arc<Stored>> {
        self.resource(place).lister.get(&place.key)
    }

    /// Where the owner of an object in `namespace` is; `None` for a kind that is not collected.
    fn place_of(&self, owner: &OwnerRef, namespace: &str) -> Option<Place> {
        let resources = self.resources.read();
        let resource = *resources.by_kind.get(&(owner.group().into(), owner.kind.clone()))?;
        let namespace = if resources.all[usize::from(resource)].is_namespaced { namespace } else { "" };
        Some(Place { resource, key: Key::new(namespace, owner.name.clone()) })
    }

    /// The owner, if informers show it.
    fn cached_owner(&self, owner: &OwnerRef, namespace: &str) -> Option<(Place, Arc<Stored>)> {
        let place = self.place_of(owner, namespace)?;
        let found = self.get(&place).filter(|found| found.uid == owner.uid)?;
        Some((place, found))
    }
}

/// Hears of the objects of one resource.
struct ObjectHandler {
    resource: u16,
    queue: Arc<WorkQueue<Work>>,
    view: Arc<View>,
}

impl ObjectHandler {
    fn place(&self, object: &Stored) -> Place {
        Place { resource: self.resource, key: Key::of(object) }
    }

    /// The object as it is now, which was `old` before.
    fn seen(&self, object: &Stored, old: &Meta) {
        let meta = Meta::of(object);
        if meta == *old {
            return;
        }
        let place = self.place(object);
        if meta.owners != old.owners {
            let (was, is) = (old.by_uid(), meta.by_uid());
            let mut graph = self.view.graph.lock();
            was.keys().filter(|uid| !is.contains_key(**uid)).for_each(|uid| graph.remove(uid, &place));
            is.keys().filter(|uid| !was.contains_key(**uid)).for_each(|uid| graph.add(uid, &place));
            drop(graph);
            // In this order: an owner that goes between sees the dependent, or is not seen here.
            let is_orphan = |owner: &OwnerRef| self.view.cached_owner(owner, &object.namespace).is_none();
            if meta.owners.iter().any(is_orphan) {
                self.queue.add(Work::Collect(place.clone()));
            }
            let no_longer_blocks = |owner: &&OwnerRef| {
                owner.block_owner_deletion && !is.get(owner.uid.as_str()).is_some_and(|new| new.block_owner_deletion)
            };
            old.owners.iter().filter(no_longer_blocks).for_each(|owner| self.look_at_owner(owner, &object.namespace));
        }
        if meta.is_orphaning && !old.is_orphaning {
            self.queue.add(Work::Orphan(place.clone()));
        }
        if meta.is_foreground && !old.is_foreground {
            self.look_at_dependents(&object.uid);
            self.queue.add(Work::Collect(place));
        }
    }

    /// An owner that waits for its dependents may have one less to wait for.
    fn look_at_owner(&self, owner: &OwnerRef, namespace: &str) {
        if let Some((place, found)) = self.view.cached_owner(owner, namespace)
            && found.facts.is_deleting
        {
            self.queue.add(Work::Collect(place));
        }
    }

    fn look_at_dependents(&self, uid: &str) {
        let dependents = self.view.graph.lock().dependents(uid);
        for place in dependents {
            self.queue.add(Work::Collect(place));
        }
    }
}

impl Handler for ObjectHandler {
    fn on_add(&self, object: &Arc<Stored>) {
        self.seen(object, &Meta::default());
    }

    fn on_update(&self, old: &Arc<Stored>, object: &Arc<Stored>) {
        if !Meta::is_same(old, object) {
            self.seen(object, &Meta::of(old));
        }
    }

    fn on_delete(&self, object: &Arc<Stored>, _final_state_unknown: bool) {
        let (place, meta) = (self.place(object), Meta::of(object));
        {
            let mut graph = self.view.graph.lock();
            meta.owners.iter().for_each(|owner| graph.remove(&owner.uid, &place));
        }
        for owner in &meta.owners {
            self.look_at_owner(owner, &object.namespace);
        }
        self.view.undecided.lock().remove(&place);
        if self.view.graph.lock().has_dependents(&object.uid) {
            self.view.absent.lock().insert(place, object.uid.clone());
            self.look_at_dependents(&object.uid);
        }
    }
}

#[cfg(test)]
mod tests;
