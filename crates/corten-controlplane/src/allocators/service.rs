//! The hooks of services: what a service needs is chosen before it is validated, taken before it is stored, and given back
//! when the write fails or the service has it no longer.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use corten_apimachinery::{
    meta::ObjectMeta as _,
    status::Status,
    validation::parse_ip_sloppy,
    value::{Str, Value, semantically_equal},
};
use corten_apiserver::registry::{Claim, Hooks, Reservation, Settings, Store, read_failure};
use corten_base::{SharedClock, SharedRng, TaskSet};
use corten_storage::cacher::{Cacher, Snapshot};
use futures::{FutureExt as _, future::BoxFuture};
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use super::{
    ServiceNetwork,
    choice::{self, ALLOCATED, Chosen, IPS, Known, Refusal, Refused},
    counts::{AllocatorCounts, Counts, PortCounts, Scope},
    families::{self, texts},
    ip_addresses::{IpAddresses, ServiceName, find, ours},
    node_ports::{self, given_ports_needed, port_numbers, ports_beyond},
    ports::Ports,
    range::family_of,
    service_ranges::{self, ServiceRanges},
};
use crate::caches::{Caches, tree};

/// The addresses and node ports of services. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct ServiceHooks(pub(super) Arc<Allocators>);

/// What the hooks and the repair share.
#[derive(Debug)]
pub(super) struct Allocators {
    caches: Arc<Caches>,
    clock: SharedClock,
    rng: SharedRng,
    tasks: TaskSet,
    /// The cluster's families, the default first.
    families: Vec<&'static str>,
    /// How many node ports there are.
    node_ports: usize,
    ranges: service_ranges::Known,
    /// What counts instead if objects cannot tell of ranges.
    configured: Arc<ServiceRanges>,
    addresses: OnceLock<IpAddresses>,
    pub(super) pools: Mutex<Pools>,
    counts: Counts,
    /// Set once the pools have what stored services have: before the first write.
    filled: OnceCell<()>,
}

/// What services have that no object tells of.
#[derive(Debug)]
pub(super) struct Pools {
    pub(super) ports: Ports,
    /// Addresses that stored services had without an object when this server started, by their services' UIDs: the repair
    /// makes the objects, and nobody else is given them before.
    unrepaired: HashMap<IpAddr, Str>,
    /// What was given back before the pools were filled: they may be filled from an older state. `None` from then on.
    early: Option<Vec<(Holdings, String)>>,
}

/// What a service has.
#[derive(Debug, Default)]
struct Holdings {
    addresses: Vec<IpAddr>,
    ports: Vec<i64>,
}

impl Holdings {
    fn of(service: &Value) -> Self {
        Self { addresses: addresses_of(service), ports: port_numbers(service) }
    }

    /// What `service` has and `other` has not.
    fn beyond(service: &Value, other: &Value) -> Self {
        let kept = addresses_of(other);
        let addresses = addresses_of(service).into_iter().filter(|address| !kept.contains(address)).collect();
        Self { addresses, ports: ports_beyond(service, other) }
    }
}

/// The addresses of a service; of a headless one, none.
pub(super) fn addresses_of(service: &Value) -> Vec<IpAddr> {
    texts(service, &IPS).iter().filter_map(|ip| parse_ip_sloppy(ip)).collect()
}

impl Pools {
    fn give_back(&mut self, left: Holdings, owner: &str) {
        if left.addresses.is_empty() && left.ports.is_empty() {
            return;
        }
        match &mut self.early {
            Some(early) => early.push((left, owner.to_owned())),
            None => self.release(&left, owner),
        }
    }

    fn release(&mut self, left: &Holdings, owner: &str) {
        for address in &left.addresses {
            if self.unrepaired.get(address).is_some_and(|has| has == owner) {
                self.unrepaired.remove(address);
            }
        }
        for &port in &left.ports {
            self.ports.release(port, owner);
        }
    }

