//! The statuses of a pod's containers.
//!
//! Pure. Upstream: pkg/kubelet/kubelet_pods.go `convertToAPIContainerStatuses` (v1.35).

use std::collections::BTreeMap;

use corten_api::{
    core::v1::{
        ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus,
        ContainerUser, LinuxContainerUser, ResourceRequirements, VolumeMountStatus,
    },
    meta::v1::Time,
    quantity::Quantity,
};
use corten_apimachinery::quantity::{self as amount, Format};
use corten_cri::api;
use jiff::Timestamp;

use super::generate::StatusInput;
use crate::{
    interfaces::{ContainerKind, ContainerRef, ProbeKind, probe_of},
    pleg::records::{is_exited, is_running, name_of, restart_count},
    pod_workers::{plan::time, restart_policy::should_start},
};

/// 1024 shares are one processor: upstream's `SharesPerCPU`.
const SHARES_PER_CPU: i64 = 1_024;
/// The kernel's least shares; a smaller request cannot be read back. Upstream: `MinShares`.
const MIN_SHARES: i64 = 2;
/// The least limit that the quota can express, in thousandths. Upstream: `MinMilliCPULimit`.
const MIN_LIMIT_MILLIS: i64 = 10;

/// What a container shows that was there and is there no more.
const STATUS_UNKNOWN: &str = "ContainerStatusUnknown";

/// The statuses of some containers of one kind, in their order.
#[must_use]
pub(super) fn statuses(
    input: &StatusInput<'_>,
    containers: &[&ContainerRef],
    previous: &[ContainerStatus],
) -> Vec<ContainerStatus> {
    containers
        .iter()
        .map(|container| {
            let old = previous.iter().find(|status| status.name == container.spec.name);
            if input.hooked.contains(&container.spec.name) {
                // Upstream's worker is busy with the start until the hook has ended, and writes no status meanwhile.
                return old.cloned().unwrap_or_else(|| without_record(input, container, None));
            }
            let mut status = status(input, container, old);
            show_failure(input, container, &mut status);
            set_readiness(input, container, &mut status);
            status
        })
        .collect()
}

fn status(input: &StatusInput<'_>, container: &ContainerRef, old: Option<&ContainerStatus>) -> ContainerStatus {
    let name = &container.spec.name;
    let mut records = input.runtime.containers().map(|(_, record)| record).filter(|record| name_of(record) == name);
    let Some(newest) = records.next() else { return without_record(input, container, old) };
    let mut status = of_record(input, container, newest, old);
    match records.next() {
        Some(before) => status.last_state = Some(state_of(input, before)),
        // The record of the one before was collected; what the API knew stays.
        None => status.last_state = old.filter(|_| restart_count(newest) > 0).and_then(|old| last_end(old, &status)),
    }
    status
}

fn last_end(old: &ContainerStatus, new: &ContainerStatus) -> Option<ContainerState> {
    let ended = |state: &Option<ContainerState>| state.clone().filter(|state| state.terminated.is_some());
    if old.container_id != new.container_id {
        ended(&old.state).or_else(|| ended(&old.last_state))
    } else {
        ended(&old.last_state)
    }
}

/// The status of a container that the runtime does not know.
fn without_record(input: &StatusInput<'_>, container: &ContainerRef, old: Option<&ContainerStatus>) -> ContainerStatus {
    let has_init = input.containers.iter().any(|it| it.kind == ContainerKind::Init);
    let reason = if has_init { "PodInitializing" } else { "ContainerCreating" };
    let mut status = ContainerStatus {
        name: container.spec.name.clone(),
        image: container.spec.image.clone().unwrap_or_default(),
        state: Some(waiting(reason, "")),
        volume_mounts: volume_mounts(container),
        ..ContainerStatus::default()
    };
    let Some(old) = old else { return status };
    let old_state = old.state.clone().unwrap_or_default();
    if old_state.terminated.is_some() {
        return ContainerStatus { ready: false, ..old.clone() };
    }
    status.restart_count = old.restart_count;
    status.last_state.clone_from(&old.last_state);
    let has_last_end = old.last_state.as_ref().is_some_and(|state| state.terminated.is_some());
    if old_state.running.is_some() && !has_last_end {
        // It ran, so the pod must not fall back to Pending.
        let terminated = ContainerStateTerminated {
            reason: Some(STATUS_UNKNOWN.to_owned()),
            message: Some(
                "The container could not be located when the pod was deleted.  The container used to be Running"
                    .to_owned(),
            ),
            exit_code: 137,
            ..ContainerStateTerminated::default()
        };
        status.last_state = Some(ContainerState { terminated: Some(terminated), ..ContainerState::default() });
        if input.pod.metadata.deletion_timestamp.is_none() {
            status.restart_count += 1;
        }
    }
    status
}

