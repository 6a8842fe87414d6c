//! A pod's status, from its spec, what the runtime has, and what the status was before.
//!
//! Pure. Upstream: pkg/kubelet/kubelet_pods.go `generateAPIPodStatus`, `convertToAPIContainerStatuses`, and
//! pkg/kubelet/prober `UpdatePodStatus` (v1.35).

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use corten_api::core::v1::{ContainerStatus, HostIP, Pod, PodIP, PodStatus};
use jiff::Timestamp;

use super::{conditions, containers, phase};
use crate::{
    allocation::ResizeState,
    interfaces::{ContainerKind, ContainerRef, Failure, ProbeKind},
    pleg::records::PodRuntimeStatus,
    pod_workers::plan::{is_initialized, needs_sandbox},
};

/// What the last words of a pod's containers may have together. Upstream: `MaxPodTerminationMessageLogLength`.
const MESSAGES_BYTES_MAX: usize = 12 << 10;

/// What a status is made of.
#[derive(Clone, Copy)]
pub struct StatusInput<'a> {
    /// The pod, with the status that the API has.
    pub pod: &'a Pod,
    /// Its containers.
    pub containers: &'a [ContainerRef],
    /// What the runtime has.
    pub runtime: &'a PodRuntimeStatus,
    /// The runtime's name, for container ids.
    pub runtime_name: &'a str,
    /// The status that was generated before, or the API's.
    pub previous: &'a PodStatus,
    /// The containers that are being started and have a hook to run before they count as running, by name.
    pub hooked: &'a BTreeSet<String>,
    /// Why containers could not be started, by name.
    pub failures: &'a BTreeMap<String, Failure>,
    /// What ended containers left to say, by id.
    pub last_words: &'a BTreeMap<String, String>,
    /// How a change of its resources stands.
    pub resize: &'a ResizeState,
    /// The results of probes.
    pub probe: &'a dyn Fn(&str, ProbeKind) -> Option<bool>,
    /// Whether all containers have ended and none will be started.
    pub is_over: bool,
    /// Whether admission refused the pod.
    pub is_rejected: bool,
    /// A phase by decree (rejected, evicted, deadline): reason and message.
    pub decree: Option<&'a Failure>,
    /// Whether that is for the node's sake.
    pub is_disrupted: bool,
    /// The node's addresses, the primary one first.
    pub host_ips: &'a [IpAddr],
    /// The time.
    pub now: Timestamp,
}

/// The status of a pod.
#[must_use]
pub fn generate(input: &StatusInput<'_>) -> PodStatus {
    let (pod, previous) = (input.pod, input.previous);
    let api = pod.status.clone().unwrap_or_default();
    let mut status = PodStatus {
        qos_class: api.qos_class.clone(),
        nominated_node_name: api.nominated_node_name.clone(),
        resource_claim_statuses: api.resource_claim_statuses.clone(),
        extended_resource_claim_status: api.extended_resource_claim_status.clone(),
        start_time: previous.start_time.clone().or(api.start_time.clone()),
        observed_generation: pod.metadata.generation,
        ..PodStatus::default()
    };
    status.start_time.get_or_insert(corten_api::meta::v1::Time(input.now));
    if let (true, Some(decree)) = (input.is_rejected, input.decree) {
        status.phase = Some("Failed".to_owned());
        status.reason = Some(decree.reason.clone());
        status.message = Some(decree.message.clone());
        status.conditions = api.conditions;
        return status;
    }
    set_containers(input, &mut status);
    if input.is_over {
        end_containers(input, &mut status);
    }
    shorten_messages(input.containers.len(), &mut status);
    let lists = [&status.init_container_statuses, &status.container_statuses];
    let all: Vec<_> = lists.into_iter().flatten().flatten().cloned().collect();
    let has_initialized = is_initialized(input.containers, input.runtime);
    let computed = match phase::phase(pod, &all, input.is_over, has_initialized) {
        // A pod that has ended has a final phase; without a better one, it failed.
        "Pending" | "Running" if input.is_over => "Failed",
        computed => computed,
    };
    set_phase(input, &api, computed, &mut status);
    set_conditions(input, &api, &all, &mut status);
    set_addresses(input, &mut status);
    status
}