    /// Notes what stored services have.
    fn fill(&mut self, services: &[(&str, Value)], addresses: &Snapshot) {
        for (key, service) in services {
            let has = Holdings::of(service);
            for address in has.addresses.into_iter().filter(|&address| find(addresses, address).is_none()) {
                self.unrepaired.entry(address).or_insert_with(|| service.uid().into());
            }
            let mut ports = has.ports;
            ports.sort_unstable();
            // TCP and UDP may share a number.
            ports.dedup();
            for port in ports {
                if let Err(why) = self.ports.take(port, service.uid()) {
                    tracing::warn!(service = %key, node_port = port, reason = %why, "Could not note a node port");
                }
            }
        }
        for (left, owner) in self.early.take().unwrap_or_default() {
            self.release(&left, &owner);
        }
    }
}

impl ServiceHooks {
    pub(crate) fn new(caches: Arc<Caches>, settings: &Settings, network: &ServiceNetwork) -> Self {
        let (first, last) = network.node_ports;
        let ports = Ports::new(network.node_ports);
        Self(Arc::new(Allocators {
            caches,
            clock: Arc::clone(&settings.clock),
            rng: Arc::clone(&settings.rng),
            tasks: settings.tasks.clone(),
            families: network.cluster_ip_ranges.iter().map(|range| family_of(range.addr())).collect(),
            node_ports: usize::from(last.saturating_sub(first)) + 1,
            ranges: service_ranges::Known::default(),
            configured: Arc::new(ServiceRanges::of(&network.cluster_ip_ranges)),
            addresses: OnceLock::new(),
            pools: Mutex::new(Pools { ports, unrepaired: HashMap::new(), early: Some(Vec::new()) }),
            counts: Counts::default(),
            filled: OnceCell::new(),
        }))
    }

    /// Tells of all stores. Done once, before the first request.
    pub(crate) fn fill(&self, stores: &[Arc<Store>]) {
        let is_it = |store: &&Arc<Store>| {
            let resource = store.resource();
            resource.group == "networking.k8s.io" && resource.plural == "ipaddresses"
        };
        if let Some(store) = stores.iter().find(is_it) {
            let addresses = IpAddresses::new(Arc::clone(store), Arc::clone(&self.0.clock));
            assert!(self.0.addresses.set(addresses).is_ok(), "the stores are told of once");
        }
    }

    /// What was given and refused, and what is left.
    pub(crate) fn counts(&self) -> AllocatorCounts {
        let Allocators { addresses, pools, counts, .. } = &*self.0;
        let taken: Vec<IpAddr> = addresses.get().map(|addresses| ours(&addresses.any())).unwrap_or_default();
        let (size, allocated) = {
            let pools = pools.lock();
            (pools.ports.size(), pools.ports.taken())
        };
        AllocatorCounts {
            ranges: counts.of_ranges(&self.0.last_ranges(), &taken),
            ports: PortCounts { allocated, available: size.saturating_sub(allocated), tally: counts.of_ports() },
        }
    }
}

impl Allocators {
    pub(super) fn addresses(&self) -> Result<&IpAddresses, Status> {
        self.addresses.get().ok_or_else(|| Status::internal("IP addresses are not served"))
    }

    /// The ranges: those at hand, or the newest.
    pub(super) async fn ranges(&self, is_newest: bool) -> Result<Arc<ServiceRanges>, Status> {
        let Some(cacher) = self.service_cidrs() else { return Ok(Arc::clone(&self.configured)) };
        let objects = if is_newest { cacher.consistent().await.map_err(read_failure)? } else { cacher.any() };
        self.ranges.read(&objects)
    }

    /// The ranges as they were read last.
    fn last_ranges(&self) -> Arc<ServiceRanges> {
        if self.service_cidrs().is_some() { self.ranges.last() } else { Arc::clone(&self.configured) }
    }

    /// The watch cache of the objects that tell of ranges; `None` if their kind is switched off.
    fn service_cidrs(&self) -> Option<&Cacher> {
        self.caches.get("networking.k8s.io", "servicecidrs")
    }

    /// Whether there are services to look after: their kind may be switched off.
    pub(super) fn has_services(&self) -> bool {
        self.caches.get("", "services").is_some()
    }

    /// The watch cache of a resource.
    pub(super) fn cacher(&self, group: &str, plural: &str) -> Result<&Cacher, Status> {
        self.caches.get(group, plural).ok_or_else(|| Status::internal(format_args!("{plural} are not served")))
    }

    /// All services in their newest state.
    pub(super) async fn services(&self) -> Result<Snapshot, Status> {
        self.cacher("", "services")?.consistent().await.map_err(read_failure)
    }

