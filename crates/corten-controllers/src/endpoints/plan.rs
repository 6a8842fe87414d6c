//! From a service and its pods to its endpoints.

use std::collections::BTreeMap;

use corten_api::{
    core::v1::{
        EndpointAddress, EndpointPort, EndpointSubset, Endpoints, ObjectReference, Service, ServicePort, ServiceSpec,
    },
    intstr::IntOrString,
};

use super::subsets::{self, CAPACITY};
use crate::service_pods::{Answers, ServicePod, TargetPorts, host_name, is_endpoint, owned, parse_ip};

/// The annotation of endpoints that were too many.
pub(super) const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";
/// Its value.
pub(super) const TRUNCATED: &str = "truncated";
/// The label that says who keeps endpoints.
pub(super) const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
/// Us.
pub(super) const MANAGER: &str = "endpoint-controller";
/// The label of endpoints whose service has no address.
const HEADLESS: &str = "service.kubernetes.io/headless";

/// What endpoints are to be.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Draft {
    /// All labels.
    pub(super) labels: BTreeMap<String, String>,
    /// The subsets, in their one form, cut to what an object may hold.
    pub(super) subsets: Vec<EndpointSubset>,
    /// Whether they were cut.
    pub(super) is_truncated: bool,
}

/// What has to be written; `None` if the current endpoints are right.
pub(super) fn plan(service: &Service, pods: &[ServicePod], current: Option<&Endpoints>) -> Option<Draft> {
    let spec = service.spec.as_ref()?;
    let (mut subsets, is_complete) = subsets::repack(unpacked(service, spec, pods));
    let is_truncated = subsets::truncate(&mut subsets) || !is_complete;
    let draft = Draft { labels: labels(service, spec), subsets, is_truncated };
    let is_right = current.is_some_and(|current| is_same(current, &draft));
    (!is_right).then_some(draft)
}

/// One subset of the ports that are the same in all pods, and for those with named targets one for all pods with the same
/// answers: not one per port and pod, of which there can be millions.
fn unpacked(service: &Service, spec: &ServiceSpec, pods: &[ServicePod]) -> Vec<EndpointSubset> {
    let tolerates_unready = spec.publish_not_ready_addresses == Some(true);
    let ports = spec.ports.as_deref().unwrap_or_default();
    let (named, fixed): (Vec<ServicePort>, Vec<ServicePort>) =
        ports.iter().cloned().partition(|port| matches!(port.target_port, Some(IntOrString::String(_))));
    let (named, fixed) = (TargetPorts::of(&named), TargetPorts::of(&fixed));
    let mut all = EndpointSubset { ports: resolved(&fixed, &Answers::new()), ..EndpointSubset::default() };
    let mut by_answers: BTreeMap<Answers, EndpointSubset> = BTreeMap::new();
    for pod in pods.iter().filter(|pod| is_endpoint(&pod.value, tolerates_unready)) {
        let Some(address) = address(service, spec, pod) else { continue };
        let is_ready = tolerates_unready || pod.value.is_ready;
        let answers = named.answers(&pod.value);
        let same = by_answers.entry(answers);
        let same = same.or_insert_with_key(|answers| EndpointSubset {
            ports: resolved(&named, answers),
            ..EndpointSubset::default()
        });
        for subset in [&mut all, same] {
            let list = if is_ready { &mut subset.addresses } else { &mut subset.not_ready_addresses };
            list.get_or_insert_default().push(address.clone());
        }
    }
    // A headless service needs no ports; one that has some has none of a pod that answers to none.
    let is_portless = ports.is_empty() && spec.cluster_ip.as_deref() == Some("None");
    let all = Some(all).filter(|all| is_portless || all.ports.is_some());
    all.into_iter().chain(by_answers.into_values().filter(|subset| subset.ports.is_some())).collect()
}

fn resolved(targets: &TargetPorts<'_>, answers: &Answers) -> Option<Vec<EndpointPort>> {
    let ports: Vec<EndpointPort> = targets.resolve(answers).map(|(port, number)| endpoint_port(port, number)).collect();
    (!ports.is_empty()).then_some(ports)
}

fn endpoint_port(port: &ServicePort, number: i32) -> EndpointPort {
    EndpointPort {
        name: port.name.clone().filter(|name| !name.is_empty()),
        port: number,
        protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".to_owned())),
        app_protocol: port.app_protocol.clone(),
    }
}

/// The pod's address of the service's first family.
fn address(service: &Service, spec: &ServiceSpec, pod: &ServicePod) -> Option<EndpointAddress> {
    let is_ipv6 = match spec.ip_families.as_deref().and_then(<[String]>::first) {
        Some(family) => family == "IPv6",
        None => {
            let of_service = spec.cluster_ip.as_deref().and_then(parse_ip);
            of_service.or(pod.value.ips.first().copied())?.is_ipv6()
        }
    };
    let ip = pod.value.ips.iter().find(|ip| ip.is_ipv6() == is_ipv6)?;
    Some(EndpointAddress {
        ip: ip.to_string(),
        hostname: host_name(&pod.value, service.metadata.name.as_deref().unwrap_or_default()).map(str::to_owned),
        node_name: Some(owned(&pod.value.node)),
        target_ref: Some(ObjectReference {
            kind: Some("Pod".to_owned()),
            namespace: Some(owned(&pod.object.namespace)),
            name: Some(owned(&pod.object.name)),
            uid: Some(owned(&pod.object.uid)),
            ..ObjectReference::default()
        }),
    })
}

fn labels(service: &Service, spec: &ServiceSpec) -> BTreeMap<String, String> {
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    let address = spec.cluster_ip.as_deref().unwrap_or_default();
    labels.remove(HEADLESS);
    if address.is_empty() || address == "None" {
        labels.insert(HEADLESS.to_owned(), String::new());
    }
    labels.insert(MANAGED_BY.to_owned(), MANAGER.to_owned());
    labels
}

/// Whether `current` needs no write. What it holds beyond its capacity has to be cut, and an annotation about that must
/// not outlive its cause.
fn is_same(current: &Endpoints, draft: &Draft) -> bool {
    let mut subsets = current.subsets.clone().unwrap_or_default();
    for subset in &mut subsets {
        for addresses in [&mut subset.addresses, &mut subset.not_ready_addresses] {
            for target in addresses.iter_mut().flatten().filter_map(|address| address.target_ref.as_mut()) {
                target.resource_version = None;
            }
        }
    }
    let annotations = current.metadata.annotations.as_ref();
    let is_marked = annotations.is_some_and(|all| all.get(OVER_CAPACITY).is_some_and(|value| value == TRUNCATED));
    subsets::count(&subsets) <= CAPACITY
        && subsets == draft.subsets
        && current.metadata.labels.as_ref() == Some(&draft.labels)
        && is_marked == draft.is_truncated
}
