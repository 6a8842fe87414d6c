//! The node's status from what was observed: pure.
//!
//! Upstream: pkg/kubelet/nodestatus/setters.go, pkg/kubelet/cm/node_container_manager_linux.go (v1.35).

use std::collections::BTreeMap;

use corten_api::{
    core::v1::{
        ContainerImage, DaemonEndpoint, NodeAddress, NodeCondition, NodeDaemonEndpoints, NodeFeatures,
        NodeRuntimeHandler, NodeRuntimeHandlerFeatures, NodeStatus, NodeSwapStatus, NodeSystemInfo,
    },
    meta::v1::Time,
    quantity::Quantity as Text,
};
use corten_apimachinery::quantity::{Format, Quantity};
use corten_base::platform;
use corten_cri::api;
use jiff::Timestamp;

use super::machine::Machine;
use crate::Config;

/// The version that the node shows: the Kubernetes release whose kubelet this is.
pub const KUBELET_VERSION: &str = concat!("v1.35.0+corten.", env!("CARGO_PKG_VERSION"));

/// How many images a node's status shows. Upstream: `nodeStatusMaxImages`.
const IMAGES_MAX: usize = 50;
/// How many names of an image it shows. Upstream: `maxNamesPerImageInNodeStatus`.
const IMAGE_NAMES_MAX: usize = 5;
/// What pods cannot have, since eviction begins there. Upstream: `evictionHard`, `memory.available<100Mi`.
const MEMORY_EVICTION_BYTES: u64 = 100 << 20;
/// Likewise for disk: `nodefs.available<10%`.
const STORAGE_EVICTION_PERCENT: u64 = 10;

/// What is scarce on the node. Eviction finds it out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pressure {
    /// Memory is.
    pub memory: bool,
    /// Disk space or inodes are.
    pub disk: bool,
    /// Process ids are.
    pub pids: bool,
}

/// What the runtime says about itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RuntimeView {
    /// Its name and version.
    pub version: api::VersionResponse,
    /// Its conditions, handlers and features.
    pub status: api::StatusResponse,
    /// Its images.
    pub images: Vec<api::Image>,
}

/// Everything that a status is made of.
#[derive(Debug)]
pub struct Observed<'a> {
    /// Names, addresses, limits.
    pub config: &'a Config,
    /// The machine.
    pub machine: &'a Machine,
    /// The port of the kubelet's server.
    pub server_port: u16,
    /// The runtime; `Err` says why it cannot be asked.
    pub runtime: Result<&'a RuntimeView, &'a str>,
    /// What is scarce.
    pub pressure: Pressure,
    /// What the kubelet's own parts complain about: `PLEG is not healthy: ...`.
    pub unhealthy: &'a [String],
    /// Volumes that pods of the node use and that must not be detached.
    pub volumes_in_use: &'a [String],
    /// The conditions that the node has now.
    pub conditions: &'a [NodeCondition],
    /// The time.
    pub now: Timestamp,
}

/// A condition of the runtime, and what is said when it does not hold.
pub type RuntimeCondition = (&'static str, &'static str);

/// Whether the runtime can run anything.
pub const RUNTIME_READY: RuntimeCondition = ("RuntimeReady", "container runtime not ready");
/// Whether it can give pods a network.
pub const NETWORK_READY: RuntimeCondition = ("NetworkReady", "container runtime network not ready");

/// Why a condition of the runtime does not hold, as nodes and pods show it; `None` if it holds.
#[must_use]
pub fn condition_problem(status: &api::RuntimeStatus, (kind, what): RuntimeCondition) -> Option<String> {
    match status.conditions.iter().find(|condition| condition.r#type == kind) {
        Some(condition) if condition.status => None,
        Some(condition) => {
            Some(format!("{what}: {kind}=false reason:{} message:{}", condition.reason, condition.message))
        }
        None => Some(format!("{what}: condition is not set")),
    }
}

