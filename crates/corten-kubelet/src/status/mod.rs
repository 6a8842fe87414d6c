//! Status manager: the last status of every pod, and the one writer of them.
//!
//! Flow: worker -> `set` -> work queue by pod UID (newest wins) -> patch of `/status` -> for a pod that is over and
//! wanted gone, the final delete. What the API has is read from the informer and from the answers to patches.
//! Upstream: pkg/kubelet/status/status_manager.go (v1.35).

pub mod conditions;
mod containers;
pub mod generate;
mod patch;
mod phase;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use corten_api::core::v1::{Pod, PodStatus};
use corten_apimachinery::{
    status::{Reason, Status},
    stored::Stored,
    value::Value,
};
use corten_base::{SharedClock, Shutdown};
use corten_client::{Api, Client, PatchKind, api::decode, api::encode};
use corten_controller::{RateLimit, ReconcileError, Reconciler, Requeue, Runner, WorkQueue};
use parking_lot::Mutex;
use tracing::{debug, info};

use crate::interfaces::SharedPod;

/// How many statuses are written at the same time: enough to hide the server's latency at the start of many pods.
const WRITERS: usize = 4;

/// The longest pause before a status that could not be written is tried again: from outside, the pod looks as it did before
/// the failure. Upstream: `syncPeriod`.
const RETRY_MAX: Duration = Duration::from_secs(10);

/// The manager. Shared by the workers, which set, and the server, which reads.
pub struct StatusManager {
    client: Client,
    entries: Mutex<BTreeMap<String, Entry>>,
    queue: Arc<WorkQueue<String>>,
    /// The pods whose status waits because the server could not be reached. Capacity: the pods of the node.
    cut_off: Mutex<BTreeSet<String>>,
}

struct Entry {
    /// The pod as the API has it, by the newest answer.
    pod: SharedPod,
    status: PodStatus,
    remains: Remains,
}

/// What is left of a pod on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remains {
    /// Containers may run: the API must not hear of an end yet, since whoever replaces the pod takes it for gone.
    Containers,
    /// Its containers have ended.
    Records,
    /// Nothing: it may go once it is wanted gone.
    Nothing,
    /// Nothing ever was: the API's image of a static pod that this node does not have, which goes now.
    NeverWas,
}

impl StatusManager {
    /// A manager without pods.
    #[must_use]
    pub fn new(client: Client, clock: SharedClock) -> Arc<Self> {
        let limit = RateLimit { max: RETRY_MAX, ..RateLimit::per_key() };
        let queue = Arc::new(WorkQueue::new("kubelet_status", limit, clock));
        Arc::new(Self { client, entries: Mutex::default(), queue, cut_off: Mutex::default() })
    }

    /// Writes statuses until shutdown is requested.
    pub async fn run(self: Arc<Self>, shutdown: Shutdown) {
        let (queue, reconciler) = (Arc::clone(&self.queue), Arc::new(Writer(self)));
        Runner { name: "kubelet-status", workers: WRITERS, queue, reconciler }.run(shutdown).await;
    }

    /// Takes over a pod's newest status.
    pub fn set(&self, pod: &SharedPod, status: PodStatus, remains: Remains) {
        let Some(uid) = pod.metadata.uid.clone() else { return };
        let mut entries = self.entries.lock();
        match entries.get_mut(&uid) {
            Some(entry) => {
                let is_newer = is_newer(pod, &entry.pod);
                if entry.status == status && entry.remains == remains && !is_newer {
                    return;
                }
                entry.status = status;
                entry.remains = remains;
                if is_newer {
                    entry.pod = Arc::clone(pod);
                }
            }
            None => {
                entries.insert(uid.clone(), Entry { pod: Arc::clone(pod), status, remains });
            }
        }
        drop(entries);
        self.queue.add(uid);
    }

    /// Deletes the API's image of a static pod that this node does not have. Upstream: `deleteOrphanedMirrorPods`.
    pub fn delete_mirror(&self, pod: &SharedPod) {
        self.set(pod, pod.status.clone().unwrap_or_default(), Remains::NeverWas);
    }

    /// The newest status of a pod, written or not.
    #[must_use]
    pub fn get(&self, pod_uid: &str) -> Option<PodStatus> {
        self.entries.lock().get(pod_uid).map(|entry| entry.status.clone())
    }

    /// What is left of a pod; `None` if nothing was said of it yet.
    #[must_use]
    pub fn remains(&self, pod_uid: &str) -> Option<Remains> {
        self.entries.lock().get(pod_uid).map(|entry| entry.remains)
    }

    /// Forgets a pod that the API has no more.
    pub fn forget(&self, pod_uid: &str) {
        self.entries.lock().remove(pod_uid);
    }

