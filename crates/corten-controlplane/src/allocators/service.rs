//! Takes what a service needs before it is written, and gives back what it no longer has.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::Arc,
};

use async_trait::async_trait;
use corten_apimachinery::{
    field::{Error, Path},
    gvk::GroupVersionKind,
    meta::ObjectMeta as _,
    status::Status,
    validation::parse_ip_sloppy,
    value::{Value, semantically_equal},
};
use corten_apiserver::registry::{Hooks, Reservation, read_failure};
use corten_base::SharedRng;
use corten_resources::core::service::allocation::{needs_health_check_node_port, needs_node_ports};
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use super::{
    ServiceNetwork,
    addresses::Addresses,
    families::{self, is_external_name, is_headless, keeps_dual_stack, texts},
    ports::Ports,
};
use crate::caches::{Caches, tree};

const IPS: [&str; 2] = ["spec", "clusterIPs"];

/// The hooks of services.
#[derive(Debug)]
pub(crate) struct ServiceHooks {
    caches: Arc<Caches>,
    rng: SharedRng,
    pools: Arc<Mutex<Pools>>,
    /// How many node ports there are.
    node_ports: usize,
    /// Set once the pools have what stored services have: before the first write.
    filled: OnceCell<()>,
}

/// Everything that services take.
#[derive(Debug)]
struct Pools {
    addresses: Vec<Addresses>,
    ports: Ports,
    /// What was given back before the pools were filled: they may be filled from an older state. `None` from then on.
    early: Option<Vec<(Taken, String)>>,
}

/// What one write has taken so far.
#[derive(Debug, Default)]
struct Taken {
    addresses: Vec<IpAddr>,
    ports: Vec<i64>,
}

impl Pools {
    fn new(network: &ServiceNetwork) -> Self {
        Self {
            addresses: network.cluster_ip_ranges.iter().map(|range| Addresses::new(*range)).collect(),
            ports: Ports::new(network.node_ports),
            early: Some(Vec::new()),
        }
    }

    fn families(&self) -> Vec<&'static str> {
        self.addresses.iter().map(Addresses::family).collect()
    }

    fn of(&mut self, family: &str) -> Option<&mut Addresses> {
        self.addresses.iter_mut().find(|addresses| addresses.family() == family)
    }

    fn give_back(&mut self, taken: Taken, owner: &str) {
        if taken.addresses.is_empty() && taken.ports.is_empty() {
            return;
        }
        match &mut self.early {
            Some(early) => early.push((taken, owner.to_owned())),
            None => self.release(&taken, owner),
        }
    }

    fn release(&mut self, taken: &Taken, owner: &str) {
        for address in &taken.addresses {
            for addresses in &mut self.addresses {
                addresses.release(*address, owner);
            }
        }
        for &port in &taken.ports {
            self.ports.release(port, owner);
        }
    }
}

/// What a stored service has.
fn holdings(service: &Value) -> Taken {
    let addresses = texts(service, &IPS).iter().filter_map(|ip| parse_ip_sloppy(ip)).collect();
    Taken { addresses, ports: port_numbers(service) }
}

/// The node ports of a service, that of health checks included.
fn port_numbers(service: &Value) -> Vec<i64> {
    let ports = service.items_at(&["spec", "ports"]).iter().filter_map(|port| port.i64_at(&["nodePort"]));
    ports.chain(service.i64_at(&["spec", "healthCheckNodePort"])).filter(|&port| port != 0).collect()
}

/// What `service` has and `other` has not.
fn beyond(service: &Value, other: &Value) -> Taken {
    let (mut has, kept) = (holdings(service), holdings(other));
    let kept_ports: HashSet<i64> = kept.ports.into_iter().collect();
    has.addresses.retain(|address| !kept.addresses.contains(address));
    has.ports.retain(|port| !kept_ports.contains(port));
    has
}

fn number(port: &Value, field: &str) -> i64 {
    port.i64_at(&[field]).unwrap_or_default()
}

/// How many node ports `service` has to be given, if it is to have all that it does not choose itself.
fn given_ports_needed(service: &Value, is_new: bool) -> usize {
    if !needs_node_ports(service) {
        return 0;
    }
    let ports = service.items_at(&["spec", "ports"]);
    let chooses = |port: &&Value| number(port, "nodePort") != 0;
    if !is_new {
        return ports.len() - ports.iter().filter(chooses).count();
    }
    // The same port of two protocols has one number.
    let mut numbers: HashSet<i64> = ports.iter().map(|port| number(port, "port")).collect();
    for port in ports.iter().filter(chooses) {
        numbers.remove(&number(port, "port"));
    }
    numbers.len()
}

