//! The configuration of a pod's sandbox. Pure.
//!
//! Upstream: `generatePodSandboxConfig` of pkg/kubelet/kuberuntime/kuberuntime_sandbox.go (v1.35).

use corten_api::core::v1::Pod;
use corten_cri::api;

use super::{hostname, labels, security};
use crate::{cgroups, dns_config::ResolvConf};

/// What a sandbox's configuration depends on besides the pod.
#[derive(Debug, Clone)]
pub(super) struct Surroundings<'a> {
    pub(super) cluster_domain: &'a str,
    pub(super) cgroup_root: &'a str,
    pub(super) log_directory: String,
    pub(super) resolv_conf: ResolvConf,
    pub(super) resources: api::LinuxContainerResources,
}

/// Forms it. Errors: upstream's text.
pub(super) fn form(pod: &Pod, attempt: u32, surroundings: Surroundings<'_>) -> Result<api::PodSandboxConfig, String> {
    let metadata = &pod.metadata;
    let spec = pod.spec.clone().unwrap_or_default();
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let dns = surroundings.resolv_conf;
    let hostname = if spec.host_network == Some(true) {
        // The node's.
        String::new()
    } else {
        let (name, domain) = hostname::name_and_domain(pod, surroundings.cluster_domain)?;
        hostname::for_kernel(pod, &name, &domain)?
    };
    let security = spec.security_context.clone().unwrap_or_default();
    let sysctls = security.sysctls.unwrap_or_default().into_iter();
    Ok(api::PodSandboxConfig {
        metadata: Some(api::PodSandboxMetadata {
            name: text(&metadata.name),
            namespace: text(&metadata.namespace),
            uid: text(&metadata.uid),
            attempt,
        }),
        hostname,
        log_directory: surroundings.log_directory,
        dns_config: Some(api::DnsConfig { servers: dns.nameservers, searches: dns.searches, options: dns.options }),
        port_mappings: port_mappings(pod),
        labels: labels::of_sandbox(pod),
        annotations: labels::sandbox_annotations(pod),
        linux: Some(api::LinuxPodSandboxConfig {
            cgroup_parent: cgroups::pod_path(surroundings.cgroup_root, pod),
            security_context: Some(security::sandbox(pod)),
            sysctls: sysctls.map(|sysctl| (sysctl_name(&sysctl.name), sysctl.value)).collect(),
            overhead: None,
            resources: Some(surroundings.resources),
        }),
    })
}

/// `net/ipv4/ip_forward` is `net.ipv4.ip_forward`; where the first separator is a dot, names have slashes for dots.
pub(crate) fn sysctl_name(name: &str) -> String {
    match name.find(['.', '/']) {
        Some(at) if name[at..].starts_with('/') => name
            .chars()
            .map(|c| {
                if c == '/' {
                    '.'
                } else if c == '.' {
                    '/'
                } else {
                    c
                }
            })
            .collect(),
        _ => name.to_owned(),
    }
}

fn port_mappings(pod: &Pod) -> Vec<api::PortMapping> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    let sidecars = spec.init_containers.iter().flatten().filter(|one| one.restart_policy.as_deref() == Some("Always"));
    let ports = sidecars.chain(&spec.containers).flat_map(|container| container.ports.iter().flatten());
    let mapping = |port: &corten_api::core::v1::ContainerPort| api::PortMapping {
        protocol: match port.protocol.as_deref() {
            Some("UDP") => api::Protocol::Udp,
            Some("SCTP") => api::Protocol::Sctp,
            _ => api::Protocol::Tcp,
        }
        .into(),
        container_port: port.container_port,
        host_port: port.host_port.unwrap_or(0),
        host_ip: port.host_ip.clone().unwrap_or_default(),
    };
    ports.map(mapping).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_sandbox_is_the_pod_without_its_containers() {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "ns", "uid": "u", "labels": {"a": "b"}, "annotations": {"c": "d"}},
            "spec": {
                "shareProcessNamespace": true,
                "securityContext": {"sysctls": [{"name": "net/ipv4/ip_forward", "value": "1"}]},
                "containers": [{"name": "c", "ports": [{"containerPort": 80, "hostPort": 8080, "protocol": "UDP"}]}],
            },
        }))
        .unwrap();
        let surroundings = Surroundings {
            cluster_domain: "cluster.local",
            cgroup_root: "corten",
            log_directory: "/logs/x".to_owned(),
            resolv_conf: ResolvConf { nameservers: vec!["10.0.0.10".to_owned()], ..ResolvConf::default() },
            resources: api::LinuxContainerResources::default(),
        };
        let config = form(&pod, 2, surroundings.clone()).unwrap();
        assert_eq!(config.metadata.unwrap().attempt, 2);
        assert_eq!(config.hostname, "p");
        assert_eq!(config.labels["a"], "b");
        assert_eq!(config.labels[labels::POD_UID], "u");
        assert_eq!(config.annotations["c"], "d");
        assert_eq!(config.port_mappings[0].host_port, 8080);
        assert_eq!(config.port_mappings[0].protocol(), api::Protocol::Udp);
        assert_eq!(config.dns_config.unwrap().servers, ["10.0.0.10"]);
        let linux = config.linux.unwrap();
        assert_eq!(linux.cgroup_parent, "/corten/kubepods/besteffort/podu");
        assert_eq!(linux.sysctls["net.ipv4.ip_forward"], "1");
        let namespaces = linux.security_context.unwrap().namespace_options.unwrap();
        assert_eq!(namespaces.pid(), api::NamespaceMode::Pod);
        assert_eq!(namespaces.network(), api::NamespaceMode::Pod);

        let mut on_node = pod;
        on_node.spec.as_mut().unwrap().host_network = Some(true);
        let config = form(&on_node, 0, surroundings).unwrap();
        assert_eq!(config.hostname, "");
    }
}
