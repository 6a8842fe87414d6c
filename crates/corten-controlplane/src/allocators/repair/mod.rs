//! Keeps services, the objects of their addresses and the node ports in memory in agreement.
//!
//! Flow: changes of services and of `IPAddress` objects -> `Queue` -> `plan` says what is wrong -> it is told as an event and
//! put right: what is missing is made, what nobody has goes once its write cannot be on the way any more. All is looked at
//! when this starts and every three minutes, as upstream does; an older store gets its objects that way. What a write of
//! unknown outcome took is settled here.
//! Invariant: a finding holds for what was stored at one time. What is missing was missing while the service was there.
//! Upstream: pkg/registry/core/service/ipallocator/controller/repairip.go, portallocator/controller/repair.go (v1.35).

mod node_ports;
mod plan;
mod queue;

use std::{net::IpAddr, sync::Arc, time::Duration};

use corten_apimachinery::{meta::parse_time, status::Status};
use corten_apiserver::registry::read_failure;
use corten_base::SharedClock;
use corten_client::events::{EventType, ObjectRef, Occasion, Recorder};
use corten_storage::{
    cacher::{Change, Snapshot},
    object::cache_key,
};
use futures::{StreamExt as _, future, stream};

use self::{
    node_ports::Leaks,
    queue::{Key, Queue},
};
use super::{
    ServiceHooks,
    ip_addresses::{ServiceName, find},
    range::family_of,
    service::Allocators,
};
use crate::caches::tree;

/// How often everything is looked at. Upstream: the resync of its informers, and the interval for node ports.
const INTERVAL: Duration = Duration::from_secs(180);

/// How many keys are worked on at once: their writes share a commit of the engine.
const WORKERS: usize = 16;

/// What is watched, by group and plural.
const WATCHED: [(&str, &str); 2] = [("", "services"), ("networking.k8s.io", "ipaddresses")];

/// The repair of addresses and node ports.
#[derive(Debug, Clone)]
pub(crate) struct Repair {
    allocators: Arc<Allocators>,
    clock: SharedClock,
    addresses_recorder: Recorder,
    ports_recorder: Recorder,
}

/// What became of a key.
enum Looked {
    /// It is right, or has been put right.
    Done,
    /// It is to be looked at again after this.
    Again(Duration),
}

impl Repair {
    pub(crate) fn new(services: &ServiceHooks, clock: SharedClock, recorder: &Recorder) -> Self {
        Self {
            allocators: Arc::clone(&services.0),
            clock,
            addresses_recorder: recorder.for_component("ipallocator-repair-controller"),
            ports_recorder: recorder.for_component("portallocator-repair-controller"),
        }
    }

    /// Puts everything right until a watch ends: then it is to be called again. `on_first` is called once all has been looked
    /// at. Never ends where there are no services.
    ///
    /// Cancel-safe: every step is repeated at the next call.
    pub(crate) async fn keep(&self, on_first: impl Fn()) -> Result<(), Status> {
        if !self.allocators.has_services() {
            on_first();
            return future::pending().await;
        }
        let [services, addresses] = WATCHED.map(|(group, plural)| self.allocators.cacher(group, plural));
        let (known_services, mut service_changes) = services?.watch_from_now(0).await.map_err(read_failure)?;
        let (known_addresses, mut address_changes) = addresses?.watch_from_now(0).await.map_err(read_failure)?;
        let (mut queue, mut leaks) = (Queue::default(), Leaks::default());
        let (mut known, mut is_first) = (Some((known_services, known_addresses)), true);
        let (mut of_services, mut of_addresses) = (Vec::new(), Vec::new());
        let mut next_round = self.clock.monotonic();
        loop {
            let now = self.clock.monotonic();
            if now >= next_round {
                next_round = now + INTERVAL;
                let (services, addresses) = match known.take() {
                    Some(known) => known,
                    None => (self.allocators.services().await?, self.allocators.addresses()?.newest().await?),
                };
                queue.extend(services.range("", "").map(|(key, _)| Key::Service(key.into())), now);
                queue.extend(addresses.range("", "").map(|(key, _)| Key::Address(key.into())), now);
                self.repair_node_ports(&mut leaks).await?;
            }
            self.work(&mut queue).await;
            if std::mem::take(&mut is_first) {
                on_first();
            }
            let wake = queue.next_due().map_or(next_round, |due| due.min(next_round));
            tokio::select! {
                biased;
                read = service_changes.next(&mut of_services) => read.map_err(Status::internal)?,
                read = address_changes.next(&mut of_addresses) => read.map_err(Status::internal)?,
                () = self.clock.sleep_until(wake) => {}
            }
            let now = self.clock.monotonic();
            queue.extend(of_services.drain(..).map(|change| Key::of_service(&change.object)), now);
            for change in of_addresses.drain(..) {
                // A service whose object goes is looked at: it may have been taken from it.
                if change.change == Change::Delete
                    && let Some((namespace, name)) = plan::parent(&tree(&change.object)?)
                {
                    queue.extend([Key::Service(cache_key(&namespace, &name))], now);
                }
                queue.extend([Key::Address(change.object.name.clone())], now);
            }
        }
    }

