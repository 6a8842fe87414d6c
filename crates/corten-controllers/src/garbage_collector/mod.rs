//! Deletes objects whose owners are gone, and finishes deletions that wait for dependents or are to orphan them.
//!
//! Flow: informers of every resource -> `graph` of who depends on whom -> workqueue -> `collector` looks at owners (in
//! the cache, and live before it calls one absent) -> `plan` -> patch or delete, bound to the version looked at.
//! Invariant: nothing is deleted before a live read says that each of its owners is gone or waits for it.
//! Upstream: pkg/controller/garbagecollector (v1.35).

mod collector;
pub mod graph;
pub mod meta;
pub mod plan;

use std::{collections::BTreeMap, fmt, sync::Arc};

use async_trait::async_trait;
use corten_apimachinery::{
    gvk::GroupVersionResource,
    resource::{Scope, Verb},
    stored::Stored,
    value::Str,
};
use corten_base::Shutdown;
use corten_controller::{Context, Controller, ControllerDescriptor, Key, RateLimit, Runner, WorkQueue};
use corten_informer::{Handler, Lister};
use corten_resources::catalog::RESOURCES;
use parking_lot::Mutex;

use self::{
    collector::Collector,
    graph::{AbsentOwners, Graph, Place},
    meta::{Meta, OwnerRef},
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

/// A resource whose objects are collected.
struct Collected {
    resource: GroupVersionResource,
    kind: &'static str,
    is_namespaced: bool,
}

/// All resources that can be listed, watched and deleted. Events are left out, as upstream leaves them out: they are
/// many, go by themselves and own nothing.
fn collected() -> Vec<Collected> {
    let needed = [Verb::Delete, Verb::List, Verb::Watch];
    let served = RESOURCES.iter().filter(|definition| {
        definition.stored_as.is_none()
            && needed.iter().all(|verb| definition.verbs.contains(verb))
            && !(definition.plural == "events" && matches!(definition.group, "" | "events.k8s.io"))
    });
    served
        .map(|definition| Collected {
            resource: GroupVersionResource::new(definition.group, definition.versions[0].name, definition.plural),
            kind: definition.kind,
            is_namespaced: matches!(definition.scope, Scope::Namespaced),
        })
        .collect()
}

fn build(context: Context<Config>) -> Box<dyn Controller> {
    let queue = Arc::new(WorkQueue::new(context.name, RateLimit::default(), Arc::clone(&context.clock)));
    let resources = collected();
    let informers: Vec<_> = resources.iter().map(|entry| context.informers.informer(&entry.resource)).collect();
    let by_kind = resources.iter().enumerate().map(|(at, entry)| {
        let at = u16::try_from(at).expect("there are fewer than 65,536 resources");
        ((entry.resource.group.clone(), Str::from(entry.kind)), at)
    });
    let view = Arc::new(View {
        by_kind: by_kind.collect(),
        listers: informers.iter().map(|informer| informer.lister()).collect(),
        resources,
        graph: Mutex::default(),
        absent: Mutex::default(),
    });
    for (resource, informer) in (0..).zip(&informers) {
        let (queue, view) = (Arc::clone(&queue), Arc::clone(&view));
        informer.add_handler(Arc::new(ObjectHandler { resource, queue, view }));
    }
    let collector = Collector {
        view,
        queue: Arc::clone(&queue),
        client: context.client(),
        recorder: context.recorder.for_component("garbage-collector-controller"),
    };
    Box::new(GarbageCollector(Runner {
        name: context.name,
        workers: context.workers,
        queue,
        reconciler: Arc::new(collector),
    }))
}

struct GarbageCollector(Runner<Work>);

#[async_trait]
impl Controller for GarbageCollector {
    async fn run(self: Box<Self>, shutdown: Shutdown) {
        self.0.run(shutdown).await;
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

/// What informers know, over all resources.
struct View {
    resources: Vec<Collected>,
    listers: Vec<Lister>,
    by_kind: BTreeMap<(Str, Str), u16>,
    graph: Mutex<Graph>,
    absent: Mutex<AbsentOwners>,
}

impl View {
    fn resource(&self, place: &Place) -> &Collected {
        &self.resources[usize::from(place.resource)]
    }

    fn get(&self, place: &Place) -> Option<Arc<Stored>> {
        self.listers[usize::from(place.resource)].get(&place.key)
    }

    /// Where the owner of an object in `namespace` is; `None` for a kind that is not collected.
    fn place_of(&self, owner: &OwnerRef, namespace: &str) -> Option<Place> {
        let kind = (Str::from(owner.group()), owner.kind.clone());
        let resource = *self.by_kind.get(&kind)?;
        let namespace = if self.resources[usize::from(resource)].is_namespaced { namespace } else { "" };
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
        let (place, meta) = (self.place(object), Meta::of(object));
        if meta.owners != old.owners {
            let mut graph = self.view.graph.lock();
            for owner in old.owners.iter().filter(|owner| meta.owner(&owner.uid).is_none()) {
                graph.remove(&owner.uid, &place);
            }
            for owner in &meta.owners {
                graph.add(&owner.uid, &place);
            }
            drop(graph);
            // In this order: an owner that goes between sees the dependent, or is not seen here.
            let is_orphan = |owner: &OwnerRef| self.view.cached_owner(owner, &object.namespace).is_none();
            if meta.owners.iter().any(is_orphan) {
                self.queue.add(Work::Collect(place.clone()));
            }
            let no_longer_blocks = |owner: &&OwnerRef| {
                owner.block_owner_deletion && !meta.owner(&owner.uid).is_some_and(|new| new.block_owner_deletion)
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
        if old.revision != object.revision {
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
        if self.view.graph.lock().has_dependents(&object.uid) {
            self.view.absent.lock().insert(place, object.uid.clone());
            self.look_at_dependents(&object.uid);
        }
    }
}

#[cfg(test)]
mod tests;
