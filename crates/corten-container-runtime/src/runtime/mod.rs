//! The runtime itself: what exists, and who does what to it.
//!
//! Truth: records on disk (`format`) for what was asked, the shims' `state.json` for what happened. Memory only mirrors both,
//! so a runtime that starts anew finds its pods. One watcher task per pod listens to its shim.

mod containers;
mod end;
mod events;
mod image_service;
mod listen;
mod reservations;
mod sandboxes;
mod service;
mod streaming;
mod take_up;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use corten_base::{ErrorChain, SharedClock, SharedRng, Shutdown, TaskSet, fs};
use corten_cri::{Code, Cri, CriError, StreamingAccess, api};
use corten_net::{
    cni::{Host, invoke::Invoker},
    netns::Netns,
};
use parking_lot::Mutex;
use tokio::sync::{broadcast, oneshot, watch};

use crate::{
    Config, blocking,
    format::{ContainerRecord, SandboxRecord},
    images::{Digest, registry::Puller, store::ImageStore},
    shim::{
        client::ShimClient,
        process,
        protocol::{Answer, ContainerState, Exit, Request},
    },
};

/// How far a subscriber of events may be behind before it is ended and lists anew.
const EVENTS_MAX: usize = 1_024;
/// How long a shim may outlive SIGKILL: longer means that it hangs in the kernel.
const SHIM_KILL_PATIENCE: Duration = Duration::from_secs(10);

/// The built-in container runtime. Clones are one runtime.
#[derive(Clone)]
pub struct ContainerRuntime {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    clock: SharedClock,
    rng: SharedRng,
    images: Arc<ImageStore>,
    puller: Puller,
    /// The node's network, where bridge and packet rules are.
    host: Arc<Host>,
    invoker: Invoker,
    pod_cidrs: Mutex<Vec<String>>,
    state: Mutex<State>,
    events: broadcast::Sender<api::ContainerEventResponse>,
    /// Changes whenever a container ends.
    ended: watch::Sender<u64>,
    tasks: TaskSet,
    shutdown: Shutdown,
}

#[derive(Default)]
struct State {
    sandboxes: BTreeMap<String, SandboxRecord>,
    containers: BTreeMap<String, Container>,
    /// Names of pods and containers that are being made.
    reserved: BTreeSet<String>,
    /// The images of containers that are being made; one for each of them.
    needed: Vec<Digest>,
    /// Of each pod, who may change it now.
    turns: BTreeMap<String, Turn>,
}

impl State {
    /// Whether a container has this image, or is about to.
    fn needs(&self, image: &Digest) -> bool {
        self.needed.contains(image) || self.containers.values().any(|container| container.record.image == *image)
    }
}

/// Held by whoever changes a pod.
type Turn = Arc<tokio::sync::Mutex<()>>;

#[derive(Debug, Clone)]
struct Container {
    record: ContainerRecord,
    state: Option<ContainerState>,
    told: Told,
}

/// The last event of a container that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    Created,
    Started,
    Stopped,
}

impl Container {
    fn exit(&self) -> Option<&Exit> {
        self.state.as_ref().and_then(|state| state.exit.as_ref()).or(self.record.exit.as_ref())
    }

    fn started_at(&self) -> i64 {
        self.state.as_ref().and_then(|state| state.started_at).unwrap_or(self.record.started_at)
    }

    fn phase(&self) -> api::ContainerState {
        match (self.exit(), self.started_at()) {
            (Some(_), _) => api::ContainerState::ContainerExited,
            (None, 0) => api::ContainerState::ContainerCreated,
            (None, _) => api::ContainerState::ContainerRunning,
        }
    }
}

