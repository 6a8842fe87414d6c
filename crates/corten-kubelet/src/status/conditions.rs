//! The pod conditions that the kubelet owns.
//!
//! Pure. Upstream: pkg/kubelet/status/generate.go (v1.35).

use corten_api::{
    core::v1::{Container, ContainerStatus, Pod, PodCondition},
    meta::v1::Time,
};
use jiff::Timestamp;

use crate::allocation::ResizeState;

/// The conditions that no one else may set, besides `DisruptionTarget`.
pub const OWNED: [&str; 7] = [
    "PodReadyToStartContainers",
    "Initialized",
    "Ready",
    "ContainersReady",
    "PodScheduled",
    RESIZE_PENDING,
    RESIZE_IN_PROGRESS,
];

/// The node has no room for what the spec asks for now.
pub const RESIZE_PENDING: &str = "PodResizePending";

/// The containers do not have yet what is set aside for them.
pub const RESIZE_IN_PROGRESS: &str = "PodResizeInProgress";

/// The condition of a pod that the kubelet itself has ended.
pub const DISRUPTION_TARGET: &str = "DisruptionTarget";

/// A condition before its times are known.
#[must_use]
pub fn condition(pod: &Pod, kind: &str, status: bool, reason: &str, message: String) -> PodCondition {
    PodCondition {
        type_: kind.to_owned(),
        status: if status { "True" } else { "False" }.to_owned(),
        reason: (!reason.is_empty()).then(|| reason.to_owned()),
        message: (!message.is_empty()).then_some(message),
        observed_generation: pod.metadata.generation,
        last_probe_time: None,
        last_transition_time: None,
    }
}

/// What a pod's resize shows; nothing if none is under way.
#[must_use]
pub fn resize(pod: &Pod, state: &ResizeState) -> Vec<PodCondition> {
    let of = |kind, reason, message, generation: Option<i64>| PodCondition {
        observed_generation: generation.or(pod.metadata.generation),
        ..condition(pod, kind, true, reason, message)
    };
    let pending = state.pending.as_ref();
    let pending =
        pending.map(|pending| of(RESIZE_PENDING, pending.reason, pending.message.clone(), pending.generation));
    let progress = state.in_progress.as_ref().map(|progress| {
        let reason = if progress.error.is_some() { "Error" } else { "" };
        of(RESIZE_IN_PROGRESS, reason, progress.error.clone().unwrap_or_default(), progress.generation)
    });
    pending.into_iter().chain(progress).collect()
}

/// `ContainersReady`. `statuses` are those of init and ordinary containers.
#[must_use]
pub fn containers_ready(pod: &Pod, statuses: &[ContainerStatus], phase: &str) -> PodCondition {
    let of = |status, reason: &str, message| condition(pod, "ContainersReady", status, reason, message);
    if statuses.is_empty() {
        return of(false, "UnknownContainerStatuses", String::new());
    }
    let spec = pod.spec.as_ref();
    let sidecars = spec.iter().flat_map(|spec| spec.init_containers.iter().flatten()).filter(|it| is_sidecar(it));
    let ordinary = spec.iter().flat_map(|spec| &spec.containers);
    let (mut unknown, mut unready) = (Vec::new(), Vec::new());
    for container in sidecars.chain(ordinary) {
        match find(statuses, &container.name) {
            None => unknown.push(container.name.as_str()),
            Some(status) if !status.ready => unready.push(container.name.as_str()),
            Some(_) => {}
        }
    }
    match phase {
        "Succeeded" if unknown.is_empty() => return of(false, "PodCompleted", String::new()),
        "Failed" => return of(false, "PodFailed", String::new()),
        _ => {}
    }
    let message = listed(&[("containers with unknown status", &unknown), ("containers with unready status", &unready)]);
    if message.is_empty() { of(true, "", message) } else { of(false, "ContainersNotReady", message) }
}