fn set_containers(input: &StatusInput<'_>, status: &mut PodStatus) {
    let list = |kind, previous: &Option<Vec<_>>| {
        let of_kind: Vec<_> = input.containers.iter().filter(|it| it.kind == kind).collect();
        let mut statuses = containers::statuses(input, &of_kind, previous.as_deref().unwrap_or_default());
        if kind != ContainerKind::Init {
            // Upstream sorts them; those of init containers keep the order of the spec.
            statuses.sort_by(|a, b| a.name.cmp(&b.name));
        }
        (!statuses.is_empty()).then_some(statuses)
    };
    status.init_container_statuses = list(ContainerKind::Init, &input.previous.init_container_statuses);
    status.container_statuses = list(ContainerKind::Ordinary, &input.previous.container_statuses);
    status.ephemeral_container_statuses = list(ContainerKind::Ephemeral, &input.previous.ephemeral_container_statuses);
}

/// Gives every container of a pod that has ended an end: without a record, a failure. Init containers after the last one
/// that has ever run never had their turn, nor had the ordinary ones if the last init container did not succeed.
///
/// Source: `TerminatePod`, `hasPodInitialized` and `initializedContainers` of the status manager.
fn end_containers(input: &StatusInput<'_>, status: &mut PodStatus) {
    let has_run = |status: &ContainerStatus| {
        let state = status.state.as_ref();
        state.is_some_and(|state| state.running.is_some() || state.terminated.is_some())
            || status.last_state.as_ref().is_some_and(|last| last.terminated.is_some())
    };
    let is_done = |status: &ContainerStatus| {
        let sidecar = input.containers.iter().any(|it| it.spec.name == status.name && it.is_sidecar());
        let ended = status.state.as_ref().and_then(|state| state.terminated.as_ref());
        if sidecar { status.started == Some(true) } else { ended.is_some_and(|ended| ended.exit_code == 0) }
    };
    let init = status.init_container_statuses.as_deref_mut().unwrap_or_default();
    let initialized = status.container_statuses.iter().flatten().any(has_run) || init.last().is_none_or(is_done);
    // The first one had its turn in any case.
    let turns = init.iter().rposition(has_run).map_or(1, |last| last + 1).min(init.len());
    init[..turns].iter_mut().for_each(containers::end);
    if initialized {
        status.container_statuses.iter_mut().flatten().for_each(containers::end);
    }
}

/// Gives the last words of each container its share of what a pod may say. Source: `normalizeStatus` of the status manager.
fn shorten_messages(containers: usize, status: &mut PodStatus) {
    let share = MESSAGES_BYTES_MAX / containers.max(1);
    let lists = [&mut status.init_container_statuses, &mut status.container_statuses];
    for container in lists.into_iter().flatten().flatten() {
        for state in [&mut container.state, &mut container.last_state].into_iter().flatten() {
            if let Some(message) = state.terminated.as_mut().and_then(|ended| ended.message.as_mut())
                && message.len() > share
            {
                message.truncate(message.floor_char_boundary(share));
            }
        }
    }
}

fn set_phase(input: &StatusInput<'_>, api: &PodStatus, computed: &str, status: &mut PodStatus) {
    let is_terminal = |phase: &Option<String>| matches!(phase.as_deref(), Some("Failed" | "Succeeded"));
    // A terminal phase is never left, whether the API or only this kubelet has it.
    let fixed = [&api.phase, &input.previous.phase].into_iter().find(|phase| is_terminal(phase)).cloned().flatten();
    let phase = fixed.unwrap_or_else(|| computed.to_owned());
    if input.previous.phase.as_deref() == Some(phase.as_str()) {
        // Not what the API has now: somebody else's words there are no part of the status, and are taken back.
        status.reason = input.previous.reason.clone();
        status.message = input.previous.message.clone();
    }
    status.phase = Some(phase);
    if let Some(decree) = input.decree
        && !is_terminal(&api.phase)
    {
        status.phase = Some("Failed".to_owned());
        status.reason = Some(decree.reason.clone());
        status.message = Some(decree.message.clone());
    }
}

