//! What a pod shows: its status, and to the prober the containers that run.

use std::{collections::BTreeMap, sync::Arc};

use corten_api::core::v1::{Pod, PodStatus};
use jiff::Timestamp;

use super::{Cleaned, Worker};
use crate::{
    interfaces::{ContainerKind, ContainerRef, ProbeKind, ProbeTarget},
    pleg::records::is_running,
    pod_workers::plan::{Phase, Slot},
    status::{
        Remains,
        generate::{StatusInput, generate},
    },
};

/// How a container was found: upstream's `ChangeContainerStatusOnKubeletRestart` is off since v1.35, so that a restart of the
/// kubelet takes nothing out of its services.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Inherited {
    started: bool,
    ready: bool,
}

impl Worker {
    /// What is known of a probe.
    pub(super) fn probed(&self, container_id: &str, kind: ProbeKind) -> Option<bool> {
        self.context.prober.result(container_id, kind).or_else(|| {
            let inherited = self.inherited.get(container_id)?;
            let known = match kind {
                ProbeKind::Startup => inherited.started,
                ProbeKind::Readiness => inherited.ready,
                ProbeKind::Liveness => false,
            };
            known.then_some(true)
        })
    }

    pub(super) fn generate(&self, now: Timestamp, is_over: bool) -> PodStatus {
        let none = PodStatus::default();
        let previous = self.status.as_ref().or(self.pod.status.as_ref()).unwrap_or(&none);
        generate(&StatusInput {
            pod: &self.pod,
            containers: &self.containers,
            runtime: &self.runtime,
            runtime_name: &self.context.runtime_name.read(),
            previous,
            hooked: &self.hooked,
            failures: &self.failures,
            last_words: &self.last_words,
            resize: &self.context.allocations.resize(&self.uid),
            probe: &|id, kind| self.probed(id, kind),
            is_over,
            is_rejected: self.is_rejected,
            decree: self.decree.as_ref(),
            is_disrupted: self.is_disrupted,
            host_ips: self.context.host_ips(),
            now,
        })
    }

    pub(super) fn update_status(&mut self, now: Timestamp) {
        if self.is_orphan {
            return;
        }
        let is_over = self.phase == Phase::Terminated;
        // Once the records are removed, what they said stays.
        let records_gone = is_over && self.runtime.is_empty() && self.status.is_some();
        let status = match (&self.status, records_gone) {
            (Some(status), true) if self.cleaned == Cleaned::Records || self.in_flight.contains_key(&Slot::Pod) => {
                status.clone()
            }
            _ => self.generate(now, is_over),
        };
        let remains = match self.cleaned {
            _ if !is_over => Remains::Containers,
            Cleaned::Records => Remains::Nothing,
            Cleaned::Nothing | Cleaned::Resources => Remains::Records,
        };
        self.context.status.set(&self.pod, status.clone(), remains);
        self.status = Some(status);
    }

    /// Only what runs is probed; while the pod ends, only its readiness.
    pub(super) fn tell_prober(&self) {
        if self.is_orphan {
            return;
        }
        if self.phase == Phase::Terminated {
            return self.context.prober.forget(&self.uid);
        }
        let ips = self.status.as_ref().and_then(|status| status.pod_ip.as_ref()).and_then(|ip| ip.parse().ok());
        let terminating = matches!(self.phase, Phase::Terminating { .. });
        let target = |container: &ContainerRef| {
            let record = self.runtime.active(&container.spec.name).filter(|record| is_running(record))?;
            let mut container = container.clone();
            if terminating {
                let spec = Arc::make_mut(&mut container.spec);
                spec.liveness_probe = None;
                spec.startup_probe = None;
            }
            let has_started = self.inherited.get(&record.id).is_some_and(|inherited| inherited.started);
            let (container_id, started_at_nanos) = (record.id.clone(), record.started_at);
            Some(ProbeTarget { container, container_id, started_at_nanos, has_started })
        };
        let probed = self
            .containers
            .iter()
            .filter(|it| it.kind == ContainerKind::Ordinary || (it.kind == ContainerKind::Init && it.is_sidecar()))
            .filter(|it| !self.hooked.contains(&it.spec.name));
        self.context.prober.observe(&self.pod, ips, probed.filter_map(target).collect());
    }
}

/// What the API says of a pod's running containers, by their ids.
pub(super) fn inherited(pod: &Pod) -> BTreeMap<String, Inherited> {
    let Some(status) = &pod.status else { return BTreeMap::new() };
    // Somebody who took the pod's readiness away meanwhile knows better than what it said of its containers.
    let conditions = status.conditions.iter().flatten();
    let is_ready = conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
    let lists = [&status.init_container_statuses, &status.container_statuses];
    let running = lists.into_iter().flatten().flatten().filter_map(|container| {
        container.state.as_ref()?.running.as_ref()?;
        let (_, id) = container.container_id.as_deref()?.split_once("://")?;
        let started = container.started == Some(true);
        Some((id.to_owned(), Inherited { started, ready: started && container.ready && is_ready }))
    });
    running.collect()
}
