//! Requests and limits as the kernel counts them. Pure.
//!
//! Upstream: pkg/kubelet/kuberuntime/kuberuntime_container_linux.go, pkg/kubelet/cm/helpers_linux.go,
//! k8s.io/component-helpers/resource (v1.35), with their figures.

use std::collections::BTreeMap;

use corten_api::{
    core::v1::{Container, Pod, ResourceRequirements},
    quantity::Quantity as ApiQuantity,
};
use corten_apimachinery::quantity::Quantity;
use corten_cri::api;

use super::qos::{self, QosClass};
use crate::interfaces::ContainerRef;

/// The shares of something that asks for no processor time: the least that the kernel takes.
pub const SHARES_MIN: i64 = 2;
/// The most that it takes.
const SHARES_MAX: i64 = 262_144;
const SHARES_PER_CPU: i64 = 1_024;
/// The length of a period of `cpu.cfs_quota`, in microseconds.
pub const QUOTA_PERIOD_MICROS: i64 = 100_000;
/// The least quota that the kernel takes, in microseconds.
const QUOTA_MIN_MICROS: i64 = 1_000;

type Resources = BTreeMap<String, ApiQuantity>;

/// What the node has and does, as far as limits depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeLimits {
    /// The memory of the node.
    pub memory_bytes: u64,
    /// Whether limits of processor time are enforced: `cpuCFSQuota`.
    pub cpu_quota: bool,
    /// Whether control groups are version 2 alone.
    pub unified_cgroups: bool,
}

/// One quantity of a list, if it is there and readable: the API server has read it before.
#[must_use]
pub fn quantity(resources: Option<&Resources>, name: &str) -> Option<Quantity> {
    resources?.get(name)?.0.parse().ok()
}

/// A quantity in whole units; 0 if it is negative.
#[must_use]
pub fn units(quantity: &ApiQuantity) -> u64 {
    quantity.0.parse::<Quantity>().map_or(0, |quantity| u64::try_from(quantity.units()).unwrap_or(0))
}

/// A quantity of a list in whole units.
#[must_use]
pub fn bytes_of(resources: Option<&Resources>, name: &str) -> Option<u64> {
    quantity(resources, name).map(|quantity| u64::try_from(quantity.units()).unwrap_or(0))
}

fn millis_of(resources: Option<&Resources>, name: &str) -> Option<i64> {
    quantity(resources, name).map(|quantity| quantity.millis().max(0))
}

/// Whether a list has nothing of this name, or none of it.
fn is_zero(resources: Option<&Resources>, name: &str) -> bool {
    quantity(resources, name).is_none_or(|quantity| quantity.is_zero())
}

/// `cpu.shares` for thousandths of a processor.
#[must_use]
pub fn shares(cpu_millis: i64) -> i64 {
    (cpu_millis.saturating_mul(SHARES_PER_CPU) / 1_000).clamp(SHARES_MIN, SHARES_MAX)
}

/// `cpu.cfs_quota_us` for thousandths of a processor; 0 means none.
#[must_use]
pub fn quota_micros(cpu_millis: i64) -> i64 {
    if cpu_millis == 0 { 0 } else { (cpu_millis.saturating_mul(QUOTA_PERIOD_MICROS) / 1_000).max(QUOTA_MIN_MICROS) }
}

/// The limits of one container.
#[must_use]
pub fn of_container(pod: &Pod, container: &ContainerRef, node: NodeLimits) -> api::LinuxContainerResources {
    let resources = container.spec.resources.clone().unwrap_or_default();
    let (requests, limits) = (resources.requests.as_ref(), resources.limits.as_ref());
    // A container without a limit of its own has the pod's: programs that read their limits see it there. Source:
    // `getCPULimit`, `getMemoryLimit`.
    let of_pod = pod.spec.as_ref().and_then(|spec| spec.resources.as_ref()).and_then(|own| own.limits.as_ref());
    let own_or_pods = |name: &str| if is_zero(limits, name) { of_pod } else { limits };
    let cpu_limit = millis_of(own_or_pods("cpu"), "cpu").unwrap_or(0);
    // Without a request, the limit is one: the API server says so for containers, not for ephemeral ones.
    let cpu_request = millis_of(requests, "cpu").unwrap_or(cpu_limit);
    let memory_limit = bytes_of(own_or_pods("memory"), "memory").unwrap_or(0);
    let mut unified = BTreeMap::new();
    if node.unified_cgroups {
        // All processes of a container die together, as they do under version 1 by the death of the first.
        unified.insert("memory.oom.group".to_owned(), "1".to_owned());
    }
    let hugepages = limits.into_iter().flatten().filter_map(|(name, limit)| {
        let size = name.strip_prefix("hugepages-")?.parse::<Quantity>().ok()?;
        Some(api::HugepageLimit { page_size: page_size(size.units()), limit: units(limit) })
    });
    api::LinuxContainerResources {
        cpu_shares: shares(cpu_request),
        cpu_quota: if node.cpu_quota { quota_micros(cpu_limit) } else { 0 },
        cpu_period: if node.cpu_quota { QUOTA_PERIOD_MICROS } else { 0 },
        memory_limit_in_bytes: i64::try_from(memory_limit).unwrap_or(i64::MAX),
        oom_score_adj: qos::oom_score_adj(pod, container, node.memory_bytes),
        hugepage_limits: hugepages.collect(),
        unified,
        ..api::LinuxContainerResources::default()
    }
}

