//! Follows every resource that the server has, also those that come and go with their definitions.
//!
//! Upstream: GarbageCollector.Sync in pkg/controller/garbagecollector (v1.35), which asks each 30 seconds instead.

use std::{collections::BTreeMap, mem, sync::Arc, time::Duration};

use corten_apimachinery::{
    gvk::{GroupVersion, GroupVersionResource},
    status::Status,
    stored::Stored,
    value::{Str, format_str},
};
use corten_base::{Backoff, ErrorChain, SharedClock, SharedRng, Shutdown, TaskSet, timeout};
use corten_client::{Client, discovery::ApiResource};
use corten_controller::WorkQueue;
use corten_informer::{Handler, InformerFactory, InformerId, SharedInformer};
use tokio::sync::{Notify, oneshot};
use tracing::{info, warn};

use super::{Collected, ObjectHandler, View, Work};

/// How long the first lists may take before work begins without the missing ones: what the cache does not show is asked
/// of the server anyway. Upstream: `initialSyncTimeout`.
const FIRST_LISTS: Duration = Duration::from_secs(30);

/// The resources whose objects define resources.
const DEFINITIONS: [(&str, &str); 2] =
    [("apiextensions.k8s.io", "customresourcedefinitions"), ("apiregistration.k8s.io", "apiservices")];

/// Keeps the informers in step with discovery.
pub(super) struct Following {
    pub(super) view: Arc<View>,
    pub(super) queue: Arc<WorkQueue<Work>>,
    pub(super) client: Client,
    pub(super) informers: InformerFactory,
    pub(super) clock: SharedClock,
    pub(super) rng: SharedRng,
}

impl Following {
    /// Follows what there is, says so to `ready`, and looks again whenever a definition changes. Informers are tasks of
    /// `tasks`.
    pub(super) async fn run(self, tasks: TaskSet, ready: oneshot::Sender<()>, shutdown: Shutdown) {
        let work = async {
            let changed = Arc::new(Notify::new());
            let first = self.look(&tasks, &shutdown, &changed).await;
            let lists = async {
                for informer in &first {
                    informer.synced().await;
                }
            };
            if timeout(&*self.clock, FIRST_LISTS, lists).await.is_err() {
                warn!("Began to collect garbage before every resource was listed");
            }
            info!(resources = first.len(), "Following resources for garbage collection");
            // Nobody listens any more when the process ends meanwhile.
            let _ = ready.send(());
            loop {
                changed.notified().await;
                self.look(&tasks, &shutdown, &changed).await;
            }
        };
        tokio::select! {
            biased;
            () = shutdown.requested() => {}
            () = work => {}
        }
    }

    /// Brings the informers in step with discovery, trying until it answers, and gives the new ones.
    async fn look(&self, tasks: &TaskSet, shutdown: &Shutdown, changed: &Arc<Notify>) -> Vec<Arc<SharedInformer>> {
        let mut backoff = Backoff::doubling(Duration::from_millis(100), Duration::from_secs(30));
        loop {
            match self.client.discover().await {
                Ok(discovery) => {
                    let served = discovery.resources.into_iter().filter(is_collected);
                    let new = self.follow(served.collect(), &discovery.failures, changed);
                    self.informers.start(tasks, shutdown);
                    return new;
                }
                Err(status) => {
                    let delay = backoff.next(&*self.rng);
                    warn!(err = %ErrorChain(&status), retry_in_ms = delay.as_millis() as u64, "Could not discover resources");
                    self.clock.sleep(delay).await;
                }
            }
        }
    }

    fn follow(
        &self,
        served: Vec<ApiResource>,
        failures: &[(GroupVersion, Status)],
        changed: &Arc<Notify>,
    ) -> Vec<Arc<SharedInformer>> {
        let (mut new, mut by_kind) = (Vec::new(), BTreeMap::new());
        // Handlers look kinds up meanwhile.
        let known = self.view.resources.read().by_kind.clone();
        for api in served {
            let key = (api.kind.group.clone(), api.kind.kind.clone());
            let same = |at: &&u16| self.view.resource_at(**at).resource == api.resource;
            let at = match known.get(&key).filter(same) {
                Some(at) => *at,
                None => {
                    let (at, informer) = self.add(&api);
                    new.push((at, api.resource.clone(), informer));
                    at
                }
            };
            by_kind.insert(key, at);
        }
        for (key, at) in known {
            let gone = self.view.resource_at(at).resource.clone();
            if by_kind.values().any(|other| *other == at) {
                continue;
            }
            if failures.iter().any(|(failed, _)| failed.group == gone.group) {
                // Its server is not reachable: that says nothing about its objects.
                by_kind.insert(key, at);
            } else {
                self.informers.stop(&InformerId::all(&gone));
            }
        }
        self.view.resources.write().by_kind = by_kind;
        for (resource, gvr, informer) in &new {
            let (queue, view) = (Arc::clone(&self.queue), Arc::clone(&self.view));
            informer.add_handler(Arc::new(ObjectHandler { resource: *resource, queue, view }));
            if DEFINITIONS.contains(&(gvr.group.as_str(), gvr.resource.as_str())) {
                informer.add_handler(Arc::new(DefinitionHandler(Arc::clone(changed))));
            }
        }
        if !new.is_empty() {
            for place in mem::take(&mut *self.view.undecided.lock()) {
                self.queue.add(Work::Collect(place));
            }
        }
        new.into_iter().map(|(_, _, informer)| informer).collect()
    }

    fn add(&self, api: &ApiResource) -> (u16, Arc<SharedInformer>) {
        let informer = self.informers.informer(&api.resource);
        let mut resources = self.view.resources.write();
        let collected = Arc::new(Collected {
            api_version: api_version(&api.resource),
            resource: api.resource.clone(),
            kind: api.kind.kind.clone(),
            is_namespaced: api.is_namespaced,
            lister: informer.lister(),
        });
        // A definition that comes back takes its old place: what still waits for that place is about the same resource.
        let old = resources.all.iter().position(|other| other.resource == api.resource);
        let at = old.unwrap_or(resources.all.len());
        match old {
            Some(at) => resources.all[at] = collected,
            None => resources.all.push(collected),
        }
        (u16::try_from(at).expect("there are fewer than 65,536 names of resources"), informer)
    }
}

fn api_version(resource: &GroupVersionResource) -> Str {
    if resource.group.is_empty() {
        resource.version.clone()
    } else {
        format_str!("{}/{}", resource.group, resource.version)
    }
}

/// What can be listed, watched and deleted. Events are left out, as upstream leaves them out: they are many, go by
/// themselves and own nothing.
fn is_collected(api: &ApiResource) -> bool {
    let is_event = api.resource.resource == "events" && matches!(&*api.resource.group, "" | "events.k8s.io");
    api.supports(&["delete", "list", "watch"]) && !is_event
}

/// Hears of definitions of resources.
struct DefinitionHandler(Arc<Notify>);

impl Handler for DefinitionHandler {
    fn on_add(&self, _object: &Arc<Stored>) {
        self.0.notify_one();
    }

    fn on_update(&self, _old: &Arc<Stored>, _object: &Arc<Stored>) {
        self.0.notify_one();
    }

    fn on_delete(&self, _object: &Arc<Stored>, _final_state_unknown: bool) {
        self.0.notify_one();
    }
}