/// The parts of a node's status that the kubelet owns.
#[must_use]
pub fn status(observed: &Observed<'_>) -> NodeStatus {
    let (config, machine) = (observed.config, observed.machine);
    let addresses = config.node_ips.iter().map(|ip| ("InternalIP", ip.to_string()));
    let addresses = addresses.chain([("Hostname", config.hostname.clone())]);
    let addresses = addresses.map(|(type_, address)| NodeAddress { address, type_: type_.to_owned() });
    let runtime = observed.runtime.ok();
    NodeStatus {
        addresses: Some(addresses.collect()),
        capacity: Some(capacity(config, machine)),
        allocatable: Some(allocatable(config, machine)),
        conditions: Some(conditions(observed)),
        daemon_endpoints: Some(NodeDaemonEndpoints {
            kubelet_endpoint: Some(DaemonEndpoint { port: i32::from(observed.server_port) }),
        }),
        features: runtime
            .and_then(|runtime| runtime.status.features.as_ref())
            .map(|features| NodeFeatures { supplemental_groups_policy: Some(features.supplemental_groups_policy) }),
        images: runtime.map(|runtime| images(&runtime.images)),
        node_info: Some(NodeSystemInfo {
            architecture: platform::architecture().to_owned(),
            boot_id: machine.boot_id.clone(),
            container_runtime_version: runtime.map_or_else(
                || "Unknown".to_owned(),
                |runtime| format!("{}://{}", runtime.version.runtime_name, runtime.version.runtime_version),
            ),
            kernel_version: machine.kernel_version.clone(),
            kube_proxy_version: String::new(),
            kubelet_version: KUBELET_VERSION.to_owned(),
            machine_id: machine.machine_id.clone(),
            operating_system: "linux".to_owned(),
            os_image: machine.os_image.clone(),
            swap: (machine.swap_bytes > 0).then(|| NodeSwapStatus { capacity: i64::try_from(machine.swap_bytes).ok() }),
            system_uuid: machine.system_uuid.clone(),
        }),
        runtime_handlers: runtime.map(|runtime| handlers(&runtime.status.runtime_handlers)),
        volumes_in_use: Some(observed.volumes_in_use.to_vec()),
        ..NodeStatus::default()
    }
}

fn quantity(units: u64, format: Format) -> Text {
    Text(Quantity::new(i64::try_from(units).unwrap_or(i64::MAX), format).to_string())
}

/// `hugepages-2Mi`, as pods ask for them.
fn huge_pages_name(size_bytes: u64) -> String {
    format!("hugepages-{}", quantity(size_bytes, Format::BinarySi).0)
}

fn resources(config: &Config, machine: &Machine, memory: u64, storage: u64) -> BTreeMap<String, Text> {
    let mut resources = BTreeMap::from([
        ("cpu".to_owned(), quantity(u64::from(machine.cpus), Format::DecimalSi)),
        ("memory".to_owned(), quantity(memory, Format::BinarySi)),
        ("pods".to_owned(), quantity(u64::from(config.max_pods), Format::DecimalSi)),
    ]);
    if machine.storage_bytes > 0 {
        resources.insert("ephemeral-storage".to_owned(), quantity(storage, Format::BinarySi));
    }
    for (size, count) in &machine.huge_pages {
        resources.insert(huge_pages_name(*size), quantity(size.saturating_mul(*count), Format::BinarySi));
    }
    resources
}

/// What the machine has.
#[must_use]
pub fn capacity(config: &Config, machine: &Machine) -> BTreeMap<String, Text> {
    resources(config, machine, machine.memory_bytes, machine.storage_bytes)
}

/// What pods may ask for: without huge pages, which nobody gets as ordinary memory, and without what eviction defends.
#[must_use]
pub fn allocatable(config: &Config, machine: &Machine) -> BTreeMap<String, Text> {
    let huge: u64 = machine.huge_pages.iter().map(|(size, count)| size.saturating_mul(*count)).sum();
    let memory = machine.memory_bytes.saturating_sub(MEMORY_EVICTION_BYTES).saturating_sub(huge);
    let storage = machine.storage_bytes
        - machine.storage_bytes / 100 * STORAGE_EVICTION_PERCENT
        - machine.storage_bytes % 100 * STORAGE_EVICTION_PERCENT / 100;
    resources(config, machine, memory, storage)
}

/// The largest images, largest first, with their digests before their tags.
fn images(images: &[api::Image]) -> Vec<ContainerImage> {
    let mut largest: Vec<&api::Image> = images.iter().collect();
    largest.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.id.cmp(&b.id)));
    let show = |image: &api::Image| {
        let names = image.repo_digests.iter().chain(&image.repo_tags).take(IMAGE_NAMES_MAX).cloned().collect();
        ContainerImage { names: Some(names), size_bytes: i64::try_from(image.size).ok() }
    };
    largest.into_iter().take(IMAGES_MAX).map(show).collect()
}

fn handlers(handlers: &[api::RuntimeHandler]) -> Vec<NodeRuntimeHandler> {
    let mut sorted: Vec<&api::RuntimeHandler> = handlers.iter().collect();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    let show = |handler: &api::RuntimeHandler| NodeRuntimeHandler {
        name: Some(handler.name.clone()),
        features: handler.features.as_ref().map(|features| NodeRuntimeHandlerFeatures {
            recursive_read_only_mounts: Some(features.recursive_read_only_mounts),
            user_namespaces: Some(features.user_namespaces),
        }),
    };
    sorted.into_iter().map(show).collect()
}

