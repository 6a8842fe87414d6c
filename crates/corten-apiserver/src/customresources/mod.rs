//! Custom resources: every custom resource definition becomes a resource as any other, with its own store and routes.
//!
//! Flow: watch of definitions -> names and conditions (`naming`, `approval`) -> resources and stores (`serving`) -> routes, discovery and
//! OpenAPI, all exchanged at once; a definition that is to go first loses its objects (`cleanup`).
//! Invariant: one task decides, so that two definitions never get the same name; a definition is established only after its
//! resource is routed.
//! Upstream: k8s.io/apiextensions-apiserver/pkg/{apiserver,controller} (v1.35).

mod approval;
mod built_in;
mod cleanup;
mod conditions;
mod definition;
mod naming;
pub(crate) mod nested;
mod printer;
mod schema;
mod serving;
mod strategy;
mod warnings;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use corten_apimachinery::{
    Value,
    codec::{self, FieldValidation},
    field::ErrorList,
    meta::ObjectMeta as _,
    resource::{Context, Resource, Strategy},
    status::{Reason, Status},
    stored::Stored,
    type_table::TypeTable,
    value::Str,
};
use corten_base::{ErrorChain, Shutdown, TaskSet, blocking};
use corten_storage::cacher::{CacheEvent, Change, Watcher};
use tokio::sync::mpsc;

pub use built_in::BuiltIn;

use self::{cleanup::Cleaned, serving::Serving};
use crate::{
    authorization::own_identity,
    endpoints::Routes,
    registry::{Settings, Store, WriteContext},
    server::Server,
};

/// The group and plural name of definitions.
pub const DEFINITIONS: (&str, &str) = ("apiextensions.k8s.io", "customresourcedefinitions");

/// The finalizer that keeps a definition until its objects have gone.
const CLEANUP_FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";

/// How many results of clean-ups wait: each definition has one clean-up at most, so more never wait for long.
const CLEANED_WAITING: usize = 64;

/// When a write that failed is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The routes of a server with these custom resources besides its built-in ones.
pub type MakeRoutes = Arc<dyn Fn(&[(Arc<Resource>, Arc<Store>)]) -> Routes + Send + Sync>;

/// Serves custom resources.
pub struct CustomResources {
    server: Arc<Server>,
    definitions: Arc<Store>,
    settings: Settings,
    make_routes: MakeRoutes,
    serving: Serving,
    built_in: Arc<BuiltIn>,
    /// All definitions as they were seen last, by name.
    known: BTreeMap<Str, Value>,
    /// Definitions whose objects are being deleted.
    cleaning: BTreeSet<Str>,
    tasks: TaskSet,
}

impl fmt::Debug for CustomResources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CustomResources").field("known", &self.known.len()).finish_non_exhaustive()
    }
}

/// Takes what this component writes as it is: it has decided already, and what clients may not change is its own.
#[derive(Debug)]
struct AsDecided;

impl Strategy for AsDecided {
    fn validate(&self, _cx: &Context<'_>, _object: &Value) -> ErrorList {
        ErrorList::new()
    }

    fn validate_update(&self, _cx: &Context<'_>, _object: &Value, _old: &Value) -> ErrorList {
        ErrorList::new()
    }

    fn wants_standard_finalizers(&self) -> bool {
        false
    }
}

