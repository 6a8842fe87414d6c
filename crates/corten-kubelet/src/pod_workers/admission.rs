//! Whether the node takes a pod that a scheduler, or somebody in its place, has bound to it.
//!
//! Pure. Upstream: pkg/kubelet/lifecycle/predicate.go and `Admit` of pkg/kubelet/eviction (v1.35).

use std::collections::{BTreeMap, BTreeSet};

use corten_api::{
    core::v1::{
        Container, Node, NodeSelectorRequirement, NodeSelectorTerm, Pod, ResourceRequirements, Taint, Toleration,
    },
    quantity::Quantity,
};

use crate::{containers::qos, interfaces::Failure, node::status::Pressure};

/// The system that pods run on here.
const OS: &str = "linux";
/// The resources that every node has, in the order in which they are looked at.
const NATIVE: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];
/// Stands for all addresses of the node.
const ALL_ADDRESSES: &str = "0.0.0.0";
/// The reason for a pod that asks for other labels than the node has.
const NODE_AFFINITY: &str = "NodeAffinity";

/// Checks a pod against the node and the pods that the node has. Errors: the reason and message of the pod's status.
pub fn admit(pod: &Pod, node: &Node, others: &[&Pod], max_pods: u32) -> Result<(), Failure> {
    failures(pod, node, others, max_pods).into_iter().next().map_or(Ok(()), Err)
}

/// All that speaks against a pod on the node beside the pods that it has; the first one is what the pod's status shows.
#[must_use]
pub fn failures(pod: &Pod, node: &Node, others: &[&Pod], max_pods: u32) -> Vec<Failure> {
    // What no other pod's end would change comes alone.
    if let Some(failure) = unsupported(pod, node) {
        return vec![failure];
    }
    let mut failures = lacking(pod, node, others, max_pods);
    if !matches_node(pod, node) {
        failures.push(predicate(NODE_AFFINITY, "node(s) didn't match Pod's node affinity/selector"));
    }
    if WantedPorts::of(pod).conflict_with_any(others) {
        failures.push(predicate("NodePorts", "node(s) didn't have free ports for the requested pod ports"));
    }
    let taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
    let tolerations = pod.spec.as_ref().and_then(|spec| spec.tolerations.as_deref()).unwrap_or_default();
    // The kubelet asks about those taints alone that would end the pod at once.
    if taints.filter(|taint| taint.effect == "NoExecute").any(|taint| !is_tolerated(taint, tolerations)) {
        failures.push(predicate("TaintToleration", "node(s) had taints that the pod didn't tolerate"));
    }
    failures
}

/// Whether nothing but the node's labels speaks against a pod: then it is worth asking for the node anew, since whoever
/// bound the pod may have seen a newer one. Source: `predicateAdmitHandler.generalFilter`.
#[must_use]
pub fn is_about_labels(failures: &[Failure]) -> bool {
    !failures.is_empty() && failures.iter().all(|failure| failure.reason == NODE_AFFINITY)
}

/// Refuses what would make a scarcity worse: with memory short only pods that ask for nothing, otherwise all but critical
/// ones. Source: `Admit` of pkg/kubelet/eviction.
pub fn admit_under_pressure(pod: &Pod, pressure: Pressure) -> Result<(), Failure> {
    let shown = [("MemoryPressure", pressure.memory), ("DiskPressure", pressure.disk), ("PIDPressure", pressure.pids)];
    let shown: Vec<&str> = shown.into_iter().filter(|(_, is_so)| *is_so).map(|(name, _)| name).collect();
    if shown.is_empty() || qos::is_critical(pod) {
        return Ok(());
    }
    if shown == ["MemoryPressure"] {
        let taint = Taint {
            key: "node.kubernetes.io/memory-pressure".to_owned(),
            effect: "NoSchedule".to_owned(),
            ..Taint::default()
        };
        let tolerations = pod.spec.as_ref().and_then(|spec| spec.tolerations.as_deref()).unwrap_or_default();
        if qos::class_of(pod) != qos::QosClass::BestEffort || is_tolerated(&taint, tolerations) {
            return Ok(());
        }
    }
    Err(rejected("Evicted", &format!("The node had condition: [{}]. ", shown.join(" "))))
}

