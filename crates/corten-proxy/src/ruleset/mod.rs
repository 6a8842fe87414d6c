//! What the node does with packets for services, without saying how (pure).
//!
//! A [`Ruleset`] holds, for every port of every service and family, where its addresses lead to. `build` makes the part
//! of one service; [`Ruleset::set_service`] puts it in place and gives the difference, so that the cost of a change is
//! that of its service. `frontends` decides who gets an address that several claim.
//!
//! Upstream: `pkg/proxy/topology.go` (which endpoints count), `pkg/proxy/nftables/proxier.go` (traffic policies), v1.35.

mod build;
pub mod frontends;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use ipnet::IpNet;

pub use build::build;

use crate::names::{IpFamily, ObjectName, Protocol};

/// Names one port of a service in one family.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortKey {
    /// The service.
    pub service: ObjectName,
    /// Name of the port; empty if it has none.
    pub port: String,
    /// Protocol.
    pub protocol: Protocol,
    /// Family.
    pub family: IpFamily,
}

impl fmt::Display for PortKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}/{}", self.service, self.port, self.protocol)
    }
}

/// What one port of a service does in one family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortRules {
    /// Cluster address.
    pub cluster_ip: IpAddr,
    /// Port of all addresses but the node's.
    pub port: u16,
    /// Port on addresses of this node.
    pub node_port: Option<u16>,
    /// Addresses from outside, for everybody.
    pub external_ips: BTreeSet<IpAddr>,
    /// Addresses of the load balancer, for `source_ranges`.
    pub load_balancer_ips: BTreeSet<IpAddr>,
    /// Who may use the load balancer's addresses; nothing means everybody.
    pub source_ranges: Option<BTreeSet<IpNet>>,
    /// Where the cluster address leads to.
    pub internal: Route,
    /// Where the other addresses lead to.
    pub external: Route,
    /// Endpoints anywhere; empty if no route needs them.
    pub cluster_endpoints: BTreeSet<SocketAddr>,
    /// Endpoints on this node; empty if no route needs them.
    pub local_endpoints: BTreeSet<SocketAddr>,
    /// Those of both that are on this node and can therefore be their own client.
    pub hairpins: BTreeSet<IpAddr>,
    /// How long a client stays with its endpoint.
    pub affinity: Option<Duration>,
}

/// Where an address leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// To an endpoint anywhere. From outside, the source is translated, or the answer would not come back this way.
    Cluster,
    /// To an endpoint of this node; there may be none, then nowhere. From outside, the source stays; pods and processes
    /// of the cluster that use an outside address are served as by `Cluster`.
    Local,
    /// Nowhere, and the client is told so: there is no endpoint at all.
    Reject,
}

impl PortRules {
    /// Whether it has addresses for clients outside the cluster.
    #[must_use]
    pub fn is_external(&self) -> bool {
        self.node_port.is_some() || !self.external_ips.is_empty() || !self.load_balancer_ips.is_empty()
    }

    /// All endpoints that something can lead to.
    pub fn endpoints(&self) -> impl Iterator<Item = SocketAddr> {
        self.cluster_endpoints.union(&self.local_endpoints).copied()
    }
}

/// What a load balancer asks this node about a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// The port it asks on.
    pub node_port: u16,
    /// How many endpoints of this node are ready.
    pub local_endpoints: usize,
}

/// What the node does for one service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceRules {
    /// By port and family.
    pub ports: BTreeMap<PortKey, Arc<PortRules>>,
    /// For `healthCheckNodePort`.
    pub health_check: Option<HealthCheck>,
}

/// What the node does for all services.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ruleset {
    services: BTreeMap<ObjectName, Arc<ServiceRules>>,
}

/// One port that changes; nothing stands for "is not there".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which.
    pub key: PortKey,
    /// Before.
    pub old: Option<Arc<PortRules>>,
    /// After.
    pub new: Option<Arc<PortRules>>,
}

impl Ruleset {
    /// Replaces (or, with nothing, removes) the part of one service and returns what changes. Cost: the service's.
    pub fn set_service(&mut self, name: &ObjectName, new: Option<ServiceRules>) -> Vec<Change> {
        // Ports that stay as they are keep their value, so that `diff` of whole rulesets can compare by identity.
        let old = self.services.remove(name);
        let changes = diff_service(old.as_deref(), new.as_ref());
        if let Some(mut new) = new {
            for (key, rules) in &mut new.ports {
                if let Some(same) = old.as_ref().and_then(|o| o.ports.get(key)).filter(|o| *o == rules) {
                    *rules = Arc::clone(same);
                }
            }
            self.services.insert(name.clone(), Arc::new(new));
        }
        changes
    }

    /// Replaces (or, with nothing, removes) one port, for who is told of changes only.
    pub fn set_port(&mut self, key: &PortKey, new: Option<Arc<PortRules>>) {
        let service = Arc::make_mut(self.services.entry(key.service.clone()).or_default());
        match new {
            Some(rules) => service.ports.insert(key.clone(), rules),
            None => service.ports.remove(key),
        };
        if service.ports.is_empty() {
            self.services.remove(&key.service);
        }
    }

    /// All ports.
    pub fn ports(&self) -> impl Iterator<Item = (&PortKey, &Arc<PortRules>)> {
        self.services.values().flat_map(|s| &s.ports)
    }

    /// The health checks to answer, by service.
    #[must_use]
    pub fn health_checks(&self) -> BTreeMap<ObjectName, HealthCheck> {
        self.services.iter().filter_map(|(name, s)| Some((name.clone(), s.health_check?))).collect()
    }

    /// The health check of one service.
    #[must_use]
    pub fn health_check(&self, name: &ObjectName) -> Option<HealthCheck> {
        self.services.get(name)?.health_check
    }

    /// How many services there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.services.len()
    }

    /// Whether there are no services.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.services.is_empty()
    }
}

/// What turns `old` into `new`, in the order of keys. Parts that both share are not looked into.
#[must_use]
pub fn diff(old: &Ruleset, new: &Ruleset) -> Vec<Change> {
    let names: BTreeSet<_> = old.services.keys().chain(new.services.keys()).collect();
    let mut changes = Vec::new();
    for name in names {
        match (old.services.get(name), new.services.get(name)) {
            (Some(a), Some(b)) if Arc::ptr_eq(a, b) => {}
            (a, b) => changes.extend(diff_service(a.map(|s| &**s), b.map(|s| &**s))),
        }
    }
    changes
}

fn diff_service(old: Option<&ServiceRules>, new: Option<&ServiceRules>) -> Vec<Change> {
    let keys: BTreeSet<_> = [old, new].into_iter().flatten().flat_map(|s| s.ports.keys()).collect();
    let find = |service: Option<&ServiceRules>, key| service.and_then(|s| s.ports.get(key)).cloned();
    keys.into_iter()
        .map(|key| Change { key: key.clone(), old: find(old, key), new: find(new, key) })
        .filter(|change| change.old != change.new)
        .collect()
}
