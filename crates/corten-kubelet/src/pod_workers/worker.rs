//! One pod's state machine.
//!
//! Flow: letters and runtime changes -> `plan` -> actions side by side -> reports -> `plan` again; each step ends in a
//! status. Invariant: only the worker changes its state, and it never goes back from `Terminating` or `Terminated`.
//! Upstream: pkg/kubelet/pod_workers.go and the sync functions of pkg/kubelet/kubelet.go (v1.35).

mod shown;
mod work;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use corten_api::core::v1::{Pod, PodStatus};
use corten_base::{Backoff, Shutdown};
use corten_cri::api::LinuxContainerResources;
use futures::{
    FutureExt as _, StreamExt as _,
    future::{AbortHandle, Abortable, BoxFuture},
    stream::FuturesUnordered,
};
use jiff::Timestamp;
use tracing::{debug, info, warn};

use self::shown::{Inherited, inherited};
use super::{
    actions::{Output, Report},
    context::Context,
    mailbox::{Kill, Letters, Mailbox},
    messages::last_words,
    plan::{Phase, Slot, is_done, later, spec_grace},
    restarts::Restarts,
};
use crate::{
    interfaces::{ContainerRef, Failure, MountedVolumes, ProbeKind, SharedPod, containers_of},
    pleg::{PodRuntimeStatus, records::is_exited},
    pod_ref,
};

/// The least time that the end of a pod may take which is killed for the node's sake. Upstream: `minTimeout` of
/// `killPodNow`.
const KILL_PATIENCE_MIN: Duration = Duration::from_secs(10);

/// The worker of one pod.
pub struct Worker {
    context: Arc<Context>,
    mailbox: Arc<Mailbox>,
    uid: String,
    /// The pod; an orphan's has nothing but its names.
    pod: SharedPod,
    /// Nobody but the runtime knows the pod: it has no status.
    is_orphan: bool,
    containers: Arc<Vec<ContainerRef>>,
    hashes: BTreeMap<String, String>,
    /// The limits that containers are to have, by name.
    wanted: BTreeMap<String, LinuxContainerResources>,
    /// What is set aside has changed, and the control group not yet.
    is_resized: bool,
    phase: Phase,
    decree: Option<Failure>,
    /// The decree is for the node's sake.
    is_disrupted: bool,
    is_removed: bool,
    volumes: Option<Arc<MountedVolumes>>,
    runtime: Arc<PodRuntimeStatus>,
    restarts: Restarts,
    failures: BTreeMap<String, Failure>,
    failed_probes: BTreeMap<String, ProbeKind>,
    /// What ended containers left to say, by id.
    last_words: BTreeMap<String, String>,
    retries: BTreeMap<Slot, (Backoff, Timestamp)>,
    in_flight: BTreeMap<Slot, AbortHandle>,
    /// The containers whose start is under way and ends with a hook, by name: until then they do not count as running.
    hooked: BTreeSet<String>,
    /// The container whose start is under way.
    starting: Option<String>,
    /// The containers whose end was told and whose hook has run, by id.
    hooks_done: BTreeSet<String>,
    actions: FuturesUnordered<BoxFuture<'static, Option<Report>>>,
    status: Option<PodStatus>,
    /// What the API said of containers that were running when this kubelet came: it holds until their probes say something.
    inherited: BTreeMap<String, Inherited>,
    cleaned: Cleaned,
    /// Admission refused it: nothing of it ever was on this node.
    is_rejected: bool,
    /// When a pod that somebody wanted ended has taken too long.
    overdue_at: Option<Timestamp>,
}

/// What was removed after the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Cleaned {
    Nothing,
    /// Volumes and control group.
    Resources,
    /// The runtime's records as well.
    Records,
}

impl Worker {
    /// A worker for a pod that its source has. With `rejected`, it is never started.
    #[must_use]
    pub fn new(context: Arc<Context>, mailbox: Arc<Mailbox>, pod: SharedPod, rejected: Option<Failure>) -> Self {
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let mut worker = Self::with(context, mailbox, uid, pod, false);
        if let Some(failure) = rejected {
            worker.decree = Some(failure);
            worker.phase = Phase::Terminated;
            worker.cleaned = Cleaned::Resources;
            worker.is_rejected = true;
        }
        worker
    }

    /// A worker that ends a pod which no source has.
    #[must_use]
    pub fn orphan(context: Arc<Context>, mailbox: Arc<Mailbox>, uid: String) -> Self {
        let runtime = context.cache.get(&uid);
        let mut pod = Pod::default();
        pod.metadata.uid = Some(uid.clone());
        pod.metadata.namespace = Some(runtime.namespace.clone());
        pod.metadata.name = Some(runtime.name.clone());
        let mut worker = Self::with(context, mailbox, uid, Arc::new(pod), true);
        worker.is_removed = true;
        // One second, as upstream gives to pods that it knows nothing of.
        let since = worker.context.clock.now();
        worker.phase = Phase::Terminating { grace: Duration::from_secs(1), since };
        worker
    }

