//! The work on a pod: what its plan wants is begun, and what came of it is taken in.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use corten_base::Backoff;
use futures::{
    FutureExt as _,
    future::{AbortHandle, Abortable},
};
use jiff::Timestamp;
use tracing::warn;

use super::{Cleaned, Worker};
use crate::{
    allocation::{InProgress, decide},
    interfaces::{Failure, ProbeKind, probe_of},
    pleg::records::name_of,
    pod_ref::{self, go_duration},
    pod_workers::{
        actions::{Output, RESIZE_ERROR, Report, Scene},
        plan::{Action, Observed, Phase, Plan, Slot, is_as_wanted, plan},
    },
};

impl Worker {
    pub(super) fn plan(&mut self, now: Timestamp) -> Plan {
        let retry_at = self.retries.iter().map(|(slot, (_, at))| (slot.clone(), *at)).collect();
        let in_flight: BTreeSet<Slot> = self.in_flight.keys().cloned().collect();
        let started = self.started();
        let observed = Observed {
            pod: &self.pod,
            containers: &self.containers,
            hashes: &self.hashes,
            wanted: &self.wanted,
            is_resized: self.is_resized,
            phase: self.phase,
            is_prepared: self.volumes.is_some(),
            runtime: &self.runtime,
            in_flight: &in_flight,
            is_starting: self.starting.is_some(),
            hooks_done: &self.hooks_done,
            started: &started,
            failed_probes: &self.failed_probes,
            restarts: &self.restarts,
            retry_at: &retry_at,
            now,
        };
        if self.phase == Phase::Syncing {
            self.follow_resize(is_as_wanted(&observed));
        }
        plan(&observed)
    }

    /// Keeps the account of a resize: one that is needed is in progress, one that was is complete when nothing differs.
    fn follow_resize(&self, is_as_wanted: bool) {
        let allocations = &self.context.allocations;
        let in_progress = allocations.resize(&self.uid).in_progress;
        let is_in_progress = in_progress.is_some();
        // The table notes a resize before it hands on the pod that asks for it.
        let is_here = in_progress.is_some_and(|it| it.is_known_at(self.pod.metadata.generation));
        if is_as_wanted && is_here && !self.in_flight.contains_key(&Slot::Pod) {
            allocations.change_resize(&self.uid, |state| state.in_progress = None);
            let text = decide::message("completed", &self.pod, "");
            self.context.event(&self.pod, false, "ResizeCompleted", text);
        } else if !is_as_wanted && !is_in_progress {
            // Found so at start: another kubelet began it.
            let in_progress = InProgress { generation: self.pod.metadata.generation, error: None };
            allocations.change_resize(&self.uid, |state| state.in_progress = Some(in_progress));
        }
    }

    /// The running containers whose startup probe has succeeded, or that have none.
    fn started(&self) -> BTreeSet<String> {
        let has_started = |container: &corten_cri::api::ContainerStatus| {
            if self.hooked.contains(name_of(container)) {
                return false;
            }
            let spec = self.containers.iter().find(|it| it.spec.name == name_of(container));
            let probed = spec.is_some_and(|it| probe_of(&it.spec, ProbeKind::Startup).is_some());
            !probed || self.probed(&container.id, ProbeKind::Startup) == Some(true)
        };
        let running = self.runtime.running().filter(|container| has_started(container));
        running.map(|container| container.id.clone()).collect()
    }

    pub(super) fn scene(&self) -> Scene {
        Scene {
            context: Arc::clone(&self.context),
            pod: Arc::clone(&self.pod),
            containers: Arc::clone(&self.containers),
            runtime: Arc::clone(&self.runtime),
            volumes: self.volumes.clone().unwrap_or_default(),
        }
    }

    pub(super) fn start(&mut self, mut action: Action) {
        let slot = action.slot();
        if let Action::Start { container, attempt, .. } = &mut action
            && self.runtime.latest(container).is_none()
        {
            // The runtime has lost its records; what was shown is counted on.
            *attempt = (*attempt).max(self.shown_restarts(container));
        }
        if let Action::Start { container, after: Some(after), .. } = &action {
            // Counted when it begins: a start that fails makes the next wait longer too.
            let hash = self.hashes.get(container).map_or("", String::as_str);
            self.restarts.started(container, hash, *after, self.context.clock.now());
        }
        if let Action::Start { container: name, .. } = &action {
            self.starting = Some(name.clone());
            let spec = self.containers.iter().find(|it| it.spec.name == *name).map(|it| &it.spec);
            if spec.is_some_and(|spec| spec.lifecycle.as_ref().is_some_and(|it| it.post_start.is_some())) {
                self.hooked.insert(name.clone());
            }
        }
        let (handle, registration) = AbortHandle::new_pair();
        let act = Abortable::new(self.scene().act(action), registration).map(Result::ok).boxed();
        self.in_flight.insert(slot, handle);
        self.actions.push(act);
    }

