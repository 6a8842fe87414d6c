//! Who gets an address and port that several services claim.
//!
//! Nothing in the API keeps two services from naming the same external address, or one that is another's cluster
//! address. A kernel map takes one meaning per key, and a refused one would hold up all other changes; so the smallest
//! claim wins: cluster addresses first, so that nobody can take over the address of another service, then by name.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::{PortKey, PortRules};
use crate::names::{IpFamily, Protocol};

/// An address (or all of this node's) and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Frontend {
    /// Address; nothing for all addresses of this node.
    pub ip: Option<IpAddr>,
    /// Family.
    pub family: IpFamily,
    /// Protocol.
    pub protocol: Protocol,
    /// Port.
    pub port: u16,
}

/// What an address is for a service. The order is that of precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Its cluster address.
    ClusterIp,
    /// An address of this node, or one of `externalIPs`.
    External,
    /// An address of its load balancer.
    LoadBalancer,
}

/// The frontends of a port and what they are for it. An address in two roles has the first.
#[must_use]
pub fn frontends(key: &PortKey, rules: &PortRules) -> BTreeMap<Frontend, Role> {
    let at = |ip, port| Frontend { ip, family: key.family, protocol: key.protocol, port };
    let mut out = BTreeMap::from([(at(Some(rules.cluster_ip), rules.port), Role::ClusterIp)]);
    for ip in &rules.external_ips {
        out.entry(at(Some(*ip), rules.port)).or_insert(Role::External);
    }
    for ip in &rules.load_balancer_ips {
        out.entry(at(Some(*ip), rules.port)).or_insert(Role::LoadBalancer);
    }
    if let Some(node_port) = rules.node_port {
        out.insert(at(None, node_port), Role::External);
    }
    out
}

/// All claims and, after a change, which frontends mean something else. `T` is what a backend makes of a claim.
#[derive(Debug)]
pub struct Claims<T> {
    by_frontend: BTreeMap<Frontend, BTreeMap<(Role, PortKey), T>>,
    before: BTreeMap<Frontend, Option<T>>,
}

impl<T> Default for Claims<T> {
    fn default() -> Self {
        Self { by_frontend: BTreeMap::new(), before: BTreeMap::new() }
    }
}

impl<T: Clone + PartialEq> Claims<T> {
    /// Replaces all claims of a port.
    pub fn set(&mut self, key: &PortKey, old: &BTreeMap<Frontend, Role>, new: &BTreeMap<Frontend, (Role, T)>) {
        let touched: BTreeSet<_> = old.keys().chain(new.keys()).copied().collect();
        for frontend in touched {
            let winner = self.winner(&frontend).cloned();
            self.before.entry(frontend).or_insert(winner);
            let claims = self.by_frontend.entry(frontend).or_default();
            if let Some(role) = old.get(&frontend) {
                claims.remove(&(*role, key.clone()));
            }
            if let Some((role, target)) = new.get(&frontend) {
                claims.insert((*role, key.clone()), target.clone());
            }
            if claims.is_empty() {
                self.by_frontend.remove(&frontend);
            }
        }
    }

    /// What a frontend leads to.
    #[must_use]
    pub fn winner(&self, frontend: &Frontend) -> Option<&T> {
        self.by_frontend.get(frontend)?.values().next()
    }

    /// All frontends that lead somewhere.
    pub fn frontends(&self) -> impl Iterator<Item = &Frontend> {
        self.by_frontend.keys()
    }

    /// The frontends whose meaning is not that of the last call, with both meanings.
    pub fn take_changes(&mut self) -> Vec<(Frontend, Option<T>, Option<T>)> {
        let before = std::mem::take(&mut self.before);
        before
            .into_iter()
            .map(|(frontend, old)| (frontend, old, self.winner(&frontend).cloned()))
            .filter(|(_, old, new)| old != new)
            .collect()
    }
}