fn set_conditions(input: &StatusInput<'_>, api: &PodStatus, all: &[ContainerStatus], status: &mut PodStatus) {
    let pod = input.pod;
    let phase = status.phase.clone().unwrap_or_default();
    let of_api = api.conditions.as_deref().unwrap_or_default();
    let of_previous = input.previous.conditions.as_deref().unwrap_or_default();
    let mut list: Vec<_> =
        of_api.iter().filter(|it| !conditions::OWNED.contains(&it.type_.as_str())).cloned().collect();
    let decreed = input.decree.filter(|_| input.is_disrupted).map(|decree| {
        let reason = "TerminationByKubelet";
        conditions::condition(pod, conditions::DISRUPTION_TARGET, true, reason, decree.message.clone())
    });
    let known = of_previous.iter().find(|it| it.type_ == conditions::DISRUPTION_TARGET).cloned();
    if let Some(disrupted) = decreed.or(known) {
        list.retain(|it| it.type_ != conditions::DISRUPTION_TARGET);
        list.push(disrupted);
    }
    let has_sandbox = !needs_sandbox(pod, input.runtime);
    let containers_ready = conditions::containers_ready(pod, all, &phase);
    let ready = conditions::ready(pod, &list, &containers_ready);
    list.push(conditions::condition(pod, "PodReadyToStartContainers", has_sandbox, "", String::new()));
    list.push(conditions::initialized(pod, all, &phase));
    list.push(ready);
    list.push(containers_ready);
    list.push(conditions::condition(pod, "PodScheduled", true, "", String::new()));
    if !input.is_over {
        list.extend(conditions::resize(pod, input.resize));
    }
    let known: Vec<_> = of_previous.iter().chain(of_api).cloned().collect();
    conditions::stamp(&mut list, &known, input.now);
    status.conditions = Some(list);
}

fn set_addresses(input: &StatusInput<'_>, status: &mut PodStatus) {
    let on_host = input.pod.spec.as_ref().is_some_and(|spec| spec.host_network == Some(true));
    let pod_ips = if on_host {
        // Immutable once set, apart from a second family that the node gets later.
        let known: Vec<IpAddr> =
            input.previous.pod_ips.iter().flatten().filter_map(|known| known.ip.parse().ok()).collect();
        if known.len() >= preferred(input.host_ips, input.host_ips).len() {
            known
        } else {
            preferred(input.host_ips, input.host_ips)
        }
    } else if let Some(sandbox) = input.runtime.active_sandbox() {
        preferred(&sandbox.ips(), input.host_ips)
    } else {
        // A pod that has ended keeps showing where it was. Source: `getPodIPs` of the PLEG.
        input.previous.pod_ips.iter().flatten().filter_map(|known| known.ip.parse().ok()).collect()
    };
    let host_ips = preferred(input.host_ips, input.host_ips);
    let text = |ips: &[IpAddr]| -> Vec<String> { ips.iter().map(ToString::to_string).collect() };
    let (pod_ips, host_ips) = (text(&pod_ips), text(&host_ips));
    status.pod_ip = pod_ips.first().cloned();
    status.pod_ips = (!pod_ips.is_empty()).then(|| pod_ips.into_iter().map(|ip| PodIP { ip }).collect());
    status.host_ip = host_ips.first().cloned();
    status.host_ips = (!host_ips.is_empty()).then(|| host_ips.into_iter().map(|ip| HostIP { ip }).collect());
}

/// One address of each family, that of the node's primary address first.
#[must_use]
pub fn preferred(ips: &[IpAddr], host_ips: &[IpAddr]) -> Vec<IpAddr> {
    let v4_first = host_ips.first().is_none_or(IpAddr::is_ipv4);
    let of = |v4: bool| ips.iter().find(|ip| ip.is_ipv4() == v4).copied();
    [of(v4_first), of(!v4_first)].into_iter().flatten().collect()
}