    /// How many restarts of a container the status shows.
    fn shown_restarts(&self, container: &str) -> u32 {
        let Some(status) = self.status.as_ref().or(self.pod.status.as_ref()) else { return 0 };
        let lists = [&status.init_container_statuses, &status.container_statuses, &status.ephemeral_container_statuses];
        let shown = lists.into_iter().flatten().flatten().find(|status| status.name == container);
        shown.map_or(0, |status| u32::try_from(status.restart_count).unwrap_or_default())
    }

    /// Containers in back-off show it, and say it once per wait.
    pub(super) fn note_waiting(&mut self, plan: &Plan) {
        for waiting in &plan.waiting {
            let Some(container) = self.containers.iter().find(|it| it.spec.name == waiting.container) else { continue };
            let message = format!(
                "back-off {} restarting failed container={} pod={}",
                go_duration(waiting.delay),
                waiting.container,
                pod_ref::full_name(&self.pod)
            );
            let failure = Failure::new("CrashLoopBackOff", message);
            if self.failures.get(&waiting.container) != Some(&failure) {
                let text = format!(
                    "Back-off restarting failed container {} in pod {}",
                    waiting.container,
                    pod_ref::full_name(&self.pod)
                );
                self.context.container_event(&self.pod, container, true, "BackOff", text);
            }
            self.failures.insert(waiting.container.clone(), failure);
        }
    }

    pub(super) fn take_report(&mut self, report: Report) {
        let Report { slot, result } = report;
        self.in_flight.remove(&slot);
        if let Slot::Container(name) = &slot {
            self.hooked.remove(name);
            self.starting.take_if(|starting| starting == name);
        }
        let now = self.context.clock.now();
        match result {
            Ok(output) => {
                self.retries.remove(&slot);
                self.take_output(output);
            }
            Err(failure) => {
                let rng = Arc::clone(&self.context.rng);
                // 1.5 s to 10 s with jitter: upstream's pace for pods that could not be synced.
                let (backoff, at) = self.retries.entry(slot.clone()).or_insert_with(|| {
                    let pace = Backoff::doubling(Duration::from_millis(1_500), Duration::from_secs(10));
                    (pace.with_jitter(0.5), now)
                });
                let delay = backoff.next(&*rng);
                *at = now + delay;
                let retry_in_ms = delay.as_millis() as u64;
                warn!(pod = %self.name(), uid = self.uid, what = ?slot, err = %failure, retry_in_ms, "Could not sync pod");
                match slot {
                    Slot::Container(name) => {
                        self.failures.insert(name, failure);
                    }
                    Slot::Pod if failure.reason == RESIZE_ERROR => self.resize_failed(failure.message),
                    Slot::Pod | Slot::Garbage => {}
                }
            }
        }
    }

    fn resize_failed(&self, error: String) {
        let text = decide::message("error", &self.pod, &error);
        let progress = InProgress { generation: self.pod.metadata.generation, error: Some(error) };
        if self.context.allocations.change_resize(&self.uid, |state| state.in_progress = Some(progress)) {
            self.context.event(&self.pod, true, "ResizeError", text);
        }
    }

    fn take_output(&mut self, output: Output) {
        match output {
            Output::Resized => self.is_resized = false,
            Output::HookDone { id } => {
                self.hooks_done.insert(id);
            }
            Output::Prepared(volumes) => self.volumes = Some(Arc::new(volumes)),
            Output::Started { container } => {
                self.failures.remove(&container);
            }
            Output::Cleaned { records } => {
                self.cleaned = if records { Cleaned::Records } else { Cleaned::Resources };
            }
            Output::Done => {}
        }
    }

    /// Starts the removal of what is left, if there is something to remove. Gives the time of the next try.
    pub(super) fn clean_up(&mut self, now: Timestamp) -> Option<Timestamp> {
        let goes = self.pod.metadata.deletion_timestamp.is_some() || self.is_removed;
        let wanted = if goes { Cleaned::Records } else { Cleaned::Resources };
        if self.cleaned >= wanted || self.in_flight.contains_key(&Slot::Pod) {
            return None;
        }
        if let Some((_, at)) = self.retries.get(&Slot::Pod).filter(|(_, at)| *at > now) {
            return Some(*at);
        }
        let (handle, registration) = AbortHandle::new_pair();
        let act = Abortable::new(self.scene().clean_up(goes), registration).map(Result::ok).boxed();
        self.in_flight.insert(Slot::Pod, handle);
        self.actions.push(act);
        None
    }
}
