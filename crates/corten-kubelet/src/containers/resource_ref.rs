//! What a pod may learn about requests and limits through `resourceFieldRef`. Pure.
//!
//! Upstream: k8s.io/kubernetes/pkg/api/v1/resource/helpers.go; pkg/kubelet/kubelet_resources.go, which fills in limits (v1.35).

use corten_api::core::v1::{Container, Pod, ResourceFieldSelector, ResourceRequirements};
use corten_apimachinery::quantity::{Format, Quantity};

use super::{field_ref::NodeFacts, resources::quantity};

/// The value for the container that the selector names. Errors: upstream's text.
pub fn by_container_name(pod: &Pod, selector: &ResourceFieldSelector, node: &NodeFacts) -> Result<String, String> {
    let name = selector.container_name.as_deref().unwrap_or_default();
    let spec = pod.spec.clone().unwrap_or_default();
    let mut all = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let container = all.find(|container| container.name == name);
    of_container(pod, container.ok_or_else(|| format!("container {name} not found"))?, selector, node)
}

/// The value for `container`: a limit that is not set is the pod's, or else what the node has. Errors: upstream's text.
pub fn of_container(
    pod: &Pod,
    container: &Container,
    selector: &ResourceFieldSelector,
    node: &NodeFacts,
) -> Result<String, String> {
    let unsupported = || format!("unsupported container resource : {}", selector.resource);
    let (list, name) = selector.resource.split_once('.').ok_or_else(unsupported)?;
    let resources = container.resources.as_ref();
    let of_pod = pod.spec.as_ref().and_then(|spec| spec.resources.as_ref());
    let limit = |of: Option<&ResourceRequirements>| {
        quantity(of.and_then(|of| of.limits.as_ref()), name).filter(|quantity| !quantity.is_zero())
    };
    let found = match list {
        "limits" => limit(resources).or_else(|| limit(of_pod)).or_else(|| allocatable(node, name)),
        "requests" => quantity(resources.and_then(|own| own.requests.as_ref()), name),
        _ => return Err(unsupported()),
    };
    let found = found.unwrap_or_default();
    let divisor = selector.divisor.as_ref().and_then(|divisor| divisor.0.parse::<Quantity>().ok());
    let divisor = divisor.filter(|divisor| !divisor.is_zero()).unwrap_or_else(|| Quantity::new(1, Format::DecimalSi));
    let (value, divisor) = match name {
        "cpu" => (found.millis(), divisor.millis()),
        "memory" | "ephemeral-storage" => (found.units(), divisor.units()),
        other if other.starts_with("hugepages-") => (found.units(), divisor.units()),
        _ => return Err(unsupported()),
    };
    // Rounded up: who asks for half a processor is told of one.
    Ok((i128::from(value) + i128::from(divisor) - 1).div_euclid(i128::from(divisor)).to_string())
}

fn allocatable(node: &NodeFacts, name: &str) -> Option<Quantity> {
    let bytes = |bytes: u64| Quantity::new(i64::try_from(bytes).unwrap_or(i64::MAX), Format::BinarySi);
    match name {
        "cpu" => Some(Quantity::from_millis(node.allocatable_cpu_millis, Format::DecimalSi)),
        "memory" => Some(bytes(node.allocatable_memory_bytes)),
        "ephemeral-storage" => Some(bytes(node.allocatable_storage_bytes)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(of_pod: serde_json::Value, resource: &str, divisor: &str, want: &str) {
        let pod = json!({"spec": {"resources": of_pod, "containers": [{"name": "c", "resources": {
            "requests": {"cpu": "250m", "memory": "64Mi"}, "limits": {"memory": "100Mi"}}}]}});
        let selector = json!({"containerName": "c", "resource": resource, "divisor": divisor});
        let node = NodeFacts { allocatable_cpu_millis: 2_000, ..NodeFacts::default() };
        let got =
            by_container_name(&serde_json::from_value(pod).unwrap(), &serde_json::from_value(selector).unwrap(), &node);
        assert_eq!(got.as_deref(), Ok(want));
    }

    #[test]
    fn values_are_divided_and_rounded_up() {
        check(json!(null), "requests.cpu", "0", "1");
        check(json!(null), "requests.cpu", "1m", "250");
        check(json!(null), "requests.memory", "1Mi", "64");
        check(json!(null), "limits.memory", "1", "104857600");
        check(json!(null), "limits.cpu", "1", "2");
    }

    #[test]
    fn the_limits_of_the_pod_hold_for_a_container_without_its_own() {
        let of_pod = || json!({"limits": {"cpu": "300m", "memory": "1Gi"}});
        check(of_pod(), "limits.cpu", "1m", "300");
        check(of_pod(), "limits.memory", "1Mi", "100");
    }
}