/// A failure inside, as callers see it.
fn unknown(error: &(dyn std::error::Error + 'static)) -> CriError {
    CriError::unknown(ErrorChain(error).to_string())
}

/// Runs work that blocks, as a task of the runtime. Cancellation: it goes on to its end.
fn blocking<T, E, W>(tasks: &TaskSet, work: W) -> impl Future<Output = Result<T, CriError>> + Send + use<T, E, W>
where
    T: Send + 'static,
    E: std::error::Error + 'static,
    W: FnOnce() -> Result<T, E> + Send + 'static,
{
    let done = blocking::run(tasks, "blocking", move || work().map_err(|error| unknown(&error)));
    async move { done.await.map_err(|panicked| CriError::new(Code::Internal, panicked.to_string()))? }
}

impl ContainerRuntime {
    /// Opens the runtime, takes up the pods that an earlier one left, and listens to their shims.
    ///
    /// `host` is the network namespace of bridges and packet rules. Errors: files that cannot be read or written.
    pub async fn open(
        config: Config,
        host: Netns,
        clock: SharedClock,
        rng: SharedRng,
        shutdown: Shutdown,
    ) -> Result<Self, CriError> {
        let directories = [config.root.join("pods"), config.run.join("pods"), config.run.join("sock")];
        let (place, private) = (config.root.join("images"), [config.root.clone(), config.run.clone()]);
        let tasks = TaskSet::new("container-runtime");
        let images = blocking(&tasks, move || -> Result<_, crate::images::ImageError> {
            // Images and containers bring set-user-id files and devices, and their root file systems are mounted there.
            for directory in &private {
                fs::create_private_dir(directory)?;
            }
            for directory in &directories {
                fs::create_dir_all(directory)?;
            }
            ImageStore::open(place)
        })
        .await?;
        let host = Arc::new(Host::new(host));
        let invoker =
            Invoker::new(config.cni_plugin_dirs.clone(), config.run.join("cni"), Arc::clone(&host), tasks.clone());
        let inner = Inner {
            pod_cidrs: Mutex::new(config.pod_cidrs.clone()),
            puller: Puller::new(config.registries.clone(), Arc::clone(&clock), tasks.clone()),
            config,
            clock,
            rng,
            images: Arc::new(images),
            host,
            invoker,
            state: Mutex::default(),
            events: broadcast::channel(EVENTS_MAX).0,
            ended: watch::channel(0).0,
            tasks,
            shutdown,
        };
        let runtime = Self { inner: Arc::new(inner) };
        runtime.take_up().await?;
        Ok(runtime)
    }

    /// The runtime behind its interfaces, as a kubelet is given it.
    #[must_use]
    pub fn cri(&self) -> Cri {
        Cri {
            runtime: Arc::new(self.clone()),
            images: Arc::new(self.clone()),
            streaming: StreamingAccess::Direct(Arc::new(self.clone())),
        }
    }

    /// The images, for import and listing.
    #[must_use]
    pub fn images(&self) -> &Arc<ImageStore> {
        &self.inner.images
    }

    /// Ends the tasks after shutdown was requested; pods run on.
    pub async fn join(&self) -> Result<(), corten_base::TaskPanic> {
        self.inner.tasks.join().await
    }

    /// Waits for the first panic of a task; never returns if there is none. Cancel-safe.
    pub async fn panicked(&self) -> corten_base::TaskPanic {
        self.inner.tasks.panicked().await
    }

    /// Runs work that blocks, as a task of the runtime. Cancellation: it goes on to its end.
    fn blocking<T, E, W>(&self, work: W) -> impl Future<Output = Result<T, CriError>> + Send + use<T, E, W>
    where
        T: Send + 'static,
        E: std::error::Error + 'static,
        W: FnOnce() -> Result<T, E> + Send + 'static,
    {
        blocking(&self.inner.tasks, work)
    }

    fn turn(&self, sandbox: &str) -> Turn {
        Arc::clone(self.inner.state.lock().turns.entry(sandbox.to_owned()).or_default())
    }

    /// Does `work` on one pod while nobody else changes it, and to its end, whatever becomes of the caller: what the kernel
    /// was told to do cannot be called back, so a half of it would be left that nobody knows of.
    ///
    /// Cancel-safe: a call that is dropped before its turn does nothing; after that the work goes on as a task of the
    /// runtime, and `undo` takes back what it gave, since nobody learns of it.
    async fn alone<T, W, F, U, G>(&self, sandbox: &str, work: W, undo: U) -> Result<T, CriError>
    where
        T: Send + 'static,
        W: FnOnce(Self) -> F + Send + 'static,
        F: Future<Output = Result<T, CriError>> + Send,
        U: FnOnce(Self, T) -> G + Send + 'static,
        G: Future<Output = Result<(), CriError>> + Send,
    {
        let (tell, told) = oneshot::channel();
        let (turn, runtime, id) = (self.turn(sandbox), self.clone(), sandbox.to_owned());
        self.inner.tasks.spawn("pod", async move {
            let _turn = turn.lock_owned().await;
            if tell.is_closed() {
                return;
            }
            let outcome = work(runtime.clone()).await;
            match tell.send(outcome) {
                Ok(()) => {}
                Err(Ok(made)) => {
                    if let Err(error) = undo(runtime, made).await {
                        tracing::warn!(sandbox = %id, err = %error, "Could not undo what nobody waited for");
                    }
                }
                Err(Err(error)) => {
                    tracing::debug!(sandbox = %id, err = %error, "Failed at what nobody waited for");
                }
            }
        });
        let panicked = |_| CriError::new(Code::Internal, "the task of the call ended by a panic");
        told.await.map_err(panicked)?
    }

    fn now(&self) -> i64 {
        i64::try_from(self.inner.clock.now().as_nanosecond()).expect("a time of this era")
    }

    fn new_id(&self) -> String {
        format!("{}{}", self.inner.rng.uuid(), self.inner.rng.uuid()).replace('-', "")
    }

    /// What a reboot leaves.
    fn kept(&self, sandbox: &str) -> PathBuf {
        self.inner.config.root.join("pods").join(sandbox)
    }

    /// What a reboot ends.
    fn live(&self, sandbox: &str) -> PathBuf {
        self.inner.config.run.join("pods").join(sandbox)
    }

    fn kept_container(&self, record: &ContainerRecord) -> PathBuf {
        self.kept(&record.sandbox).join("containers").join(&record.id)
    }

    fn live_container(&self, record: &ContainerRecord) -> PathBuf {
        self.live(&record.sandbox).join("containers").join(&record.id)
    }

    fn shim_socket(&self, sandbox: &str) -> PathBuf {
        // A socket's path has 107 bytes; 24 digits of an id tell any pods of a machine apart.
        self.inner.config.run.join("sock").join(&sandbox[..sandbox.len().min(24)])
    }

    fn shim(&self, sandbox: &str) -> ShimClient {
        ShimClient::new(self.shim_socket(sandbox), Arc::clone(&self.inner.clock))
    }

    /// The id that an id or a prefix of one means.
    fn sandbox_id(&self, id: &str) -> Result<String, CriError> {
        let state = self.inner.state.lock();
        unique(state.sandboxes.keys(), id).ok_or_else(|| {
            CriError::not_found(format!("an error occurred when try to find sandbox: {id:?}: not found"))
        })
    }

    fn container_id(&self, id: &str) -> Result<String, CriError> {
        let state = self.inner.state.lock();
        unique(state.containers.keys(), id).ok_or_else(|| {
            CriError::not_found(format!("an error occurred when try to find container {id:?}: not found"))
        })
    }

    fn sandbox(&self, id: &str) -> Result<SandboxRecord, CriError> {
        let id = self.sandbox_id(id)?;
        self.inner.state.lock().sandboxes.get(&id).cloned().ok_or_else(|| CriError::not_found(id))
    }

    fn container(&self, id: &str) -> Result<Container, CriError> {
        let id = self.container_id(id)?;
        self.inner.state.lock().containers.get(&id).cloned().ok_or_else(|| CriError::not_found(id))
    }

    /// Asks a pod's shim to end something. One that does not answer hangs for good: it is killed, with its pod.
    ///
    /// Errors: `Unavailable` if the shim has gone, also because it was killed here.
    async fn ask_to_end(&self, sandbox: &str, request: Request, patience: Duration) -> Result<Answer, CriError> {
        let late = match self.shim(sandbox).begin(request, &[], patience).await {
            Err(error) if error.code == Code::DeadlineExceeded => error,
            asked => return asked.map(|(_, answer, _)| answer),
        };
        let directory = self.live(sandbox);
        if !self.blocking(move || process::kill(&directory, SHIM_KILL_PATIENCE)).await? {
            return Err(late);
        }
        tracing::error!(sandbox, err = %late, "Killed shim that did not answer");
        Err(CriError::unavailable(late.message))
    }

    fn containers_of(&self, sandbox: &str) -> Vec<ContainerRecord> {
        let state = self.inner.state.lock();
        let of = state.containers.values().filter(|container| container.record.sandbox == sandbox);
        of.map(|container| container.record.clone()).collect()
    }

    /// Changes a pod's record, on disk first.
    async fn change_sandbox(&self, id: &str, change: impl FnOnce(&mut SandboxRecord)) -> Result<(), CriError> {
        let mut record = self.sandbox(id)?;
        change(&mut record);
        let (path, written) = (self.kept(id).join("sandbox.json"), record.clone());
        self.blocking(move || crate::shim::protocol::write_json(&path, &written)).await?;
        self.inner.state.lock().sandboxes.insert(record.id.clone(), record);
        Ok(())
    }
}

/// For work that leaves nothing which its caller would have to know of.
async fn nothing_to_undo(_: ContainerRuntime, (): ()) -> Result<(), CriError> {
    Ok(())
}

fn unique<'a>(mut ids: impl Iterator<Item = &'a String> + Clone, id: &str) -> Option<String> {
    if let Some(exact) = ids.clone().find(|known| *known == id) {
        return Some(exact.clone());
    }
    let found = ids.find(|known| !id.is_empty() && known.starts_with(id))?;
    ids.all(|known| !known.starts_with(id)).then(|| found.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An image was in use only when its container had been made: removed meanwhile, its layers went from under the root.
    #[test]
    fn an_image_is_needed_while_its_container_is_being_made() {
        let image: Digest = format!("sha256:{}", "a".repeat(64)).parse().unwrap();
        let mut state = State::default();
        assert!(!state.needs(&image));
        state.needed.push(image.clone());
        assert!(state.needs(&image));
    }
}
