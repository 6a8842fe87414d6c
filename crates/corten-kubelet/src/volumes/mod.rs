//! Volumes: a pod's directories on the node, from what its spec asks for.
//!
//! Flow: worker -> `set_up` -> plugin (`catalog`) -> plan -> `apply` (directories, mounts, files); `api_objects::changes`
//! and the ends of tokens -> `run` -> the same again for what may have changed.
//! Invariant: all work on one pod is done one after the other; what is torn down is not set up again by a late change.
//! Upstream: pkg/kubelet/volumemanager and pkg/volume (v1.35).

mod catalog;
mod plugin;

mod config_map;
mod downward_api;
mod empty_dir;
mod host_path;
mod persistent_volume_claim;
mod projected;
mod secret;

mod apply;
mod atomic_writer;
pub mod layout;
pub mod mounter;
mod ownership;
mod payload;
pub(crate) mod sub_path;

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use corten_api::core::v1::{Pod, Volume};
use corten_base::{ErrorChain, SharedClock, Shutdown, TaskPanic, TaskSet};
use corten_client::events::{EventType, Recorder};
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tracing::warn;

pub use layout::Layout;
pub use mounter::{Mounter, SystemMounter};

use crate::{
    api_objects::ApiObjects,
    containers::field_ref::NodeFacts,
    interfaces::{Failure, MountedVolume, MountedVolumes, SharedPod, Volumes, containers_of},
    pod_ref::pod_ref,
};

use apply::Place;
use plugin::{Plan, PlanContext, PlanError};

/// What the manager works with.
#[derive(Debug, Clone)]
pub struct Parts {
    /// Where pods are on this node.
    pub layout: Layout,
    /// What pods refer to.
    pub objects: Arc<ApiObjects>,
    /// What pods may ask about the node.
    pub node: Arc<NodeFacts>,
    /// Mounts.
    pub mounter: Arc<dyn Mounter>,
    /// For `FailedMount`.
    pub recorder: Recorder,
    /// For the names of atomic writes and the ends of tokens.
    pub clock: SharedClock,
}

/// How many pods are brought up to date at once: one that waits for an object that is not there holds up no other.
const REFRESHES_MAX: usize = 8;

/// Sets volumes up, keeps them up to date, takes them away.
#[derive(Debug)]
pub struct VolumeManager {
    parts: Parts,
    /// The pods that are set up. Capacity: the pods of the node.
    pods: Mutex<BTreeMap<String, Known>>,
    /// What blocks and changes directories, also when whoever asked for it has gone.
    work: TaskSet,
}

#[derive(Debug, Clone)]
struct Known {
    pod: SharedPod,
    /// Whether all was mounted once. Until then the worker tries again, and nothing is refreshed.
    is_set_up: bool,
    turn: Turn,
}

/// Held by whoever works on the pod's directories.
type Turn = Arc<tokio::sync::Mutex<()>>;

/// The turn, held. What blocks keeps a copy to its end: it runs on when its caller is dropped, and whoever comes next must
/// find all of what it did.
type Held = Arc<tokio::sync::OwnedMutexGuard<()>>;

impl VolumeManager {
    /// A manager; its `run` keeps what it sets up.
    #[must_use]
    pub fn new(parts: Parts) -> Arc<Self> {
        Arc::new(Self { parts, pods: Mutex::default(), work: TaskSet::new("volumes") })
    }

    /// Waits until nothing mounts, writes or removes any more. For when nobody asks for anything new.
    ///
    /// Errors: work that nobody waited for panicked.
    pub async fn join(&self) -> Result<(), TaskPanic> {
        self.work.join().await
    }

