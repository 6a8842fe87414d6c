//! The zone's structure, and how a change of an object changes it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{Arc, atomic::AtomicUsize},
};

use smallvec::SmallVec;

use super::facts::{EndpointFacts, EndpointSliceFacts, ObjectKey, ServiceFacts, ServiceKind};
use crate::message::Name;

/// Whether an object was named since the last replay began.
type Epoch = u32;

/// The objects that have an address, in the order of their keys.
pub(super) type KeysByAddress = BTreeMap<IpAddr, SmallVec<[Arc<ObjectKey>; 1]>>;

/// Everything that the cluster's names mean. Changes come in batches, each ended by `settle`.
#[derive(Debug)]
pub struct Zone {
    pub(super) domain: Name,
    pub(super) namespaces: BTreeMap<Box<[u8]>, Namespace>,
    pub(super) service_ips: KeysByAddress,
    pub(super) endpoint_ips: KeysByAddress,
    /// Services whose addresses have to be gathered anew.
    touched: BTreeSet<Arc<ObjectKey>>,
    /// Which endpoint of a headless service comes first next time: clients take the first.
    pub(super) turn: AtomicUsize,
    pub(super) serial: u32,
    pub(super) synced: bool,
    epoch: Epoch,
}

#[derive(Debug, Default)]
pub(super) struct Namespace {
    /// The object exists, and was named in this epoch.
    object: Option<Epoch>,
    pub(super) services: BTreeMap<Box<[u8]>, Service>,
    /// The service that each slice belongs to.
    pub(super) slices: BTreeMap<Box<str>, Box<str>>,
}

/// A service with its slices; either can be there first.
#[derive(Debug, Default)]
pub(super) struct Service {
    facts: Option<(Arc<ServiceFacts>, Epoch)>,
    slices: BTreeMap<Box<str>, (EndpointSliceFacts, Epoch)>,
    /// For a headless service: the ready addresses, sorted.
    pub(super) v4: Vec<Ipv4Addr>,
    pub(super) v6: Vec<Ipv6Addr>,
}

impl Zone {
    /// An empty zone for `domain`, not synced.
    #[must_use]
    pub fn new(domain: Name) -> Self {
        Self {
            domain,
            namespaces: BTreeMap::new(),
            service_ips: BTreeMap::new(),
            endpoint_ips: BTreeMap::new(),
            touched: BTreeSet::new(),
            turn: AtomicUsize::new(0),
            serial: 0,
            synced: false,
            epoch: 0,
        }
    }