    fn with(context: Arc<Context>, mailbox: Arc<Mailbox>, uid: String, pod: SharedPod, is_orphan: bool) -> Self {
        let mut worker = Self {
            context,
            mailbox,
            uid,
            pod: Arc::clone(&pod),
            is_orphan,
            containers: Arc::default(),
            hashes: BTreeMap::new(),
            wanted: BTreeMap::new(),
            is_resized: false,
            phase: Phase::Syncing,
            decree: None,
            is_disrupted: false,
            is_removed: false,
            volumes: None,
            runtime: Arc::default(),
            restarts: Restarts::default(),
            failures: BTreeMap::new(),
            failed_probes: BTreeMap::new(),
            last_words: BTreeMap::new(),
            retries: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            hooked: BTreeSet::new(),
            starting: None,
            hooks_done: BTreeSet::new(),
            actions: FuturesUnordered::new(),
            status: None,
            inherited: inherited(&pod),
            cleaned: Cleaned::Nothing,
            is_rejected: false,
            overdue_at: None,
        };
        worker.set_pod(pod);
        worker
    }

    fn set_pod(&mut self, pod: SharedPod) {
        self.containers = Arc::new(containers_of(&pod));
        self.context.volumes.update(&pod);
        let specs = &self.context.specs;
        let resources = |it: &ContainerRef| Some((it.spec.name.clone(), specs.resources(&pod, it)?));
        let resizable = self.containers.iter().filter(|it| it.is_resizable());
        let wanted = resizable.filter_map(resources).collect();
        // Before the first preparation there is nothing to change.
        self.is_resized |= self.volumes.is_some() && self.wanted != wanted;
        self.wanted = wanted;
        self.hashes = self.containers.iter().map(|it| (it.spec.name.clone(), specs.hash(it))).collect();
        self.pod = pod;
    }

