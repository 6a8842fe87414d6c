//! From one service with its slices to its rules.

use std::{collections::BTreeSet, sync::Arc};

use super::{HealthCheck, PortKey, PortRules, Route, ServiceRules};
use crate::{
    change_tracker::{ServicePort, ServiceView, TrackedEndpoint},
    names::IpFamily,
};

/// The rules of a service on the node `node`; nothing if the service has no address for this proxy.
///
/// Source: `CategorizeEndpoints` of upstream's `pkg/proxy/topology.go`: ready endpoints count; where there is none,
/// those that still serve while they terminate.
#[must_use]
pub fn build(view: &ServiceView, node: &str) -> Option<ServiceRules> {
    let service = &view.service;
    let mut rules = ServiceRules::default();
    let mut local_ready = BTreeSet::new();
    for family in IpFamily::ALL {
        let Some(cluster_ip) = service.cluster_ip(family) else { continue };
        for port in &service.ports {
            let endpoints = view.endpoints(&port.name, port.protocol, family, node);
            local_ready.extend(endpoints.iter().filter(|e| e.ready && e.is_local).map(|e| e.address.ip()));
            let key =
                PortKey { service: service.name.clone(), port: port.name.clone(), protocol: port.protocol, family };
            rules.ports.insert(key, Arc::new(port_rules(view, port, cluster_ip, &endpoints)));
        }
    }
    rules.health_check = service
        .health_check_node_port
        .filter(|_| service.external_local)
        .map(|node_port| HealthCheck { node_port, local_endpoints: local_ready.len() });
    (!rules.ports.is_empty()).then_some(rules)
}

fn port_rules(
    view: &ServiceView,
    port: &ServicePort,
    cluster_ip: std::net::IpAddr,
    endpoints: &[TrackedEndpoint],
) -> PortRules {
    let service = &view.service;
    let of_family =
        |ips: &[std::net::IpAddr]| ips.iter().copied().filter(|ip| ip.is_ipv4() == cluster_ip.is_ipv4()).collect();
    let mut rules = PortRules {
        cluster_ip,
        port: port.port,
        node_port: port.node_port,
        external_ips: of_family(&service.external_ips),
        load_balancer_ips: of_family(&service.load_balancer_ips),
        // A list that has only ranges of the other family still keeps everybody of this one out.
        source_ranges: service.source_ranges.as_ref().map(|ranges| {
            ranges.iter().filter(|range| range.addr().is_ipv4() == cluster_ip.is_ipv4()).copied().collect()
        }),
        internal: Route::Reject,
        external: Route::Reject,
        cluster_endpoints: BTreeSet::new(),
        local_endpoints: BTreeSet::new(),
        hairpins: BTreeSet::new(),
        affinity: service.affinity,
    };
    let cluster = usable(endpoints.iter());
    if cluster.is_empty() {
        return rules;
    }
    let is_external = rules.is_external();
    let route = |is_local| if is_local { Route::Local } else { Route::Cluster };
    (rules.internal, rules.external) = (route(service.internal_local), route(service.external_local));
    // An outside address needs the cluster's endpoints even with the policy Local: pods use it like the cluster address.
    if !service.internal_local || is_external {
        rules.cluster_endpoints = cluster.iter().map(|e| e.address).collect();
    }
    if service.internal_local || (is_external && service.external_local) {
        rules.local_endpoints = usable(endpoints.iter().filter(|e| e.is_local)).iter().map(|e| e.address).collect();
    }
    rules.hairpins = endpoints
        .iter()
        .filter(|e| e.is_local)
        .filter(|e| rules.cluster_endpoints.contains(&e.address) || rules.local_endpoints.contains(&e.address))
        .map(|e| e.address.ip())
        .collect();
    rules
}

fn usable<'a>(endpoints: impl Iterator<Item = &'a TrackedEndpoint> + Clone) -> Vec<&'a TrackedEndpoint> {
    let ready: Vec<_> = endpoints.clone().filter(|e| e.ready).collect();
    if ready.is_empty() { endpoints.filter(|e| e.serving_while_terminating).collect() } else { ready }
}
