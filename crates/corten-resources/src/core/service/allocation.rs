//! What a service needs of the cluster's addresses and ports, and how an update keeps what it has.
//!
//! Flow of a write: defaults -> `keep_allocated` and `normalize` (in the strategy) -> the control plane allocates what is still
//! missing -> validation.
//! Upstream: pkg/registry/core/service/storage (v1.35), `patchAllocatedValues`, `normalizeClusterIPs`, `dropTypeDependentFields`.

use std::collections::{BTreeMap, BTreeSet};

use corten_apimachinery::{
    Value,
    field::ErrorList,
    value::{Ordered, semantically_equal},
};

use crate::rules::keep;

fn spec_text<'s>(service: &'s Value, field: &str) -> &'s str {
    service.str_at(&["spec", field]).unwrap_or_default()
}

/// Whether the service has addresses inside the cluster, or is headless.
#[must_use]
pub fn needs_cluster_ip(service: &Value) -> bool {
    matches!(spec_text(service, "type"), "ClusterIP" | "NodePort" | "LoadBalancer")
}

/// Whether its ports are open on every node.
#[must_use]
pub fn needs_node_ports(service: &Value) -> bool {
    match spec_text(service, "type") {
        "NodePort" => true,
        "LoadBalancer" => service.bool_at(&["spec", "allocateLoadBalancerNodePorts"]) != Some(false),
        _ => false,
    }
}

/// Whether nodes answer a load balancer's health checks for it.
#[must_use]
pub fn needs_health_check_node_port(service: &Value) -> bool {
    spec_text(service, "type") == "LoadBalancer" && spec_text(service, "externalTrafficPolicy") == "Local"
}

/// Whether it can be reached from outside the cluster.
#[must_use]
pub fn is_externally_accessible(service: &Value) -> bool {
    match spec_text(service, "type") {
        "LoadBalancer" | "NodePort" => true,
        "ClusterIP" => !service.items_at(&["spec", "externalIPs"]).is_empty(),
        _ => false,
    }
}

/// What is wrong with the cluster IPs, families and policy that a service says, before anything is allocated.
#[must_use]
pub fn validate_cluster_ips(service: &Value) -> ErrorList {
    super::validation::cluster_ip_fields(service)
}

/// Makes `clusterIPs` follow `clusterIP`, the older field, which clients may set alone.
pub fn normalize(service: &mut Value, old: Option<&Value>) {
    let ips = ["spec", "clusterIPs"];
    let new_ip = spec_text(service, "clusterIP").to_owned();
    let Some(old) = old else {
        if !new_ip.is_empty() && service.items_at(&ips).is_empty() {
            service.set(&ips, vec![new_ip.into()]);
        }
        return;
    };
    let old_ip = spec_text(old, "clusterIP");
    if service.items_at(&ips).is_empty() && old_ip == new_ip {
        // A client that does not know the list.
        keep(service, old, &ips);
    }
    if old_ip != new_ip && semantically_equal(service.at(&ips), old.at(&ips)) {
        if new_ip.is_empty() {
            service.unset(&ips);
        } else {
            service.set(&ips, vec![new_ip.into()]);
        }
    }
}

/// Brings back what was allocated and the client did not send, so that it need not read before it writes.
pub fn keep_allocated(service: &mut Value, old: &Value) {
    if needs_cluster_ip(old) && needs_cluster_ip(service) {
        if spec_text(service, "clusterIP").is_empty() {
            keep(service, old, &["spec", "clusterIP"]);
        }
        if service.items_at(&["spec", "clusterIPs"]).is_empty()
            && spec_text(service, "clusterIP") == spec_text(old, "clusterIP")
        {
            keep(service, old, &["spec", "clusterIPs"]);
        }
    }
    if needs_node_ports(old) && needs_node_ports(service) {
        keep_node_ports(service, old);
    }
    if needs_health_check_node_port(old)
        && needs_health_check_node_port(service)
        && service.i64_at(&["spec", "healthCheckNodePort"]).unwrap_or_default() == 0
    {
        keep(service, old, &["spec", "healthCheckNodePort"]);
    }
}

fn keep_node_ports(service: &mut Value, old: &Value) {
    let number = |port: &Value, field: &str| port.i64_at(&[field]).unwrap_or_default();
    let protocol = |port: &Value| port.str_at(&["protocol"]).unwrap_or_default().to_owned();
    // Of several with the same port or name, the first.
    let (mut by_port, mut by_name) = (BTreeMap::new(), BTreeMap::new());
    for old in old.items_at(&["spec", "ports"]) {
        let node_port = number(old, "nodePort");
        by_port.entry((protocol(old), number(old, "port"))).or_insert(node_port);
        if let Some(name) = old.get("name") {
            by_name.entry(Ordered(name)).or_insert(node_port);
        }
    }
    let mut used: BTreeSet<(String, i64)> = service
        .items_at(&["spec", "ports"])
        .iter()
        .map(|port| (protocol(port), number(port, "nodePort")))
        .filter(|(_, node_port)| *node_port != 0)
        .collect();
    crate::defaulting::each(service, &["spec", "ports"], |port| {
        if number(port, "nodePort") != 0 {
            return;
        }
        let same_port = by_port.get(&(protocol(port), number(port, "port")));
        let same_name = port.get("name").and_then(|name| by_name.get(&Ordered(name)));
        let found = [same_port, same_name].into_iter().flatten().find_map(|node_port| {
            let key = (protocol(port), *node_port);
            (key.1 != 0 && !used.contains(&key)).then_some(key)
        });
        if let Some(key) = found {
            port.set(&["nodePort"], key.1);
            used.insert(key);
        }
    });
}

/// Clears what only the old type of the service had, unless the client set it anew.
pub(super) fn drop_of_old_type(service: &mut Value, old: &Value) {
    let same =
        |service: &Value, field: &str| semantically_equal(service.at(&["spec", field]), old.at(&["spec", field]));
    if needs_cluster_ip(old) && !needs_cluster_ip(service) {
        if same(service, "clusterIP") && same(service, "clusterIPs") {
            service.unset(&["spec", "clusterIP"]);
            service.unset(&["spec", "clusterIPs"]);
        }
        for field in ["ipFamilies", "ipFamilyPolicy"] {
            if same(service, field) {
                service.unset(&["spec", field]);
            }
        }
    }
    if needs_node_ports(old) && !needs_node_ports(service) {
        let node_ports = |service: &Value| -> BTreeSet<i64> {
            let ports = service.items_at(&["spec", "ports"]).iter();
            ports.map(|port| port.i64_at(&["nodePort"]).unwrap_or_default()).collect()
        };
        let was = node_ports(old);
        // Set anew only if a number appears that the service did not have.
        if node_ports(service).is_subset(&was) {
            crate::defaulting::each(service, &["spec", "ports"], |port| {
                port.unset(&["nodePort"]);
            });
        }
    }
    let is_load_balancer = |service: &Value| spec_text(service, "type") == "LoadBalancer";
    let gone = [
        ("healthCheckNodePort", needs_health_check_node_port(old) && !needs_health_check_node_port(service)),
        ("allocateLoadBalancerNodePorts", is_load_balancer(old) && !is_load_balancer(service)),
        ("loadBalancerClass", is_load_balancer(old) && !is_load_balancer(service)),
        ("externalTrafficPolicy", is_externally_accessible(old) && !is_externally_accessible(service)),
    ];
    for (field, _) in gone.iter().filter(|(_, gone)| *gone) {
        if same(service, field) {
            service.unset(&["spec", field]);
        }
    }
}
