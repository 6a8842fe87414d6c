//! What pods refer to: config maps, secrets, services, claims, volumes and service account tokens.
//!
//! Flow: pod -> `references` -> one watch per referenced object, shared by all pods that refer to it -> store; a change
//! puts the UIDs of these pods into `changes`, whose reader (`volumes`) writes the new content.
//! Invariant: an object is watched exactly as long as a registered pod refers to it, and is among those that are followed
//! for this pod.
//! Upstream: pkg/kubelet/util/manager/watch_based_manager.go, pkg/kubelet/{configmap,secret,token} (v1.35).

pub mod contents;
pub mod references;
pub mod token;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Weak},
    time::Duration,
};

use corten_api::core::v1::{ConfigMap, PersistentVolume, PersistentVolumeClaim, Pod, Secret, Service};
use corten_apimachinery::{status::Status, stored::Stored};
use corten_base::{SharedClock, SharedRng, Shutdown, TaskSet};
use corten_client::{
    Client, Target,
    api::{decode, resource_of},
};
use corten_controller::workqueue::{RateLimit, WorkQueue};
use corten_informer::{Handler, InformerFactory, InformerId, Key, SharedInformer, reflector::InitialList};
use parking_lot::Mutex;

pub use contents::{Binary, Contents, Values};
pub use references::{ObjectKind, Reference};
pub use token::{Token, TokenManager, TokenRequestKey};

/// How long a reader waits for the first list of an object's watch. Generous: a server that answers does so in
/// milliseconds, and the pod's worker comes again later anyway.
const SYNC_PATIENCE: Duration = Duration::from_secs(10);

/// The first and the longest delay between tries to bring a volume up to date. Source: `durationBeforeRetry` of
/// pkg/util/goroutinemap/exponentialbackoff.
const RETRY: RateLimit = RateLimit { initial: Duration::from_millis(500), max: Duration::from_secs(122), bucket: None };

/// The service that every pod is told of: its namespace and name.
pub(crate) const MASTER_SERVICE: (&str, &str) = ("default", "kubernetes");

/// Why an object could not be read, in the words that pods' events show.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// There is none of this name.
    #[error("{kind} {name:?} not found")]
    NotFound {
        /// The kind in lower case, as upstream's managers name it.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// Its watch has not begun yet.
    #[error("failed to sync {kind} cache: timed out waiting for the condition")]
    NotSynced {
        /// The kind in lower case.
        kind: &'static str,
    },
    /// The server said something else.
    #[error("{}", .0.message)]
    Api(Status),
}

impl ObjectError {
    /// Whether the object does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::NotFound { .. } => true,
            Self::NotSynced { .. } => false,
            Self::Api(status) => status.is_not_found(),
        }
    }
}

impl From<Status> for ObjectError {
    fn from(status: Status) -> Self {
        Self::Api(status)
    }
}

/// Reads what pods refer to. Shared.
pub struct ApiObjects {
    client: Client,
    informers: InformerFactory,
    services: Arc<SharedInformer>,
    tokens: TokenManager,
    tasks: TaskSet,
    shutdown: Shutdown,
    clock: SharedClock,
    watched: Mutex<Watched>,
    changes: Arc<WorkQueue<String>>,
    this: Weak<Self>,
}

#[derive(Default)]
struct Watched {
    /// What each registered pod refers to.
    pods: BTreeMap<String, BTreeSet<Reference>>,
    objects: BTreeMap<Reference, Entry>,
}

struct Entry {
    informer: Arc<SharedInformer>,
    /// The UIDs of the pods that refer to it; never empty.
    pods: BTreeSet<String>,
}

impl ApiObjects {
    /// Reads through `client`; watches run as tasks of `tasks` until `shutdown`.
    #[must_use]
    pub fn new(client: Client, clock: SharedClock, rng: SharedRng, tasks: TaskSet, shutdown: Shutdown) -> Arc<Self> {
        let informers = InformerFactory::new(client.clone(), InitialList::List, Arc::clone(&clock), Arc::clone(&rng));
        let services = informers.informer(&resource_of::<Service>());
        informers.start(&tasks, &shutdown);
        let tokens = TokenManager::new(client.clone(), Arc::clone(&clock), rng);
        let changes = Arc::new(WorkQueue::new("kubelet_volumes", RETRY, Arc::clone(&clock)));
        Arc::new_cyclic(|this| Self {
            client,
            informers,
            services,
            tokens,
            tasks,
            shutdown,
            clock,
            watched: Mutex::default(),
            changes,
            this: this.clone(),
        })
    }

    /// The UIDs of pods whose objects have changed. One reader.
    #[must_use]
    pub fn changes(&self) -> &Arc<WorkQueue<String>> {
        &self.changes
    }

    /// Follows what `pod` refers to, as far as it may; a second call replaces the first.
    pub fn register(&self, pod: &Pod) {
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        self.set(&uid, references::of_pod(pod));
    }

    /// Forgets a pod; nothing is watched for it alone.
    pub fn unregister(&self, uid: &str) {
        self.set(uid, BTreeSet::new());
        self.tokens.forget_pod(uid);
    }

