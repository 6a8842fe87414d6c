//! The endpoints that a service should have, by the ports they have.

use std::collections::{BTreeMap, BTreeSet};

use corten_api::{
    core::v1::{ObjectReference, Service, ServiceSpec},
    discovery::v1::{Endpoint, EndpointConditions, EndpointHints, EndpointPort, ForNode, ForZone},
};

use super::plan::Observed;
use crate::service_pods::{Answers, ServicePod, TargetPorts, host_name, is_endpoint, owned, parse_ip};

/// What tells groups of ports apart, whatever their order: name, number, protocol and application protocol.
pub(crate) type PortKey = Vec<(Option<String>, Option<i32>, Option<String>, Option<String>)>;

/// What tells endpoints apart: addresses, host name, and the pod's namespace and name.
pub(crate) type EndpointKey = (Vec<String>, String, String, String);

/// Endpoints with the same ports.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// Their ports.
    pub(super) ports: Vec<EndpointPort>,
    /// They.
    pub(super) endpoints: BTreeMap<EndpointKey, Endpoint>,
}

/// The key of some ports.
pub(crate) fn port_key(ports: &[EndpointPort]) -> PortKey {
    let mut key: PortKey = ports
        .iter()
        .map(|port| (port.name.clone(), port.port, port.protocol.clone(), port.app_protocol.clone()))
        .collect();
    key.sort();
    key
}

/// The key of an endpoint.
pub(crate) fn endpoint_key(endpoint: &Endpoint) -> EndpointKey {
    let mut addresses = endpoint.addresses.clone();
    addresses.sort();
    let target = endpoint.target_ref.as_ref();
    let text = |text: Option<&String>| text.cloned().unwrap_or_default();
    (
        addresses,
        text(endpoint.hostname.as_ref()),
        text(target.and_then(|target| target.namespace.as_ref())),
        text(target.and_then(|target| target.name.as_ref())),
    )
}

/// The address types that a service's slices have.
pub(super) fn families(service: &Service) -> BTreeSet<&'static str> {
    let spec = service.spec.as_ref();
    let families = spec.and_then(|spec| spec.ip_families.as_deref()).unwrap_or_default();
    let known: BTreeSet<&'static str> =
        families.iter().filter_map(|family| ["IPv4", "IPv6"].into_iter().find(|known| known == family)).collect();
    if !known.is_empty() {
        return known;
    }
    // Written before services had families, so the address tells; without one, both are possible.
    match spec.and_then(|spec| spec.cluster_ip.as_deref()).and_then(parse_ip) {
        Some(address) => BTreeSet::from([if address.is_ipv6() { "IPv6" } else { "IPv4" }]),
        None => BTreeSet::from(["IPv4", "IPv6"]),
    }
}

/// The endpoints of one family, by their ports.
pub(super) fn groups(observed: &Observed<'_>, family: &str) -> BTreeMap<PortKey, Group> {
    let mut groups: BTreeMap<PortKey, Group> = BTreeMap::new();
    let Some(spec) = &observed.service.spec else { return groups };
    let tolerates_unready = spec.publish_not_ready_addresses == Some(true);
    let targets = TargetPorts::of(spec.ports.as_deref().unwrap_or_default());
    let mut by_answers: BTreeMap<Answers, BTreeMap<EndpointKey, Endpoint>> = BTreeMap::new();
    for pod in observed.pods.iter().filter(|pod| is_endpoint(&pod.value, true)) {
        let endpoints = by_answers.entry(targets.answers(&pod.value)).or_default();
        // A pod on a node that is not there is about to be collected; its service hears of the node when it comes.
        let zone = observed.zones.get(&pod.value.node);
        if zone.is_none() && !tolerates_unready {
            continue;
        }
        let endpoint = endpoint(observed.service, spec, pod, family, zone.map_or("", |zone| zone));
        if !endpoint.addresses.is_empty() {
            endpoints.insert(endpoint_key(&endpoint), endpoint);
        }
    }
    // The ports are made and sorted once for all pods that have them, not for each.
    for (answers, endpoints) in by_answers {
        let ports = ports(&targets, &answers);
        let group = groups.entry(port_key(&ports)).or_insert_with(|| Group { ports, ..Group::default() });
        group.endpoints.extend(endpoints);
    }
    groups
}

fn ports(targets: &TargetPorts<'_>, answers: &Answers) -> Vec<EndpointPort> {
    let resolved = targets.resolve(answers).map(|(port, number)| EndpointPort {
        name: Some(port.name.clone().unwrap_or_default()),
        port: Some(number),
        protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".to_owned())),
        app_protocol: port.app_protocol.clone(),
    });
    resolved.collect()
}

