//! What is wrong with the addresses of a service, and with the object of an address. Pure.

use std::{net::IpAddr, time::Duration};

use corten_apimachinery::{status::Status, stored::Stored, validation::parse_ip_sloppy, value::Value};
use corten_storage::{cacher::Snapshot, object::cache_key};
use jiff::SignedDuration;

use crate::allocators::{
    families::texts,
    ip_addresses::{LABEL_FAMILY, LABEL_MANAGED_BY, MANAGED_BY, ServiceName, is_of_a_service, refers_to},
    range::family_of,
    service::addresses_of,
};
use crate::caches::tree;

/// How long the write that an object was made for may be on the way. Upstream: a request's time.
const GRACE: SignedDuration = SignedDuration::from_secs(60);

/// Finds the addresses of a service; `None` of one that is not there.
type Owned<'a> = &'a dyn Fn(ServiceName<'_>) -> Result<Option<Vec<IpAddr>>, Status>;

/// What is wrong with one address of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ServiceFinding {
    /// It is none.
    NotValid,
    /// No range has it.
    OutOfRange(IpAddr),
    /// It has no object.
    NotAllocated(IpAddr),
    /// Its object names somebody who does not have it.
    WrongReference(IpAddr),
    /// Its object names another service that has it, too.
    Duplicate(IpAddr),
    /// Its object lacks the labels, so that nobody looks after it.
    WrongLabels(IpAddr),
}

impl ServiceFinding {
    /// Reason, action and note of the event that tells of it.
    pub(super) fn event(&self, service: ServiceName<'_>) -> Option<(&'static str, &'static str, String)> {
        const ACTION: &str = "ClusterIPAllocation";
        Some(match *self {
            // Upstream shows the address that it could not read.
            Self::NotValid => (
                "ClusterIPNotValid",
                "ClusterIPValidation",
                "Cluster IP <nil> is not a valid IP; please recreate Service".to_owned(),
            ),
            Self::OutOfRange(address) => (
                "ClusterIPOutOfRange",
                ACTION,
                format!(
                    "Cluster IP [{}]: {address} is not within any configured Service CIDR; please recreate service",
                    family_of(address)
                ),
            ),
            Self::NotAllocated(address) => (
                "ClusterIPNotAllocated",
                ACTION,
                format!("Cluster IP [{}]: {address} is not allocated; repairing", family_of(address)),
            ),
            Self::WrongReference(address) => (
                "ClusterIPNotAllocated",
                ACTION,
                format!(
                    "the ClusterIP [{}]: {address} for Service {}/{} has a wrong reference; repairing",
                    family_of(address),
                    service.namespace,
                    service.name
                ),
            ),
            Self::Duplicate(address) => (
                "ClusterIPAlreadyAllocated",
                ACTION,
                format!(
                    "Cluster IP [{}]:{address} was assigned to multiple services; please recreate service",
                    family_of(address)
                ),
            ),
            Self::WrongLabels(_) => return None,
        })
    }

    /// The address whose object is to be made anew.
    pub(super) fn remade(&self) -> Option<IpAddr> {
        match *self {
            Self::NotAllocated(address) | Self::WrongReference(address) | Self::WrongLabels(address) => Some(address),
            Self::NotValid | Self::OutOfRange(_) | Self::Duplicate(_) => None,
        }
    }
}

/// Whether a service has addresses.
pub(super) fn has_addresses(service: &Value) -> bool {
    !matches!(service.str_at(&["spec", "clusterIP"]).unwrap_or_default(), "" | "None")
}

/// What is wrong with the addresses of `service`. `object` finds that of an address, `owned` the addresses of a service.
pub(super) fn of_service(
    service: &Value,
    is_in_range: &dyn Fn(IpAddr) -> bool,
    object: &dyn Fn(IpAddr) -> Result<Option<Value>, Status>,
    owned: Owned<'_>,
) -> Result<Vec<ServiceFinding>, Status> {
    let mut findings = Vec::new();
    let text = |object: &Value, path: &[&str]| object.str_at(path).unwrap_or_default().to_owned();
    let (namespace, name) = (text(service, &["metadata", "namespace"]), text(service, &["metadata", "name"]));
    let this = ServiceName { namespace: &namespace, name: &name };
    for ip in texts(service, &["spec", "clusterIPs"]) {
        let Some(address) = parse_ip_sloppy(&ip) else {
            findings.push(ServiceFinding::NotValid);
            continue;
        };
        if !is_in_range(address) {
            findings.push(ServiceFinding::OutOfRange(address));
            continue;
        }
        let Some(object) = object(address)? else {
            findings.push(ServiceFinding::NotAllocated(address));
            continue;
        };
        if !refers_to(&object, this) {
            let other = parent(&object);
            let others = match other.as_ref().filter(|_| is_of_a_service(&object)) {
                Some((namespace, name)) => owned(ServiceName { namespace, name })?,
                None => None,
            };
            if !others.is_some_and(|others| others.contains(&address)) {
                findings.push(ServiceFinding::WrongReference(address));
                continue;
            }
            findings.push(ServiceFinding::Duplicate(address));
            continue;
        }
        let label = |key: &str| text(&object, &["metadata", "labels", key]);
        if label(LABEL_FAMILY) != family_of(address) || label(LABEL_MANAGED_BY) != MANAGED_BY {
            findings.push(ServiceFinding::WrongLabels(address));
        }
    }
    Ok(findings)
}