impl ServiceHooks {
    pub(crate) fn new(caches: Arc<Caches>, rng: SharedRng, network: &ServiceNetwork) -> Self {
        let pools = Arc::new(Mutex::new(Pools::new(network)));
        let (first, last) = network.node_ports;
        let node_ports = usize::from(last.saturating_sub(first)) + 1;
        Self { caches, rng, pools, node_ports, filled: OnceCell::new() }
    }

    /// The pools, with everything in them that stored services have.
    ///
    /// Errors: the cache cannot answer now.
    async fn pools(&self) -> Result<&Arc<Mutex<Pools>>, Status> {
        self.filled.get_or_try_init(|| self.fill()).await?;
        Ok(&self.pools)
    }

    async fn fill(&self) -> Result<(), Status> {
        let cacher = self.caches.get("", "services").ok_or_else(|| Status::internal("services are not served"))?;
        let snapshot = cacher.consistent().await.map_err(read_failure)?;
        let services = snapshot.range("", "").map(|(key, service)| Ok((key, tree(service)?)));
        let services = services.collect::<Result<Vec<_>, Status>>()?;
        let mut pools = self.pools.lock();
        for (key, service) in services {
            let has = holdings(&service);
            for address in has.addresses {
                let family = super::addresses::family_of(address);
                // Addresses of an earlier range stay with their services.
                if let Some(Err(why)) = pools.of(family).map(|addresses| addresses.take(address, service.uid())) {
                    tracing::warn!(service = %key, cluster_ip = %address, reason = %why, "Could not note a cluster IP");
                }
            }
            let mut ports = has.ports;
            ports.sort_unstable();
            // TCP and UDP may share a number.
            ports.dedup();
            for port in ports {
                if let Err(why) = pools.ports.take(port, service.uid()) {
                    tracing::warn!(service = %key, node_port = port, reason = %why, "Could not note a node port");
                }
            }
        }
        for (taken, owner) in pools.early.take().unwrap_or_default() {
            pools.release(&taken, &owner);
        }
        Ok(())
    }

