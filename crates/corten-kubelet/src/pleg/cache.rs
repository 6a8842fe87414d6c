//! The runtime's view of every pod, shared by PLEG, which keeps it, and the workers, which read it.
//!
//! Bounded by the pods that the runtime has. Listeners are told after the cache shows the change.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use corten_cri::{
    CriError, RuntimeService,
    api::{
        ContainerFilter, ContainerStatus, ContainerStatusRequest, ListContainersRequest, ListPodSandboxRequest,
        PodSandboxFilter, PodSandboxStatusRequest,
    },
};
use parking_lot::Mutex;

use super::records::{Change, POD_UID, PodRuntimeStatus, SandboxRecord, by_pod};

/// Told which pod has changed. Must not block.
pub trait Listener: Send + Sync + 'static {
    /// The runtime's view of this pod has changed.
    fn changed(&self, pod_uid: &str);
}

/// The view and its listener.
pub struct RuntimeCache {
    runtime: Arc<dyn RuntimeService>,
    state: Mutex<State>,
    listener: Mutex<Option<Arc<dyn Listener>>>,
    /// Held while the runtime is asked: answers are taken over in the order of the questions.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    pods: BTreeMap<String, Arc<PodRuntimeStatus>>,
    /// The sandboxes that events told of since the present question was asked: the answer may be older than they are.
    put: BTreeSet<String>,
    gone: BTreeSet<String>,
}

impl RuntimeCache {
    /// An empty view of `runtime`.
    #[must_use]
    pub fn new(runtime: Arc<dyn RuntimeService>) -> Arc<Self> {
        Arc::new(Self {
            runtime,
            state: Mutex::default(),
            listener: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
        })
    }

    /// Says who is told of changes from now on.
    pub fn listen(&self, listener: Arc<dyn Listener>) {
        *self.listener.lock() = Some(listener);
    }

    /// One pod; empty if the runtime does not know it.
    #[must_use]
    pub fn get(&self, pod_uid: &str) -> Arc<PodRuntimeStatus> {
        let known = self.state.lock().pods.get(pod_uid).cloned();
        known.unwrap_or_else(|| Arc::new(PodRuntimeStatus::unknown(pod_uid)))
    }

    /// The UIDs of all pods that the runtime has.
    #[must_use]
    pub fn uids(&self) -> Vec<String> {
        self.state.lock().pods.keys().cloned().collect()
    }

    /// Asks the runtime about one pod and takes over the answer.
    ///
    /// Errors: the runtime's. Cancel-safe: the view is replaced in one step.
    pub async fn refresh(&self, pod_uid: &str) -> Result<(), CriError> {
        let _asking = self.asking.lock().await;
        self.begin();
        let labels: BTreeMap<String, String> = [(POD_UID.to_owned(), pod_uid.to_owned())].into();
        let records = self.list(labels).await?;
        let fresh = by_pod(records).remove(pod_uid);
        self.replace(pod_uid, fresh.unwrap_or_else(|| PodRuntimeStatus::unknown(pod_uid)));
        Ok(())
    }

    /// Asks the runtime about all pods and takes over the answer.
    ///
    /// Errors: the runtime's. Cancel-safe: each pod's view is replaced in one step.
    pub async fn relist(&self) -> Result<(), CriError> {
        let _asking = self.asking.lock().await;
        self.begin();
        let known = self.uids();
        let mut pods = by_pod(self.list(BTreeMap::new()).await?);
        for uid in known {
            pods.entry(uid.clone()).or_insert_with(|| PodRuntimeStatus::unknown(&uid));
        }
        for (uid, pod) in pods {
            self.replace(&uid, pod);
        }
        Ok(())
    }