    /// Does all that is due.
    async fn work(&self, queue: &mut Queue) {
        let due = queue.take_due(self.clock.monotonic());
        let mut looked = stream::iter(due)
            .map(|(key, tries)| async move {
                let looked = self.look_at(&key).await;
                (key, tries, looked)
            })
            .buffer_unordered(WORKERS);
        while let Some((key, tries, looked)) = looked.next().await {
            let now = self.clock.monotonic();
            match looked {
                Ok(Looked::Done) => {}
                Ok(Looked::Again(after)) => queue.again(key, now + after),
                Err(status) => {
                    tracing::warn!(key = %key, tries, err = %status, "Could not repair the addresses of services");
                    queue.retry(key, tries, now);
                }
            }
        }
    }

    async fn look_at(&self, key: &Key) -> Result<Looked, Status> {
        match key {
            Key::Service(key) => self.look_at_service(key).await.map(|()| Looked::Done),
            Key::Address(name) => self.look_at_address(name).await,
        }
    }

    async fn look_at_service(&self, key: &str) -> Result<(), Status> {
        let services = self.allocators.services().await?;
        let Some(stored) = services.get(key) else { return Ok(()) };
        let service = tree(stored)?;
        if !plan::has_addresses(&service) {
            return Ok(());
        }
        let ranges = self.allocators.ranges(true).await?;
        // The objects were made before the service was stored.
        let addresses = self.allocators.addresses()?.not_older_than(stored.revision).await?;
        let object = |address| find(&addresses, address).map(|stored| tree(stored)).transpose();
        let owned = |service: ServiceName<'_>| plan::owned(&services, service);
        let findings = plan::of_service(&service, &|address| ranges.contain(address), &object, &owned)?;
        if findings.is_empty() {
            return Ok(());
        }
        // The service goes before its objects do: if it is there still, what was missing was so while it was there.
        let now = self.allocators.services().await?;
        if now.get(key).is_none_or(|now| now.revision != stored.revision) {
            return Ok(());
        }
        let name = ServiceName { namespace: &stored.namespace, name: &stored.name };
        for finding in findings {
            if let Some((reason, action, note)) = finding.event(name) {
                self.tell(&ObjectRef::of("v1", "Service", stored), reason, action, note);
            }
            if let Some(address) = finding.remade() {
                self.remake(address, &addresses, name).await?;
            }
        }
        Ok(())
    }

    async fn remake(&self, address: IpAddr, known: &Snapshot, service: ServiceName<'_>) -> Result<(), Status> {
        let addresses = self.allocators.addresses()?;
        if let Some(stored) = find(known, address) {
            addresses.delete(stored).await?;
        }
        addresses.create(address, service).await?;
        let key = format!("{}/{}", service.namespace, service.name);
        tracing::info!(service = key, ip_address = %address, family = family_of(address), "Repaired an IP address");
        Ok(())
    }

    async fn look_at_address(&self, name: &str) -> Result<Looked, Status> {
        let addresses = self.allocators.addresses()?;
        let Some(stored) = addresses.newest().await?.get(name).map(Arc::clone) else { return Ok(Looked::Done) };
        if !plan::is_managed(&stored) {
            return Ok(Looked::Done);
        }
        let object = tree(&stored)?;
        let services = self.services_not_older_than(stored.revision).await?;
        let Some(finding) = plan::of_address(&stored.name, &object, &|service| plan::owned(&services, service))? else {
            return Ok(Looked::Done);
        };
        // A write may be on the way: its object comes first.
        let made = object.str_at(&["metadata", "creationTimestamp"]).and_then(parse_time);
        let age = made.map(|made| self.clock.now().duration_since(made));
        if finding.may_be_on_the_way()
            && let Some(left) = age.and_then(plan::left_of_grace)
        {
            return Ok(Looked::Again(left));
        }
        let about = ObjectRef::of("networking.k8s.io/v1", "IPAddress", &stored);
        let (reason, note) = finding.event(&stored.name, &object);
        self.tell(&about, reason, "IPAddressAllocation", note);
        addresses.delete(&stored).await?;
        tracing::info!(ip_address = %stored.name, reason, "Removed an IP address that no service has");
        Ok(Looked::Done)
    }

    async fn services_not_older_than(&self, revision: u64) -> Result<Snapshot, Status> {
        self.allocators.services().await?;
        self.allocators.cacher("", "services")?.not_older_than(revision).await.map_err(read_failure)
    }

    fn tell(&self, about: &ObjectRef, reason: &str, action: &str, note: String) {
        let occasion = Occasion { action, related: None };
        self.addresses_recorder.outcome(about, EventType::Warning, reason, occasion, note);
    }

    /// Brings the node ports in memory to what stored services have.
    async fn repair_node_ports(&self, leaks: &mut Leaks) -> Result<(), Status> {
        let pools = self.allocators.pools().await?;
        let services = self.allocators.services().await?;
        let mut held = Vec::new();
        for (_, stored) in services.range("", "") {
            let ports = super::node_ports::port_numbers(&tree(stored)?);
            if !ports.is_empty() {
                held.push((Arc::clone(stored), ports));
            }
        }
        let findings = node_ports::repair(&mut pools.lock().ports, leaks, &held);
        for finding in findings {
            let (reason, message) = finding.event();
            self.ports_recorder.warning(&ObjectRef::of("v1", "Service", finding.service), reason, message);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
