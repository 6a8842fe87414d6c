//! The kubelet in this process: its configuration in a cluster of corten, and what it is put together from.

use std::{net::Ipv4Addr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use corten_base::{SharedClock, SharedRng, Shutdown, TaskSet};
use corten_client::{
    Client,
    events::{EventWriter, Recorder},
};
use corten_cri::Cri;
use corten_kubelet::node::Node;

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
    }
}

/// Starts the node; whoever wants it ready waits for it.
pub(crate) fn start(
    cluster: &Config,
    client: Client,
    cri: Cri,
    (clock, rng): (&SharedClock, &SharedRng),
    tasks: &TaskSet,
    shutdown: &Shutdown,
) -> anyhow::Result<Node> {
    let config = config(cluster);
    corten_base::fs::create_dir_all(&config.root)?;
    corten_base::fs::create_dir_all(&config.pod_logs)?;
    let (recorder, queue) = Recorder::new("kubelet", cluster.node_name.as_str(), Arc::clone(clock));
    let writer = EventWriter::new(client.clone(), queue, Arc::clone(clock), Arc::clone(rng));
    tasks.spawn("kubelet-events", writer.run(shutdown.clone()));
    // KUBELET: `Kubelet::build(config, Deps { .. })` goes here with its `run`, then the server on `server_port`.
    let port = config.server_port;
    let node = Node::build(config, cri, client, recorder, Arc::clone(clock), Arc::clone(rng), port)
        .context("read this machine")?;
    let (running, shutdown) = (node.clone(), shutdown.clone());
    tasks.spawn("node", async move {
        if let Err(panic) = running.run(shutdown).await {
            tracing::error!(err = %panic, "The node ended with a panic");
        }
    });
    Ok(node)
}