/// `2097152` -> `2MB`, as the kernel names its controllers.
fn page_size(bytes: i64) -> String {
    const UNITS: &[(i64, &str)] = &[(1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "KB")];
    let unit = UNITS.iter().find(|(size, _)| bytes >= *size);
    unit.map_or_else(|| format!("{bytes}B"), |(size, name)| format!("{}{name}", bytes / size))
}

/// What a pod as a whole asks for and may use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PodTotals {
    /// Requested, in thousandths of a processor.
    pub cpu_request_millis: i64,
    /// Allowed; `None` if a container has no limit.
    pub cpu_limit_millis: Option<i64>,
    /// Allowed; `None` if a container has no limit.
    pub memory_limit_bytes: Option<i64>,
}

/// The sums over a pod's containers, with its overhead.
///
/// Init containers run one after the other beside the sidecars started before them, so the largest moment counts.
/// Source: `resource.AggregateContainerRequests`, `ResourceConfigForPod`.
#[must_use]
pub fn totals(pod: &Pod) -> PodTotals {
    let Some(spec) = &pod.spec else { return PodTotals::default() };
    let of = |container: &Container| container.resources.clone().unwrap_or_default();
    let containers: Vec<ResourceRequirements> = spec.containers.iter().map(of).collect();
    let inits: Vec<(bool, ResourceRequirements)> = spec
        .init_containers
        .iter()
        .flatten()
        .map(|init| (init.restart_policy.as_deref() == Some("Always"), of(init)))
        .collect();
    let sum = |value: &dyn Fn(&ResourceRequirements) -> i64| {
        let (mut sidecars, mut peak) = (0_i64, 0);
        for (is_sidecar, resources) in &inits {
            let own = value(resources);
            let at_once = own.saturating_add(sidecars);
            peak = peak.max(at_once);
            if *is_sidecar {
                sidecars = at_once;
            }
        }
        peak.max(containers.iter().map(value).fold(sidecars, i64::saturating_add))
    };
    let limited = |name: &str| {
        let all = containers.iter().chain(inits.iter().map(|(_, resources)| resources));
        all.clone().count() > 0
            && all.into_iter().all(|one| quantity(one.limits.as_ref(), name).is_some_and(|limit| !limit.is_zero()))
    };
    let overhead = spec.overhead.as_ref();
    let cpu_overhead = millis_of(overhead, "cpu").unwrap_or(0);
    let memory_overhead = signed(bytes_of(overhead, "memory").unwrap_or(0));
    let cpu_request = sum(&|one| {
        millis_of(one.requests.as_ref(), "cpu").or_else(|| millis_of(one.limits.as_ref(), "cpu")).unwrap_or(0)
    });
    let cpu_limit = sum(&|one| millis_of(one.limits.as_ref(), "cpu").unwrap_or(0));
    let memory_limit = sum(&|one| signed(bytes_of(one.limits.as_ref(), "memory").unwrap_or(0)));
    // Resources of the pod itself come before the sums.
    let own = spec.resources.clone().unwrap_or_default();
    PodTotals {
        cpu_request_millis: millis_of(own.requests.as_ref(), "cpu").unwrap_or(cpu_request).saturating_add(cpu_overhead),
        cpu_limit_millis: millis_of(own.limits.as_ref(), "cpu")
            .or_else(|| limited("cpu").then_some(cpu_limit))
            .map(|limit| limit.saturating_add(cpu_overhead)),
        memory_limit_bytes: bytes_of(own.limits.as_ref(), "memory")
            .map(signed)
            .or_else(|| limited("memory").then_some(memory_limit))
            .map(|limit| limit.saturating_add(memory_overhead)),
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// The memory that a pod may use, if it is limited.
#[must_use]
pub fn pod_memory_limit_bytes(pod: &Pod) -> Option<u64> {
    totals(pod).memory_limit_bytes.and_then(|bytes| u64::try_from(bytes).ok()).filter(|bytes| *bytes > 0)
}

/// The limits of a pod's control group. What is zero is not limited.
#[must_use]
pub fn of_pod(pod: &Pod, node: NodeLimits) -> api::LinuxContainerResources {
    let totals = totals(pod);
    let class = qos::class_of(pod);
    if class == QosClass::BestEffort {
        return api::LinuxContainerResources { cpu_shares: SHARES_MIN, ..api::LinuxContainerResources::default() };
    }
    let quota = totals.cpu_limit_millis.filter(|_| node.cpu_quota).map_or(0, quota_micros);
    api::LinuxContainerResources {
        cpu_shares: shares(totals.cpu_request_millis),
        cpu_quota: quota,
        cpu_period: if quota > 0 { QUOTA_PERIOD_MICROS } else { 0 },
        memory_limit_in_bytes: totals.memory_limit_bytes.unwrap_or(0),
        ..api::LinuxContainerResources::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::interfaces::containers_of;

    const NODE: NodeLimits = NodeLimits { memory_bytes: 8 << 30, cpu_quota: true, unified_cgroups: false };

    #[track_caller]
    fn check(resources: Value, shares: i64, quota: i64, memory: i64) {
        let pod = json!({"spec": {"containers": [{"name": "c", "resources": resources}]}});
        let pod: Pod = serde_json::from_value(pod).unwrap();
        let got = of_container(&pod, &containers_of(&pod)[0], NODE);
        assert_eq!((got.cpu_shares, got.cpu_quota, got.memory_limit_in_bytes), (shares, quota, memory));
    }

    #[test]
    fn limits_are_counted_as_the_kernel_does() {
        check(json!({}), 2, 0, 0);
        check(json!({"requests": {"cpu": "500m"}, "limits": {"cpu": "1", "memory": "64Mi"}}), 512, 100_000, 64 << 20);
        check(json!({"limits": {"cpu": "5m"}}), 5, 1_000, 0);
        assert_eq!(page_size(2 << 20), "2MB");
        assert_eq!(page_size(1 << 30), "1GB");
    }

    /// Containers had no limit of their own under a pod's: a program that sizes itself by its control group took the
    /// machine's memory for its own.
    #[test]
    fn a_container_without_a_limit_has_the_pods() {
        let check = |resources: Value, want: (i64, i64, i64)| {
            let own = json!({"limits": {"cpu": "200m", "memory": "80Mi"}});
            let spec = json!({"resources": own, "containers": [{"name": "c", "resources": resources}]});
            let pod: Pod = serde_json::from_value(json!({"spec": spec})).unwrap();
            let got = of_container(&pod, &containers_of(&pod)[0], NODE);
            assert_eq!((got.cpu_shares, got.cpu_quota, got.memory_limit_in_bytes), want);
        };
        check(json!({}), (204, 20_000, 80 << 20));
        check(json!({"requests": {"cpu": "100m"}, "limits": {"memory": "16Mi"}}), (102, 20_000, 16 << 20));
        check(json!({"limits": {"cpu": "50m", "memory": "0"}}), (51, 5_000, 80 << 20));
    }

    #[track_caller]
    fn check_pod(spec: Value, want: PodTotals) {
        let pod: Pod = serde_json::from_value(json!({"spec": spec})).unwrap();
        assert_eq!(totals(&pod), want);
    }

    #[test]
    fn a_pod_counts_its_largest_moment_and_its_overhead() {
        let ask = |cpu: &str| json!({"requests": {"cpu": cpu}, "limits": {"cpu": cpu, "memory": "1Mi"}});
        let container = |name: &str, cpu: &str| json!({"name": name, "resources": ask(cpu)});
        let sidecar = json!({"name": "s", "restartPolicy": "Always", "resources": ask("100m")});
        check_pod(
            json!({
                "initContainers": [container("i", "900m"), sidecar, container("j", "300m")],
                "containers": [container("a", "200m"), container("b", "300m")],
                "overhead": {"cpu": "10m", "memory": "1Mi"},
            }),
            PodTotals { cpu_request_millis: 910, cpu_limit_millis: Some(910), memory_limit_bytes: Some(4 << 20) },
        );
        check_pod(
            json!({"containers": [container("a", "1"), {"name": "b"}]}),
            PodTotals { cpu_request_millis: 1_000, cpu_limit_millis: None, memory_limit_bytes: None },
        );
    }

    /// Two limits of 2^63-1 were -2 bytes together, or a panic.
    #[test]
    fn sums_stop_at_what_a_number_can_hold() {
        let all = "9223372036854775807";
        let container = |name: &str| json!({"name": name, "resources": {"limits": {"cpu": all, "memory": all}}});
        let mut sidecar = container("s");
        sidecar["restartPolicy"] = json!("Always");
        check_pod(
            json!({
                "initContainers": [sidecar, container("i")],
                "containers": [container("a"), container("b")],
                "overhead": {"cpu": all, "memory": all},
            }),
            PodTotals {
                cpu_request_millis: i64::MAX,
                cpu_limit_millis: Some(i64::MAX),
                memory_limit_bytes: Some(i64::MAX),
            },
        );
    }
}