/// What the node can never run.
fn unsupported(pod: &Pod, node: &Node) -> Option<Failure> {
    let label = pod.metadata.labels.as_ref().and_then(|labels| labels.get("kubernetes.io/os"));
    if label.is_some_and(|os| os != OS) {
        let text = "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label";
        return Some(rejected("PodOSSelectorNodeLabelDoesNotMatch", text));
    }
    let spec = pod.spec.as_ref()?;
    if spec.os.as_ref().is_some_and(|os| os.name != OS) {
        return Some(rejected("PodOSNotSupported", "Failed to admit pod as the OS field doesn't match node OS"));
    }
    let policy = spec.security_context.as_ref().and_then(|context| context.supplemental_groups_policy.as_deref());
    let features = node.status.as_ref().and_then(|status| status.features.as_ref());
    let is_supported = features.and_then(|features| features.supplemental_groups_policy).unwrap_or(false);
    (policy == Some("Strict") && !is_supported).then(|| {
        let text = "SupplementalGroupsPolicy=Strict is not supported in this node";
        rejected("SupplementalGroupsPolicyNotSupported", text)
    })
}

/// What the node has too little of, in upstream's order.
fn lacking(pod: &Pod, node: &Node, others: &[&Pod], max_pods: u32) -> Vec<Failure> {
    let mut failures = Vec::new();
    let capacity = node.status.as_ref().and_then(|status| status.allocatable.clone()).unwrap_or_default();
    let pods = capacity.get("pods").map_or(i64::from(max_pods), |pods| milli(pods) / 1_000);
    let used_pods = i64::try_from(others.len()).unwrap_or(i64::MAX);
    if used_pods + 1 > pods {
        failures.push(insufficient("pods", 1, used_pods, pods));
    }
    let mut wanted: Vec<_> = requests(pod).into_iter().filter(|(_, request)| *request > 0).collect();
    // The others may have made up any number of names; those that this one wants and the node has are looked at.
    wanted.sort_by_key(|(name, _)| NATIVE.iter().position(|native| native == name).unwrap_or(NATIVE.len()));
    let names: BTreeSet<&str> =
        wanted.iter().map(|(name, _)| name.as_str()).filter(|name| capacity.contains_key(*name)).collect();
    let used: Vec<_> = others.iter().map(|other| requests_of(other, &Names::These(&names))).collect();
    for (name, request) in &wanted {
        let request = *request;
        // Upstream counts processors in thousandths and everything else in units.
        let scale = if name == "cpu" { 1 } else { 1_000 };
        let Some(capacity) = capacity.get(name) else {
            // The node's own always have a capacity. What it has never heard of is a matter of the cluster.
            if !NATIVE.contains(&name.as_str()) && !is_extended(name) {
                failures.push(insufficient(name, request / scale, 0, 0));
            }
            continue;
        };
        let capacity = milli(capacity);
        let taken =
            used.iter().filter_map(|other| other.get(name.as_str())).fold(0, |sum: i64, one| sum.saturating_add(*one));
        if taken.saturating_add(request) > capacity {
            failures.push(insufficient(name, request / scale, taken / scale, capacity / scale));
        }
    }
    failures
}

/// Whether a resource is one that somebody made up. Source: `IsExtendedResourceName`.
fn is_extended(name: &str) -> bool {
    name.contains('/') && !name.contains("kubernetes.io/") && !name.starts_with("requests.")
}

fn is_tolerated(taint: &Taint, tolerations: &[Toleration]) -> bool {
    tolerations.iter().any(|toleration| {
        let of = |field: &Option<String>| field.clone().unwrap_or_default();
        let (effect, key, operator) = (of(&toleration.effect), of(&toleration.key), of(&toleration.operator));
        let value_matches = match operator.as_str() {
            "Exists" => true,
            "" | "Equal" => of(&toleration.value) == of(&taint.value),
            _ => false,
        };
        (effect.is_empty() || effect == taint.effect) && (key.is_empty() || key == taint.key) && value_matches
    })
}

fn rejected(reason: &str, text: &str) -> Failure {
    Failure::new(reason, format!("Pod was rejected: {text}"))
}

fn insufficient(resource: &str, requested: i64, used: i64, capacity: i64) -> Failure {
    let text = format!(
        "Node didn't have enough resource: {resource}, requested: {requested}, used: {used}, capacity: {capacity}"
    );
    rejected(&format!("OutOf{resource}"), &text)
}

fn predicate(name: &str, text: &str) -> Failure {
    rejected(name, &format!("Predicate {name} failed: {text}"))
}

pub(crate) fn milli(quantity: &Quantity) -> i64 {
    quantity.0.parse::<corten_apimachinery::quantity::Quantity>().map_or(0, |quantity| quantity.millis())
}

