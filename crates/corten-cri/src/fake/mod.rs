//! A container runtime in memory: containers are records that run until the test says otherwise.
//!
//! For tests of whatever sits above CRI. Time comes from the clock it is given, ids count up, so a run repeats exactly.
//! It passes the cases of `conformance` that need no real processes, files or network.

mod answers;
mod images;
mod runtime;
mod script;
mod state;
mod streaming;

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use corten_base::{SharedClock, TaskSet};
use parking_lot::Mutex;
use tokio::sync::{broadcast, watch};

pub use script::{ExecScript, Exit, Hold, OnStart, OnStop, Script, Usage};

use crate::{Cri, CriError, StreamingAccess, api::ContainerEventResponse, log_format::LogStream};
use script::Failure;
use state::State;

/// The most calls that are remembered between two `take_calls`: a test that makes more has lost control of its subject.
const CALLS_MAX: usize = 65_536;

/// How far a subscriber may fall behind before it is ended.
const EVENTS_BUFFER: usize = 1_024;

/// The runtime. Clones share everything.
#[derive(Clone)]
pub struct FakeCri {
    inner: Arc<Inner>,
}

struct Inner {
    clock: SharedClock,
    state: Mutex<State>,
    plan: Mutex<Plan>,
    /// Replaced when the test ends the streams.
    events: Mutex<broadcast::Sender<ContainerEventResponse>>,
    timers: TaskSet,
}

/// What the test wants to happen, and what it wants to know.
#[derive(Default)]
struct Plan {
    scripts: BTreeMap<String, Script>,
    failures: Vec<Failure>,
    holds: BTreeMap<&'static str, watch::Receiver<bool>>,
    calls: Vec<String>,
}

impl FakeCri {
    /// A runtime without pods or images. Every well-formed image name can be pulled.
    #[must_use]
    pub fn new(clock: SharedClock) -> Self {
        Self {
            inner: Arc::new(Inner {
                clock,
                state: Mutex::new(State::default()),
                plan: Mutex::new(Plan::default()),
                events: Mutex::new(broadcast::Sender::new(EVENTS_BUFFER)),
                timers: TaskSet::new("fake cri"),
            }),
        }
    }

    /// Everything a kubelet is given.
    #[must_use]
    pub fn cri(&self) -> Cri {
        Cri {
            runtime: Arc::new(self.clone()),
            images: Arc::new(self.clone()),
            streaming: StreamingAccess::Direct(Arc::new(self.clone())),
        }
    }

    /// Says how containers named `container` behave that are started from now on.
    pub fn script(&self, container: &str, script: Script) {
        self.inner.plan.lock().scripts.insert(container.to_owned(), script);
    }

    /// Lets the next `times` calls of `call` (its name in the trait, `*` for any) fail.
    pub fn fail(&self, call: &'static str, times: u32, error: CriError) {
        self.inner.plan.lock().failures.push(Failure { call, target: None, times, error });
    }

    /// Lets the next `times` pulls of `image` fail.
    pub fn fail_pull(&self, image: &str, times: u32, error: CriError) {
        let target = Some(image.to_owned());
        self.inner.plan.lock().failures.push(Failure { call: "pull_image", target, times, error });
    }

    /// Makes calls of `call` wait until the `Hold` is released or dropped. They are recorded before they wait.
    #[must_use]
    pub fn hold(&self, call: &'static str) -> Hold {
        let (release, held) = watch::channel(false);
        self.inner.plan.lock().holds.insert(call, held);
        Hold(release)
    }

    /// The calls since the last time that change something, in order: the call and whom it was about, by name, as in
    /// `start_container ns/pod/main`.
    #[must_use]
    pub fn take_calls(&self) -> Vec<String> {
        std::mem::take(&mut self.inner.plan.lock().calls)
    }

    /// Makes an image present without a pull, and returns its id.
    pub fn add_image(&self, name: &str) -> Result<String, CriError> {
        self.inner.state.lock().images.pull(name)
    }

    /// Makes `name` another name of the content that `of` names.
    pub fn alias_image(&self, name: &str, of: &str) {
        self.inner.state.lock().images.alias(name, of);
    }

    /// Sets a condition of the runtime: `RuntimeReady`, `NetworkReady` or another.
    pub fn set_condition(&self, kind: &str, status: bool, reason: &str, message: &str) {
        self.inner.state.lock().set_condition(kind, status, reason, message);
    }