    /// Runs until the pod is forgotten (`true`) or shutdown is requested; containers outlive a shutdown.
    pub async fn run(mut self, shutdown: Shutdown) -> bool {
        loop {
            tokio::select! {
                biased;
                () = shutdown.requested() => return false,
                () = self.hear_last_words() => {}
            }
            let plan = match self.step() {
                Some(plan) => plan,
                None => return true,
            };
            let context = Arc::clone(&self.context);
            let due = async move {
                match plan {
                    Some(at) => {
                        let wait = Duration::try_from(at.duration_since(context.clock.now())).unwrap_or_default();
                        context.clock.sleep(wait).await;
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = shutdown.requested() => return false,
                Some(report) = self.actions.next() => if let Some(report) = report {
                    self.take_report(report);
                },
                () = self.mailbox.rung() => {}
                () = due => {}
            }
        }
    }

    /// Reads what containers left to say, before a status shows that they ended.
    async fn hear_last_words(&mut self) {
        let runtime = self.context.cache.get(&self.uid);
        let records: Vec<_> = runtime.containers().map(|(_, record)| Arc::clone(record)).collect();
        self.last_words.retain(|id, _| records.iter().any(|record| record.id == *id));
        for record in records {
            if is_exited(&record) && !self.last_words.contains_key(&record.id) {
                let words = last_words(&record).await;
                self.last_words.insert(record.id.clone(), words);
            }
        }
    }

    /// Looks at everything and starts what is to be done. Gives the time of the next look; `None` at the end.
    #[expect(clippy::option_option, reason = "no step is left, or no time is set for the next one")]
    fn step(&mut self) -> Option<Option<Timestamp>> {
        self.runtime = self.context.cache.get(&self.uid);
        let letters = self.mailbox.take();
        self.read(letters);
        self.turn();
        let now = self.context.clock.now();
        let plan = self.plan(now);
        if plan.has_ended && matches!(self.phase, Phase::Terminating { .. }) {
            self.phase = Phase::Terminated;
            info!(pod = %self.name(), uid = self.uid, "Ended pod");
        }
        self.note_waiting(&plan);
        for action in plan.actions {
            self.start(action);
        }
        let mut wake_at = earlier(earlier(plan.wake_at, self.deadline()), self.check_overdue(now));
        if self.phase == Phase::Terminated {
            wake_at = earlier(wake_at, self.clean_up(now));
        }
        self.update_status(now);
        self.tell_prober();
        if self.is_forgotten() {
            self.context.prober.forget(&self.uid);
            self.context.images.forget(&self.uid);
            self.context.status.forget(&self.uid);
            self.context.allocations.forget(&self.uid);
            debug!(pod = %self.name(), uid = self.uid, "Forgot pod");
            return None;
        }
        Some(wake_at)
    }

    fn read(&mut self, letters: Letters) {
        if let Some(pod) = letters.pod {
            self.set_pod(pod);
        }
        self.is_removed |= letters.is_removed;
        self.failed_probes.extend(letters.failed_probes);
        let runtime = &self.runtime;
        self.failed_probes.retain(|id, _| runtime.running().any(|container| container.id == *id));
        if let Some(Kill { status, grace_seconds, is_disruption }) = letters.kill {
            if self.decree.is_none() {
                self.decree = Some(status);
                self.is_disrupted = is_disruption;
            }
            let grace = Duration::from_secs(grace_seconds);
            let patience = grace.saturating_add(grace / 2).max(KILL_PATIENCE_MIN);
            self.overdue_at.get_or_insert(later(self.context.clock.now(), patience));
            self.terminate(grace);
        }
    }

    /// Says once that a pod which was to be killed still runs. Gives the time of the next look.
    fn check_overdue(&mut self, now: Timestamp) -> Option<Timestamp> {
        let at = self.overdue_at.filter(|_| self.phase != Phase::Terminated);
        if at.is_some_and(|at| at <= now) {
            let text = "Container runtime did not kill the pod within specified grace period.";
            self.context.event(&self.pod, true, "ExceededGracePeriod", text);
            // Never again: there is no later time.
            self.overdue_at = Some(Timestamp::MAX);
        }
        at.filter(|at| *at > now && *at != Timestamp::MAX)
    }

    /// Goes from one phase to the next where the pod asks for it.
    fn turn(&mut self) {
        let deleting = self.pod.metadata.deletion_timestamp.is_some();
        if deleting || self.is_removed {
            let of_deletion = self.pod.metadata.deletion_grace_period_seconds.filter(|_| deleting);
            let of_spec = self.pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds);
            let seconds = of_deletion.or(of_spec).unwrap_or(0);
            // A pod that is removed without grace gets one second, as upstream gives it.
            self.terminate(Duration::from_secs(seconds.try_into().unwrap_or(0)).max(Duration::from_secs(1)));
        }
        if self.phase != Phase::Syncing {
            return;
        }
        if self.deadline().is_some_and(|deadline| deadline <= self.context.clock.now()) {
            let text = "Pod was active on the node longer than the specified deadline";
            self.context.event(&self.pod, false, "DeadlineExceeded", text);
            self.decree = Some(Failure::new("DeadlineExceeded", text));
            return self.terminate(spec_grace(&self.pod));
        }
        // A start under way is finished first: it has to say what came of it, and its container may have ended already.
        if self.in_flight.keys().any(|slot| matches!(slot, Slot::Container(_))) {
            return;
        }
        let api_phase = self.pod.status.as_ref().and_then(|status| status.phase.as_deref());
        let is_over = matches!(api_phase, Some("Succeeded" | "Failed"));
        // Failures are not asked: a container that waits is one that will run.
        let generated = self.generate(self.context.clock.now(), false);
        let has_ended = matches!(generated.phase.as_deref(), Some("Succeeded" | "Failed"));
        if is_over || has_ended || is_done(&self.pod, &self.containers, &self.runtime) {
            self.terminate(spec_grace(&self.pod));
        }
    }

    /// Begins the end, or shortens it.
    fn terminate(&mut self, grace: Duration) {
        let now = self.context.clock.now();
        match self.phase {
            Phase::Syncing => {
                info!(pod = %self.name(), uid = self.uid, grace_seconds = grace.as_secs(), "Ending pod");
                self.phase = Phase::Terminating { grace, since: now };
                self.abort_all();
            }
            Phase::Terminating { grace: known, .. } if grace < known => {
                self.phase = Phase::Terminating { grace, since: now };
                self.abort_all();
            }
            Phase::Terminating { .. } | Phase::Terminated => {}
        }
    }

    /// What was begun for another purpose does not go on; the runtime shows how far it came.
    fn abort_all(&mut self) {
        for handle in self.in_flight.values() {
            handle.abort();
        }
        if !self.in_flight.is_empty() {
            let (context, uid) = (Arc::clone(&self.context), self.uid.clone());
            let look = async move {
                if let Err(err) = context.cache.refresh(&uid).await {
                    warn!(uid, %err, "Could not ask the container runtime about a pod");
                }
                Some(Report { slot: Slot::Pod, result: Ok(Output::Done) })
            };
            self.in_flight.clear();
            self.hooked.clear();
            self.starting = None;
            let (handle, registration) = AbortHandle::new_pair();
            self.in_flight.insert(Slot::Pod, handle);
            self.actions.push(Abortable::new(look, registration).map(|done| done.ok().flatten()).boxed());
        }
        self.retries.clear();
    }

    fn is_forgotten(&self) -> bool {
        self.is_removed
            && self.phase == Phase::Terminated
            && self.cleaned == Cleaned::Records
            && self.in_flight.is_empty()
    }

    /// When `activeDeadlineSeconds` is over.
    fn deadline(&self) -> Option<Timestamp> {
        if self.phase != Phase::Syncing {
            return None;
        }
        let seconds = self.pod.spec.as_ref()?.active_deadline_seconds?;
        let status = self.status.as_ref().or(self.pod.status.as_ref())?;
        Some(later(status.start_time.as_ref()?.0, Duration::from_secs(seconds.try_into().ok()?)))
    }

    fn name(&self) -> String {
        pod_ref::name(&self.pod)
    }
}

fn earlier(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