    /// The first full state has arrived: what is not there does not exist.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        self.synced
    }

    /// How many services are known.
    #[must_use]
    pub fn services(&self) -> usize {
        self.namespaces.values().map(|n| n.services.values().filter(|s| s.facts.is_some()).count()).sum()
    }

    /// Ends a batch of changes: gathers the addresses of each service that was touched, once. `serial` is the serial number of
    /// the start of authority, the time of the last change in seconds.
    pub fn settle(&mut self, serial: u32) {
        self.serial = serial;
        for key in std::mem::take(&mut self.touched) {
            if let Some(service) = self.existing(&key.namespace, &key.name) {
                service.gather();
            }
        }
    }

    /// A full state begins to arrive.
    pub fn begin_replay(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
    }

    /// The full state has arrived: what it did not name goes.
    pub fn synced(&mut self) {
        let epoch = self.epoch;
        let (mut services, mut slices) = (Vec::new(), Vec::new());
        for (name, namespace) in &mut self.namespaces {
            namespace.object = namespace.object.filter(|seen| *seen == epoch);
            let namespace_name = text(name);
            for service in namespace.services.values() {
                services.extend(service.facts.iter().filter(|(_, seen)| *seen != epoch).map(|(f, _)| f.key.clone()));
                let stale = service.slices.iter().filter(|(_, (_, seen))| *seen != epoch);
                slices.extend(stale.map(|(slice, _)| ObjectKey::new(&namespace_name, slice)));
            }
        }
        services.iter().for_each(|key| self.delete_service(key));
        slices.iter().for_each(|key| self.delete_endpoint_slice(key));
        self.namespaces.retain(|_, namespace| !namespace.is_empty());
        self.synced = true;
    }

    /// A namespace exists.
    pub fn upsert_namespace(&mut self, name: &str) {
        let epoch = self.epoch;
        self.namespace(name).object = Some(epoch);
    }

    /// A namespace is gone; its objects are deleted on their own.
    pub fn delete_namespace(&mut self, name: &str) {
        if let Some(namespace) = self.namespaces.get_mut(name.as_bytes()) {
            namespace.object = None;
        }
        self.drop_empty(name, None);
    }

    /// A service is as `facts` says.
    pub fn upsert_service(&mut self, facts: ServiceFacts) {
        let epoch = self.epoch;
        let facts = Arc::new(facts);
        let key = Arc::new(facts.key.clone());
        let service = self.service(&key.namespace, &key.name);
        let old = service.facts.replace((Arc::clone(&facts), epoch));
        self.touched.insert(Arc::clone(&key));
        if let Some((old, _)) = old {
            Self::forget(&mut self.service_ips, old.cluster_ips(), &key);
        }
        for ip in facts.cluster_ips() {
            Self::remember(&mut self.service_ips, *ip, &key);
        }
    }

    /// A service is gone.
    pub fn delete_service(&mut self, key: &ObjectKey) {
        let Some(service) = self.existing(&key.namespace, &key.name) else { return };
        let old = service.facts.take();
        self.touched.insert(Arc::new(key.clone()));
        if let Some((old, _)) = old {
            Self::forget(&mut self.service_ips, old.cluster_ips(), key);
        }
        self.drop_empty(&key.namespace, Some(&key.name));
    }

    /// A slice is as `facts` says.
    pub fn upsert_endpoint_slice(&mut self, facts: EndpointSliceFacts) {
        let epoch = self.epoch;
        let key = Arc::new(facts.key.clone());
        let owner = self.namespace(&key.namespace).slices.get(&key.name).cloned();
        // A slice keeps its service; one that was made anew under the same name may not.
        if owner.is_some_and(|owner| owner != facts.service) {
            self.delete_endpoint_slice(&key);
        }
        let ips: Vec<IpAddr> = facts.endpoints.iter().flat_map(|endpoint| endpoint.addresses.iter().copied()).collect();
        self.touched.insert(Arc::new(ObjectKey::new(&key.namespace, &facts.service)));
        self.namespace(&key.namespace).slices.insert(key.name.clone(), facts.service.clone());
        let service = self.service(&key.namespace, &facts.service);
        let old = service.slices.insert(key.name.clone(), (facts, epoch));
        if let Some((old, _)) = old {
            Self::forget(&mut self.endpoint_ips, old.endpoints.iter().flat_map(|e| &e.addresses), &key);
        }
        for ip in ips {
            Self::remember(&mut self.endpoint_ips, ip, &key);
        }
    }

    /// A slice is gone.
    pub fn delete_endpoint_slice(&mut self, key: &ObjectKey) {
        let owner = self.namespaces.get_mut(key.namespace.as_bytes()).and_then(|n| n.slices.remove(&key.name));
        let Some(owner) = owner else { return };
        let service = self.existing(&key.namespace, &owner).expect("a slice that is listed is held by its service");
        let old = service.slices.remove(&key.name);
        self.touched.insert(Arc::new(ObjectKey::new(&key.namespace, &owner)));
        if let Some((old, _)) = old {
            Self::forget(&mut self.endpoint_ips, old.endpoints.iter().flat_map(|e| &e.addresses), key);
        }
        self.drop_empty(&key.namespace, Some(&owner));
    }

    pub(super) fn slice(&self, key: &ObjectKey) -> Option<&EndpointSliceFacts> {
        let namespace = self.namespaces.get(key.namespace.as_bytes())?;
        let owner = namespace.slices.get(&key.name)?;
        namespace.services.get(owner.as_bytes())?.slices.get(&key.name).map(|(facts, _)| facts)
    }

    fn namespace(&mut self, name: &str) -> &mut Namespace {
        self.namespaces.entry(name.as_bytes().into()).or_default()
    }

    fn service(&mut self, namespace: &str, name: &str) -> &mut Service {
        self.namespace(namespace).services.entry(name.as_bytes().into()).or_default()
    }

    fn existing(&mut self, namespace: &str, name: &str) -> Option<&mut Service> {
        self.namespaces.get_mut(namespace.as_bytes())?.services.get_mut(name.as_bytes())
    }

    fn drop_empty(&mut self, namespace: &str, service: Option<&str>) {
        let Some(entry) = self.namespaces.get_mut(namespace.as_bytes()) else { return };
        if let Some(name) = service
            && entry.services.get(name.as_bytes()).is_some_and(Service::is_empty)
        {
            entry.services.remove(name.as_bytes());
        }
        if entry.is_empty() {
            self.namespaces.remove(namespace.as_bytes());
        }
    }

    fn remember(index: &mut KeysByAddress, ip: IpAddr, key: &Arc<ObjectKey>) {
        let keys = index.entry(ip).or_default();
        if let Err(at) = keys.binary_search(key) {
            keys.insert(at, Arc::clone(key));
        }
    }

    fn forget<'a>(index: &mut KeysByAddress, ips: impl IntoIterator<Item = &'a IpAddr>, key: &ObjectKey) {
        for ip in ips {
            if let Some(keys) = index.get_mut(ip) {
                if let Ok(at) = keys.binary_search_by(|known| (**known).cmp(key)) {
                    keys.remove(at);
                }
                if keys.is_empty() {
                    index.remove(ip);
                }
            }
        }
    }
}

