//! What to do next for one pod.
//!
//! Pure: the whole observation comes in each time, so a restart of the kubelet needs no memory.
//! Upstream: pkg/kubelet/kuberuntime `computePodActions` and `computeInitContainerActions` (v1.35).

mod action;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use corten_api::core::v1::{Container, Pod};
use corten_cri::api::{ContainerStatus, LinuxContainerResources};
use jiff::Timestamp;

pub use self::action::{Action, KillReason, Plan, Slot, Waiting};
use super::{
    garbage::garbage,
    restart_policy::{restarts_when_killed, should_start},
    restarts::Restarts,
};
use crate::{
    interfaces::{ContainerKind, ContainerRef, ProbeKind},
    pleg::records::{PodRuntimeStatus, SandboxRecord, hash_of, is_exited, is_running, name_of},
};

/// The least time that a container gets to end by itself, whatever its hook has used up.
pub const GRACE_MIN: Duration = Duration::from_secs(2);

/// Where a pod is in its life on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Its containers are to run.
    Syncing,
    /// They are to end.
    Terminating {
        /// How long they may take.
        grace: Duration,
        /// Since when.
        since: Timestamp,
    },
    /// They have ended, for good.
    Terminated,
}

/// Everything that matters.
#[derive(Debug, Clone, Copy)]
pub struct Observed<'a> {
    /// The pod.
    pub pod: &'a Pod,
    /// Its containers.
    pub containers: &'a [ContainerRef],
    /// The hash of each container's spec, by name.
    pub hashes: &'a BTreeMap<String, String>,
    /// The limits that each container is to have, by name; others are not changed while they run.
    pub wanted: &'a BTreeMap<String, LinuxContainerResources>,
    /// Whether what is set aside for the pod has changed since its control group was set.
    pub is_resized: bool,
    /// Where it is in its life.
    pub phase: Phase,
    /// Whether its volumes are mounted.
    pub is_prepared: bool,
    /// What the runtime has.
    pub runtime: &'a PodRuntimeStatus,
    /// What is being done.
    pub in_flight: &'a BTreeSet<Slot>,
    /// Whether a container is being started: others wait until that has come out, its hook included.
    pub is_starting: bool,
    /// The running containers whose end was told and whose hook has run, by id: they only wait for their turn.
    pub hooks_done: &'a BTreeSet<String>,
    /// The running containers that have started (startup probe), by id.
    pub started: &'a BTreeSet<String>,
    /// The running containers whose startup or liveness probe has failed, by id.
    pub failed_probes: &'a BTreeMap<String, ProbeKind>,
    /// The back-offs of restarts.
    pub restarts: &'a Restarts,
    /// What failed and when it may be tried again.
    pub retry_at: &'a BTreeMap<Slot, Timestamp>,
    /// The time.
    pub now: Timestamp,
}

/// Decides what to do next.
#[must_use]
pub fn plan(observed: &Observed<'_>) -> Plan {
    let mut planner = Planner { observed, plan: Plan::default() };
    match observed.phase {
        Phase::Syncing => planner.sync(),
        Phase::Terminating { grace, since } => planner.terminate(grace, since),
        Phase::Terminated => {}
    }
    planner.plan
}

/// Whether the pod needs another sandbox than it has.
#[must_use]
pub fn needs_sandbox(pod: &Pod, runtime: &PodRuntimeStatus) -> bool {
    let ready = runtime.sandboxes.iter().filter(|sandbox| sandbox.is_ready()).count();
    match runtime.active_sandbox() {
        Some(sandbox) if ready == 1 => !fits(pod, sandbox),
        _ => true,
    }
}

fn fits(pod: &Pod, sandbox: &SandboxRecord) -> bool {
    let on_host = pod.spec.as_ref().is_some_and(|spec| spec.host_network == Some(true));
    sandbox.on_host_network() == on_host && (on_host || !sandbox.ips().is_empty())
}

/// Whether an ordinary container was made in the present sandbox: then the pod has been initialised.
#[must_use]
pub fn is_initialized(containers: &[ContainerRef], runtime: &PodRuntimeStatus) -> bool {
    let ordinary = containers.iter().filter(|container| container.kind == ContainerKind::Ordinary);
    ordinary.into_iter().any(|container| runtime.active(&container.spec.name).is_some())
}

/// Whether all ordinary containers have ended and none is started again: what still runs are sidecars, which end now.
#[must_use]
pub fn is_done(pod: &Pod, containers: &[ContainerRef], runtime: &PodRuntimeStatus) -> bool {
    let mut ordinary = containers.iter().filter(|container| container.kind == ContainerKind::Ordinary).peekable();
    ordinary.peek().is_some()
        && ordinary.all(|container| {
            let latest = runtime.latest(&container.spec.name).map(AsRef::as_ref);
            latest.is_some_and(is_exited) && !should_start(pod, container, latest)
        })
}

