//! What the controllers share as configuration: upstream's flags of kube-controller-manager.

use std::{net::IpAddr, time::Duration};

use corten_base::Secret;

/// The configuration of all controllers. Defaults are upstream's.
#[derive(Debug, Clone)]
pub struct Config {
    /// Which controllers run: `*`, names, and names behind a minus. Upstream: `--controllers`.
    pub controllers: Vec<String>,
    /// The certificate authority's bundle that is published to every namespace, PEM. Upstream: `--root-ca-file`.
    pub root_ca: String,
    /// The certificate authority that signs requests: certificate and key, PEM. Upstream: `--cluster-signing-*-file`.
    pub signing: Option<SigningAuthority>,
    /// The longest life of a signed certificate. Upstream: `--cluster-signing-duration`.
    pub signing_duration: Duration,
    /// The ranges of pod addresses that nodes get parts of. Upstream: `--cluster-cidr`.
    pub cluster_cidrs: Vec<ipnet::IpNet>,
    /// The size of a node's part, IPv4. Upstream: `--node-cidr-mask-size-ipv4`.
    pub node_cidr_mask_ipv4: u8,
    /// The size of a node's part, IPv6. Upstream: `--node-cidr-mask-size-ipv6`.
    pub node_cidr_mask_ipv6: u8,
    /// Addresses that no node gets: those of services. Upstream: `--service-cluster-ip-range`.
    pub service_cidrs: Vec<ipnet::IpNet>,
    /// How long a node may be silent. Upstream: `--node-monitor-grace-period`.
    pub node_monitor_grace: Duration,
    /// How many ended pods are kept. Upstream: `--terminated-pod-gc-threshold`.
    pub terminated_pods_max: usize,
    /// The node addresses of this control plane, for what must not be handed out.
    pub advertise: Option<IpAddr>,
}

/// A certificate authority with its key.
#[derive(Debug, Clone)]
pub struct SigningAuthority {
    /// The certificate, PEM.
    pub certificate: String,
    /// The key, PEM.
    pub key: Secret,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            controllers: vec!["*".to_owned()],
            root_ca: String::new(),
            signing: None,
            signing_duration: Duration::from_secs(365 * 24 * 3_600),
            cluster_cidrs: Vec::new(),
            node_cidr_mask_ipv4: 24,
            node_cidr_mask_ipv6: 64,
            service_cidrs: Vec::new(),
            node_monitor_grace: Duration::from_secs(50),
            terminated_pods_max: 12_500,
            advertise: None,
        }
    }
}