/// What a pod asks for, in thousandths: its containers together, or the most that its initialisation takes.
#[must_use]
pub fn requests(pod: &Pod) -> BTreeMap<String, i64> {
    let own = requests_of(pod, &Names::All);
    own.into_iter().map(|(name, amount)| (name.to_owned(), amount)).collect()
}

/// Which resources are asked about.
enum Names<'a> {
    All,
    These(&'a BTreeSet<&'a str>),
}

fn requests_of<'a>(pod: &'a Pod, names: &Names<'a>) -> BTreeMap<&'a str, i64> {
    let Some(spec) = &pod.spec else { return BTreeMap::new() };
    let mut sum = BTreeMap::new();
    for container in &spec.containers {
        for (name, amount) in of(container.resources.as_ref(), names) {
            add(&mut sum, name, amount);
        }
    }
    // Beside the sidecars before it; what an init container does not name is no more than these have.
    let (mut sidecars, mut peak): (BTreeMap<&str, i64>, BTreeMap<&str, i64>) = Default::default();
    for container in spec.init_containers.iter().flatten() {
        for (name, amount) in of(container.resources.as_ref(), names) {
            let before = sidecars.get(name).copied().unwrap_or(0);
            let at_once = before.saturating_add(amount);
            let most = peak.entry(name).or_insert(0);
            *most = at_once.max(*most);
            if is_sidecar(container) {
                add(&mut sum, name, amount);
                sidecars.insert(name, at_once);
            }
        }
    }
    for (name, value) in peak {
        let most = sum.entry(name).or_insert(0);
        *most = value.max(*most);
    }
    // The pod's own requests, where it has some, stand for those of its containers.
    sum.extend(of(spec.resources.as_ref(), names));
    for (name, overhead) in amounts(spec.overhead.as_ref(), names) {
        add(&mut sum, name, overhead);
    }
    sum
}

fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

fn of<'a>(resources: Option<&'a ResourceRequirements>, names: &Names<'a>) -> Vec<(&'a str, i64)> {
    amounts(resources.and_then(|resources| resources.requests.as_ref()), names)
}

fn amounts<'a>(list: Option<&'a BTreeMap<String, Quantity>>, names: &Names<'a>) -> Vec<(&'a str, i64)> {
    let Some(list) = list else { return Vec::new() };
    match names {
        Names::All => list.iter().map(|(name, quantity)| (name.as_str(), milli(quantity))).collect(),
        Names::These(names) => names.iter().filter_map(|name| Some((*name, milli(list.get(*name)?)))).collect(),
    }
}

fn add<'a>(sum: &mut BTreeMap<&'a str, i64>, name: &'a str, amount: i64) {
    let entry = sum.entry(name).or_insert(0);
    *entry = entry.saturating_add(amount);
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

/// The host ports that a pod wants, by protocol and number: at which addresses. A pod may want tens of thousands, so nobody
/// looks through them: whether one is taken is a look into a map. Upstream: `HostPortInfo`.
#[derive(Debug, Default)]
struct WantedPorts<'a>(BTreeMap<(&'a str, i32), BTreeSet<&'a str>>);

impl<'a> WantedPorts<'a> {
    fn of(pod: &'a Pod) -> Self {
        let mut wanted = Self::default();
        for (protocol, address, number) in host_ports(pod) {
            wanted.0.entry((protocol, number)).or_default().insert(address);
        }
        wanted
    }

    /// Whether one of them is taken: at the same address, or because one of both is at all of them.
    fn conflict_with_any(&self, others: &[&Pod]) -> bool {
        !self.0.is_empty()
            && others.iter().flat_map(|other| host_ports(other)).any(|(protocol, address, number)| {
                self.0.get(&(protocol, number)).is_some_and(|wanted| {
                    address == ALL_ADDRESSES || wanted.contains(ALL_ADDRESSES) || wanted.contains(address)
                })
            })
    }
}

/// Protocol, address and number of each host port.
fn host_ports(pod: &Pod) -> impl Iterator<Item = (&str, &str, i32)> {
    let spec = pod.spec.iter();
    let containers = spec.flat_map(|spec| {
        let sidecars = spec.init_containers.iter().flatten().filter(|container| is_sidecar(container));
        spec.containers.iter().chain(sidecars)
    });
    containers.flat_map(|container| container.ports.iter().flatten()).filter_map(|port| {
        let number = port.host_port.filter(|number| *number > 0)?;
        let protocol = port.protocol.as_deref().unwrap_or("TCP");
        let address = port.host_ip.as_deref().filter(|ip| !ip.is_empty()).unwrap_or(ALL_ADDRESSES);
        Some((protocol, address, number))
    })
}

#[cfg(test)]
mod tests;
