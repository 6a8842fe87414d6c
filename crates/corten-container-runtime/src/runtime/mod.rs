//! The runtime itself: what exists, who does what to it, and the events of it.
//!
//! Truth: records on disk (`format`) for what was asked, the shims' `state.json` for what happened. Memory only mirrors both,
//! so a runtime that starts anew finds its pods. One watcher task per pod listens to its shim.

mod containers;
mod image_service;
mod sandboxes;
mod service;
mod streaming;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use corten_base::{Backoff, ErrorChain, SharedClock, SharedRng, Shutdown, TaskSet, fs};
use corten_cri::{Code, Cri, CriError, StreamingAccess, api};
use corten_net::{
    cni::{Host, invoke::Invoker},
    netns::Netns,
};
use corten_oci::{Cgroup, cgroup::Hierarchies};
use futures::StreamExt as _;
use parking_lot::Mutex;
use tokio::sync::{broadcast, oneshot, watch};

use crate::{
    Config, blocking,
    format::{self, ContainerRecord, SandboxRecord},
    images::{
        Digest,
        registry::Puller,
        store::{Image, ImageStore},
    },
    namespaces, network,
    shim::{
        client::{ANSWER_PATIENCE, Call, ShimClient},
        process,
        protocol::{Answer, ContainerState, Exit, Request, VERSION},
    },
};

/// How far a subscriber of events may be behind before it is ended and lists anew.
const EVENTS_MAX: usize = 1_024;
/// How many pods are removed at the same time when all are: enough that none waits for another's processes to end.
const REMOVALS: usize = 16;
/// How many pods are taken up at the same time: shims answer in a moment, and one that does not is not to hold up others.
const TAKE_UPS: usize = 16;
/// How long a shim has to answer a runtime that starts; one that takes longer is asked again when the runtime runs.
const TAKE_UP_PATIENCE: Duration = Duration::from_secs(5);
/// How long a shim may outlive SIGKILL: longer means that it hangs in the kernel.
const SHIM_KILL_PATIENCE: Duration = Duration::from_secs(10);
/// The pauses, the first and the longest, before a shim is asked again that is there but does not answer as it should.
const RESUBSCRIBE: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(30)];

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
        self.state.as_ref().and_then(|state| state.exit.as_ref())
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