impl CustomResources {
    /// Custom resources of `server`, whose definitions are in `definitions`, beside the built-in ones, whose types are in
    /// `table`.
    #[must_use]
    pub fn new(
        server: Arc<Server>,
        definitions: Arc<Store>,
        settings: Settings,
        (table, built_in): (&'static TypeTable, BuiltIn),
        make_routes: MakeRoutes,
    ) -> Self {
        let built_in = Arc::new(built_in);
        let tasks = TaskSet::new("custom-resources");
        server.expect_routes(true);
        Self {
            server,
            definitions,
            serving: Serving::new(settings.clone(), (table, Arc::clone(&built_in)), tasks.clone()),
            built_in,
            settings,
            make_routes,
            known: BTreeMap::new(),
            cleaning: BTreeSet::new(),
            tasks,
        }
    }

    /// Follows definitions until shutdown.
    pub async fn run(mut self, shutdown: Shutdown) {
        let (cleaned, mut results) = mpsc::channel(CLEANED_WAITING);
        loop {
            tokio::select! {
                biased;
                () = shutdown.requested() => break,
                // A watch that was lost is begun again with all definitions.
                () = self.follow(&cleaned, &mut results) => {}
            }
        }
        self.serving.stop();
        if let Err(panic) = self.tasks.join().await {
            tracing::error!(err = %panic, "Task of custom resources panicked");
        }
    }

    async fn follow(&mut self, cleaned: &mpsc::Sender<Cleaned>, results: &mut mpsc::Receiver<Cleaned>) {
        let Ok((snapshot, mut watcher)) = self.definitions.cacher().watch_from_now(0).await else {
            // The store is not read yet; it says when it is.
            return self.definitions.cacher().ready().await;
        };
        let seen: BTreeSet<Str> = snapshot.range("", "").map(|(_, stored)| Str::from(&*stored.name)).collect();
        let gone: Vec<Str> = self.known.keys().filter(|name| !seen.contains(*name)).cloned().collect();
        let mut changed: BTreeSet<Str> = BTreeSet::new();
        let mut is_different = false;
        for name in gone {
            is_different |= self.lose(&name, &mut changed);
        }
        for (_, stored) in snapshot.range("", "") {
            self.learn(stored, &mut changed);
        }
        self.settle(&mut changed, is_different, cleaned).await;
        self.server.expect_routes(false);
        let mut events: Vec<Arc<CacheEvent>> = Vec::new();
        loop {
            let mut is_different = false;
            tokio::select! {
                biased;
                next = next_events(&mut watcher, &mut events) => {
                    if !next {
                        return;
                    }
                    for event in events.drain(..) {
                        match event.change {
                            Change::Put => self.learn(&event.object, &mut changed),
                            Change::Delete => is_different |= self.lose(&Str::from(&*event.object.name), &mut changed),
                        }
                    }
                }
                Some(result) = results.recv() => {
                    if result.is_over {
                        self.cleaning.remove(&result.definition);
                    }
                    match result.changed {
                        Some(changed) => self.write(changed, result.is_over.then_some(cleaned)).await,
                        None => {
                            let stored = self.definitions.cacher().get(&result.definition);
                            stored.iter().for_each(|stored| self.learn(stored, &mut changed));
                        }
                    }
                }
            }
            self.settle(&mut changed, is_different, cleaned).await;
        }
    }

    /// Notes a definition.
    fn learn(&mut self, stored: &Stored, changed: &mut BTreeSet<Str>) {
        match codec::json::decode(&stored.json, None, FieldValidation::Ignore) {
            Ok(decoded) => {
                changed.insert(Str::from(&*stored.name));
                self.known.insert(Str::from(&*stored.name), decoded.value);
            }
            Err(error) => {
                tracing::error!(customresourcedefinition = %stored.name, err = %ErrorChain(&error), "Could not read definition");
            }
        }
    }

    /// Forgets a definition; the others of its group may get its names. Says whether it was served.
    fn lose(&mut self, name: &Str, changed: &mut BTreeSet<Str>) -> bool {
        let Some(lost) = self.known.remove(name) else { return false };
        changed.remove(name);
        changed.extend(naming::of_group(lost.str_at(&["spec", "group"]).unwrap_or_default(), self.known.values()));
        self.serving.forget(name)
    }

    /// Brings everything to what the definitions say: names, resources, routes, then what clients are told.
    async fn settle(&mut self, changed: &mut BTreeSet<Str>, mut is_different: bool, cleaned: &mpsc::Sender<Cleaned>) {
        let mut to_write: BTreeMap<Str, Value> = BTreeMap::new();
        while let Some(name) = changed.pop_first() {
            let Some(definition) = self.known.get(&name) else { continue };
            let mut current = definition.clone();
            let others = self.known.values().filter(|other| other.name() != name);
            if let Some(named) = naming::named(&current, others, &self.built_in) {
                // What it has given up may be another's.
                changed.extend(
                    naming::of_group(named.str_at(&["spec", "group"]).unwrap_or_default(), self.known.values())
                        .filter(|other| *other != name),
                );
                current = named;
            }
            if let Some(judged) = approval::judged(&current) {
                current = judged;
            }
            match self.serving.follow(&current).await {
                Ok(new) => is_different |= new,
                Err(error) => {
                    tracing::error!(customresourcedefinition = %name, err = %ErrorChain(&error), "Could not serve definition");
                    continue;
                }
            }
            if let Some(established) = naming::established(&current) {
                current = established;
            }
            if current != *definition {
                self.known.insert(name.clone(), current.clone());
                to_write.insert(name.clone(), current);
            }
        }
        if is_different {
            let mut custom: Vec<_> =
                self.serving.all().map(|(resource, store)| (Arc::clone(resource), Arc::clone(store))).collect();
            // Groups of one priority come by name, as upstream has them.
            custom.sort_by(|(a, _), (b, _)| (&a.group, &a.plural).cmp(&(&b.group, &b.plural)));
            let make = Arc::clone(&self.make_routes);
            match blocking::run(&self.tasks, "routes", move || make(&custom)).await {
                Ok(routes) => self.server.set_routes(routes),
                // A bug, which ends this task and with it the process as it would have done here.
                Err(panic) => std::panic::resume_unwind(Box::new(panic.message)),
            }
        }
        self.serving.retire_replaced();
        for definition in to_write.into_values() {
            self.write(definition, Some(cleaned)).await;
        }
        self.clean_up(cleaned);
    }

    /// Begins to delete the objects of definitions that are to go.
    fn clean_up(&mut self, cleaned: &mpsc::Sender<Cleaned>) {
        let to_go = self.known.iter().filter(|(name, definition)| {
            definition.deletion_timestamp().is_some()
                && definition.finalizers().any(|finalizer| finalizer == CLEANUP_FINALIZER)
                && !self.cleaning.contains(*name)
        });
        let to_go: Vec<(Str, Value)> = to_go.map(|(name, definition)| (name.clone(), definition.clone())).collect();
        for (name, definition) in to_go {
            let store = self.serving.store(&name).cloned();
            self.cleaning.insert(name);
            let cleanup = cleanup::Cleanup { definition, store, clock: Arc::clone(&self.settings.clock) };
            self.tasks.spawn("cleanup", cleanup.run(cleaned.clone(), self.serving.ending()));
        }
    }

    /// Writes what was decided of a definition. One that has changed meanwhile comes again by the watch, and is decided anew.
    /// What could not be written is tried again, unless its clean-up still runs, which says it again itself.
    async fn write(&mut self, mut definition: Value, again: Option<&mpsc::Sender<Cleaned>>) {
        let now = self.settings.clock.now();
        conditions::stamp(&mut definition, now);
        let user = own_identity();
        let name = definition.name().to_owned();
        let context = WriteContext {
            user: &user,
            now,
            namespace: "",
            api_version: "apiextensions.k8s.io/v1",
            subresource: "status",
            field_manager: "kube-apiserver",
            served_as: self.definitions.resource(),
            is_apply: false,
            dry_run: false,
        };
        let transform = |_: Option<&Value>| Ok(definition.clone());
        match self.definitions.update(&context, &name, &AsDecided, &transform, None).await {
            // What comes by the watch may be older for a moment.
            Ok(updated) => self.learn(&updated.object, &mut BTreeSet::new()),
            Err(status) if is_overtaken(&status) => {}
            Err(status) => {
                tracing::warn!(customresourcedefinition = %name, err = %status.message, "Could not write status of definition");
                let Some(again) = again else { return };
                // Until then nothing more is done for it.
                self.cleaning.insert(name.as_str().into());
                let retry = Cleaned { definition: name.into(), changed: None, is_over: true };
                let (clock, ending, again) = (Arc::clone(&self.settings.clock), self.serving.ending(), again.clone());
                self.tasks.spawn("retry", async move {
                    tokio::select! {
                        biased;
                        () = ending.requested() => {}
                        () = clock.sleep(RETRY_AFTER) => {
                            // At the end of the process nobody waits for it.
                            let _gone = again.send(retry).await;
                        }
                    }
                });
            }
        }
    }
}

fn is_overtaken(status: &Status) -> bool {
    matches!(status.reason, Reason::Conflict | Reason::NotFound)
}

/// Waits for events; `false` if some were lost.
async fn next_events(watcher: &mut Watcher, events: &mut Vec<Arc<CacheEvent>>) -> bool {
    watcher.next(events).await.is_ok()
}