fn of_record(
    input: &StatusInput<'_>,
    container: &ContainerRef,
    record: &api::ContainerStatus,
    old: Option<&ContainerStatus>,
) -> ContainerStatus {
    let image = record.image.as_ref();
    let shown = image
        .map(|image| if image.user_specified_image.is_empty() { &image.image } else { &image.user_specified_image });
    let (resources, allocated) = resources(container, record, old);
    ContainerStatus {
        name: container.spec.name.clone(),
        restart_count: i32::try_from(restart_count(record)).unwrap_or(i32::MAX),
        image: shown.filter(|image| !image.is_empty()).cloned().or(container.spec.image.clone()).unwrap_or_default(),
        image_id: record.image_ref.clone(),
        container_id: Some(full_id(input, record)),
        state: Some(state_of(input, record)),
        resources,
        allocated_resources: allocated,
        user: user(record),
        volume_mounts: volume_mounts(container),
        stop_signal: stop_signal(container),
        ..ContainerStatus::default()
    }
}

/// Gives a container that has no end the one of a container whose fate nobody knows.
pub(super) fn end(status: &mut ContainerStatus) {
    if status.state.as_ref().is_some_and(|state| state.terminated.is_some()) {
        return;
    }
    let terminated = ContainerStateTerminated {
        reason: Some(STATUS_UNKNOWN.to_owned()),
        message: Some("The container could not be located when the pod was terminated".to_owned()),
        exit_code: 137,
        ..ContainerStateTerminated::default()
    };
    status.state = Some(ContainerState { terminated: Some(terminated), ..ContainerState::default() });
    status.started = status.started.map(|_| false);
    status.ready = false;
}

fn full_id(input: &StatusInput<'_>, record: &api::ContainerStatus) -> String {
    format!("{}://{}", input.runtime_name, record.id)
}

fn state_of(input: &StatusInput<'_>, record: &api::ContainerStatus) -> ContainerState {
    if is_running(record) {
        let running = ContainerStateRunning { started_at: time(record.started_at).map(Time) };
        return ContainerState { running: Some(running), ..ContainerState::default() };
    }
    if is_exited(record) {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        // The runtime's own message, and after it the container's.
        let words = input.last_words.get(&record.id).map(String::as_str).unwrap_or_default();
        let message = match (record.message.as_str(), words) {
            ("", words) => words.to_owned(),
            (message, "") => message.to_owned(),
            (message, words) => format!("{message}: {words}"),
        };
        let terminated = ContainerStateTerminated {
            exit_code: record.exit_code,
            reason: text(&record.reason),
            message: text(&message),
            // One that never started began in 1970, as upstream shows it.
            started_at: Some(Time(time(record.started_at).unwrap_or(Timestamp::UNIX_EPOCH))),
            finished_at: time(record.finished_at).map(Time),
            container_id: Some(full_id(input, record)),
            signal: None,
        };
        return ContainerState { terminated: Some(terminated), ..ContainerState::default() };
    }
    waiting("", "")
}

fn waiting(reason: &str, message: &str) -> ContainerState {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let waiting = ContainerStateWaiting { reason: text(reason), message: text(message) };
    ContainerState { waiting: Some(waiting), ..ContainerState::default() }
}

/// A container that is to be started and could not be is waiting, for the reason that its last try gave.
fn show_failure(input: &StatusInput<'_>, container: &ContainerRef, status: &mut ContainerStatus) {
    let Some(failure) = input.failures.get(&container.spec.name) else { return };
    let latest = input.runtime.latest(&container.spec.name).map(AsRef::as_ref);
    if input.is_over || !should_start(input.pod, container, latest) {
        return;
    }
    if status.state.as_ref().is_some_and(|state| state.terminated.is_some()) {
        status.last_state = status.state.take();
    }
    status.state = Some(waiting(&failure.reason, &failure.message));
}

fn set_readiness(input: &StatusInput<'_>, container: &ContainerRef, status: &mut ContainerStatus) {
    let latest = input.runtime.latest(&container.spec.name);
    let is_running = status.state.as_ref().is_some_and(|state| state.running.is_some());
    let result = |kind| match (probe_of(&container.spec, kind), latest) {
        (None, _) => true,
        (Some(_), Some(record)) => (input.probe)(&record.id, kind) == Some(true),
        (Some(_), None) => false,
    };
    if container.kind == ContainerKind::Ephemeral {
        status.ready = false;
        return;
    }
    let started = is_running && result(ProbeKind::Startup);
    status.started = Some(started);
    status.ready = if container.kind == ContainerKind::Init && !container.is_sidecar() {
        let terminated = status.state.as_ref().and_then(|state| state.terminated.as_ref());
        terminated.is_some_and(|terminated| terminated.exit_code == 0)
    } else {
        started && result(ProbeKind::Readiness)
    };
}

