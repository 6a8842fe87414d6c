//! The typed configuration of the process: everything is decided before anything starts.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
};

/// What the process runs and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Config {
    /// Where everything is kept.
    pub(crate) root: PathBuf,
    /// Where the API is served.
    pub(crate) listen: SocketAddr,
    /// The first address of the service network: where the API is found inside the cluster.
    pub(crate) service_address: IpAddr,
}

impl Config {
    /// The configuration of a cluster kept under `root`.
    pub(crate) fn new(root: PathBuf, listen: SocketAddr) -> Self {
        Self { root, listen, service_address: IpAddr::V4(Ipv4Addr::new(10, 96, 0, 1)) }
    }

    /// Certificates and keys.
    pub(crate) fn pki(&self) -> PathBuf {
        self.root.join("pki")
    }

    /// The store.
    pub(crate) fn store(&self) -> PathBuf {
        self.root.join("store")
    }

    /// The administrator's kubeconfig.
    pub(crate) fn admin_kubeconfig(&self) -> PathBuf {
        self.root.join("admin.conf")
    }
}
