//! Keeps the facts of all Services and EndpointSlices and says which services are to be looked at anew (pure).
//!
//! Several changes between two syncs are one: `take` gives each changed service once, in its latest state. Slices may
//! come before their service and the other way round.
//!
//! Upstream: `pkg/proxy/{servicechangetracker,endpointschangetracker,endpointslicecache}.go` (v1.35).

mod facts;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

pub use facts::{EndpointFacts, FactsError, ServiceFacts, ServicePort, SliceFacts, SlicePort};

use crate::names::{IpFamily, ObjectName, Protocol};

/// See the module.
#[derive(Debug, Default)]
pub struct ChangeTracker {
    services: BTreeMap<ObjectName, Arc<ServiceFacts>>,
    /// By service, then by the name of the slice.
    slices: BTreeMap<ObjectName, BTreeMap<String, Arc<SliceFacts>>>,
    /// The service of each slice, because a slice can be relabelled and a delete carries only its name.
    owners: BTreeMap<ObjectName, ObjectName>,
    changed: BTreeSet<ObjectName>,
}

/// A service with its slices. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ServiceView {
    /// The service.
    pub service: Arc<ServiceFacts>,
    /// Its slices, in the order of their names.
    pub slices: Vec<Arc<SliceFacts>>,
}

/// An endpoint of one port of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrackedEndpoint {
    /// Where it is.
    pub address: SocketAddr,
    /// May get new connections.
    pub ready: bool,
    /// Still answers although it is being deleted.
    pub serving_while_terminating: bool,
    /// Is on this node.
    pub is_local: bool,
}

impl ChangeTracker {
    /// A tracker that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A service appeared or changed.
    pub fn set_service(&mut self, facts: ServiceFacts) {
        let name = facts.name.clone();
        let facts = Arc::new(facts);
        if self.services.insert(name.clone(), Arc::clone(&facts)).is_none_or(|old| old != facts) {
            self.changed.insert(name);
        }
    }

    /// A service went away.
    pub fn delete_service(&mut self, name: &ObjectName) {
        if self.services.remove(name).is_some() {
            self.changed.insert(name.clone());
        }
    }

    /// A slice appeared or changed.
    pub fn set_slice(&mut self, facts: SliceFacts) {
        let name = facts.name.clone();
        let owner = self.owners.get(&name);
        if owner != facts.service.as_ref() {
            self.delete_slice(&name);
        }
        let Some(service) = facts.service.clone() else { return };
        let facts = Arc::new(facts);
        let slices = self.slices.entry(service.clone()).or_default();
        let old = slices.insert(name.name.clone(), Arc::clone(&facts));
        self.owners.insert(name, service.clone());
        if old.is_none_or(|old| old != facts) {
            self.changed.insert(service);
        }
    }

    /// A slice went away.
    pub fn delete_slice(&mut self, name: &ObjectName) {
        let Some(service) = self.owners.remove(name) else { return };
        if let Some(slices) = self.slices.get_mut(&service) {
            slices.remove(&name.name);
            if slices.is_empty() {
                self.slices.remove(&service);
            }
        }
        self.changed.insert(service);
    }

    /// Whether `take` would give something.
    #[must_use]
    pub fn has_changes(&self) -> bool {
        !self.changed.is_empty()
    }

    /// The services that changed since the last call; nothing stands for one that is gone.
    pub fn take(&mut self) -> Vec<(ObjectName, Option<ServiceView>)> {
        let changed = std::mem::take(&mut self.changed);
        changed.into_iter().map(|name| (name.clone(), self.view(&name))).collect()
    }

    fn view(&self, name: &ObjectName) -> Option<ServiceView> {
        let service = Arc::clone(self.services.get(name)?);
        let slices = self.slices.get(name).map(|s| s.values().cloned().collect()).unwrap_or_default();
        Some(ServiceView { service, slices })
    }
}

impl ServiceView {
    /// The endpoints of one port in one family, each address once, sorted. `node` is the name of this node.
    ///
    /// While an endpoint moves from one slice to another it can be in both; it counts as ready if either says so.
    #[must_use]
    pub fn endpoints(&self, port: &str, protocol: Protocol, family: IpFamily, node: &str) -> Vec<TrackedEndpoint> {
        let mut by_address: BTreeMap<SocketAddr, TrackedEndpoint> = BTreeMap::new();
        for slice in &self.slices {
            for (port, endpoint) in
                slice.ports_named(port, protocol).iter().flat_map(|p| slice.endpoints.iter().map(move |e| (p.port, e)))
            {
                if IpFamily::of(endpoint.ip) != family {
                    continue;
                }
                let tracked = TrackedEndpoint {
                    address: SocketAddr::new(endpoint.ip, port),
                    ready: endpoint.ready,
                    serving_while_terminating: endpoint.serving && endpoint.terminating,
                    is_local: endpoint.node.as_deref() == Some(node),
                };
                by_address
                    .entry(tracked.address)
                    .and_modify(|known| {
                        if tracked.ready && !known.ready {
                            *known = tracked;
                        }
                    })
                    .or_insert(tracked);
            }
        }
        by_address.into_values().collect()
    }
}
