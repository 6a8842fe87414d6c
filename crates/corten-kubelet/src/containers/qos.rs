//! Quality of service: the class of a pod, and who dies first when memory is short. Pure.
//!
//! Upstream: pkg/apis/core/v1/helper/qos, pkg/kubelet/qos/policy.go (v1.35).

use std::collections::BTreeMap;

use corten_api::core::v1::{Container, Pod, ResourceRequirements};

use super::resources::{bytes_of, quantity};
use crate::interfaces::{ContainerKind, ContainerRef};

/// The score of guaranteed and critical pods: after everything but the kubelet itself.
const GUARANTEED_SCORE: i64 = -997;
/// The score of pods that ask for nothing: first.
const BEST_EFFORT_SCORE: i64 = 1_000;
/// From this priority on a pod is critical. Source: `scheduling.SystemCriticalPriority`.
pub const SYSTEM_CRITICAL_PRIORITY: i32 = 2_000_000_000;
/// The class of pods that are critical for their node.
const NODE_CRITICAL_CLASS: &str = "system-node-critical";

/// The class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QosClass {
    /// Gets what it asks for, and not more.
    Guaranteed,
    /// Asks for something.
    Burstable,
    /// Asks for nothing.
    BestEffort,
}

impl QosClass {
    /// The word of the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Guaranteed => "Guaranteed",
            Self::Burstable => "Burstable",
            Self::BestEffort => "BestEffort",
        }
    }
}

/// Whether a pod is critical: static, or of the highest priorities. Source: `IsCriticalPod`.
#[must_use]
pub fn is_critical(pod: &Pod) -> bool {
    let annotations = pod.metadata.annotations.as_ref();
    let source = annotations.and_then(|annotations| annotations.get("kubernetes.io/config.source"));
    let priority = pod.spec.as_ref().and_then(|spec| spec.priority);
    source.is_some_and(|source| source != "api") || priority.is_some_and(|it| it >= SYSTEM_CRITICAL_PRIORITY)
}

/// The class of a pod: what the API server says, or what its containers say.
#[must_use]
pub fn class_of(pod: &Pod) -> QosClass {
    match pod.status.as_ref().and_then(|status| status.qos_class.as_deref()) {
        Some("Guaranteed") => QosClass::Guaranteed,
        Some("Burstable") => QosClass::Burstable,
        Some("BestEffort") => QosClass::BestEffort,
        _ => compute(pod),
    }
}

fn compute(pod: &Pod) -> QosClass {
    let Some(spec) = &pod.spec else { return QosClass::BestEffort };
    let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let all: Vec<ResourceRequirements> = match &spec.resources {
        Some(of_pod) if of_pod.requests.is_some() || of_pod.limits.is_some() => vec![of_pod.clone()],
        _ => containers.map(|container| container.resources.clone().unwrap_or_default()).collect(),
    };
    let present = |resources: &Option<BTreeMap<_, _>>, name: &str| {
        quantity(resources.as_ref(), name).is_some_and(|quantity| !quantity.is_zero())
    };
    let names = ["cpu", "memory"];
    let any = all.iter().any(|one| names.iter().any(|name| present(&one.requests, name) || present(&one.limits, name)));
    let is_full = |one: &ResourceRequirements| {
        names.iter().all(|name| {
            let limit = quantity(one.limits.as_ref(), name).filter(|quantity| !quantity.is_zero());
            let request = quantity(one.requests.as_ref(), name).or(limit);
            limit.is_some() && request == limit
        })
    };
    match any {
        false => QosClass::BestEffort,
        true if all.iter().all(is_full) => QosClass::Guaranteed,
        true => QosClass::Burstable,
    }
}

/// `oom_score_adj` of a container, on a node with this much memory.
#[must_use]
pub fn oom_score_adj(pod: &Pod, container: &ContainerRef, memory_capacity_bytes: u64) -> i64 {
    let spec = pod.spec.clone().unwrap_or_default();
    let is_critical = spec.priority.is_some_and(|priority| priority >= SYSTEM_CRITICAL_PRIORITY);
    if is_critical && spec.priority_class_name.as_deref() == Some(NODE_CRITICAL_CLASS) {
        return GUARANTEED_SCORE;
    }
    match class_of(pod) {
        QosClass::Guaranteed => return GUARANTEED_SCORE,
        QosClass::BestEffort => return BEST_EFFORT_SCORE,
        QosClass::Burstable => {}
    }
    let own = score_of(&container.spec, memory_capacity_bytes);
    if container.kind == ContainerKind::Init && container.is_sidecar() {
        // A sidecar does not die before the containers that it serves.
        let least = spec.containers.iter().map(|one| score_of(one, memory_capacity_bytes)).min();
        return least.map_or(own, |least| own.min(least));
    }
    own
}

fn score_of(container: &Container, memory_capacity_bytes: u64) -> i64 {
    let requests = container.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    let request = u128::from(bytes_of(requests, "memory").unwrap_or(0));
    let share = request * 1_000 / u128::from(memory_capacity_bytes.max(1));
    let score = 1_000 - i64::try_from(share).unwrap_or(1_000).min(1_000);
    // Above the guaranteed ones, below those that ask for nothing.
    score.clamp(1_000 + GUARANTEED_SCORE, BEST_EFFORT_SCORE - 1)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::interfaces::containers_of;

    fn pod(containers: Value) -> Pod {
        serde_json::from_value(json!({"spec": {"containers": containers}})).unwrap()
    }

    #[track_caller]
    fn check(resources: Value, want: QosClass) {
        assert_eq!(class_of(&pod(json!([{"name": "c", "resources": resources}]))), want);
    }

    #[test]
    fn the_class_follows_requests_and_limits() {
        check(json!({}), QosClass::BestEffort);
        check(json!({"requests": {"cpu": "1"}}), QosClass::Burstable);
        check(json!({"limits": {"cpu": "1", "memory": "1Gi"}}), QosClass::Guaranteed);
        let full = json!({"requests": {"cpu": "1000m", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1024Mi"}});
        check(full, QosClass::Guaranteed);
        check(json!({"requests": {"cpu": "1"}, "limits": {"cpu": "2", "memory": "1Gi"}}), QosClass::Burstable);
        check(json!({"limits": {"example.com/gpu": "1"}}), QosClass::BestEffort);
    }

    #[test]
    fn who_asks_for_more_memory_dies_later() {
        let score = |resources: Value| {
            let pod = pod(json!([{"name": "c", "resources": resources}]));
            oom_score_adj(&pod, &containers_of(&pod)[0], 8 << 30)
        };
        assert_eq!(score(json!({})), 1_000);
        assert_eq!(score(json!({"requests": {"cpu": "1"}})), 999);
        assert_eq!(score(json!({"requests": {"memory": "4Gi"}})), 500);
        assert_eq!(score(json!({"requests": {"memory": "8Gi"}})), 3);
        assert_eq!(score(json!({"limits": {"cpu": "1", "memory": "1Gi"}})), -997);
    }
}