fn user(record: &api::ContainerStatus) -> Option<ContainerUser> {
    let linux = record.user.as_ref()?.linux.as_ref()?;
    let groups = (!linux.supplemental_groups.is_empty()).then(|| linux.supplemental_groups.clone());
    let linux = LinuxContainerUser { uid: linux.uid, gid: linux.gid, supplemental_groups: groups };
    Some(ContainerUser { linux: Some(linux) })
}

fn stop_signal(container: &ContainerRef) -> Option<String> {
    container.spec.lifecycle.as_ref().and_then(|lifecycle| lifecycle.stop_signal.clone())
}

fn volume_mounts(container: &ContainerRef) -> Option<Vec<VolumeMountStatus>> {
    let mounts = container.spec.volume_mounts.as_ref().filter(|mounts| !mounts.is_empty())?;
    let of = |mount: &corten_api::core::v1::VolumeMount| {
        let read_only = mount.read_only.filter(|read_only| *read_only);
        let recursive = match mount.recursive_read_only.as_deref() {
            Some("Enabled" | "IfPossible") => "Enabled",
            _ => "Disabled",
        };
        VolumeMountStatus {
            name: mount.name.clone(),
            mount_path: mount.mount_path.clone(),
            read_only,
            recursive_read_only: read_only.map(|_| recursive.to_owned()),
        }
    };
    Some(mounts.iter().map(of).collect())
}

/// The resources that the container has, and those that were set aside for it.
fn resources(
    container: &ContainerRef,
    record: &api::ContainerStatus,
    old: Option<&ContainerStatus>,
) -> (Option<ResourceRequirements>, Option<BTreeMap<String, Quantity>>) {
    let spec = container.spec.resources.clone().unwrap_or_default();
    let allocated = spec.requests.clone().filter(|requests| !requests.is_empty());
    if container.kind == ContainerKind::Ephemeral || !is_running(record) {
        return (Some(spec), allocated);
    }
    let actual = record.resources.as_ref().and_then(|resources| resources.linux.as_ref());
    let mut shown = spec;
    if let (Some(limits), Some(actual)) = (shown.limits.as_mut(), actual) {
        if actual.cpu_quota > 0 && actual.cpu_period > 0 {
            let millis = actual.cpu_quota * 1_000 / actual.cpu_period;
            if millis > MIN_LIMIT_MILLIS || millis_of(limits.get("cpu")) > MIN_LIMIT_MILLIS {
                replace(limits, "cpu", millis_of, millis, || cpu(millis));
            }
        }
        if actual.memory_limit_in_bytes > 0 {
            let bytes = actual.memory_limit_in_bytes;
            replace(limits, "memory", units_of, bytes, || amount::Quantity::new(bytes, Format::BinarySi).to_string());
        }
    }
    if let (Some(requests), Some(actual)) = (shown.requests.as_mut(), actual)
        && actual.cpu_shares > 0
    {
        // Rounded up: a request of 1m more than what shares can say would otherwise read as less than was asked for.
        let millis = (actual.cpu_shares * 1_000 + SHARES_PER_CPU - 1) / SHARES_PER_CPU;
        let wanted = millis_of(requests.get("cpu"));
        let same = wanted * SHARES_PER_CPU / 1_000 == actual.cpu_shares;
        if !same && (millis > MIN_SHARES || wanted > MIN_SHARES) {
            replace(requests, "cpu", millis_of, millis, || cpu(millis));
        }
    }
    // What the runtime does not report stays as it was reported last.
    if actual.is_none()
        && let Some(old) = old.and_then(|old| old.resources.clone())
    {
        return (Some(old), allocated);
    }
    (Some(shown), allocated)
}

/// Processor time as a canonical quantity.
fn cpu(millis: i64) -> String {
    amount::Quantity::from_millis(millis, Format::DecimalSi).to_string()
}

/// Replaces a value that differs; one that means the same keeps its spelling.
fn replace(
    list: &mut BTreeMap<String, Quantity>,
    key: &str,
    read: fn(Option<&Quantity>) -> i64,
    value: i64,
    text: impl FnOnce() -> String,
) {
    if read(list.get(key)) != value {
        list.insert(key.to_owned(), Quantity(text()));
    }
}

fn parse(quantity: Option<&Quantity>) -> Option<amount::Quantity> {
    quantity.and_then(|quantity| quantity.0.parse().ok())
}

fn millis_of(quantity: Option<&Quantity>) -> i64 {
    parse(quantity).map_or(0, |quantity| quantity.millis())
}

fn units_of(quantity: Option<&Quantity>) -> i64 {
    parse(quantity).map_or(0, |quantity| quantity.units())
}
