//! The kubelet's configuration in a cluster of corten.

use std::{net::Ipv4Addr, path::PathBuf, time::Duration};

use anyhow::Context as _;
use corten_apimachinery::{gvk::GroupVersionResource, value::Value};
use corten_client::Target;
use corten_kubelet::{config::HEALTHZ, log_rotation::LogRotation, node::Node};
use ipnet::Ipv4Net;

use crate::{
    config::{CLUSTER_DOMAIN, Config},
    readiness::Waiter,
};

/// The configuration of the node's kubelet. What is not the cluster's own has upstream's defaults.
pub(crate) fn config(config: &Config) -> corten_kubelet::Config {
    corten_kubelet::Config {
        node_name: config.node_name.clone(),
        // As upstream with `--hostname-override`: the label and the address of this name are the node's.
        hostname: config.node_name.clone(),
        node_ips: vec![config.advertise],
        root: config.places.kubelet(),
        pod_logs: config.places.pod_logs(),
        static_pods: None,
        cluster_dns: vec![config.dns_service_address().into()],
        cluster_domain: CLUSTER_DOMAIN.to_owned(),
        resolv_conf: PathBuf::from("/etc/resolv.conf"),
        cgroup_root: config.places.name.clone(),
        node_labels: Vec::new(),
        register_with_taints: Vec::new(),
        // Until the API has another one. It is the one that the controllers give to the first node.
        pod_cidr: Some(config.first_pod_cidr().to_string()),
        max_pods: 110,
        server_address: Ipv4Addr::UNSPECIFIED.into(),
        server_port: config.kubelet_port,
        healthz: Some(HEALTHZ),
        node_status_update: Duration::from_secs(10),
        node_status_report: Duration::from_secs(300),
        lease_duration: Duration::from_secs(40),
        cpu_cfs_quota: true,
        allowed_unsafe_sysctls: Vec::new(),
        log_rotation: LogRotation::default(),
    }
}

/// The range that the controllers give to the node. Waits for it: the kubelet may be content with the first one before.
/// Cancel-safe.
pub(crate) async fn pod_cidr(waiter: &Waiter, node_name: &str) -> anyhow::Result<Ipv4Net> {
    let nodes = GroupVersionResource::new("", "v1", "nodes");
    let found = |node: &Value| node.str_at(&["spec", "podCIDR"]).map(str::to_owned);
    let fields = format!("metadata.name={node_name}");
    let cidr = waiter.until(&Target::collection(&nodes, ""), &fields, found).await;
    cidr.parse().with_context(|| format!("understand the range {cidr:?} of the node's pods"))
}

/// What keeps the node from being ready, as far as it is known.
pub(crate) fn why_not_ready(node: &Node) -> String {
    let Some(object) = node.object().borrow().clone() else {
        return "the kubelet could not register its node; the log says why".to_owned();
    };
    let conditions = object.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
    let ready = conditions.into_iter().find(|condition| condition.type_ == "Ready");
    let why = ready.map(|it| [it.reason, it.message].into_iter().flatten().collect::<Vec<_>>().join(": "));
    let range = object.spec.as_ref().and_then(|spec| spec.pod_cidr.as_deref()).unwrap_or("no range of pod addresses");
    format!("the node does not become ready ({range}): {}", why.unwrap_or_else(|| "it says nothing".to_owned()))
}