    /// The pools, with everything in them that stored services have.
    ///
    /// Errors: the cache cannot answer now.
    pub(super) async fn pools(&self) -> Result<&Mutex<Pools>, Status> {
        self.filled.get_or_try_init(|| self.fill()).await?;
        Ok(&self.pools)
    }

    async fn fill(&self) -> Result<(), Status> {
        let (services, addresses) = (self.services().await?, self.addresses()?.newest().await?);
        let services = services.range("", "").map(|(key, service)| Ok((key, tree(service)?)));
        let services = services.collect::<Result<Vec<_>, Status>>()?;
        self.pools.lock().fill(&services, &addresses);
        Ok(())
    }

    async fn before(
        self: &Arc<Self>,
        service: &mut Value,
        old: Option<&Value>,
        dry_run: bool,
    ) -> Result<Reservation, Status> {
        if dry_run {
            return self.rehearse(service, old).await.map(|()| Reservation::none());
        }
        self.reserve(service, old).await
    }

    /// Chooses all that `service` needs beyond what `old` has, or nothing.
    async fn reserve(self: &Arc<Self>, service: &mut Value, old: Option<&Value>) -> Result<Reservation, Status> {
        let pools = self.pools().await?;
        // Everybody else waits while one takes, so what cannot end well does not begin.
        if given_ports_needed(service, old.is_none()) > self.node_ports {
            return Err(node_ports::none_left("range is full"));
        }
        families::settle(service, old, &self.families).map_err(|errors| choice::invalid(service, &errors))?;
        let chosen = self.choose(service, old).await?;
        let owner = service.uid().to_owned();
        let below = |bound| self.rng.below(bound);
        let ports = node_ports::take((&mut pools.lock().ports, &self.counts), service, old, &owner, &below)?;
        if chosen.is_empty() && ports.is_empty() {
            return Ok(Reservation::none());
        }
        let claim = ServiceClaim {
            allocators: Arc::clone(self),
            owner,
            namespace: service.namespace().to_owned(),
            name: service.name().to_owned(),
            chosen,
            taken: Vec::new(),
            ports,
        };
        Ok(Reservation::new(claim, self.tasks.clone()))
    }

    /// Writes in what stands for all that `service` needs beyond what `old` has, and chooses nothing.
    async fn rehearse(&self, service: &mut Value, old: Option<&Value>) -> Result<(), Status> {
        let pools = self.pools().await?;
        families::settle(service, old, &self.families).map_err(|errors| choice::invalid(service, &errors))?;
        choice::rehearse(service, old, &*self.ranges(true).await?)?;
        node_ports::rehearse(&pools.lock().ports, service, old)
    }

    async fn choose(&self, service: &mut Value, old: Option<&Value>) -> Result<Vec<Chosen>, Status> {
        let choose = |service: &mut Value, ranges: &ServiceRanges, objects: &Snapshot| {
            let is_taken =
                |address| find(objects, address).is_some() || self.pools.lock().unrepaired.contains_key(&address);
            choice::choose(service, old, &Known { ranges, is_taken: &is_taken, rng: &*self.rng })
        };
        let addresses = self.addresses()?;
        match choose(service, &*self.ranges(false).await?, &addresses.any()) {
            // A refusal holds if it is one by the newest state.
            Err(_) => {
                let ranges = self.ranges(true).await?;
                choose(service, &ranges, &addresses.newest().await?).map_err(|Refusal { status, of }| {
                    match of {
                        Refused::Address(address) => self.counts.refused(&ranges, address, Scope::Static),
                        Refused::Family(family) => self.counts.exhausted(&ranges, family),
                    }
                    status
                })
            }
            Ok(chosen) => Ok(chosen),
        }
    }

