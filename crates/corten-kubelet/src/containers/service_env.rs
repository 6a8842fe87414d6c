//! Environment variables that tell of services. Pure.
//!
//! Upstream: pkg/kubelet/envvars/envvars.go, `getServiceEnvVarMap` (v1.35).

use std::collections::BTreeMap;

use corten_api::core::v1::Service;

use super::expansion::{Room, TooLong};
use crate::api_objects::MASTER_SERVICE;

/// The variables of the services that a pod in `namespace` sees; only the API server's own without service links. Errors:
/// they are more than a program can be given.
pub(super) fn variables(
    services: &[Service],
    namespace: &str,
    service_links: bool,
    room: &mut Room,
) -> Result<BTreeMap<String, String>, TooLong> {
    let mut visible: BTreeMap<&str, &Service> = BTreeMap::new();
    for service in services.iter().filter(|service| cluster_ip(service).is_some()) {
        let name = service.metadata.name.as_deref().unwrap_or_default();
        let home = service.metadata.namespace.as_deref().unwrap_or_default();
        if (home, name) == MASTER_SERVICE {
            // One of the same name at home comes first.
            visible.entry(name).or_insert(service);
        } else if home == namespace && service_links {
            visible.insert(name, service);
        }
    }
    let mut all = BTreeMap::new();
    for (name, service) in visible {
        for (name, value) in of_service(name, service) {
            room.take(name.len() + value.len())?;
            all.insert(name, value);
        }
    }
    Ok(all)
}

fn cluster_ip(service: &Service) -> Option<&str> {
    let ip = service.spec.as_ref()?.cluster_ip.as_deref()?;
    Some(ip).filter(|ip| !ip.is_empty() && *ip != "None")
}

fn of_service(name: &str, service: &Service) -> Vec<(String, String)> {
    let Some(ip) = cluster_ip(service) else { return Vec::new() };
    let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_deref()).unwrap_or_default();
    let Some(first) = ports.first() else { return Vec::new() };
    let prefix = variable(name);
    let mut all = vec![
        (format!("{prefix}_SERVICE_HOST"), ip.to_owned()),
        (format!("{prefix}_SERVICE_PORT"), first.port.to_string()),
    ];
    for port in ports {
        if let Some(name) = port.name.as_deref().filter(|name| !name.is_empty()) {
            all.push((format!("{prefix}_SERVICE_PORT_{}", variable(name)), port.port.to_string()));
        }
    }
    for (index, port) in ports.iter().enumerate() {
        let protocol = port.protocol.as_deref().filter(|protocol| !protocol.is_empty()).unwrap_or("TCP");
        let host = if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() };
        let url = format!("{}://{host}:{}", protocol.to_lowercase(), port.port);
        if index == 0 {
            all.push((format!("{prefix}_PORT"), url.clone()));
        }
        let prefix = format!("{prefix}_PORT_{}_{}", port.port, protocol.to_uppercase());
        all.push((format!("{prefix}_PROTO"), protocol.to_lowercase()));
        all.push((format!("{prefix}_PORT"), port.port.to_string()));
        all.push((format!("{prefix}_ADDR"), ip.to_owned()));
        all.push((prefix, url));
    }
    all
}

fn variable(name: &str) -> String {
    name.to_uppercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn services(list: Value) -> Vec<Service> {
        serde_json::from_value(list).unwrap()
    }

    fn service(namespace: &str, name: &str, ip: &str) -> Value {
        json!({"metadata": {"namespace": namespace, "name": name}, "spec": {"clusterIP": ip, "ports": [
            {"name": "web-ui", "port": 80}, {"port": 53, "protocol": "UDP"}]}})
    }

    #[test]
    fn a_service_has_the_variables_that_links_had() {
        let got = variables(&services(json!([service("ns", "my-db", "10.0.0.3")])), "ns", true, &mut Room::default())
            .unwrap();
        let want = [
            ("MY_DB_PORT", "tcp://10.0.0.3:80"),
            ("MY_DB_PORT_53_UDP", "udp://10.0.0.3:53"),
            ("MY_DB_PORT_53_UDP_ADDR", "10.0.0.3"),
            ("MY_DB_PORT_53_UDP_PORT", "53"),
            ("MY_DB_PORT_53_UDP_PROTO", "udp"),
            ("MY_DB_PORT_80_TCP", "tcp://10.0.0.3:80"),
            ("MY_DB_PORT_80_TCP_ADDR", "10.0.0.3"),
            ("MY_DB_PORT_80_TCP_PORT", "80"),
            ("MY_DB_PORT_80_TCP_PROTO", "tcp"),
            ("MY_DB_SERVICE_HOST", "10.0.0.3"),
            ("MY_DB_SERVICE_PORT", "80"),
            ("MY_DB_SERVICE_PORT_WEB_UI", "80"),
        ];
        assert_eq!(got.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect::<Vec<_>>(), want);
    }

    #[track_caller]
    fn check(namespace: &str, links: bool, want: &[&str]) {
        let all = services(json!([
            service("default", "kubernetes", "10.0.0.1"),
            service("default", "a", "fd00::2"),
            service("ns", "b", "10.0.0.3"),
            service("ns", "headless", "None"),
        ]));
        let got = variables(&all, namespace, links, &mut Room::default()).unwrap();
        let hosts: Vec<&str> = got.keys().filter_map(|key| key.strip_suffix("_SERVICE_HOST")).collect();
        assert_eq!(hosts, want);
    }

    #[test]
    fn a_pod_sees_its_own_namespace_and_the_api_server() {
        check("ns", true, &["B", "KUBERNETES"]);
        check("ns", false, &["KUBERNETES"]);
        check("default", true, &["A", "KUBERNETES"]);
    }
}
