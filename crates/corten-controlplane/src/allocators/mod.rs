//! Cluster IPs and node ports: who has which, and what a service gets.
//!
//! Flow: a service is written -> `ServiceHooks` takes what it needs from the pools -> the write happens, or what it took
//! goes back. The pools are in memory: they are filled from the watch cache before the first write and kept by writes.
//! A write that may have happened keeps what it took until the next start.
//! Invariant: what is taken has an owner, and only its owner gives it back; so a late or repeated release is harmless.
//! Upstream: pkg/registry/core/service/{storage/alloc.go,ipallocator,portallocator} (v1.35).

mod addresses;
mod families;
mod pool;
mod ports;
mod service;

use ipnet::IpNet;

pub(crate) use self::service::ServiceHooks;

/// The addresses and ports that services get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceNetwork {
    /// One range, or one of each family, the first being the default. Upstream: `--service-cluster-ip-range`.
    pub cluster_ip_ranges: Vec<IpNet>,
    /// The first and last node port. Upstream: `--service-node-port-range`.
    pub node_ports: (u16, u16),
}

impl Default for ServiceNetwork {
    fn default() -> Self {
        let range = "10.96.0.0/12".parse().expect("a constant network");
        Self { cluster_ip_ranges: vec![range], node_ports: (30_000, 32_767) }
    }
}

impl ServiceNetwork {
    /// The address of the service `kubernetes`: the first of the default range.
    ///
    /// # Panics
    /// If there is no range, which `Config` rules out.
    #[must_use]
    pub fn first_address(&self) -> std::net::IpAddr {
        let range = self.cluster_ip_ranges.first().expect("a cluster has at least one range of cluster IPs");
        addresses::Addresses::new(*range).at(0)
    }
}

#[cfg(test)]
mod tests;