/// What differs between the limits that a container has and those that it is to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Change {
    cpu: bool,
    memory: bool,
}

impl Change {
    /// Whether the container has to be started anew for it.
    fn restarts(self, container: &Container) -> bool {
        container.resize_policy.iter().flatten().any(|policy| {
            let concerned = match policy.resource_name.as_str() {
                "cpu" => self.cpu,
                "memory" => self.memory,
                _ => false,
            };
            concerned && policy.restart_policy == "RestartContainer"
        })
    }
}

/// How a running container differs from what is set aside for it. What the runtime does not tell is taken as it should be.
fn change_of<'a>(
    container: &ContainerRef,
    seen: &Observed<'a>,
) -> Option<(&'a std::sync::Arc<ContainerStatus>, Change)> {
    let record = seen.runtime.active(&container.spec.name).filter(|record| is_running(record))?;
    let wanted = seen.wanted.get(&container.spec.name)?;
    let actual = record.resources.as_ref()?.linux.as_ref().filter(|actual| actual.cpu_shares > 0)?;
    let change = Change {
        cpu: actual.cpu_shares != wanted.cpu_shares || actual.cpu_quota != wanted.cpu_quota,
        memory: wanted.memory_limit_in_bytes > 0 && actual.memory_limit_in_bytes != wanted.memory_limit_in_bytes,
    };
    (change.cpu || change.memory).then_some((record, change))
}

/// Whether every running container has the limits that are set aside for it.
#[must_use]
pub fn is_as_wanted(observed: &Observed<'_>) -> bool {
    !observed.is_resized && observed.containers.iter().all(|container| change_of(container, observed).is_none())
}

struct Planner<'a> {
    observed: &'a Observed<'a>,
    plan: Plan,
}