    /// Takes over what an event says.
    pub fn apply(&self, change: Change) {
        let uid = match &change {
            Change::Put(record) => record.status.metadata.as_ref().map(|metadata| metadata.uid.clone()),
            Change::Gone { uid, .. } => Some(uid.clone()),
        };
        let Some(uid) = uid else { return };
        let changed = {
            let mut state = self.state.lock();
            let mut pod = state.pods.get(&uid).map(|pod| PodRuntimeStatus::clone(pod)).unwrap_or_default();
            let changed = match change {
                Change::Put(record) => {
                    state.put.insert(record.status.id.clone());
                    pod.put(*record)
                }
                Change::Gone { sandbox_id, .. } => {
                    let known = pod.remove(&sandbox_id);
                    state.gone.insert(sandbox_id);
                    known
                }
            };
            state.set(&uid, pod);
            changed
        };
        if changed {
            self.tell(&uid);
        }
    }

    fn begin(&self) {
        let mut state = self.state.lock();
        state.put.clear();
        state.gone.clear();
    }

    /// Replaces one pod by an answer, but for what events have told since the question.
    fn replace(&self, uid: &str, mut fresh: PodRuntimeStatus) {
        let changed = {
            let mut state = self.state.lock();
            fresh.sandboxes.retain(|sandbox| !state.gone.contains(&sandbox.status.id));
            let old = state.pods.get(uid).cloned();
            for record in old.iter().flat_map(|old| &old.sandboxes) {
                if state.put.contains(&record.status.id) {
                    // The newer of both, by the runtime's own time.
                    fresh.put(record.clone());
                }
            }
            let same = old.map_or(fresh.is_empty(), |old| same_content(&old, &fresh));
            state.set(uid, fresh);
            !same
        };
        if changed {
            self.tell(uid);
        }
    }

    fn tell(&self, uid: &str) {
        let listener = self.listener.lock().clone();
        if let Some(listener) = listener {
            listener.changed(uid);
        }
    }

    async fn list(&self, labels: BTreeMap<String, String>) -> Result<Vec<SandboxRecord>, CriError> {
        let filter = PodSandboxFilter { label_selector: labels.clone(), ..PodSandboxFilter::default() };
        let sandboxes = self.runtime.list_pod_sandbox(ListPodSandboxRequest { filter: Some(filter) }).await?.items;
        let mut records = Vec::with_capacity(sandboxes.len());
        for sandbox in sandboxes {
            let request = PodSandboxStatusRequest { pod_sandbox_id: sandbox.id.clone(), verbose: false };
            let answer = match self.runtime.pod_sandbox_status(request).await {
                Ok(answer) => answer,
                // Removed since it was listed.
                Err(error) if error.is_not_found() => continue,
                Err(error) => return Err(error),
            };
            let Some(status) = answer.status else { continue };
            // A runtime without events gives neither time nor containers with the sandbox.
            let containers = match answer.timestamp {
                0 => self.list_containers(&sandbox.id).await?,
                _ => answer.containers_statuses,
            };
            records.push(SandboxRecord::new(status, containers, answer.timestamp));
        }
        Ok(records)
    }

    async fn list_containers(&self, sandbox_id: &str) -> Result<Vec<ContainerStatus>, CriError> {
        let filter = ContainerFilter { pod_sandbox_id: sandbox_id.to_owned(), ..ContainerFilter::default() };
        let listed = self.runtime.list_containers(ListContainersRequest { filter: Some(filter) }).await?.containers;
        let mut statuses = Vec::with_capacity(listed.len());
        for container in listed {
            let request = ContainerStatusRequest { container_id: container.id, verbose: false };
            match self.runtime.container_status(request).await {
                Ok(answer) => statuses.extend(answer.status),
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(statuses)
    }
}

impl State {
    fn set(&mut self, uid: &str, pod: PodRuntimeStatus) {
        if pod.is_empty() {
            self.pods.remove(uid);
        } else {
            self.pods.insert(uid.to_owned(), Arc::new(pod));
        }
    }
}

fn same_content(old: &PodRuntimeStatus, new: &PodRuntimeStatus) -> bool {
    old.sandboxes.len() == new.sandboxes.len()
        && old
            .sandboxes
            .iter()
            .zip(&new.sandboxes)
            .all(|(old, new)| old.status == new.status && old.containers == new.containers)
}