impl Namespace {
    fn is_empty(&self) -> bool {
        self.object.is_none() && self.services.is_empty()
    }
}

impl ServiceFacts {
    fn cluster_ips(&self) -> &[IpAddr] {
        match &self.kind {
            ServiceKind::ClusterIps(ips) => ips,
            ServiceKind::Headless | ServiceKind::ExternalName(_) => &[],
        }
    }
}

impl Service {
    pub(super) fn facts(&self) -> Option<&ServiceFacts> {
        self.facts.as_ref().map(|(facts, _)| &**facts)
    }

    pub(super) fn slices(&self) -> impl Iterator<Item = &EndpointSliceFacts> {
        self.slices.values().map(|(slice, _)| slice)
    }

    /// The endpoints of a slice of this service that count as ready.
    pub(super) fn endpoints_of<'z>(&self, slice: &'z EndpointSliceFacts) -> impl Iterator<Item = &'z EndpointFacts> {
        let all = self.facts().is_some_and(|facts| facts.publish_not_ready_addresses);
        slice.endpoints.iter().filter(move |endpoint| all || endpoint.ready)
    }

    fn is_empty(&self) -> bool {
        self.facts.is_none() && self.slices.is_empty()
    }

    fn gather(&mut self) {
        let headless = self.facts().is_some_and(|facts| facts.kind == ServiceKind::Headless);
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        if headless {
            for ip in self.slices().flat_map(|slice| self.endpoints_of(slice)).flat_map(|endpoint| &endpoint.addresses)
            {
                match ip {
                    IpAddr::V4(ip) => v4.push(*ip),
                    IpAddr::V6(ip) => v6.push(*ip),
                }
            }
        }
        v4.sort_unstable();
        v4.dedup();
        v6.sort_unstable();
        v6.dedup();
        (self.v4, self.v6) = (v4, v6);
    }
}

fn text(name: &[u8]) -> String {
    String::from_utf8(name.to_vec()).expect("names of objects come as text")
}
