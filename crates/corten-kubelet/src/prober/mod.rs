//! Probes: when to ask which container, and what the answers mean.
//!
//! Flow: worker -> `observe` -> entries and a heap of due times -> `attempt` (so many of a pod at a time) -> `counter` ->
//! `ProbeOutcome` by channel, when something changed.
//! Invariant: an entry is for one container id; what is left of an older one neither runs nor counts.
//! Upstream: pkg/kubelet/prober (v1.35), without its ticker per probe.

pub mod counter;
pub mod http;

mod attempt;
mod grpc;
mod metrics;
pub(crate) mod target;
mod tcp;
mod watched;

use std::{collections::HashMap, fmt, future::Future, net::IpAddr, pin::pin, sync::Arc, time::Duration};

use corten_base::{SharedClock, SharedRng, Shutdown, TaskPanic, TaskSet};
use corten_client::events::{EventType, Recorder};
use corten_cri::RuntimeService;
use futures::future::{Either, select};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tracing::debug;

use crate::{
    interfaces::{ProbeKind, ProbeOutcome, ProbeTarget, Prober, SharedPod, probe_of},
    pod_ref::container_ref,
};
use attempt::{Attempt, Finding};
use metrics::{Outcome, ProbeMetrics, Series};
use watched::{Entry, Job, Key, State, Watched};

/// How often an attempt that could not be made is repeated. Upstream: `maxProbeRetries`.
const ATTEMPTS_MAX: usize = 3;
/// The kinds, in the order in which they matter.
const KINDS: [ProbeKind; 3] = [ProbeKind::Startup, ProbeKind::Liveness, ProbeKind::Readiness];

/// The word that events use.
#[must_use]
pub fn kind_name(kind: ProbeKind) -> &'static str {
    match kind {
        ProbeKind::Startup => "Startup",
        ProbeKind::Liveness => "Liveness",
        ProbeKind::Readiness => "Readiness",
    }
}

/// Runs an exchange over a connection that has to be polled beside it.
pub(crate) async fn drive<T, C>(exchange: impl Future<Output = T>, connection: C) -> T
where
    C: Future,
{
    match select(pin!(exchange), pin!(connection)).await {
        Either::Left((done, _)) => done,
        // The connection is at its end; what it brought is still there.
        Either::Right((_, exchange)) => exchange.await,
    }
}

/// All probes of a node. Cheap to clone.
#[derive(Clone)]
pub struct ProbeManager {
    inner: Arc<Inner>,
}

struct Inner {
    runtime: Arc<dyn RuntimeService>,
    recorder: Recorder,
    clock: SharedClock,
    rng: SharedRng,
    outcomes: mpsc::Sender<ProbeOutcome>,
    state: Mutex<State>,
    metrics: ProbeMetrics,
    /// The heap's first entry may be another.
    changed: Notify,
    /// When this prober was made: containers from before are probed spread over a period.
    started: Duration,
}

fn outcome_of(finding: &Finding) -> Outcome {
    match finding {
        Finding::Success(_) | Finding::Warning(_) => Outcome::Successful,
        Finding::Failure(_) => Outcome::Failed,
        Finding::Error(_) => Outcome::Unknown,
    }
}