impl Planner<'_> {
    fn sync(&mut self) {
        let seen = self.observed;
        if seen.in_flight.contains(&Slot::Pod) {
            return;
        }
        if needs_sandbox(seen.pod, seen.runtime) {
            return self.replace_sandbox();
        }
        if !seen.is_prepared {
            // Found running at start: what the containers use is there, this only takes it over.
            return self.push(Action::Prepare);
        }
        if self.resize() {
            return;
        }
        let garbage = garbage(seen.runtime);
        if !garbage.is_empty() {
            self.push(Action::Collect(garbage));
        }
        for container in self.of(ContainerKind::Ephemeral) {
            if seen.runtime.latest(&container.spec.name).is_none() {
                self.start(&container);
            }
        }
        if !is_initialized(seen.containers, seen.runtime) {
            if !self.init() {
                return;
            }
        } else {
            for sidecar in self.of(ContainerKind::Init).iter().filter(|container| container.is_sidecar()) {
                self.keep(sidecar);
            }
        }
        for container in self.of(ContainerKind::Ordinary) {
            self.keep(&container);
        }
    }

    /// Makes running containers follow what is set aside for them. Returns whether that comes before everything else.
    fn resize(&mut self) -> bool {
        let seen = self.observed;
        let mut in_place = Vec::new();
        let mut restarts = Vec::new();
        for container in seen.containers.iter().filter(|it| it.is_resizable()) {
            let Some((record, change)) = change_of(container, seen) else { continue };
            if change.restarts(&container.spec) {
                restarts.push(std::sync::Arc::clone(record));
            } else {
                in_place.push((container.spec.name.clone(), record.id.clone()));
            }
        }
        if !restarts.is_empty() {
            // First, so that nothing runs with more than the pod's control group has room for.
            self.stop_all(&restarts, KillReason::Resized, self.spec_grace());
            return false;
        }
        if in_place.is_empty() && !seen.is_resized {
            return false;
        }
        let before = self.plan.actions.len();
        self.push(Action::Resize { containers: in_place });
        // After a failure it waits, and the rest of the pod must not.
        self.plan.actions.len() > before
    }

    fn replace_sandbox(&mut self) {
        let seen = self.observed;
        let running: Vec<_> = seen.runtime.running().cloned().collect();
        if !running.is_empty() {
            return self.stop_all(&running, KillReason::PodEnds, self.spec_grace());
        }
        if !self.has_work() {
            return;
        }
        let ready: Vec<_> = seen.runtime.sandboxes.iter().filter(|sandbox| sandbox.is_ready()).collect();
        if !ready.is_empty() {
            let ids = ready.iter().map(|sandbox| sandbox.status.id.clone()).collect();
            return self.push(Action::StopSandboxes { ids, replaced: true });
        }
        if !seen.is_prepared {
            return self.push(Action::Prepare);
        }
        let attempt = seen.runtime.sandboxes.first().map_or(0, |sandbox| sandbox.attempt() + 1);
        self.push(Action::RunSandbox { attempt });
    }

    /// Whether anything is left to run in a new sandbox.
    fn has_work(&self) -> bool {
        let seen = self.observed;
        if seen.runtime.containers().next().is_none() {
            return true;
        }
        let initialized =
            self.of(ContainerKind::Ordinary).iter().any(|it| seen.runtime.latest(&it.spec.name).is_some());
        let starts = |container: &ContainerRef| {
            should_start(seen.pod, container, seen.runtime.latest(&container.spec.name).map(AsRef::as_ref))
        };
        let failed_init = |container: &ContainerRef| {
            let latest = seen.runtime.latest(&container.spec.name);
            !container.is_sidecar() && latest.is_some_and(|it| is_exited(it) && it.exit_code != 0) && !starts(container)
        };
        if !initialized && self.of(ContainerKind::Init).iter().any(failed_init) {
            return false;
        }
        self.of(ContainerKind::Ordinary).iter().any(starts)
    }

    /// Brings the next init container on its way. Returns whether all have done what the rest waits for.
    fn init(&mut self) -> bool {
        let seen = self.observed;
        let all = self.of(ContainerKind::Init);
        let frontier = all.iter().rposition(|container| seen.runtime.active(&container.spec.name).is_some());
        let Some(frontier) = frontier else {
            let Some(first) = all.first() else { return true };
            self.start(first);
            return false;
        };
        for sidecar in all[..frontier].iter().filter(|container| container.is_sidecar()) {
            self.keep(sidecar);
        }
        let current = &all[frontier];
        let record = seen.runtime.active(&current.spec.name).expect("the frontier has a record");
        let done = if current.is_sidecar() {
            self.keep(current);
            is_running(record) && seen.started.contains(&record.id)
        } else if is_exited(record) && record.exit_code == 0 {
            true
        } else {
            self.keep(current);
            false
        };
        match (done, all.get(frontier + 1)) {
            (true, Some(next)) => {
                self.start(next);
                false
            }
            (done, _) => done,
        }
    }

    /// Starts a container that should run and does not, and ends one that runs and should not.
    fn keep(&mut self, container: &ContainerRef) {
        let seen = self.observed;
        let name = &container.spec.name;
        let Some(record) = seen.runtime.active(name).filter(|record| is_running(record)) else {
            // An ordinary container that ended for good in a lost sandbox does not run again in the next one; init
            // containers do. Upstream looks at the pod's containers of all sandboxes, and at the active one's for these.
            let record = match container.kind {
                ContainerKind::Ordinary => seen.runtime.latest(name),
                ContainerKind::Init | ContainerKind::Ephemeral => seen.runtime.active(name),
            };
            if should_start(seen.pod, container, record.map(AsRef::as_ref)) {
                self.start(container);
            }
            return;
        };
        let wanted = seen.hashes.get(name).map(String::as_str);
        let why = if hash_of(record).is_some_and(|hash| wanted.is_some_and(|wanted| wanted != hash)) {
            KillReason::SpecChanged
        } else if let Some(kind) = seen.failed_probes.get(&record.id) {
            KillReason::ProbeFailed { kind: *kind, restarts: restarts_when_killed(seen.pod, &container.spec) }
        } else {
            return;
        };
        let grace = match why {
            KillReason::ProbeFailed { kind, .. } => self.probe_grace(container, kind),
            KillReason::PodEnds | KillReason::SpecChanged | KillReason::Resized => self.spec_grace(),
        };
        self.push(Action::Stop { container: name.clone(), id: record.id.clone(), grace, why, is_told: false });
    }

    fn start(&mut self, container: &ContainerRef) {
        let seen = self.observed;
        let name = &container.spec.name;
        if seen.in_flight.contains(&Slot::Container(name.clone())) {
            // Under way, and counted as a start already: it must not be told to wait because of itself.
            return;
        }
        let latest = seen.runtime.latest(name).filter(|record| is_exited(record));
        let after = latest.and_then(|record| time(record.finished_at));
        let hash = seen.hashes.get(name).map_or("", String::as_str);
        if let Some(wait) = after.and_then(|after| seen.restarts.check(name, hash, after, seen.now)) {
            self.plan.waiting.push(Waiting { container: name.clone(), delay: wait.delay });
            return self.wake(wait.until);
        }
        // One after the other, in the order of the spec, as upstream: who comes later may count on an earlier one's hook.
        if seen.is_starting || self.plan.actions.iter().any(|action| matches!(action, Action::Start { .. })) {
            return;
        }
        self.push(Action::Start { container: name.clone(), attempt: seen.runtime.next_attempt(name), after });
    }

    fn terminate(&mut self, grace: Duration, since: Timestamp) {
        let seen = self.observed;
        let running: Vec<_> = seen.runtime.running().cloned().collect();
        let elapsed = Duration::try_from(seen.now.duration_since(since)).unwrap_or_default();
        let left = grace_left(grace, elapsed);
        let sidecars: Vec<String> =
            self.of(ContainerKind::Init).iter().filter(|it| it.is_sidecar()).map(name).collect();
        let (of_sidecars, others): (Vec<_>, Vec<_>) =
            running.iter().cloned().partition(|record| sidecars.iter().any(|name| name == name_of(record)));
        // The hooks of all begin at once. Sidecars then wait until whatever needs them has ended, or time is up.
        for record in of_sidecars.iter().filter(|record| !seen.hooks_done.contains(&record.id)) {
            self.push(Action::PreStop { container: name_of(record).to_owned(), id: record.id.clone(), grace: left });
        }
        self.stop_all(&others, KillReason::PodEnds, left);
        let is_over = elapsed >= grace;
        let last = sidecars.iter().rev().find_map(|name| of_sidecars.iter().find(|record| name_of(record) == name));
        for record in &of_sidecars {
            let is_last = others.is_empty() && last.is_some_and(|last| last.id == record.id);
            if (is_over || is_last) && seen.hooks_done.contains(&record.id) {
                let (container, id) = (name_of(record).to_owned(), record.id.clone());
                self.push(Action::Stop { container, id, grace: left, why: KillReason::PodEnds, is_told: true });
            }
        }
        if !running.is_empty() {
            if !is_over && !of_sidecars.is_empty() {
                self.wake(later(since, grace));
            }
            return;
        }
        let ready: Vec<String> =
            seen.runtime.sandboxes.iter().filter(|it| it.is_ready()).map(|it| it.status.id.clone()).collect();
        if !ready.is_empty() {
            return self.push(Action::StopSandboxes { ids: ready, replaced: false });
        }
        self.plan.has_ended = seen.in_flight.is_empty();
    }

    fn stop_all(&mut self, records: &[std::sync::Arc<ContainerStatus>], why: KillReason, grace: Duration) {
        for record in records {
            let (container, id) = (name_of(record).to_owned(), record.id.clone());
            self.push(Action::Stop { container, id, grace, why, is_told: false });
        }
    }

    /// Adds an action unless its slot is taken, or has to wait after a failure.
    fn push(&mut self, action: Action) {
        let slot = action.slot();
        if self.observed.in_flight.contains(&slot) {
            return;
        }
        match self.observed.retry_at.get(&slot).filter(|retry_at| **retry_at > self.observed.now) {
            Some(retry_at) => self.wake(*retry_at),
            None => self.plan.actions.push(action),
        }
    }

    fn wake(&mut self, at: Timestamp) {
        self.plan.wake_at = Some(self.plan.wake_at.map_or(at, |earlier| earlier.min(at)));
    }

    fn of(&self, kind: ContainerKind) -> Vec<ContainerRef> {
        self.observed.containers.iter().filter(|container| container.kind == kind).cloned().collect()
    }

    fn spec_grace(&self) -> Duration {
        spec_grace(self.observed.pod)
    }

    fn probe_grace(&self, container: &ContainerRef, kind: ProbeKind) -> Duration {
        let probe = crate::interfaces::probe_of(&container.spec, kind);
        let seconds = probe.and_then(|probe| probe.termination_grace_period_seconds);
        seconds.map_or_else(|| self.spec_grace(), |seconds| Duration::from_secs(seconds.try_into().unwrap_or(0)))
    }
}

