//! Whether the node can give a pod the resources that its spec asks for now. Pure.
//!
//! Upstream: pkg/kubelet/allocation/allocation_manager.go `canResizePod`, pkg/kubelet/events/resize.go (v1.35).

use corten_api::core::v1::{Container, Node, Pod, ResourceRequirements};
use serde::Serialize;

use crate::pod_workers::admission;

/// Why a change waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// `Deferred` or `Infeasible`.
    pub reason: &'static str,
    /// What is missing.
    pub message: String,
    /// The generation of the pod that asks for it.
    pub generation: Option<i64>,
}

impl Pending {
    /// Whether it may be possible later.
    #[must_use]
    pub fn is_deferred(&self) -> bool {
        self.reason == DEFERRED
    }
}

const DEFERRED: &str = "Deferred";
const INFEASIBLE: &str = "Infeasible";

/// What becomes of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It can be taken over.
    Fits,
    /// It cannot.
    Waits(Pending),
}

/// Decides about `pod`, which asks for other resources than it has, beside the `others` with what is set aside for them.
#[must_use]
pub fn decide(pod: &Pod, node: &Node, others: &[&Pod], max_pods: u32) -> Verdict {
    let waits = |reason, message| Verdict::Waits(Pending { reason, message, generation: pod.metadata.generation });
    let capacity = node.status.as_ref().and_then(|status| status.capacity.clone()).unwrap_or_default();
    let wanted = admission::requests(pod);
    // Upstream counts processors in thousandths and memory in bytes.
    for (name, scale) in [("memory", 1_000), ("cpu", 1)] {
        let (Some(wanted), Some(capacity)) = (wanted.get(name), capacity.get(name)) else { continue };
        let capacity = admission::milli(capacity);
        if *wanted > capacity {
            let (wanted, capacity) = (wanted / scale, capacity / scale);
            let text = format!("Node didn't have enough capacity: {name}, requested: {wanted}, capacity: {capacity}");
            return waits(INFEASIBLE, text);
        }
    }
    match admission::admit(pod, node, others, max_pods) {
        Ok(()) => Verdict::Fits,
        Err(failure) => waits(DEFERRED, failure.message.trim_start_matches("Pod was rejected: ").to_owned()),
    }
}

#[derive(Serialize)]
struct Summary<'a> {
    #[serde(rename = "initContainers", skip_serializing_if = "Vec::is_empty")]
    init_containers: Vec<OfContainer<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    containers: Vec<OfContainer<'a>>,
    generation: i64,
    #[serde(skip_serializing_if = "str::is_empty")]
    error: &'a str,
}

#[derive(Serialize)]
struct OfContainer<'a> {
    name: &'a str,
    resources: ResourceRequirements,
}

/// The message of the events about a resize: `Pod resize started: {...}`, with what the pod asks for.
#[must_use]
pub fn message(what: &str, pod: &Pod, error: &str) -> String {
    let of = |container: &'_ Container| container.resources.clone().unwrap_or_default();
    fn list<'a>(
        containers: impl Iterator<Item = &'a Container>,
        of: impl Fn(&Container) -> ResourceRequirements,
    ) -> Vec<OfContainer<'a>> {
        containers.map(|container| OfContainer { name: &container.name, resources: of(container) }).collect()
    }
    let spec = pod.spec.as_ref();
    let summary = Summary {
        init_containers: list(spec.iter().flat_map(|spec| spec.init_containers.iter().flatten()), of),
        containers: list(spec.iter().flat_map(|spec| &spec.containers), of),
        generation: pod.metadata.generation.unwrap_or_default(),
        error,
    };
    match serde_json::to_string(&summary) {
        Ok(summary) => format!("Pod resize {what}: {summary}"),
        Err(_) => format!("Pod resize {what}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(cpu: &str, memory: &str) -> Pod {
        serde_json::from_value(json!({"metadata": {"uid": cpu, "generation": 2}, "spec": {"containers": [
            {"name": "c", "resources": {"requests": {"cpu": cpu, "memory": memory}}}]}}))
        .unwrap()
    }

    #[track_caller]
    fn check(cpu: &str, memory: &str, want: Result<(), (&str, &str)>) {
        let room = json!({"cpu": "4", "memory": "8Gi", "pods": "10"});
        let node: Node = serde_json::from_value(json!({"status": {"capacity": room, "allocatable": room}})).unwrap();
        let other = pod("1", "1Gi");
        let want = match want {
            Ok(()) => Verdict::Fits,
            Err((reason, message)) => {
                let reason = if reason == DEFERRED { DEFERRED } else { INFEASIBLE };
                Verdict::Waits(Pending { reason, message: message.to_owned(), generation: Some(2) })
            }
        };
        assert_eq!(decide(&pod(cpu, memory), &node, &[&other], 10), want);
    }

    #[test]
    fn a_change_fits_waits_for_others_or_can_never_be() {
        check("3", "7Gi", Ok(()));
        let text = "Node didn't have enough resource: cpu, requested: 3500, used: 1000, capacity: 4000";
        check("3500m", "1Gi", Err((DEFERRED, text)));
        let text = "Node didn't have enough capacity: cpu, requested: 5000, capacity: 4000";
        check("5", "1Gi", Err((INFEASIBLE, text)));
        let text = "Node didn't have enough capacity: memory, requested: 9663676416, capacity: 8589934592";
        check("5", "9Gi", Err((INFEASIBLE, text)));
    }

    #[test]
    fn events_say_what_the_pod_asks_for() {
        assert_eq!(
            message("started", &pod("1", "1Gi"), ""),
            "Pod resize started: {\"containers\":[{\"name\":\"c\",\"resources\":{\"requests\":{\"cpu\":\"1\",\
             \"memory\":\"1Gi\"}}}],\"generation\":2}"
        );
        let message = message("Deferred", &pod("1", "1Gi"), "no room");
        assert!(message.ends_with("\"generation\":2,\"error\":\"no room\"}"), "{message}");
    }
}
