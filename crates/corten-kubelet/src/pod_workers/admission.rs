//! Whether the node takes a pod that a scheduler, or somebody in its place, has bound to it.
//!
//! Pure. Upstream: pkg/kubelet/lifecycle/predicate.go (v1.35).

use std::collections::BTreeMap;

use corten_api::{
    core::v1::{Container, Node, NodeSelectorRequirement, NodeSelectorTerm, Pod, ResourceRequirements},
    quantity::Quantity,
};

use crate::interfaces::Failure;

/// Checks a pod against the node and the pods that the node has. Errors: the reason and message of the pod's status.
pub fn admit(pod: &Pod, node: &Node, others: &[&Pod], max_pods: u32) -> Result<(), Failure> {
    let capacity = node.status.as_ref().and_then(|status| status.allocatable.clone()).unwrap_or_default();
    let pods = capacity.get("pods").map_or(i64::from(max_pods), |pods| milli(pods) / 1_000);
    let used_pods = i64::try_from(others.len()).unwrap_or(i64::MAX);
    if used_pods + 1 > pods {
        return Err(insufficient("pods", 1, used_pods, pods));
    }
    let wanted = requests(pod);
    let used: Vec<_> = others.iter().map(|other| requests(other)).collect();
    for (name, request) in wanted.iter().filter(|(_, request)| **request > 0) {
        // Upstream counts processors in thousandths and everything else in units.
        let scale = if name == "cpu" { 1 } else { 1_000 };
        let Some(capacity) = capacity.get(name) else {
            // Extended resources that nobody offers are refused; the node's own always have a capacity.
            if name == "cpu" || name == "memory" || name == "ephemeral-storage" {
                continue;
            }
            return Err(insufficient(name, request / scale, 0, 0));
        };
        let capacity = milli(capacity);
        let taken: i64 = used.iter().filter_map(|other| other.get(name)).sum();
        if taken.saturating_add(*request) > capacity {
            return Err(insufficient(name, request / scale, taken / scale, capacity / scale));
        }
    }
    if !matches_node(pod, node) {
        return Err(predicate("NodeAffinity", "node(s) didn't match Pod's node affinity/selector"));
    }
    let ports = host_ports(pod);
    if others.iter().flat_map(|other| host_ports(other)).any(|taken| ports.iter().any(|port| conflict(port, &taken))) {
        return Err(predicate("NodePorts", "node(s) didn't have free ports for the requested pod ports"));
    }
    Ok(())
}

fn insufficient(resource: &str, requested: i64, used: i64, capacity: i64) -> Failure {
    let text = format!(
        "Node didn't have enough resource: {resource}, requested: {requested}, used: {used}, capacity: {capacity}"
    );
    Failure::new(format!("OutOf{resource}"), format!("Pod was rejected: {text}"))
}

fn predicate(name: &str, text: &str) -> Failure {
    Failure::new(name, format!("Pod was rejected: Predicate {name} failed: {text}"))
}

pub(crate) fn milli(quantity: &Quantity) -> i64 {
    quantity.0.parse::<corten_apimachinery::quantity::Quantity>().map_or(0, |quantity| quantity.millis())
}

/// What a pod asks for, in thousandths: its containers together, or the most that its initialisation takes.
#[must_use]
pub fn requests(pod: &Pod) -> BTreeMap<String, i64> {
    let Some(spec) = &pod.spec else { return BTreeMap::new() };
    let mut sum = BTreeMap::new();
    for container in &spec.containers {
        add(&mut sum, &of(container.resources.as_ref()));
    }
    let (mut sidecars, mut peak) = (BTreeMap::new(), BTreeMap::new());
    for container in spec.init_containers.iter().flatten() {
        let mut at_once = sidecars.clone();
        add(&mut at_once, &of(container.resources.as_ref()));
        if is_sidecar(container) {
            add(&mut sum, &of(container.resources.as_ref()));
            sidecars = at_once.clone();
        }
        for (name, value) in at_once {
            let most = peak.entry(name).or_insert(0);
            *most = value.max(*most);
        }
    }
    for (name, value) in peak {
        let most = sum.entry(name).or_insert(0);
        *most = value.max(*most);
    }
    // The pod's own requests, where it has some, stand for those of its containers.
    sum.extend(of(spec.resources.as_ref()));
    for (name, overhead) in spec.overhead.iter().flatten() {
        *sum.entry(name.clone()).or_insert(0) += milli(overhead);
    }
    sum
}

fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

fn of(resources: Option<&ResourceRequirements>) -> BTreeMap<String, i64> {
    let requests = resources.and_then(|resources| resources.requests.as_ref());
    requests.into_iter().flatten().map(|(name, quantity)| (name.clone(), milli(quantity))).collect()
}

fn add(sum: &mut BTreeMap<String, i64>, more: &BTreeMap<String, i64>) {
    for (name, value) in more {
        let entry = sum.entry(name.clone()).or_insert(0);
        *entry = entry.saturating_add(*value);
    }
}

/// Whether the node has what the pod's selector and required affinity ask for.
fn matches_node(pod: &Pod, node: &Node) -> bool {
    let Some(spec) = &pod.spec else { return true };
    let none = BTreeMap::new();
    let labels = node.metadata.labels.as_ref().unwrap_or(&none);
    let selected = spec.node_selector.iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    let affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
    let required = affinity.and_then(|node| node.required_during_scheduling_ignored_during_execution.as_ref());
    let name = node.metadata.name.as_deref().unwrap_or_default();
    selected && required.is_none_or(|required| required.node_selector_terms.iter().any(|it| term(it, labels, name)))
}

fn term(term: &NodeSelectorTerm, labels: &BTreeMap<String, String>, node_name: &str) -> bool {
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    if expressions.is_empty() && fields.is_empty() {
        return false;
    }
    let field = |name: &str| (name == "metadata.name").then_some(node_name);
    expressions.iter().all(|it| requirement(it, labels.get(&it.key).map(String::as_str)))
        && fields.iter().all(|it| requirement(it, field(&it.key)))
}

fn requirement(requirement: &NodeSelectorRequirement, value: Option<&str>) -> bool {
    let values = requirement.values.as_deref().unwrap_or_default();
    let number = |text: &str| text.parse::<i64>().ok();
    let compare = |holds: fn(i64, i64) -> bool| match (value.and_then(number), values.first().and_then(|it| number(it)))
    {
        (Some(value), Some(bound)) => holds(value, bound),
        _ => false,
    };
    match requirement.operator.as_str() {
        "In" => value.is_some_and(|value| values.iter().any(|it| it == value)),
        "NotIn" => value.is_none_or(|value| values.iter().all(|it| it != value)),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => compare(|value, bound| value > bound),
        "Lt" => compare(|value, bound| value < bound),
        _ => false,
    }
}

/// Protocol, address and number of each host port.
fn host_ports(pod: &Pod) -> Vec<(String, String, i32)> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    let sidecars = spec.init_containers.iter().flatten().filter(|container| is_sidecar(container));
    let ports = spec.containers.iter().chain(sidecars).flat_map(|container| container.ports.iter().flatten());
    ports
        .filter_map(|port| {
            let number = port.host_port.filter(|number| *number > 0)?;
            let protocol = port.protocol.clone().unwrap_or_else(|| "TCP".to_owned());
            let address = port.host_ip.clone().filter(|ip| !ip.is_empty()).unwrap_or_else(|| "0.0.0.0".to_owned());
            Some((protocol, address, number))
        })
        .collect()
}

fn conflict(a: &(String, String, i32), b: &(String, String, i32)) -> bool {
    a.0 == b.0 && a.2 == b.2 && (a.1 == b.1 || a.1 == "0.0.0.0" || b.1 == "0.0.0.0")
}