/// What is left of a grace period after `used` of it.
///
/// Begun seconds are not counted, since the runtime takes whole ones: a container must rather get more time than less.
/// Source: `killContainer`, whose periods are whole seconds.
#[must_use]
pub fn grace_left(grace: Duration, used: Duration) -> Duration {
    grace.saturating_sub(Duration::from_secs(used.as_secs())).max(GRACE_MIN)
}

/// A time after `at`; the last one that there is if it would be beyond.
#[must_use]
pub fn later(at: Timestamp, wait: Duration) -> Timestamp {
    at.checked_add(wait).unwrap_or(Timestamp::MAX)
}

fn name(container: &ContainerRef) -> String {
    container.spec.name.clone()
}

/// `terminationGracePeriodSeconds` of the pod, at least two seconds.
#[must_use]
pub fn spec_grace(pod: &Pod) -> Duration {
    let seconds = pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds).unwrap_or(30);
    Duration::from_secs(seconds.try_into().unwrap_or(0)).max(GRACE_MIN)
}

/// The runtime's nanoseconds as a time; `None` for 0, which stands for "not yet".
#[must_use]
pub fn time(nanos: i64) -> Option<Timestamp> {
    (nanos != 0).then(|| Timestamp::from_nanosecond(i128::from(nanos)).ok()).flatten()
}

#[cfg(test)]
mod tests;