    /// Notes whether the server could be reached. Once it can again, nobody waits any longer.
    fn heard(&self, uid: &str, error: Option<&Status>) {
        let mut cut_off = self.cut_off.lock();
        if error.is_some_and(|error| error.reason == Reason::ServiceUnavailable) {
            cut_off.insert(uid.to_owned());
            return;
        }
        let waiting = std::mem::take(&mut *cut_off);
        drop(cut_off);
        waiting.into_iter().filter(|other| other != uid).for_each(|other| self.queue.add(other));
    }

    async fn write(&self, uid: &str) -> Result<(), Status> {
        let Some((pod, status, remains)) = self.snapshot(uid) else { return Ok(()) };
        let name = pod.metadata.name.clone().unwrap_or_default();
        let namespace = pod.metadata.namespace.clone().unwrap_or_default();
        let api = Api::<Pod>::namespaced(&self.client, namespace.clone());
        if remains == Remains::NeverWas {
            self.delete(&api, &name, uid).await?;
            info!(pod = %format_args!("{namespace}/{name}"), uid, "Deleted mirror of no static pod");
            self.forget(uid);
            return Ok(());
        }
        let shown = patch::shown(&pod, &status, remains);
        if let Some(patch) = patch::patch(&pod, &shown) {
            let phase = shown.phase.clone().unwrap_or_default();
            match api.patch_status(&name, PatchKind::Strategic, encode(&patch)?).await {
                Ok(stored) => self.written(uid, &stored)?,
                Err(error) if error.is_not_found() || error.is_conflict() => return self.lost(uid, &api, &name).await,
                Err(error) => return Err(error),
            }
            debug!(pod = %format_args!("{namespace}/{name}"), uid, phase, "Wrote pod status");
        }
        let goes = self.entries.lock().get(uid).is_some_and(|entry| {
            entry.remains == Remains::Nothing
                && entry.pod.metadata.deletion_timestamp.is_some()
                && entry.status == status
        });
        if goes {
            self.delete(&api, &name, uid).await?;
            info!(pod = %format_args!("{namespace}/{name}"), uid, "Deleted pod that has ended");
        }
        Ok(())
    }

    fn snapshot(&self, uid: &str) -> Option<(SharedPod, PodStatus, Remains)> {
        let entries = self.entries.lock();
        entries.get(uid).map(|entry| (Arc::clone(&entry.pod), entry.status.clone(), entry.remains))
    }

    fn written(&self, uid: &str, stored: &Stored) -> Result<(), Status> {
        let pod: Pod = decode(stored)?;
        if let Some(entry) = self.entries.lock().get_mut(uid)
            && is_newer(&pod, &entry.pod)
        {
            entry.pod = Arc::new(pod);
        }
        Ok(())
    }

    /// The pod is gone, or another one has its name. Otherwise the conflict was about something else: read and try again.
    async fn lost(&self, uid: &str, api: &Api<Pod>, name: &str) -> Result<(), Status> {
        match api.get(name).await {
            Ok(pod) if pod.metadata.uid.as_deref() == Some(uid) => {
                if let Some(entry) = self.entries.lock().get_mut(uid) {
                    entry.pod = Arc::new(pod);
                }
                Err(Status::internal("the pod changed while its status was written"))
            }
            Ok(_) => {
                self.forget(uid);
                Ok(())
            }
            // A node may not even ask for a pod that is not there: the authorizer knows no relationship to it.
            Err(error) if error.is_not_found() || error.reason == Reason::Forbidden => {
                self.forget(uid);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    async fn delete(&self, api: &Api<Pod>, name: &str, uid: &str) -> Result<(), Status> {
        let mut options = Value::object_of([("apiVersion", Value::from("v1")), ("kind", "DeleteOptions".into())]);
        options.set(&["gracePeriodSeconds"], 0);
        options.set(&["preconditions", "uid"], uid);
        match api.delete(name, options).await {
            Ok(()) => Ok(()),
            Err(error) if error.is_not_found() || error.is_conflict() => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Whether `pod` is a later version than `known`.
fn is_newer(pod: &Pod, known: &Pod) -> bool {
    let revision = |pod: &Pod| pod.metadata.resource_version.as_ref().and_then(|version| version.parse::<u64>().ok());
    revision(pod) > revision(known)
}

struct Writer(Arc<StatusManager>);

#[async_trait]
impl Reconciler<String> for Writer {
    async fn reconcile(&self, uid: &String) -> Result<Requeue, ReconcileError> {
        let written = self.0.write(uid).await;
        self.0.heard(uid, written.as_ref().err());
        written.map_err(ReconcileError::retry)?;
        Ok(Requeue::Never)
    }
}

#[cfg(test)]
mod tests;