    fn set(&self, uid: &str, wanted: BTreeSet<Reference>) {
        let mut watched = self.watched.lock();
        let watched = &mut *watched;
        let known = watched.pods.remove(uid).unwrap_or_default();
        for added in wanted.difference(&known) {
            let entry = watched.objects.entry(added.clone()).or_insert_with(|| self.watch(added));
            entry.pods.insert(uid.to_owned());
        }
        for removed in known.difference(&wanted) {
            let Some(entry) = watched.objects.get_mut(removed) else { continue };
            entry.pods.remove(uid);
            if entry.pods.is_empty() {
                watched.objects.remove(removed);
                self.informers.stop(&id_of(removed));
            }
        }
        self.informers.start(&self.tasks, &self.shutdown);
        if !wanted.is_empty() {
            watched.pods.insert(uid.to_owned(), wanted);
        }
    }

    fn watch(&self, reference: &Reference) -> Entry {
        let informer = self.informers.informer_of(&id_of(reference));
        let teller =
            Teller { objects: self.this.clone(), informer: Arc::downgrade(&informer), reference: reference.clone() };
        informer.add_handler(Arc::new(teller));
        Entry { informer, pods: BTreeSet::new() }
    }

    fn tell(&self, reference: &Reference) {
        let pods = self.watched.lock().objects.get(reference).map(|entry| entry.pods.clone()).unwrap_or_default();
        for uid in pods {
            self.changes.add(uid);
        }
    }

    /// A config map: from its watch, or from the server if it is followed for no registered pod.
    pub async fn config_map(&self, namespace: &str, name: &str) -> Result<ConfigMap, ObjectError> {
        Ok(decode(&*self.object(ObjectKind::ConfigMap, namespace, name).await?)?)
    }

    /// A secret, likewise.
    pub async fn secret(&self, namespace: &str, name: &str) -> Result<Secret, ObjectError> {
        Ok(decode(&*self.object(ObjectKind::Secret, namespace, name).await?)?)
    }

    async fn object(&self, kind: ObjectKind, namespace: &str, name: &str) -> Result<Arc<Stored>, ObjectError> {
        let reference = Reference { kind, namespace: namespace.to_owned(), name: name.to_owned() };
        let not_found = || ObjectError::NotFound { kind: kind.word(), name: name.to_owned() };
        let informer = self.watched.lock().objects.get(&reference).map(|entry| Arc::clone(&entry.informer));
        let Some(informer) = informer else {
            let target = Target::object(&kind.resource(), namespace, name);
            return self
                .client
                .get(target)
                .await
                .map_err(|status| if status.is_not_found() { not_found() } else { ObjectError::Api(status) });
        };
        corten_base::timeout(&*self.clock, SYNC_PATIENCE, informer.synced())
            .await
            .map_err(|_| ObjectError::NotSynced { kind: kind.word() })?;
        informer.lister().get(&Key { namespace: namespace.into(), name: name.into() }).ok_or_else(not_found)
    }

    /// The services of `namespace`, and the API server's own; `None` while they were not listed once, which is waited for.
    pub async fn services_for(&self, namespace: &str) -> Option<Vec<Service>> {
        corten_base::timeout(&*self.clock, SYNC_PATIENCE, self.services.synced()).await.ok()?;
        let lister = self.services.lister();
        let mut found = lister.in_namespace(namespace);
        let (home, name) = MASTER_SERVICE;
        if home != namespace {
            found.extend(lister.get(&Key::new(home, name)));
        }
        // What the server sends fits the struct; anything else is no service that a pod could use.
        Some(found.iter().filter_map(|stored| decode(stored).ok()).collect())
    }

    /// A claim, as the server has it now.
    pub async fn claim(&self, namespace: &str, name: &str) -> Result<PersistentVolumeClaim, Status> {
        corten_client::Api::namespaced(&self.client, namespace).get(name).await
    }

    /// A persistent volume, as the server has it now.
    pub async fn persistent_volume(&self, name: &str) -> Result<PersistentVolume, Status> {
        corten_client::Api::all(&self.client).get(name).await
    }

    /// Tokens of service accounts.
    #[must_use]
    pub fn tokens(&self) -> &TokenManager {
        &self.tokens
    }
}

impl std::fmt::Debug for ApiObjects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let watched = self.watched.lock();
        f.debug_struct("ApiObjects")
            .field("pods", &watched.pods.len())
            .field("objects", &watched.objects.len())
            .finish_non_exhaustive()
    }
}

fn id_of(reference: &Reference) -> InformerId {
    InformerId::all(&reference.kind.resource())
        .in_namespace(reference.namespace.as_str())
        .fields(format!("metadata.name={}", reference.name))
}

/// Tells which pods an object's change concerns.
struct Teller {
    objects: Weak<ApiObjects>,
    informer: Weak<SharedInformer>,
    reference: Reference,
}

impl Teller {
    fn tell(&self) {
        // The first list is no change: whoever registered reads it.
        let is_first = self.informer.upgrade().is_none_or(|informer| !informer.is_synced());
        if let Some(objects) = self.objects.upgrade().filter(|_| !is_first) {
            objects.tell(&self.reference);
        }
    }
}

impl Handler for Teller {
    fn on_add(&self, _: &Arc<Stored>) {
        self.tell();
    }

    fn on_update(&self, _: &Arc<Stored>, _: &Arc<Stored>) {
        self.tell();
    }

    fn on_delete(&self, _: &Arc<Stored>, _: bool) {
        self.tell();
    }
}

#[cfg(test)]
mod tests;
