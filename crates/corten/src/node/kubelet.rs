//! The kubelet in this process: its configuration in a cluster of corten, and what it is put together from.

use std::{net::Ipv4Addr, path::PathBuf, sync::Arc, time::Duration};

use corten_base::{SharedClock, SharedRng, Shutdown, TaskSet};
use corten_client::Client;
use corten_cri::Cri;
use corten_kubelet::{Agent, agent::Parts, node::Node};

use crate::{assembly::CLUSTER_DOMAIN, config::Config, pki::Pki};

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
    }
}

/// Starts the kubelet; gives the node, for whoever wants it ready.
pub(crate) async fn start(
    cluster: &Config,
    pki: &Pki,
    client: Client,
    cri: Cri,
    (clock, rng): (&SharedClock, &SharedRng),
    (tasks, shutdown): (&TaskSet, &Shutdown),
) -> anyhow::Result<Node> {
    let parts = Parts {
        config: config(cluster),
        cri,
        client,
        certificate: pki.kubelet.certificate.clone(),
        key: pki.kubelet.key.clone(),
        client_authorities: pki.authority.clone(),
        clock: Arc::clone(clock),
        rng: Arc::clone(rng),
    };
    let kubelet = Agent::build(parts, shutdown).await?;
    let node = kubelet.node();
    tasks.spawn("kubelet", kubelet.run(shutdown.clone()));
    Ok(node)
}