/// `Ready`: the containers are, and so are the gates. `others` are the conditions that the gates may name.
#[must_use]
pub fn ready(pod: &Pod, others: &[PodCondition], containers_ready: &PodCondition) -> PodCondition {
    if containers_ready.status != "True" {
        return PodCondition { type_: "Ready".to_owned(), ..containers_ready.clone() };
    }
    let gates = pod.spec.iter().flat_map(|spec| spec.readiness_gates.iter().flatten());
    let missing: Vec<String> = gates
        .filter_map(|gate| {
            let name = &gate.condition_type;
            match others.iter().find(|condition| condition.type_ == *name) {
                None => Some(format!("corresponding condition of pod readiness gate \"{name}\" does not exist.")),
                Some(condition) if condition.status != "True" => Some(format!(
                    "the status of pod readiness gate \"{name}\" is not \"True\", but {}",
                    condition.status
                )),
                Some(_) => None,
            }
        })
        .collect();
    let reason = if missing.is_empty() { "" } else { "ReadinessGatesNotReady" };
    condition(pod, "Ready", missing.is_empty(), reason, missing.join(", "))
}

/// `Initialized`. `statuses` are those of init and ordinary containers.
#[must_use]
pub fn initialized(pod: &Pod, statuses: &[ContainerStatus], phase: &str) -> PodCondition {
    let of = |status, reason: &str, message| condition(pod, "Initialized", status, reason, message);
    let init: Vec<&Container> = pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten()).collect();
    if statuses.is_empty() && !init.is_empty() {
        return of(false, "UnknownContainerStatuses", String::new());
    }
    let (mut unknown, mut incomplete) = (Vec::new(), Vec::new());
    for container in init {
        let Some(status) = find(statuses, &container.name) else {
            unknown.push(container.name.as_str());
            continue;
        };
        let done = if is_sidecar(container) { status.started == Some(true) } else { status.ready };
        if !done {
            incomplete.push(container.name.as_str());
        }
    }
    if phase == "Succeeded" && unknown.is_empty() {
        return of(true, "PodCompleted", String::new());
    }
    let ordinary = pod.spec.iter().flat_map(|spec| &spec.containers);
    let has_started = ordinary.into_iter().any(|container| find(statuses, &container.name).is_some_and(ran));
    let message =
        listed(&[("containers with unknown status", &unknown), ("containers with incomplete status", &incomplete)]);
    if has_started || message.is_empty() {
        of(true, "", String::new())
    } else {
        of(false, "ContainersNotInitialized", message)
    }
}

/// Gives conditions the time of their last change: the old one while the status is the same.
pub fn stamp(conditions: &mut [PodCondition], old: &[PodCondition], now: Timestamp) {
    for condition in conditions {
        let before = old.iter().find(|old| old.type_ == condition.type_);
        let kept = before.filter(|before| before.status == condition.status);
        let time =
            kept.and_then(|before| before.last_transition_time.clone()).or(condition.last_transition_time.take());
        condition.last_transition_time = Some(time.unwrap_or(Time(now)));
        if condition.last_probe_time.is_none() {
            condition.last_probe_time = before.and_then(|before| before.last_probe_time.clone());
        }
    }
}

/// Whether an init container keeps running.
#[must_use]
pub fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

fn find<'a>(statuses: &'a [ContainerStatus], name: &str) -> Option<&'a ContainerStatus> {
    statuses.iter().find(|status| status.name == name)
}

/// Whether the container has been running at some time.
fn ran(status: &ContainerStatus) -> bool {
    if status.started == Some(true) {
        return true;
    }
    let of = |state: &Option<corten_api::core::v1::ContainerState>| {
        state.as_ref().is_some_and(|state| state.running.is_some() || state.terminated.is_some())
    };
    of(&status.state) || status.last_state.as_ref().is_some_and(|state| state.terminated.is_some())
}

/// Names as Go prints a slice of strings.
fn listed(groups: &[(&str, &[&str])]) -> String {
    let parts = groups.iter().filter(|(_, names)| !names.is_empty());
    parts.map(|(text, names)| format!("{text}: [{}]", names.join(" "))).collect::<Vec<_>>().join(", ")
}