impl ProbeManager {
    /// A prober that tells its results to `outcomes`.
    #[must_use]
    pub fn new(
        runtime: Arc<dyn RuntimeService>,
        recorder: Recorder,
        clock: SharedClock,
        rng: SharedRng,
        outcomes: mpsc::Sender<ProbeOutcome>,
    ) -> Self {
        let started = clock.monotonic();
        let inner = Inner {
            runtime,
            recorder,
            clock,
            rng,
            outcomes,
            state: Mutex::default(),
            metrics: ProbeMetrics::default(),
            changed: Notify::new(),
            started,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Probes until shutdown.
    ///
    /// Errors: a task panicked.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), TaskPanic> {
        let tasks = TaskSet::new("prober");
        let inner = &self.inner;
        loop {
            let now = inner.clock.monotonic();
            while let Some(job) = self.take_due(now) {
                // One task per entry at most: the next attempt is due when this one has ended.
                tasks.spawn("probe", Arc::clone(inner).probe(job, shutdown.clone()));
            }
            let next = inner.state.lock().next_due();
            let sleep = async {
                match next {
                    Some(at) => inner.clock.sleep_until(at).await,
                    None => futures::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = shutdown.requested() => break,
                () = tasks.guard(inner.changed.notified()) => {}
                () = sleep => {}
            }
        }
        tasks.join().await
    }

    /// What has come of all probes so far, as `/metrics/probes` shows it.
    #[must_use]
    pub fn metrics(&self) -> String {
        let inner = &*self.inner;
        // What no probe stands for any more goes when somebody looks, or when its pod goes: a container that is replaced
        // keeps its numbers.
        let state = inner.state.lock();
        let is_watched = |series: &Series| {
            let container = state.pods.get(&series.pod_uid).and_then(|pod| pod.containers.get(&series.container));
            container.is_some_and(|watched| probe_of(&watched.target.container.spec, series.kind).is_some())
        };
        inner.metrics.retain(is_watched);
        drop(state);
        inner.metrics.page()
    }

    fn take_due(&self, now: Duration) -> Option<Job> {
        self.inner.state.lock().take_due(now)
    }
}

impl Inner {
    async fn probe(self: Arc<Self>, job: Job, shutdown: Shutdown) {
        let attempt = async {
            let _permit = job.permits.acquire().await;
            let attempt = Attempt {
                runtime: &*self.runtime,
                clock: &*self.clock,
                probe: &job.probe,
                timeout: job.timeout,
                container: &job.target.container.spec,
                container_id: &job.target.container_id,
                pod_ip: job.pod_ip,
            };
            let begun = self.clock.monotonic();
            let mut finding = attempt.run().await;
            for _ in 1..ATTEMPTS_MAX {
                if !matches!(finding, Finding::Error(_)) {
                    break;
                }
                finding = attempt.run().await;
            }
            (finding, self.clock.monotonic().saturating_sub(begun))
        };
        let (finding, took) = tokio::select! {
            biased;
            () = job.cancel.cancelled() => return,
            () = shutdown.requested() => return,
            done = attempt => done,
        };
        self.metrics.count(job.series(), outcome_of(&finding), took);
        self.report(&job, &finding);
        if let Some(outcome) = self.count(&job, finding) {
            debug!(pod = %outcome.pod_uid, container = %outcome.container, success = outcome.success,
                "Probe result changed");
            tokio::select! {
                biased;
                () = shutdown.requested() => {}
                // Nobody listens any more: the kubelet ends.
                _ = self.outcomes.send(outcome) => {}
            }
        }
    }

    fn report(&self, job: &Job, finding: &Finding) {
        let kind = kind_name(job.key.kind);
        let (reason, message) = match finding {
            Finding::Success(_) => return,
            Finding::Warning(output) => ("ProbeWarning", format!("{kind} probe warning: {output}")),
            Finding::Failure(output) => ("Unhealthy", format!("{kind} probe failed: {output}")),
            Finding::Error(error) => {
                ("Unhealthy", format!("{kind} probe errored and resulted in unknown state: {error}"))
            }
        };
        let object = container_ref(&job.pod, &job.target.container);
        self.recorder.event(&object, EventType::Warning, reason, message);
    }

    /// Counts what was found and says when to look again; gives what has changed.
    fn count(&self, job: &Job, finding: Finding) -> Option<ProbeOutcome> {
        let now = self.clock.monotonic();
        let mut state = self.state.lock();
        if state.is_stale(job.token, &job.key) {
            return None;
        }
        let entry = state.entry(&job.key)?;
        let next = now + entry.schedule.period;
        let (success, message) = match finding {
            Finding::Success(output) | Finding::Warning(output) => (Some(true), output),
            Finding::Failure(output) => (Some(false), output),
            Finding::Error(error) => (None, error),
        };
        let counted = success.and_then(|success| entry.counter.count(success, &entry.schedule));
        let changed = counted.filter(|counted| entry.result != Some(*counted));
        if changed.is_some() {
            entry.result = changed;
        }
        let kind = job.key.kind;
        match counted {
            // The container will be killed; whoever comes after it has another id.
            Some(false) if kind != ProbeKind::Readiness => entry.token = 0,
            Some(true) if kind == ProbeKind::Startup => {
                entry.token = 0;
                state.open(&job.key, now);
            }
            _ => state.schedule(job.key.clone(), next),
        }
        drop(state);
        self.changed.notify_one();
        changed.map(|success| ProbeOutcome {
            pod_uid: job.key.pod_uid.clone(),
            container: job.key.container.clone(),
            container_id: job.target.container_id.clone(),
            kind,
            success,
            message,
        })
    }

    /// When a container was started, on the monotonic clock.
    fn started(&self, target: &ProbeTarget) -> Duration {
        let ago = self.clock.now().as_nanosecond() - i128::from(target.started_at_nanos);
        let ago = Duration::from_nanos(u64::try_from(ago).unwrap_or_default());
        self.clock.monotonic().saturating_sub(ago)
    }
}

impl Prober for ProbeManager {
    fn observe(&self, pod: &SharedPod, pod_ip: Option<IpAddr>, running: Vec<ProbeTarget>) {
        let inner = &*self.inner;
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let is_ending = pod.metadata.deletion_timestamp.is_some();
        let now = inner.clock.monotonic();
        let mut state = inner.state.lock();

        state.keep_running(&uid, &running);
        for target in running {
            let name = target.container.spec.name.clone();
            let spec = Arc::clone(&target.container.spec);
            let wanted = |kind: ProbeKind| probe_of(&spec, kind).filter(|_| !is_ending || kind == ProbeKind::Readiness);
            if let Some(watched) = state.pods.get_mut(&uid).and_then(|pod| pod.containers.get_mut(&name)) {
                watched.pod = Arc::clone(pod);
                watched.pod_ip = pod_ip.or(watched.pod_ip);
                watched.entries.retain(|kind, entry| {
                    // A container that has never started stays so, and holds its readiness back.
                    let is_parked = *kind == ProbeKind::Startup && entry.result != Some(true);
                    if is_parked && wanted(*kind).is_none() {
                        entry.park();
                    }
                    is_parked || wanted(*kind).is_some()
                });
                watched.target = target;
            } else {
                let of = |kind| wanted(kind).map(|probe| (kind, Entry::new(probe)));
                let mut entries: HashMap<_, _> = KINDS.into_iter().filter_map(of).collect();
                if let Some(startup) = entries.get_mut(&ProbeKind::Startup).filter(|_| target.has_started) {
                    // It starts once.
                    startup.result = Some(true);
                }
                let watched =
                    Watched { pod: Arc::clone(pod), pod_ip, started: inner.started(&target), entries, target };
                state.by_id.insert(watched.target.container_id.clone(), (uid.clone(), name.clone()));
                state.pods.entry(uid.clone()).or_default().containers.insert(name.clone(), watched);
            }
            // What is new, or open since the startup probe went.
            let Some(watched) = state.pods.get(&uid).and_then(|pod| pod.containers.get(&name)) else { continue };
            let due: Vec<(ProbeKind, Duration)> = KINDS
                .into_iter()
                .filter(|kind| wanted(*kind).is_some())
                .filter_map(|kind| Some((kind, watched.entries.get(&kind)?)))
                .filter(|(kind, entry)| entry.token == 0 && entry.result.is_none() && watched.is_open(*kind))
                .map(|(kind, entry)| {
                    let first = watched.started + entry.schedule.initial_delay;
                    // After a start of the kubelet, not all at once.
                    let is_old =
                        watched.started < inner.started && now.saturating_sub(inner.started) < entry.schedule.period;
                    let spread =
                        if is_old { entry.schedule.period.mul_f64(inner.rng.fraction()) } else { Duration::ZERO };
                    (kind, first.max(now + spread))
                })
                .collect();
            for (kind, at) in due {
                state.schedule(Key { pod_uid: uid.clone(), container: name.clone(), kind }, at);
            }
        }
        drop(state);
        inner.changed.notify_one();
    }

    fn forget(&self, pod_uid: &str) {
        let mut state = self.inner.state.lock();
        for watched in state.pods.remove(pod_uid).into_iter().flat_map(|pod| pod.containers.into_values()) {
            state.by_id.remove(&watched.target.container_id);
        }
        drop(state);
        self.inner.metrics.retain(|series| series.pod_uid != pod_uid);
    }

    fn result(&self, container_id: &str, kind: ProbeKind) -> Option<bool> {
        let state = self.inner.state.lock();
        let (pod_uid, name) = state.by_id.get(container_id)?;
        let watched = state.pods.get(pod_uid)?.containers.get(name)?;
        match watched.entries.get(&kind) {
            Some(entry) => entry.result,
            None => Some(true),
        }
    }
}

impl fmt::Debug for ProbeManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProbeManager").field("pods", &self.inner.state.lock().pods.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