/// Namespace and name of what an object says has its address.
pub(super) fn parent(object: &Value) -> Option<(String, String)> {
    let parent = object.at(&["spec", "parentRef"])?;
    let text = |field: &str| parent.str_at(&[field]).unwrap_or_default().to_owned();
    Some((text("namespace"), text("name")))
}

/// The addresses of a stored service; `None` of one that is not there.
pub(super) fn owned(services: &Snapshot, service: ServiceName<'_>) -> Result<Option<Vec<IpAddr>>, Status> {
    let stored = services.get(&cache_key(service.namespace, service.name));
    stored.map(|stored| Ok(addresses_of(&tree(stored)?))).transpose()
}

/// Whether this server looks after an object.
pub(super) fn is_managed(object: &Stored) -> bool {
    object.facts.labels.get(LABEL_MANAGED_BY) == Some(MANAGED_BY)
}

/// What is wrong with the object of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AddressFinding {
    /// It no longer names a service.
    NotOfAService,
    /// It names a service that is not there.
    Leaked,
    /// It names a service that does not have it.
    WrongReference,
}

impl AddressFinding {
    /// Whether the write that it was made for may not be stored yet. Upstream asks that of services that are not there
    /// only, and takes the address from a service that is about to get it.
    pub(super) fn may_be_on_the_way(self) -> bool {
        self != Self::NotOfAService
    }

    /// Reason and note of the event that tells of it.
    pub(super) fn event(self, name: &str, object: &Value) -> (&'static str, String) {
        let (namespace, service) = parent(object).unwrap_or_default();
        match self {
            Self::NotOfAService => {
                let text = |field: &str| object.str_at(&["spec", "parentRef", field]).unwrap_or_default();
                let shown = format!(
                    "&ParentReference{{Group:{},Resource:{},Namespace:{namespace},Name:{service},}}",
                    text("group"),
                    text("resource")
                );
                let note = format!(
                    "IPAddress {name} appears to have been modified, not referencing a Service {shown}: cleaning up"
                );
                ("IPAddressNotAllocated", note)
            }
            Self::Leaked => (
                "IPAddressNotAllocated",
                format!("IPAddress: {name} for Service {namespace}/{service} appears to have leaked: cleaning up"),
            ),
            Self::WrongReference => (
                "IPAddressWrongReference",
                format!("IPAddress: {name} for Service {namespace}/{service} has a wrong reference; cleaning up"),
            ),
        }
    }
}

/// What is wrong with `object`, that of the address `name`. `owned` finds the addresses of a service.
pub(super) fn of_address(name: &str, object: &Value, owned: Owned<'_>) -> Result<Option<AddressFinding>, Status> {
    if !is_of_a_service(object) {
        return Ok(Some(AddressFinding::NotOfAService));
    }
    let (namespace, service) = parent(object).unwrap_or_default();
    Ok(match owned(ServiceName { namespace: &namespace, name: &service })? {
        None => Some(AddressFinding::Leaked),
        Some(addresses) if parse_ip_sloppy(name).is_some_and(|address| addresses.contains(&address)) => None,
        Some(_) => Some(AddressFinding::WrongReference),
    })
}

/// How long the write that an object of this age was made for may still be on the way.
pub(super) fn left_of_grace(age: SignedDuration) -> Option<Duration> {
    // A clock that has gone back makes no object younger than new.
    let left = GRACE.checked_sub(age.max(SignedDuration::ZERO))?;
    (!left.is_negative()).then(|| left.unsigned_abs().max(Duration::from_millis(1)))
}

#[cfg(test)]
mod tests;
