//! Takes what a service needs before it is written, and gives back what it no longer has.

use std::{net::IpAddr, sync::Arc};

use async_trait::async_trait;
use corten_apimachinery::{
    field::{Error, Path},
    gvk::GroupVersionKind,
    meta::ObjectMeta as _,
    status::Status,
    validation::parse_ip_sloppy,
    value::{Value, semantically_equal},
};
use corten_apiserver::registry::{Hooks, read_failure};
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
    network: ServiceNetwork,
    /// Filled from the cache before the first write.
    pools: OnceCell<Mutex<Pools>>,
}

/// Everything that services take.
#[derive(Debug)]
struct Pools {
    addresses: Vec<Addresses>,
    ports: Ports,
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
        }
    }

    fn families(&self) -> Vec<&'static str> {
        self.addresses.iter().map(Addresses::family).collect()
    }

    fn of(&mut self, family: &str) -> Option<&mut Addresses> {
        self.addresses.iter_mut().find(|addresses| addresses.family() == family)
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
fn beyond(service: &Value, other: Option<&Value>) -> Taken {
    let (mut has, kept) = (holdings(service), other.map(holdings).unwrap_or_default());
    has.addresses.retain(|address| !kept.addresses.contains(address));
    has.ports.retain(|port| !kept.ports.contains(port));
    has
}

impl ServiceHooks {
    pub(crate) fn new(caches: Arc<Caches>, rng: SharedRng, network: ServiceNetwork) -> Self {
        Self { caches, rng, network, pools: OnceCell::new() }
    }

    /// The pools, with everything in them that stored services have.
    ///
    /// Errors: the cache cannot answer now.
    async fn pools(&self) -> Result<&Mutex<Pools>, Status> {
        self.pools.get_or_try_init(|| self.fill()).await
    }

    async fn fill(&self) -> Result<Mutex<Pools>, Status> {
        let mut pools = Pools::new(&self.network);
        let cacher = self.caches.get("", "services").ok_or_else(|| Status::internal("services are not served"))?;
        let snapshot = cacher.consistent().await.map_err(read_failure)?;
        for (key, service) in snapshot.range("", "") {
            let service = tree(service)?;
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
        Ok(Mutex::new(pools))
    }

    fn below(&self) -> impl Fn(u64) -> u64 + '_ {
        |bound| self.rng.below(bound)
    }

    /// Takes all that `service` needs beyond what `old` has, or nothing.
    fn take(&self, pools: &mut Pools, service: &mut Value, old: Option<&Value>) -> Result<(), Status> {
        families::settle(service, old, &pools.families()).map_err(|errors| invalid(service, &errors))?;
        let owner = service.uid().to_owned();
        let mut taken = Taken::default();
        let done = self
            .take_addresses(pools, service, old, &owner, &mut taken)
            .and_then(|()| self.take_ports(pools, service, old, &owner, &mut taken))
            .and_then(|()| self.take_health_check_port(pools, service, old, &owner, &mut taken));
        if done.is_err() {
            pools.release(&taken, &owner);
        }
        done
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
        let mut has = old.map(port_numbers).unwrap_or_default();
        let mut ports = service.items_at(&["spec", "ports"]).to_vec();
        // What each port was given in this write: the same port of two protocols gets one number, when a service is made.
        let mut given: Vec<(i64, i64)> = Vec::new();
        let number = |port: &Value, field: &str| port.i64_at(&[field]).unwrap_or_default();
        for index in 0..ports.len() {
            let (port, mut node_port) = (number(&ports[index], "port"), number(&ports[index], "nodePort"));
            if node_port == 0 && !needs_node_ports(service) {
                continue;
            }
            if node_port == 0 && old.is_none() {
                let shared = given.iter().find(|(other, _)| *other == port).map(|(_, node_port)| *node_port);
                let asked = ports.iter().find(|other| number(other, "port") == port && number(other, "nodePort") != 0);
                node_port = shared.or_else(|| asked.map(|asked| number(asked, "nodePort"))).unwrap_or_default();
            }
            if node_port == 0 {
                node_port = pools
                    .ports
                    .take_any(owner, self.below())
                    .map_err(|why| Status::internal(format_args!("failed to allocate a nodePort: {why}")))?;
                taken.ports.push(node_port);
            } else if !has.contains(&node_port) {
                if let Err(why) = pools.ports.take(node_port, owner) {
                    let at = Path::new("spec").child("ports").index(index).child("nodePort");
                    return Err(invalid(service, &[Error::invalid(&at, node_port, why)]));
                }
                taken.ports.push(node_port);
            }
            has.push(node_port);
            given.push((port, node_port));
            ports[index].set(&["nodePort"], node_port);
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

    async fn give_back(&self, taken: Taken, owner: &str) {
        if taken.addresses.is_empty() && taken.ports.is_empty() {
            return;
        }
        match self.pools().await {
            Ok(pools) => pools.lock().release(&taken, owner),
            // Nothing was noted yet, so there is nothing to forget: the pools will be filled from what is stored then.
            Err(status) => tracing::debug!(err = %status, "Could not give back addresses and ports"),
        }
    }
}

fn invalid(service: &Value, errors: &[Error]) -> Status {
    Status::invalid(&GroupVersionKind::new("", "v1", "Service"), service.name(), errors)
}

#[async_trait]
impl Hooks for ServiceHooks {
    async fn before_create(&self, service: &mut Value, _dry_run: bool) -> Result<(), Status> {
        // A dry run takes and gives back like a write that fails.
        let pools = self.pools().await?;
        self.take(&mut pools.lock(), service, None)
    }

    async fn before_update(&self, service: &mut Value, old: &Value, _dry_run: bool) -> Result<(), Status> {
        // Most updates are of the status or of metadata.
        if semantically_equal(service.get("spec"), old.get("spec")) {
            return Ok(());
        }
        let pools = self.pools().await?;
        self.take(&mut pools.lock(), service, Some(old))
    }

    async fn after_update(&self, service: &Value, old: &Value) {
        self.give_back(beyond(old, Some(service)), old.uid()).await;
    }

    async fn abandoned(&self, service: &Value, old: Option<&Value>) {
        self.give_back(beyond(service, old), service.uid()).await;
    }

    async fn after_delete(&self, service: &Value) {
        self.give_back(holdings(service), service.uid()).await;
    }
}
