//! Cluster IPs and node ports: who has which, and what a service gets.
//!
//! Flow: a service is written -> `ServiceHooks` chooses what it needs -> it is validated -> an `IPAddress` object for each
//! address decides whose it is -> the write happens, or what was taken goes back. `Repair` looks after what is left where
//! that did not happen. Addresses are known from the watch cache of their objects, node ports from memory: those are filled
//! in from the services before the first write and kept by writes.
//! Invariant: what is taken has an owner, and only its owner gives it back; so a late or repeated release is harmless.
//! Upstream: pkg/registry/core/service/{storage/alloc.go,ipallocator,portallocator} (v1.35).

mod choice;
mod counts;
mod families;
mod ip_addresses;
mod node_ports;
mod pool;
mod ports;
mod range;
mod repair;
mod service;
mod service_ranges;

use ipnet::IpNet;

pub(crate) use self::{
    counts::{AllocatorCounts, BUCKETS_MS, PortCounts, RangeCounts, Scope, Tally},
    repair::Repair,
    service::ServiceHooks,
};

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
        range::first_of(*range)
    }
}

#[cfg(test)]
mod tests;
