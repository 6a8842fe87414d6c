//! The kubelet's configuration in a cluster of corten.

use std::{net::Ipv4Addr, path::PathBuf, time::Duration};

use crate::{assembly::CLUSTER_DOMAIN, config::Config};

/// The configuration of the node's kubelet. What is not the cluster's own has upstream's defaults.
pub(crate) fn config(config: &Config) -> corten_kubelet::Config {
    corten_kubelet::Config {
        node_name: config.node_name.clone(),
        hostname: config.hostname.clone(),
        node_ips: vec![config.advertise],
        root: config.places.kubelet(),
        pod_logs: config.places.pod_logs(),
        static_pods: None,
        cluster_dns: vec![config.dns_service_address().into()],
        cluster_domain: CLUSTER_DOMAIN.to_owned(),
        resolv_conf: PathBuf::from("/etc/resolv.conf"),
        cgroup_root: config.places.name.clone(),
        node_labels: Vec::new(),
        pod_cidr: Some(config.pod_cidr().to_string()),
        max_pods: 110,
        server_address: Ipv4Addr::UNSPECIFIED.into(),
        server_port: config.kubelet_port,
        node_status_update: Duration::from_secs(10),
        node_status_report: Duration::from_secs(300),
        lease_duration: Duration::from_secs(40),
        cpu_cfs_quota: true,
        allowed_unsafe_sysctls: Vec::new(),
    }
}