fn conditions(observed: &Observed<'_>) -> Vec<NodeCondition> {
    let Pressure { memory, disk, pids } = observed.pressure;
    let scarce = |type_: &str, is_scarce: bool, words: [(&str, &str); 2]| {
        let (reason, message) = words[usize::from(is_scarce)];
        condition(observed, type_, is_scarce, reason, message.to_owned())
    };
    let complaint = complaint(observed);
    vec![
        scarce(
            "MemoryPressure",
            memory,
            [
                ("KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
                ("KubeletHasInsufficientMemory", "kubelet has insufficient memory available"),
            ],
        ),
        scarce(
            "DiskPressure",
            disk,
            [
                ("KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
                ("KubeletHasDiskPressure", "kubelet has disk pressure"),
            ],
        ),
        scarce(
            "PIDPressure",
            pids,
            [
                ("KubeletHasSufficientPID", "kubelet has sufficient PID available"),
                ("KubeletHasInsufficientPID", "kubelet has insufficient PID available"),
            ],
        ),
        match complaint {
            None => condition(observed, "Ready", true, "KubeletReady", "kubelet is posting ready status".to_owned()),
            Some(message) => condition(observed, "Ready", false, "KubeletNotReady", message),
        },
    ]
}

fn condition(observed: &Observed<'_>, type_: &str, holds: bool, reason: &str, message: String) -> NodeCondition {
    let status = if holds { "True" } else { "False" };
    let before = observed.conditions.iter().find(|before| before.type_ == type_ && before.status == status);
    let since = before.and_then(|before| before.last_transition_time.clone()).unwrap_or(Time(observed.now));
    NodeCondition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message),
        last_heartbeat_time: Some(Time(observed.now)),
        last_transition_time: Some(since),
    }
}

/// Whether a status says that the node is ready.
#[must_use]
pub fn is_ready(status: &NodeStatus) -> bool {
    status.conditions.iter().flatten().any(|one| one.type_ == "Ready" && one.status == "True")
}

/// Why the node is not ready.
fn complaint(observed: &Observed<'_>) -> Option<String> {
    let mut complaints = Vec::new();
    match observed.runtime {
        Err(_) => complaints.push("container runtime is down".to_owned()),
        Ok(runtime) => {
            let none = api::RuntimeStatus::default();
            let told = runtime.status.status.as_ref().unwrap_or(&none);
            complaints.extend([RUNTIME_READY, NETWORK_READY].into_iter().filter_map(|it| condition_problem(told, it)));
        }
    }
    complaints.extend(observed.unhealthy.iter().cloned());
    if observed.machine.storage_bytes == 0 {
        complaints.push("missing node capacity for resources: ephemeral-storage".to_owned());
    }
    match complaints.len() {
        0 => None,
        1 => complaints.pop(),
        _ => Some(format!("[{}]", complaints.join(", "))),
    }
}

/// Takes over what others have added to the node's capacity (extended resources): pods may ask for all of it. What they took
/// away again goes from what pods may ask for. Upstream: `MachineInfo`.
pub fn keep_added(status: &mut NodeStatus, served: &NodeStatus) {
    let (capacity, allocatable) = (status.capacity.get_or_insert_default(), status.allocatable.get_or_insert_default());
    for (name, amount) in served.capacity.iter().flatten() {
        if !capacity.contains_key(name) {
            capacity.insert(name.clone(), amount.clone());
            allocatable.insert(name.clone(), amount.clone());
        }
    }
}

/// Whether anything but the heartbeats differs between what is served and what the kubelet would say now.
#[must_use]
pub fn has_changed(served: &NodeStatus, now: &NodeStatus) -> bool {
    let told = now.conditions.iter().flatten().map(|condition| condition.type_.as_str()).collect::<Vec<_>>();
    // What others own is no difference, nor is an empty list that is not served.
    let comparable = |status: &NodeStatus| {
        let mut conditions = status.conditions.clone().unwrap_or_default();
        conditions.retain(|condition| told.contains(&condition.type_.as_str()));
        conditions.iter_mut().for_each(|condition| condition.last_heartbeat_time = None);
        conditions.sort_by(|a, b| a.type_.cmp(&b.type_));
        let handlers = status.runtime_handlers.iter().flatten().cloned().map(|handler| NodeRuntimeHandler {
            name: Some(handler.name.unwrap_or_default()),
            features: handler.features.map(|features| NodeRuntimeHandlerFeatures {
                recursive_read_only_mounts: Some(features.recursive_read_only_mounts.unwrap_or_default()),
                user_namespaces: Some(features.user_namespaces.unwrap_or_default()),
            }),
        });
        NodeStatus {
            conditions: Some(conditions),
            addresses: status.addresses.clone(),
            capacity: status.capacity.clone(),
            allocatable: status.allocatable.clone(),
            daemon_endpoints: status.daemon_endpoints.clone(),
            images: Some(status.images.clone().unwrap_or_default()),
            node_info: status.node_info.clone(),
            runtime_handlers: Some(handlers.collect()),
            volumes_in_use: Some(status.volumes_in_use.clone().unwrap_or_default()),
            ..NodeStatus::default()
        }
    };
    comparable(served) != comparable(now)
}

#[cfg(test)]
pub(crate) mod tests;