    /// Sets what a container is said to use.
    ///
    /// Errors: `NotFound`.
    pub fn set_usage(&self, container_id: &str, usage: Usage) -> Result<(), CriError> {
        self.inner.state.lock().container_mut(container_id)?.usage = usage;
        Ok(())
    }

    /// The id of the newest container with this name in a pod (namespace, name).
    #[must_use]
    pub fn container_id(&self, namespace: &str, pod: &str, container: &str) -> Option<String> {
        self.inner.state.lock().newest_container(namespace, pod, container)
    }

    /// The id of the newest sandbox of a pod.
    #[must_use]
    pub fn sandbox_id(&self, namespace: &str, pod: &str) -> Option<String> {
        self.inner.state.lock().newest_sandbox(namespace, pod)
    }

    /// Lets a sandbox die with what runs in it, as if somebody had killed its processes. It is not ready afterwards.
    pub fn lose_sandbox(&self, pod_sandbox_id: &str) {
        self.stop_sandbox(pod_sandbox_id);
    }

    /// Ends all event streams, as a runtime does that is started anew. Whoever subscribes afterwards hears what follows.
    pub fn end_event_streams(&self) {
        *self.inner.events.lock() = broadcast::Sender::new(EVENTS_BUFFER);
    }

    /// Ends a running container.
    ///
    /// Errors: `NotFound`; `FailedPrecondition` if it does not run.
    pub fn exit(&self, container_id: &str, exit: Exit) -> Result<(), CriError> {
        self.end(container_id, exit)
    }

    /// Writes a line to a container's log file, as the runtime does for its processes.
    ///
    /// Errors: `NotFound`; `Internal` if the file cannot be written. Blocks on the file system.
    pub fn write_log(&self, container_id: &str, stream: LogStream, content: &str) -> Result<(), CriError> {
        let path = self.inner.state.lock().log_path(container_id)?;
        let mut line = Vec::new();
        crate::log_format::LogLine {
            time: self.inner.clock.now(),
            stream,
            partial: false,
            content: content.as_bytes(),
        }
        .write(&mut line);
        append(&path, &line)
            .map_err(|error| CriError::new(crate::Code::Internal, format!("{}: {error}", path.display())))
    }

    /// Loses everything but images, as a runtime does whose machine was started anew. No events.
    pub fn reboot(&self) {
        self.inner.state.lock().forget_pods();
    }

    /// Notes a call, then lets it wait or fail as the test said.
    async fn enter(&self, call: &'static str, target: String) -> Result<(), CriError> {
        let held = {
            let mut plan = self.inner.plan.lock();
            assert!(plan.calls.len() < CALLS_MAX, "more than {CALLS_MAX} calls since the last take_calls");
            plan.calls.push(format!("{call} {target}"));
            plan.holds.get(call).cloned()
        };
        if let Some(mut held) = held {
            // A dropped `Hold` releases too.
            let _released_or_dropped = held.wait_for(|released| *released).await;
        }
        self.check_failures(call, &target)
    }

    /// Lets a call that changes nothing fail as the test said.
    fn check_failures(&self, call: &'static str, target: &str) -> Result<(), CriError> {
        let mut plan = self.inner.plan.lock();
        let failure = plan.failures.iter_mut().find(|failure| failure.matches(call, target));
        match failure {
            Some(failure) => {
                failure.times = failure.times.saturating_sub(1);
                Err(failure.error.clone())
            }
            None => Ok(()),
        }
    }

    fn script_of(&self, container: &str) -> Script {
        self.inner.plan.lock().scripts.get(container).cloned().unwrap_or_default()
    }

    fn emit(&self, event: Option<ContainerEventResponse>) {
        if let Some(event) = event {
            // Nobody listens: nothing to tell.
            let _ = self.inner.events.lock().send(event);
        }
    }

    /// Ends a container on its own account after `delay`, unless it has ended before. The timer waits on the clock and
    /// nothing else, so it ends with the runtime of the test at the latest.
    fn end_after(&self, container_id: String, delay: Duration, exit: Exit) {
        let (runtime, sleep) = (self.clone(), self.inner.clock.sleep(delay));
        self.inner.timers.spawn("exit", async move {
            sleep.await;
            // Stopped or removed in the meantime.
            let _ = runtime.end(&container_id, exit);
        });
    }
}

fn append(path: &Path, line: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    std::fs::OpenOptions::new().create(true).append(true).open(path)?.write_all(line)
}

#[cfg(all(test, feature = "conformance"))]
pub(crate) mod conformance_tests;
#[cfg(test)]
mod tests;