fn endpoint(service: &Service, spec: &ServiceSpec, pod: &ServicePod, family: &str, zone: &str) -> Endpoint {
    let facts = &pod.value;
    let serving = facts.is_ready;
    let ready = spec.publish_not_ready_addresses == Some(true) || (serving && facts.deletion.is_none());
    let addresses = facts.ips.iter().filter(|ip| ip.is_ipv6() == (family == "IPv6")).map(ToString::to_string).collect();
    let service_name = service.metadata.name.as_deref().unwrap_or_default();
    let mut endpoint = Endpoint {
        addresses,
        conditions: Some(EndpointConditions {
            ready: Some(ready),
            serving: Some(serving),
            terminating: Some(facts.deletion.is_some()),
        }),
        deprecated_topology: None,
        hints: None,
        hostname: host_name(facts, service_name).map(str::to_owned),
        node_name: (!facts.node.is_empty()).then(|| owned(&facts.node)),
        target_ref: Some(ObjectReference {
            kind: Some("Pod".to_owned()),
            namespace: Some(owned(&pod.object.namespace)),
            name: Some(owned(&pod.object.name)),
            uid: Some(owned(&pod.object.uid)),
            ..ObjectReference::default()
        }),
        zone: (!zone.is_empty()).then(|| zone.to_owned()),
    };
    endpoint.hints = hints(service, spec, &endpoint, ready);
    endpoint
}

/// Hints that keep traffic close, where the service asks for it. Upstream: k8s.io/endpointslice/trafficdist.
fn hints(service: &Service, spec: &ServiceSpec, endpoint: &Endpoint, ready: bool) -> Option<EndpointHints> {
    let by_node = match spec.traffic_distribution.as_deref() {
        Some("PreferClose" | "PreferSameZone") => false,
        Some("PreferSameNode") => true,
        _ => return None,
    };
    if !ready || asks_for_topology_hints(service) {
        return None;
    }
    let for_zones = endpoint.zone.clone().map(|name| vec![ForZone { name }]);
    let for_nodes = endpoint.node_name.clone().filter(|_| by_node).map(|name| vec![ForNode { name }]);
    (for_zones.is_some() || for_nodes.is_some()).then_some(EndpointHints { for_zones, for_nodes })
}

/// The older annotations, which win over the field.
fn asks_for_topology_hints(service: &Service) -> bool {
    let annotations = service.metadata.annotations.as_ref();
    let annotation = |key: &str| annotations.and_then(|all| all.get(key)).map(String::as_str);
    let mode = annotation("service.kubernetes.io/topology-aware-hints")
        .or_else(|| annotation("service.kubernetes.io/topology-mode"));
    matches!(mode, Some("Auto" | "auto"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use corten_informer::{Projection, testutil::object};
    use serde_json::{Value, json};

    use super::*;
    use crate::pods::{NamedPort, PodState, Rare};

    fn pod(number: usize, web: i32) -> ServicePod {
        let ports = [NamedPort { name: "web".into(), protocol: "TCP".into(), port: web }].into();
        let value = PodState {
            ips: [format!("10.0.{}.{}", number / 250, number % 250).parse().unwrap()].into(),
            few: Some(Rare { ports, ..Rare::default() }.into()),
            ..PodState::default()
        };
        let name = number.to_string();
        Arc::new(Projection { object: object(&format!("ns/{name}"), 1).build(), value })
    }

    fn check(ports: Value, pods: &[ServicePod], want: &[(&[i32], usize)]) {
        let spec = json!({"ports": ports, "publishNotReadyAddresses": true});
        let service: Service = serde_json::from_value(json!({"metadata": {"name": "web"}, "spec": spec})).unwrap();
        let observed = Observed { service: &service, pods, zones: &BTreeMap::new(), slices: &[] };
        let groups: Vec<(Vec<i32>, usize)> = groups(&observed, "IPv4")
            .into_values()
            .map(|group| (group.ports.iter().take(3).filter_map(|port| port.port).collect(), group.endpoints.len()))
            .collect();
        assert_eq!(groups, want.iter().map(|(ports, len)| (ports.to_vec(), *len)).collect::<Vec<_>>());
    }

    #[test]
    fn pods_with_the_same_numbers_are_one_group() {
        let pods = [pod(1, 80), pod(2, 90), pod(3, 80)];
        let named = json!([{"name": "a", "port": 1, "targetPort": "web"}, {"name": "b", "port": 2}]);
        check(named, &pods, &[(&[80, 2], 2), (&[90, 2], 1)]);
        // Other answers, but the same ports.
        check(json!([{"name": "a", "port": 1, "targetPort": "none"}, {"name": "b", "port": 2}]), &pods, &[(&[2], 3)]);
        check(json!([]), &pods, &[(&[], 3)]);
    }

    /// The ports of the service were copied and sorted for each pod.
    #[test]
    fn ports_are_made_once_for_all_pods_that_have_them() {
        let pods: Vec<ServicePod> = (0..4_000).map(|number| pod(number, 80)).collect();
        let ports: Vec<Value> =
            (0..50_000).map(|n| json!({"name": format!("p{n:05}"), "port": n, "targetPort": "web"})).collect();
        check(ports.into(), &pods, &[(&[80, 80, 80], 4_000)]);
    }
}