/// A failure to read a record: `DataLoss` if it is broken, newer than this program or not there, and will be tomorrow.
/// Anything else (too many open files, a disk that fails) says nothing of the record.
fn unreadable(error: &fs::FsError) -> CriError {
    use std::io::ErrorKind::{InvalidData, NotFound, UnexpectedEof};
    match error.source.kind() {
        InvalidData | UnexpectedEof | NotFound => CriError::new(Code::DataLoss, ErrorChain(error).to_string()),
        _ => unknown(error),
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

    /// Stops and removes every pod, the pod network and the control groups; then images and the pods' logs are left.
    ///
    /// Errors: the first thing that could not be removed; the call may be repeated.
    pub async fn remove_all(&self) -> Result<(), CriError> {
        let ids: Vec<String> = self.inner.state.lock().sandboxes.keys().cloned().collect();
        let removals = futures::stream::iter(ids).map(|id| async move {
            self.stop_sandbox(&id).await?;
            self.remove_sandbox(&id).await
        });
        // All are tried, whatever became of the others.
        let removed: Vec<Result<(), CriError>> = removals.buffer_unordered(REMOVALS).collect().await;
        removed.into_iter().collect::<Result<(), CriError>>()?;
        let inner = Arc::clone(&self.inner);
        self.blocking(move || network::remove(&inner.config, &inner.host).map_err(std::io::Error::other)).await?;
        let (cgroup, run) =
            (PathBuf::from(format!("/{}", self.inner.config.cgroup_root)), self.inner.config.run.clone());
        self.blocking(move || -> std::io::Result<()> {
            let hierarchies = Hierarchies::detect().map_err(std::io::Error::other)?;
            Cgroup::new(hierarchies, &cgroup).remove().map_err(std::io::Error::other)?;
            namespaces::unmount_below(&run.join("pods"))?;
            for directory in ["pods", "sock", "cni", "ipam"] {
                fs::remove_dir_all(&run.join(directory)).map_err(std::io::Error::other)?;
            }
            Ok(())
        })
        .await
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

    /// Keeps two calls from making one pod or container; the guard gives the name free.
    fn reserve(&self, name: String, is_taken: impl Fn(&State) -> bool) -> Result<Reserved, CriError> {
        let mut state = self.inner.state.lock();
        if is_taken(&state) || !state.reserved.insert(name.clone()) {
            return Err(CriError::unknown(format!("failed to reserve name {name:?}: name is already reserved")));
        }
        Ok(Reserved { runtime: self.clone(), name })
    }

    /// Finds an image and keeps it from being removed until the guard goes.
    fn find_and_keep(&self, name: &str) -> Option<(Arc<Image>, Needed)> {
        self.inner.images.find_and(name, |image| {
            self.inner.state.lock().needed.push(image.id.clone());
            (Arc::clone(image), Needed { runtime: self.clone(), image: image.id.clone() })
        })
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

    fn send(&self, id: &str, sandbox: &str, kind: api::ContainerEventType) {
        let event = {
            let state = self.inner.state.lock();
            self.event(&state, id, sandbox, kind)
        };
        // Nobody listens: nothing is lost, a listener lists first.
        let _ = self.inner.events.send(event);
    }

    fn event(
        &self,
        state: &State,
        id: &str,
        sandbox: &str,
        kind: api::ContainerEventType,
    ) -> api::ContainerEventResponse {
        api::ContainerEventResponse {
            container_id: id.to_owned(),
            container_event_type: kind as i32,
            created_at: self.now(),
            pod_sandbox_status: state.sandboxes.get(sandbox).map(service::sandbox_status),
            containers_statuses: state
                .containers
                .values()
                .filter(|container| container.record.sandbox == sandbox)
                .map(service::container_status)
                .collect(),
        }
    }

    /// Reads what the shim wrote about a container and tells what is new.
    ///
    /// Errors: `DataLoss` if that is broken; whatever kept it from being read.
    async fn refresh(&self, id: &str) -> Result<(), CriError> {
        let Some(record) = self.inner.state.lock().containers.get(id).map(|container| container.record.clone()) else {
            return Ok(());
        };
        let directory = self.live_container(&record);
        let read = move || ContainerState::read(&directory).map_err(|error| unreadable(&error));
        let found = blocking::run(&self.inner.tasks, "blocking", read).await;
        self.advance(id, found.map_err(|panicked| unknown(&panicked))??);
        Ok(())
    }

    fn advance(&self, id: &str, found: Option<ContainerState>) {
        let mut state = self.inner.state.lock();
        let Some(container) = state.containers.get_mut(id) else { return };
        if container.exit().is_none() && found.is_some() {
            container.state = found;
        }
        let (sandbox, has_started, has_ended) =
            (container.record.sandbox.clone(), container.started_at() != 0, container.exit().is_some());
        for (told, is_so, kind) in [
            (Told::Started, has_started, api::ContainerEventType::ContainerStartedEvent),
            (Told::Stopped, has_ended, api::ContainerEventType::ContainerStoppedEvent),
        ] {
            let container = state.containers.get_mut(id).expect("found above, under the same lock");
            if is_so && container.told < told {
                container.told = told;
                let event = self.event(&state, id, &sandbox, kind);
                let _ = self.inner.events.send(event);
            }
        }
        drop(state);
        if has_ended {
            self.inner.ended.send_modify(|count| *count += 1);
        }
    }

    /// Marks containers as ended whose shim has gone: all at once, so that no event shows one of them as running.
    fn lost(&self, ids: &[String]) {
        let finished_at = self.now();
        {
            let mut state = self.inner.state.lock();
            for id in ids {
                if let Some(container) = state.containers.get_mut(id).filter(|container| container.exit().is_none()) {
                    let none = ContainerState { version: VERSION, pid: 0, started_at: None, exit: None };
                    let exit = Exit { code: 255, finished_at, oom_killed: false, start_error: None };
                    container.state.get_or_insert(none).exit = Some(exit);
                }
            }
        }
        for id in ids {
            self.advance(id, None);
        }
    }

    fn containers_of(&self, sandbox: &str) -> Vec<ContainerRecord> {
        let state = self.inner.state.lock();
        let of = state.containers.values().filter(|container| container.record.sandbox == sandbox);
        of.map(|container| container.record.clone()).collect()
    }

    /// Asks a pod's shim to tell of its containers' ends, and reads what has happened before.
    ///
    /// Errors: `Unavailable` if the shim has gone.
    async fn subscribe(&self, sandbox: &str, patience: Duration) -> Result<Call, CriError> {
        // The subscription stands when the shim has said so.
        let (call, ..) = self.shim(sandbox).begin(Request::Events, &[], patience).await?;
        for record in self.containers_of(sandbox) {
            self.refresh(&record.id).await?;
        }
        Ok(call)
    }

    /// Takes in what a shim tells until the connection breaks.
    ///
    /// A shim that has told something is well: the pauses begin anew. One that only takes the subscription may break off at
    /// once, again and again.
    async fn hear(&self, call: &Call, pauses: &mut Backoff) -> CriError {
        loop {
            match call.answer().await {
                Ok((Answer::Ended { id }, _)) => {
                    pauses.reset();
                    if let Err(error) = self.refresh(&id).await {
                        tracing::warn!(container = %id, err = %error, "Could not read state of container");
                        self.lost(&[id]);
                    }
                }
                Ok(_) => {}
                Err(error) => return error,
            }
        }
    }

    /// Listens to a pod's shim until it has gone. A shim that is there but cannot be heard is asked again and again: its
    /// containers run on, and only its end says that they are over.
    fn listen(&self, sandbox: &str, call: Option<Call>) {
        let (runtime, sandbox) = (self.clone(), sandbox.to_owned());
        let shutdown = self.inner.shutdown.clone();
        self.inner.tasks.spawn("shim-watch", async move {
            let until_it_has_gone = async {
                let mut pauses = Backoff::doubling(RESUBSCRIBE[0], RESUBSCRIBE[1]);
                let mut heard = match call {
                    Some(call) => Ok(call),
                    None => runtime.subscribe(&sandbox, ANSWER_PATIENCE).await,
                };
                loop {
                    let error = match heard {
                        Ok(call) => runtime.hear(&call, &mut pauses).await,
                        Err(error) => error,
                    };
                    if error.code == Code::Unavailable {
                        return error;
                    }
                    tracing::warn!(sandbox, err = %error, "Could not listen to shim");
                    let pause = pauses.next(&*runtime.inner.rng);
                    runtime.inner.clock.sleep(pause).await;
                    heard = match runtime.subscribe(&sandbox, ANSWER_PATIENCE).await {
                        Err(error) if error.code == Code::Unavailable => return error,
                        other => other,
                    };
                }
            };
            let cause = tokio::select! {
                biased;
                () = shutdown.requested() => return,
                cause = until_it_has_gone => cause,
            };
            if let Err(error) = runtime.shim_died(&sandbox, &cause).await {
                tracing::error!(sandbox, err = %error, "Could not clear away sandbox whose shim died");
            }
        });
    }

    /// Stops a pod whose shim ended though nobody had stopped it: what is left of it can neither be reaped nor logged.
    ///
    /// The record says so before the containers do: whoever sees them exited must not start others beside them.
    async fn shim_died(&self, sandbox: &str, cause: &CriError) -> Result<(), CriError> {
        let (id, cause) = (sandbox.to_owned(), cause.message.clone());
        let work = |runtime: Self| async move {
            let is_ready = runtime.inner.state.lock().sandboxes.get(&id).is_some_and(|record| record.ready);
            if !is_ready {
                // A stop ended the shim, and does the rest itself.
                return Ok(());
            }
            tracing::warn!(sandbox = %id, err = cause, "Shim ended unasked");
            runtime.change_sandbox(&id, |record| record.ready = false).await?;
            runtime.shim_ended(&id).await;
            runtime.send(&id, &id, api::ContainerEventType::ContainerStoppedEvent);
            runtime.stop_sandbox_in_turn(&id).await
        };
        self.alone(sandbox, work, nothing_to_undo).await
    }

    /// After a stop, or because the shim died: then its containers are killed, since nobody can reap or log them.
    async fn shim_ended(&self, sandbox: &str) {
        let mut lost = Vec::new();
        for record in self.containers_of(sandbox) {
            let is_over = |container: &Container| container.exit().is_some();
            if let Err(error) = self.refresh(&record.id).await {
                tracing::warn!(container = %record.id, err = %error, "Could not read state of container");
            }
            if self.inner.state.lock().containers.get(&record.id).is_none_or(is_over) {
                continue;
            }
            if let Err(error) = self.sweep(&record).await {
                tracing::error!(container = %record.id, err = %error, "Could not remove container whose shim died");
            }
            lost.push(record.id);
        }
        self.lost(&lost);
    }

    /// Finds the pods of an earlier runtime. One that cannot be understood does not keep the others from going on; it is
    /// cleared away. One whose records cannot be read now, but may be later, is left as it is: it may be well.
    async fn take_up(&self) -> Result<(), CriError> {
        let root = self.inner.config.root.join("pods");
        let found = self.blocking(move || read_records(&root)).await?;
        {
            let mut state = self.inner.state.lock();
            for record in found.containers {
                let container = Container { record, state: None, told: Told::Stopped };
                state.containers.insert(container.record.id.clone(), container);
            }
            state.sandboxes = found.sandboxes.into_iter().map(|record| (record.id.clone(), record)).collect();
        }
        let ready: Vec<(String, bool)> =
            self.inner.state.lock().sandboxes.values().map(|record| (record.id.clone(), record.ready)).collect();
        let taken = futures::stream::iter(ready).map(|(id, ready)| async move {
            let taken = self.take_up_pod(&id, ready).await;
            taken.err().map(|error| (id, error))
        });
        let failed: Vec<_> = taken.buffer_unordered(TAKE_UPS).filter_map(std::future::ready).collect().await;
        let unreadable = futures::stream::iter(found.unreadable.into_iter().chain(failed));
        let told = unreadable.map(|(id, error)| async move {
            if error.code != Code::DataLoss {
                tracing::error!(sandbox = %id, err = %error, "Could not read what is known of sandbox, left it alone");
                return;
            }
            match self.set_aside(&id, TAKE_UP_PATIENCE).await {
                Ok(()) => {
                    tracing::error!(sandbox = %id, err = %error, "Cleared away sandbox that cannot be understood")
                }
                Err(left) => {
                    tracing::error!(sandbox = %id, err = %left, cause = %error, "Could not clear away sandbox");
                }
            }
        });
        told.buffer_unordered(TAKE_UPS).collect::<()>().await;
        Ok(())
    }

    /// Errors: `DataLoss`, what its shim wrote is broken.
    async fn take_up_pod(&self, id: &str, ready: bool) -> Result<(), CriError> {
        for record in self.containers_of(id) {
            match self.refresh(&record.id).await {
                // What could not be read now is read again with the subscription, until that succeeds.
                Err(error) if error.code != Code::DataLoss => {
                    tracing::warn!(container = %record.id, err = %error, "Could not read state of container");
                }
                read => read?,
            }
            if let Some(container) = self.inner.state.lock().containers.get_mut(&record.id) {
                container.told = match container.phase() {
                    api::ContainerState::ContainerRunning => Told::Started,
                    api::ContainerState::ContainerExited => Told::Stopped,
                    _ => Told::Created,
                };
            }
        }
        if ready {
            match self.subscribe(id, TAKE_UP_PATIENCE).await {
                Ok(call) => {
                    self.listen(id, Some(call));
                    return Ok(());
                }
                Err(error) if error.code == Code::Unavailable => {
                    tracing::warn!(sandbox = id, err = %error, "Found sandbox without its shim");
                }
                Err(error) => {
                    tracing::warn!(sandbox = id, err = %error, "Could not take up sandbox yet");
                    self.listen(id, None);
                    return Ok(());
                }
            }
        }
        // Also of a sandbox that had ended before: its containers' ends may have been forgotten by a reboot.
        self.shim_ended(id).await;
        if ready && let Err(error) = self.change_sandbox(id, |record| record.ready = false).await {
            // The next runtime finds the same, and comes to the same conclusion.
            tracing::warn!(sandbox = id, err = %error, "Could not note that sandbox has ended");
            if let Some(record) = self.inner.state.lock().sandboxes.get_mut(id) {
                record.ready = false;
            }
        }
        Ok(())
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

/// What an earlier runtime has written down.
#[derive(Default)]
struct Records {
    sandboxes: Vec<SandboxRecord>,
    containers: Vec<ContainerRecord>,
    /// Sandboxes of which something cannot be read, by id; `DataLoss` if it never will.
    unreadable: Vec<(String, CriError)>,
}

/// Errors: the directory itself cannot be read.
fn read_records(root: &std::path::Path) -> std::io::Result<Records> {
    let mut records = Records::default();
    // What else is there (`lost+found`) is nobody's pod.
    for id in sandboxes::names(root)?.into_iter().filter(|name| is_id(name)) {
        match read_pod(&root.join(&id)) {
            Ok((sandbox, containers)) => {
                records.sandboxes.push(sandbox);
                records.containers.extend(containers);
            }
            Err(error) => records.unreadable.push((id, unreadable(&error))),
        }
    }
    Ok(records)
}

/// Whether it is a name that `new_id` gives.
fn is_id(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn read_pod(directory: &std::path::Path) -> Result<(SandboxRecord, Vec<ContainerRecord>), fs::FsError> {
    use fs::Context as _;
    let path = directory.join("sandbox.json");
    // The record is written first and removed last, but for what a removal that was cut short has left.
    let missing = || Err(std::io::Error::from(std::io::ErrorKind::NotFound)).at("read", &path);
    let sandbox = format::read_version(&path, format::VERSION)?.map_or_else(missing, Ok)?;
    let (within, mut containers) = (directory.join("containers"), Vec::new());
    for id in sandboxes::names(&within).at("read directory", &within)? {
        // One without a record was never completed.
        containers.extend(format::read_version(&within.join(id).join("container.json"), format::VERSION)?);
    }
    Ok((sandbox, containers))
}

fn unique<'a>(mut ids: impl Iterator<Item = &'a String> + Clone, id: &str) -> Option<String> {
    if let Some(exact) = ids.clone().find(|known| *known == id) {
        return Some(exact.clone());
    }
    let found = ids.find(|known| !id.is_empty() && known.starts_with(id))?;
    ids.all(|known| !known.starts_with(id)).then(|| found.clone())
}

/// A name that is being used to make something.
struct Reserved {
    runtime: ContainerRuntime,
    name: String,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.runtime.inner.state.lock().reserved.remove(&self.name);
    }
}

/// An image that a container is being made of.
struct Needed {
    runtime: ContainerRuntime,
    image: Digest,
}

impl Drop for Needed {
    fn drop(&mut self) {
        let mut state = self.runtime.inner.state.lock();
        if let Some(at) = state.needed.iter().position(|image| *image == self.image) {
            state.needed.swap_remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Encoded;

    fn sandbox(id: &str) -> SandboxRecord {
        SandboxRecord {
            version: format::VERSION,
            id: id.to_owned(),
            config: Encoded::default(),
            created_at: 1,
            ready: true,
            ips: Vec::new(),
            cgroup: "/x".to_owned(),
        }
    }

    /// One record that could not be read kept the runtime, and with it the whole node, from starting.
    #[test]
    fn a_record_that_cannot_be_read_costs_no_other_pod() {
        let root = tempfile::tempdir().unwrap();
        let write = |id: &str, file: &str, text: &[u8]| {
            let path = root.path().join(id).join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let [good, newer, cut, half, left, closed] = &[1, 2, 3, 4, 5, 6].map(|id| format!("{id:064x}"));
        let text = serde_json::to_vec(&sandbox(good)).unwrap();
        let later = serde_json::to_vec(&SandboxRecord { version: 2, ..sandbox(newer) }).unwrap();
        write(good, "sandbox.json", &text);
        // A container that was never completed, and what is none.
        std::fs::create_dir_all(root.path().join(good).join("containers/c")).unwrap();
        write(good, "containers/file", b"");
        write(newer, "sandbox.json", &later);
        write(cut, "sandbox.json", &text[..text.len() / 2]);
        write(half, "sandbox.json", &text);
        write(half, "containers/c/container.json", b"{");
        write(left, "containers/c/container.json", b"{}");
        // Cannot be read, whatever is in it: it was taken for broken, and a pod that was well was ended.
        std::fs::create_dir_all(root.path().join(closed).join("sandbox.json")).unwrap();
        // Taken for pods, and cleared away.
        write("lost+found", "x", b"");
        std::fs::write(root.path().join(format!("{:064x}", 7)), "").unwrap();
        let records = read_records(root.path()).unwrap();
        assert_eq!(records.sandboxes.iter().map(|record| &record.id).collect::<Vec<_>>(), [good]);
        assert!(records.containers.is_empty());
        let mut unreadable: Vec<_> = records.unreadable.iter().map(|(id, error)| (id, error.code)).collect();
        unreadable.sort_unstable_by_key(|(id, _)| *id);
        let lost = Code::DataLoss;
        assert_eq!(unreadable, [(newer, lost), (cut, lost), (half, lost), (left, lost), (closed, Code::Unknown)]);
    }

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
