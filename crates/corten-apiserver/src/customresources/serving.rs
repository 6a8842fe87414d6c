//! The stores behind custom resources: made when a definition's names are accepted, made anew when what they follow from
//! changes, gone with the definition.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use corten_apimachinery::{Value, meta::ObjectMeta as _, resource::Resource, type_table::TypeTable, value::Str};
use corten_base::{Shutdown, ShutdownTrigger, TaskSet, blocking};

use super::{
    BuiltIn,
    conditions::{NAMES_ACCEPTED, TERMINATING, is_true},
    definition::{BadDefinition, resource_of},
};
use crate::registry::{ResourceCodec, Settings, Store};

/// How long requests that came before a change still find the old watch cache at work. Upstream: `WaitGroup` of a storage
/// that is torn down, with its minute.
const OLD_STORE_KEPT: Duration = Duration::from_secs(60);

/// One custom resource with its objects.
#[derive(Debug)]
struct Served {
    definition: Str,
    uid: Str,
    /// What it was made of; what has not changed needs no new store.
    made_of: Value,
    is_terminating: bool,
    resource: Arc<Resource>,
    store: Arc<Store>,
    stop: ShutdownTrigger,
}

/// All custom resources that are served, by the names of their definitions.
#[derive(Debug)]
pub(super) struct Serving {
    settings: Settings,
    table: &'static TypeTable,
    built_in: Arc<BuiltIn>,
    tasks: TaskSet,
    /// Requested when all stores end.
    end: ShutdownTrigger,
    ending: Shutdown,
    served: BTreeMap<Str, Served>,
    /// What others have taken the place of, and is still routed.
    replaced: Vec<Served>,
    /// What ends the old stores that are still kept, by definition: of each, one. A definition that is changed again and
    /// again would have any number of them.
    kept: BTreeMap<Str, ShutdownTrigger>,
}

impl Serving {
    pub(super) fn new(
        settings: Settings,
        (table, built_in): (&'static TypeTable, Arc<BuiltIn>),
        tasks: TaskSet,
    ) -> Self {
        let (end, ending) = Shutdown::new();
        Self {
            settings,
            table,
            built_in,
            tasks,
            end,
            ending,
            served: BTreeMap::new(),
            replaced: Vec::new(),
            kept: BTreeMap::new(),
        }
    }

    /// The resources and their stores, by the names of their definitions.
    pub(super) fn all(&self) -> impl Iterator<Item = (&Arc<Resource>, &Arc<Store>)> {
        self.served.values().map(|served| (&served.resource, &served.store))
    }

    /// The store of the resource that a definition names.
    pub(super) fn store(&self, definition: &str) -> Option<&Arc<Store>> {
        self.served.get(definition).map(|served| &served.store)
    }

    /// Serves what a definition says now. Says whether anything became different.
    ///
    /// Errors: the schema cannot be followed, which validation rules out, or a built-in resource has come since that keeps
    /// its objects in the same place; the resource stays as it was.
    pub(super) async fn follow(&mut self, definition: &Value) -> Result<bool, BadDefinition> {
        let name = Str::from(definition.name());
        let is_served = self.served.contains_key(&name);
        if !is_served && !is_true(definition, NAMES_ACCEPTED) {
            return Ok(false);
        }
        let made_of = Value::object_of([
            ("spec", definition.get("spec").cloned().unwrap_or_default()),
            ("names", definition.at(&["status", "acceptedNames"]).cloned().unwrap_or_default()),
        ]);
        let (uid, is_terminating) = (Str::from(definition.uid()), is_true(definition, TERMINATING));
        let same = self.served.get_mut(&name).filter(|served| served.uid == uid && served.made_of == made_of);
        if same.as_ref().is_some_and(|served| served.is_terminating == is_terminating) {
            return Ok(false);
        }
        // Schemas are turned into types and rules are compiled: seconds for the largest.
        let (table, built_in, of) = (self.table, Arc::clone(&self.built_in), definition.clone());
        let made = blocking::run(&self.tasks, "definition", move || resource_of(&of, table, &built_in));
        let resource = Arc::new(made.await??);
        if let Some(served) = same {
            // Who watches its objects is to see them go.
            (served.resource, served.is_terminating) = (resource, is_terminating);
            return Ok(true);
        }
        let codec = Arc::new(ResourceCodec::new(Arc::clone(&resource)));
        // Requests on the old routes write through the old store for a while: those of another definition, which has gone, have
        // nothing to do with this one.
        let old = self.served.get(&name).filter(|served| served.uid == uid).map(|served| &*served.store);
        let store = Arc::new(Store::new(codec, self.settings.clone(), None).in_place_of(old));
        let (stop, shutdown) = Shutdown::new();
        self.tasks.spawn("cacher", store.cacher().clone().run(shutdown));
        let new = Served { definition: name.clone(), uid, made_of, is_terminating, resource, store, stop };
        self.replaced.extend(self.served.insert(name, new));
        Ok(true)
    }

    /// Serves the resource of a definition that has gone no more. Says whether it was served.
    pub(super) fn forget(&mut self, definition: &str) -> bool {
        let gone = self.served.remove(definition);
        let was_served = gone.is_some();
        self.replaced.extend(gone);
        was_served
    }

    /// Ends what was replaced. Called once the new ones are routed, so that clients who come again come to them.
    pub(super) fn retire_replaced(&mut self) {
        for old in std::mem::take(&mut self.replaced) {
            self.retire(old);
        }
    }

    /// Ends the watches of a store, and the store itself a while later.
    fn retire(&mut self, old: Served) {
        old.store.cacher().close_watchers();
        let (end, ended) = Shutdown::new();
        // Those of definitions that have gone end by themselves.
        self.kept.retain(|definition, _| self.served.contains_key(definition));
        if let Some(older) = self.kept.insert(old.definition.clone(), end) {
            older.request();
        }
        let (clock, ending) = (Arc::clone(&self.settings.clock), self.ending.clone());
        self.tasks.spawn("old-cacher", async move {
            tokio::select! {
                biased;
                () = ending.requested() => {}
                () = ended.requested() => {}
                () = clock.sleep(OLD_STORE_KEPT) => {}
            }
            old.stop.request();
        });
    }

    /// Requested when everything ends.
    pub(super) fn ending(&self) -> Shutdown {
        self.ending.clone()
    }

    /// Ends all stores.
    pub(super) fn stop(&mut self) {
        self.end.request();
        for served in std::mem::take(&mut self.served).into_values().chain(self.replaced.drain(..)) {
            served.stop.request();
        }
    }
}