    /// Runs what blocks and changes the pod's directories. A panic in it goes on here.
    async fn blocking_in<T: Send + 'static>(&self, turn: &Held, work: impl FnOnce() -> T + Send + 'static) -> T {
        let (turn, (tell, told)) = (Arc::clone(turn), oneshot::channel());
        self.work.spawn_blocking("directories", move || {
            let done = catch_unwind(AssertUnwindSafe(work));
            drop(turn);
            if let Err(Err(payload)) = tell.send(done) {
                resume_unwind(payload);
            }
        });
        match told.await {
            Ok(Ok(done)) => done,
            Ok(Err(payload)) => resume_unwind(payload),
            // Never begun: the runtime of this very task ends.
            Err(_) => std::future::pending().await,
        }
    }

    /// Brings volumes up to date when what they show has changed, until shutdown.
    pub async fn run(self: Arc<Self>, shutdown: Shutdown) {
        futures::future::join_all((0..REFRESHES_MAX).map(|_| self.refresh_all(&shutdown))).await;
        self.parts.objects.changes().shut_down();
    }

    /// Takes one pod after the other; the queue gives no pod to two at a time.
    async fn refresh_all(&self, shutdown: &Shutdown) {
        let changes = Arc::clone(self.parts.objects.changes());
        loop {
            let next = tokio::select! {
                biased;
                () = shutdown.requested() => break,
                next = changes.next() => next,
            };
            let Some(uid) = next else { break };
            if self.refresh(&uid).await {
                changes.forget(&uid);
            } else {
                changes.add_rate_limited(uid.clone());
            }
            changes.done(&uid);
        }
    }

    /// Notes the pod's newest state and gives its turn.
    fn note(&self, uid: &str, pod: &SharedPod) -> Turn {
        let mut pods = self.pods.lock();
        let known = pods.entry(uid.to_owned()).or_insert_with(|| Known {
            pod: Arc::clone(pod),
            is_set_up: false,
            turn: Arc::default(),
        });
        known.pod = Arc::clone(pod);
        Arc::clone(&known.turn)
    }

    fn known(&self, uid: &str) -> Option<Known> {
        self.pods.lock().get(uid).cloned()
    }

    /// Writes again what may have changed; whether that is done.
    async fn refresh(&self, uid: &str) -> bool {
        let Some(Known { turn, .. }) = self.known(uid) else { return true };
        let turn = Arc::new(turn.lock_owned().await);
        // It may have been torn down, or changed, while this waited.
        let Some(Known { pod, is_set_up: true, .. }) = self.known(uid) else { return true };
        match self.mount(&pod, true, &turn).await {
            Ok(_) => true,
            Err(failure) => {
                warn!(uid, err = %failure, "Could not bring volumes up to date");
                false
            }
        }
    }

    /// Mounts the volumes of a pod, or those whose content may change.
    async fn mount(&self, pod: &Pod, only_dynamic: bool, turn: &Held) -> Result<MountedVolumes, Failure> {
        let (mut mounted, mut first) = (MountedVolumes::default(), None);
        let wanted = used_volumes(pod);
        let mut bytes_left = payload::BYTES_MAX;
        for volume in pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()) {
            if !wanted.contains(&volume.name) {
                continue;
            }
            match self.mount_one(pod, volume, only_dynamic, &mut bytes_left, turn).await {
                Ok(Some(volume_)) => {
                    mounted.by_name.insert(volume.name.clone(), volume_);
                }
                Ok(None) => {}
                Err(error) => {
                    let message = told(&volume.name, &error);
                    self.parts.recorder.event(&pod_ref(pod), EventType::Warning, "FailedMount", message.clone());
                    first.get_or_insert(message);
                }
            }
        }
        match first {
            None => Ok(mounted),
            Some(first) => Err(Failure::new("FailedMount", first)),
        }
    }

    async fn mount_one(
        &self,
        pod: &Pod,
        volume: &Volume,
        only_dynamic: bool,
        bytes_left: &mut usize,
        turn: &Held,
    ) -> Result<Option<MountedVolume>, PlanError> {
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let Some(plugin) = catalog::plugin_of(volume) else {
            return Err(PlanError::Process("no volume plugin matched".to_owned()));
        };
        if only_dynamic && !plugin.is_dynamic() {
            return Ok(None);
        }
        let parts = &self.parts;
        let planned = plugin.plan(&PlanContext { pod, objects: &parts.objects, node: &parts.node }, volume).await?;
        if let Plan::Files { payload, .. } = &planned.plan {
            let left = bytes_left.checked_sub(payload::bytes_of(payload));
            *bytes_left = left.ok_or_else(|| {
                let max = payload::BYTES_MAX;
                PlanError::SetUp(format!("the files of this pod's volumes have more than {max} bytes together"))
            })?;
        }
        let place = Place {
            layout: parts.layout.clone(),
            pod_uid: uid.clone(),
            plugin: plugin.name(),
            volume: volume.name.clone(),
        };
        let (mounter, now) = (Arc::clone(&parts.mounter), parts.clock.now());
        let done = self.blocking_in(turn, move || apply::apply(&place, &planned.plan, &*mounter, now)).await;
        if let Some(at) = planned.refresh_at {
            parts.objects.changes().add_after(uid, until(now, at));
        }
        done.map(Some).map_err(PlanError::set_up)
    }
}