    fn below(&self) -> impl Fn(u64) -> u64 + '_ {
        |bound| self.rng.below(bound)
    }

    /// Takes all that `service` needs beyond what `old` has, or nothing.
    async fn reserve(&self, service: &mut Value, old: Option<&Value>) -> Result<Reservation, Status> {
        let pools = Arc::clone(self.pools().await?);
        // Everybody else waits while one takes, so what cannot end well does not begin.
        if given_ports_needed(service, old.is_none()) > self.node_ports {
            return Err(no_node_port("range is full"));
        }
        let taken = self.take(&mut pools.lock(), service, old)?;
        let owner = service.uid().to_owned();
        Ok(Reservation::new(move || pools.lock().give_back(taken, &owner)))
    }

    fn take(&self, pools: &mut Pools, service: &mut Value, old: Option<&Value>) -> Result<Taken, Status> {
        families::settle(service, old, &pools.families()).map_err(|errors| invalid(service, &errors))?;
        let owner = service.uid().to_owned();
        let mut taken = Taken::default();
        let done = self
            .take_addresses(pools, service, old, &owner, &mut taken)
            .and_then(|()| self.take_ports(pools, service, old, &owner, &mut taken))
            .and_then(|()| self.take_health_check_port(pools, service, old, &owner, &mut taken));
        match done {
            Ok(()) => Ok(taken),
            Err(status) => {
                pools.release(&taken, &owner);
                Err(status)
            }
        }
    }

    fn take_addresses(
        &self,
        pools: &mut Pools,
        service: &mut Value,
        old: Option<&Value>,
        owner: &str,
        taken: &mut Taken,
    ) -> Result<(), Status> {
        if is_external_name(service) || is_headless(service) || keeps_dual_stack(service, old) {
            return Ok(());
        }
        let families = texts(service, &["spec", "ipFamilies"]);
        // A service that had addresses keeps them; it can only gain one of a second family.
        let had = match old.filter(|old| !is_external_name(old)) {
            Some(old) if is_headless(old) => return Ok(()),
            Some(old) => texts(old, &["spec", "ipFamilies"]).len(),
            None => 0,
        };
        let mut ips = texts(service, &IPS);
        ips.resize(ips.len().max(families.len()), String::new());
        for (index, family) in families.iter().enumerate().skip(had) {
            let addresses =
                pools.of(family).ok_or_else(|| Status::internal(format_args!("no cluster IPs of {family}")))?;
            if ips[index].is_empty() {
                let address = addresses
                    .take_any(owner, self.below())
                    .map_err(|why| Status::internal(format_args!("failed to allocate a serviceIP: {why}")))?;
                taken.addresses.push(address);
                ips[index] = address.to_string();
                continue;
            }
            let wanted = parse_ip_sloppy(&ips[index]);
            let result = wanted.ok_or_else(|| "invalid IP".to_owned()).and_then(|address| {
                addresses.take(address, owner)?;
                taken.addresses.push(address);
                Ok(())
            });
            if let Err(why) = result {
                let shown = Value::array(ips.iter().map(|ip| Value::from(ip.as_str())));
                let detail = format!("failed to allocate IP {}: {why}", ips[index]);
                let error = Error::invalid(&Path::new("spec").child("clusterIPs"), shown, detail);
                return Err(invalid(service, &[error]));
            }
        }
        if let Some(first) = ips.first() {
            service.set(&["spec", "clusterIP"], first.as_str());
            service.set(&IPS, Value::array(ips.iter().map(|ip| Value::from(ip.as_str()))));
        }
        Ok(())
    }

    fn take_ports(
        &self,
        pools: &mut Pools,
        service: &mut Value,
        old: Option<&Value>,
        owner: &str,
        taken: &mut Taken,
    ) -> Result<(), Status> {
        if !matches!(service.str_at(&["spec", "type"]), Some("NodePort" | "LoadBalancer")) {
            return Ok(());
        }
        let mut has: HashSet<i64> = old.map(port_numbers).unwrap_or_default().into_iter().collect();
        let mut ports = service.items_at(&["spec", "ports"]).to_vec();
        // What each port asks for, and what it was given in this write: the same port of two protocols gets one number, when
        // a service is made. The first counts.
        let (mut asked, mut given) = (HashMap::new(), HashMap::new());
        for port in ports.iter().filter(|port| number(port, "nodePort") != 0) {
            asked.entry(number(port, "port")).or_insert(number(port, "nodePort"));
        }
        for (index, entry) in ports.iter_mut().enumerate() {
            let (port, mut node_port) = (number(entry, "port"), number(entry, "nodePort"));
            if node_port == 0 && !needs_node_ports(service) {
                continue;
            }
            if node_port == 0 && old.is_none() {
                node_port = given.get(&port).or_else(|| asked.get(&port)).copied().unwrap_or_default();
            }
            if node_port == 0 {
                node_port = pools.ports.take_any(owner, self.below()).map_err(|why| no_node_port(&why))?;
                taken.ports.push(node_port);
            } else if !has.contains(&node_port) {
                if let Err(why) = pools.ports.take(node_port, owner) {
                    let at = Path::new("spec").child("ports").index(index).child("nodePort");
                    return Err(invalid(service, &[Error::invalid(&at, node_port, why)]));
                }
                taken.ports.push(node_port);
            }
            has.insert(node_port);
            given.entry(port).or_insert(node_port);
            entry.set(&["nodePort"], node_port);
        }
        service.set(&["spec", "ports"], ports);
        Ok(())
    }

    fn take_health_check_port(
        &self,
        pools: &mut Pools,
        service: &mut Value,
        old: Option<&Value>,
        owner: &str,
        taken: &mut Taken,
    ) -> Result<(), Status> {
        if !needs_health_check_node_port(service) || old.is_some_and(needs_health_check_node_port) {
            return Ok(());
        }
        let path = ["spec", "healthCheckNodePort"];
        let wanted = service.i64_at(&path).unwrap_or_default();
        let port = if wanted == 0 {
            pools
                .ports
                .take_any(owner, self.below())
                .map_err(|why| Status::internal(format_args!("failed to allocate a HealthCheck NodePort 0: {why}")))?
        } else {
            pools.ports.take(wanted, owner).map_err(|why| {
                Status::internal(format_args!("failed to allocate requested HealthCheck NodePort {wanted}: {why}"))
            })?;
            wanted
        };
        taken.ports.push(port);
        service.set(&path, port);
        Ok(())
    }
}

fn no_node_port(why: &str) -> Status {
    Status::internal(format_args!("failed to allocate a nodePort: {why}"))
}

fn invalid(service: &Value, errors: &[Error]) -> Status {
    Status::invalid(&GroupVersionKind::new("", "v1", "Service"), service.name(), errors)
}

#[async_trait]
impl Hooks for ServiceHooks {
    async fn before_create(&self, service: &mut Value) -> Result<Reservation, Status> {
        self.reserve(service, None).await
    }

    async fn before_update(&self, service: &mut Value, old: &Value) -> Result<Reservation, Status> {
        // Most updates are of the status or of metadata.
        if semantically_equal(service.get("spec"), old.get("spec")) {
            return Ok(Reservation::none());
        }
        self.reserve(service, Some(old)).await
    }

    fn after_update(&self, service: &Value, old: &Value) {
        let left = beyond(old, service);
        self.pools.lock().give_back(left, old.uid());
    }

    fn after_delete(&self, service: &Value) {
        let had = holdings(service);
        self.pools.lock().give_back(had, service.uid());
    }
}

#[cfg(test)]
mod tests;