    /// Makes the object of a chosen address, or of another one if somebody was faster and it may be another.
    async fn take(&self, chosen: &mut Chosen, service: &mut Value) -> Result<(), Status> {
        let addresses = self.addresses()?;
        loop {
            let name = ServiceName { namespace: service.namespace(), name: service.name() };
            let began = self.clock.monotonic();
            let made = addresses.create(chosen.address, name).await;
            self.count(chosen, made.is_ok(), self.clock.monotonic().saturating_sub(began));
            let mut ips = texts(service, &IPS);
            match (made, &mut chosen.others) {
                (Ok(()), _) => return Ok(()),
                (Err(status), None) => {
                    let why = if status.is_already_exists() { ALLOCATED } else { &status.message };
                    return Err(choice::not_given(service, &ips, chosen.index, why));
                }
                (Err(status), Some(others)) if status.is_already_exists() => {
                    let objects = addresses.any();
                    let is_free = |address: &IpAddr| {
                        find(&objects, *address).is_none() && !self.pools.lock().unrepaired.contains_key(address)
                    };
                    let next = others.find(is_free).ok_or_else(|| choice::none_left("range is full"))?;
                    chosen.address = next;
                    ips[chosen.index] = next.to_string();
                    choice::write(service, &ips);
                }
                (Err(status), Some(_)) => return Err(choice::none_left(&status.message)),
            }
        }
    }

    fn count(&self, chosen: &Chosen, is_made: bool, took: Duration) {
        let (ranges, address) = (self.last_ranges(), chosen.address);
        let scope = if chosen.others.is_some() { Scope::Dynamic } else { Scope::Static };
        if is_made {
            self.counts.gave(&ranges, address, scope, took);
        } else {
            self.counts.refused(&ranges, address, scope);
        }
    }

    /// Gives back what was `owner`'s, which has or had this name.
    async fn give_back(&self, left: Holdings, owner: &str, service: ServiceName<'_>) {
        let addresses = left.addresses.clone();
        self.pools.lock().give_back(left, owner);
        self.release(&addresses, service).await;
    }

    async fn release(&self, addresses: &[IpAddr], service: ServiceName<'_>) {
        for &address in addresses {
            let released = match self.addresses() {
                Ok(addresses) => addresses.release(address, service).await,
                Err(status) => Err(status),
            };
            if let Err(status) = released {
                let key = format!("{}/{}", service.namespace, service.name);
                tracing::warn!(service = key, ip_address = %address, err = %status, "Left an IP address to its repair");
            }
        }
    }
}

/// What one write of a service needs.
#[derive(Debug)]
struct ServiceClaim {
    allocators: Arc<Allocators>,
    owner: String,
    namespace: String,
    name: String,
    chosen: Vec<Chosen>,
    /// The addresses whose objects were made.
    taken: Vec<IpAddr>,
    ports: Vec<i64>,
}

#[async_trait]
impl Claim for ServiceClaim {
    async fn take(&mut self, service: &mut Value) -> Result<(), Status> {
        for chosen in &mut self.chosen {
            self.allocators.take(chosen, service).await?;
            self.taken.push(chosen.address);
        }
        Ok(())
    }

    fn give_back(mut self: Box<Self>) -> Option<BoxFuture<'static, ()>> {
        let ports = std::mem::take(&mut self.ports);
        self.allocators.pools.lock().give_back(Holdings { addresses: Vec::new(), ports }, &self.owner);
        if self.taken.is_empty() {
            return None;
        }
        let released = async move {
            let service = ServiceName { namespace: &self.namespace, name: &self.name };
            self.allocators.release(&self.taken, service).await;
        };
        Some(released.boxed())
    }
}

#[async_trait]
impl Hooks for ServiceHooks {
    async fn before_create(&self, service: &mut Value, dry_run: bool) -> Result<Reservation, Status> {
        self.0.before(service, None, dry_run).await
    }

    async fn before_update(&self, service: &mut Value, old: &Value, dry_run: bool) -> Result<Reservation, Status> {
        // Most updates are of the status or of metadata.
        if semantically_equal(service.get("spec"), old.get("spec")) {
            return Ok(Reservation::none());
        }
        self.0.before(service, Some(old), dry_run).await
    }

    async fn after_update(&self, service: &Value, old: &Value) {
        if semantically_equal(service.get("spec"), old.get("spec")) {
            return;
        }
        let name = ServiceName { namespace: old.namespace(), name: old.name() };
        self.0.give_back(Holdings::beyond(old, service), old.uid(), name).await;
    }

    async fn after_delete(&self, service: &Value) {
        let name = ServiceName { namespace: service.namespace(), name: service.name() };
        self.0.give_back(Holdings::of(service), service.uid(), name).await;
    }
}

#[cfg(test)]
mod tests;
