//! One informer per collection and process: whoever needs a resource shares it.
//!
//! Upstream: k8s.io/client-go/informers (v1.35), without its periodic resync, which only hides missed events.

use std::{
    any::{Any, TypeId},
    collections::BTreeMap,
    fmt,
    sync::Arc,
};

use corten_apimachinery::{gvk::GroupVersionResource, stored::Stored, value::Str};
use corten_base::{SharedClock, SharedRng, Shutdown, ShutdownTrigger, TaskSet};
use corten_client::{Client, Target};
use parking_lot::Mutex;

use crate::{
    projected::{Projected, Projection},
    reflector::{InitialList, Reflector, Selection},
    shared_informer::SharedInformer,
};

/// What an informer follows. Two consumers that ask for the same share one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InformerId {
    /// The resource.
    pub resource: GroupVersionResource,
    /// The namespace; empty for all.
    pub namespace: Str,
    /// Which objects.
    pub selection: Selection,
}

impl InformerId {
    /// All objects of a resource.
    #[must_use]
    pub fn all(resource: &GroupVersionResource) -> Self {
        Self { resource: resource.clone(), namespace: Str::default(), selection: Selection::default() }
    }

    /// Those in one namespace.
    #[must_use]
    pub fn in_namespace(mut self, namespace: impl Into<Str>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// Those that match a label selector in its text form.
    #[must_use]
    pub fn labels(mut self, selector: impl Into<String>) -> Self {
        self.selection.labels = selector.into();
        self
    }

    /// Those that match a field selector in its text form.
    #[must_use]
    pub fn fields(mut self, selector: impl Into<String>) -> Self {
        self.selection.fields = selector.into();
        self
    }
}

/// Makes, shares and starts informers. Clones share them.
#[derive(Clone)]
pub struct InformerFactory {
    shared: Arc<Shared>,
}

struct Shared {
    client: Client,
    initial: InitialList,
    clock: SharedClock,
    rng: SharedRng,
    entries: Mutex<BTreeMap<InformerId, Entry>>,
}

struct Entry {
    informer: Arc<SharedInformer>,
    /// `Projected<P>` by the type of `P`.
    projections: BTreeMap<TypeId, Arc<dyn Any + Send + Sync>>,
    /// Ends the informer's task; `None` until it is started.
    stop: Option<ShutdownTrigger>,
}

impl InformerFactory {
    /// A factory that reads through `client`.
    #[must_use]
    pub fn new(client: Client, initial: InitialList, clock: SharedClock, rng: SharedRng) -> Self {
        Self { shared: Arc::new(Shared { client, initial, clock, rng, entries: Mutex::default() }) }
    }

    /// The informer of all objects of a resource; made at the first call, started by `start`.
    #[must_use]
    pub fn informer(&self, resource: &GroupVersionResource) -> Arc<SharedInformer> {
        self.informer_of(&InformerId::all(resource))
    }

    /// The informer of a part of a resource.
    #[must_use]
    pub fn informer_of(&self, id: &InformerId) -> Arc<SharedInformer> {
        Arc::clone(&entry(&mut self.shared.entries.lock(), id).informer)
    }

    /// The projections of type `P` of a collection: made by `project` as `Projected::new` says, once per process for each `P`.
    pub fn projected<P: Send + Sync + 'static>(
        &self,
        id: &InformerId,
        project: impl Fn(&Stored, Option<&Projection<P>>) -> P + Send + Sync + 'static,
    ) -> Arc<Projected<P>> {
        let mut entries = self.shared.entries.lock();
        let entry = entry(&mut entries, id);
        if let Some(projected) = entry.projections.get(&TypeId::of::<P>()) {
            return Arc::clone(projected).downcast().expect("the entry of a type holds projections of that type");
        }
        let projected = Projected::new(project);
        entry.projections.insert(TypeId::of::<P>(), Arc::clone(&projected) as Arc<dyn Any + Send + Sync>);
        // Under the lock, so that nobody gets the store before it shows what the informer has.
        entry.informer.add_handler(Arc::clone(&projected) as Arc<dyn crate::Handler>);
        projected
    }

    /// Starts every informer that does not run yet, as a task of `tasks`. Call it again after asking for more.
    pub fn start(&self, tasks: &TaskSet, shutdown: &Shutdown) {
        for (id, entry) in self.shared.entries.lock().iter_mut().filter(|(_, entry)| entry.stop.is_none()) {
            let (trigger, stopped) = shutdown.child();
            entry.stop = Some(trigger);
            let reflector = Reflector {
                client: self.shared.client.clone(),
                target: Target::collection(&id.resource, id.namespace.clone()),
                selection: id.selection.clone(),
                initial: self.shared.initial,
                clock: Arc::clone(&self.shared.clock),
                rng: Arc::clone(&self.shared.rng),
                metrics: entry.informer.metrics_handle(),
            };
            tasks.spawn("informer", Arc::clone(&entry.informer).run(reflector, stopped));
        }
    }

    /// Completes once every informer asked for so far has its first list. Cancel-safe.
    pub async fn synced(&self) {
        let informers: Vec<_> = self.shared.entries.lock().values().map(|entry| Arc::clone(&entry.informer)).collect();
        for informer in informers {
            informer.synced().await;
        }
    }

    /// Ends and forgets an informer, for resources that come and go. Whoever still holds it keeps its last state.
    pub fn stop(&self, id: &InformerId) {
        let removed = self.shared.entries.lock().remove(id);
        if let Some(trigger) = removed.and_then(|entry| entry.stop) {
            trigger.request();
        }
    }

    /// All informers, for metrics.
    #[must_use]
    pub fn informers(&self) -> Vec<(InformerId, Arc<SharedInformer>)> {
        let entries = self.shared.entries.lock();
        entries.iter().map(|(id, entry)| (id.clone(), Arc::clone(&entry.informer))).collect()
    }
}

fn entry<'a>(entries: &'a mut BTreeMap<InformerId, Entry>, id: &InformerId) -> &'a mut Entry {
    entries.entry(id.clone()).or_insert_with(|| Entry {
        informer: SharedInformer::new(id.resource.group_resource().to_string()),
        projections: BTreeMap::new(),
        stop: None,
    })
}

impl fmt::Debug for InformerFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InformerFactory").field("informers", &self.shared.entries.lock().len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