#[async_trait]
impl Volumes for VolumeManager {
    async fn set_up(&self, pod: &SharedPod) -> Result<MountedVolumes, Failure> {
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let turn = Arc::new(self.note(&uid, pod).lock_owned().await);
        self.parts.objects.register(pod);
        let (layout, directory) = (self.parts.layout.clone(), uid.clone());
        self.blocking_in(&turn, move || apply::make_pod_directories(&layout, &directory)).await.map_err(|error| {
            let text = format!("error making pod data directories: {}", ErrorChain(&error));
            self.parts.recorder.event(&pod_ref(pod), EventType::Warning, "FailedToMakePodDataDirectories", &*text);
            Failure::new("FailedToMakePodDataDirectories", text)
        })?;
        let mounted = self.mount(pod, false, &turn).await?;
        if let Some(known) = self.pods.lock().get_mut(&uid) {
            known.is_set_up = true;
        }
        Ok(mounted)
    }

    fn update(&self, pod: &SharedPod) {
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        let Some(known) = self.known(uid) else { return };
        self.note(uid, pod);
        self.parts.objects.register(pod);
        let (old, new) = (&known.pod.metadata, &pod.metadata);
        if old.labels != new.labels || old.annotations != new.annotations {
            self.parts.objects.changes().add(uid.to_owned());
        }
    }

    async fn tear_down(&self, pod_uid: &str) -> Result<(), Failure> {
        // Forgotten first: a late change finds nothing to do.
        let known = self.pods.lock().remove(pod_uid);
        let turn = known.map(|known| known.turn).unwrap_or_default();
        let turn = Arc::new(turn.lock_owned().await);
        self.parts.objects.unregister(pod_uid);
        let (layout, mounter, uid) = (self.parts.layout.clone(), Arc::clone(&self.parts.mounter), pod_uid.to_owned());
        let removed = self.blocking_in(&turn, move || apply::remove(&layout, &uid, &*mounter)).await;
        removed.map_err(|error| Failure::new("FailedUnmount", ErrorChain(&error).to_string()))
    }

    async fn pods_on_node(&self) -> Result<Vec<String>, Failure> {
        let layout = self.parts.layout.clone();
        let found = blocking(move || apply::pods(&layout)).await;
        found.map_err(|error| Failure::new("FailedToListPods", ErrorChain(&error).to_string()))
    }
}

/// The volumes that a container of the pod mounts: upstream does nothing about the others.
fn used_volumes(pod: &Pod) -> BTreeSet<String> {
    let containers = containers_of(pod);
    let mounts = containers.iter().flat_map(|container| container.spec.volume_mounts.iter().flatten());
    let mut used: BTreeSet<String> = mounts.map(|mount| mount.name.clone()).collect();
    let devices = containers.iter().flat_map(|container| container.spec.volume_devices.iter().flatten());
    used.extend(devices.map(|device| device.name.clone()));
    let sources = containers.iter().flat_map(|container| container.spec.env.iter().flatten());
    let files = sources.filter_map(|env| env.value_from.as_ref()?.file_key_ref.as_ref());
    used.extend(files.map(|file| file.volume_name.clone()));
    used
}

/// What the event says.
fn told(volume: &str, error: &PlanError) -> String {
    match error {
        PlanError::SetUp(text) => format!("MountVolume.SetUp failed for volume {volume:?} : {text}"),
        PlanError::Process(text) => format!(
            "Unable to attach or mount volumes: unmounted volumes=[{volume}], unattached volumes=[], \
             failed to process volumes=[{volume}]: {text}"
        ),
    }
}

fn until(now: Timestamp, at: Timestamp) -> Duration {
    // Never at once: a token that comes back as old as it was must not be asked for in a loop.
    Duration::try_from(at.duration_since(now)).unwrap_or_default().max(Duration::from_secs(1))
}

/// Runs what blocks. A panic in it goes on here. Cancelled, it goes on to its end.
#[expect(clippy::disallowed_methods, reason = "its callers have no set of tasks; the end of the async runtime waits")]
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

#[cfg(test)]
mod tests;
