//! The objects `IPAddress`: one for each address that a service has, made before the service is stored.
//!
//! The create decides who has an address: the name is the address, so that of two servers over one store one is told that it
//! is taken. Invariant: an object goes only as the one of the service that it names.
//! Upstream: pkg/registry/core/service/ipallocator/ipallocator.go (v1.35).

use std::{net::IpAddr, sync::Arc};

use corten_apimachinery::{
    resource::{DeleteOptions, UserInfo},
    status::Status,
    stored::Stored,
    value::Value,
};
use corten_apiserver::{
    authorization::own_identity,
    registry::{Store, WriteContext, read_failure},
};
use corten_base::SharedClock;
use corten_storage::{cacher::Snapshot, object::cache_key};

use super::range::family_of;
use crate::caches::tree;

/// What says the family of an address.
pub(super) const LABEL_FAMILY: &str = "ipaddress.kubernetes.io/ip-family";
/// What says who looks after the object.
pub(super) const LABEL_MANAGED_BY: &str = "ipaddress.kubernetes.io/managed-by";
/// That it is this server.
pub(super) const MANAGED_BY: &str = "ipallocator.k8s.io";

/// The objects, and how they are written.
#[derive(Debug)]
pub(super) struct IpAddresses {
    store: Arc<Store>,
    clock: SharedClock,
    user: UserInfo,
}

/// A service by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ServiceName<'a> {
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
}

impl IpAddresses {
    pub(super) fn new(store: Arc<Store>, clock: SharedClock) -> Self {
        Self { store, clock, user: own_identity() }
    }

    /// The objects at hand.
    pub(super) fn any(&self) -> Snapshot {
        self.store.cacher().any()
    }

    /// The objects as they are now.
    pub(super) async fn newest(&self) -> Result<Snapshot, Status> {
        self.store.consistent().await
    }

    /// The objects as they are now, not older than `revision`, which another server may have written.
    pub(super) async fn not_older_than(&self, revision: u64) -> Result<Snapshot, Status> {
        self.newest().await?;
        self.store.cacher().not_older_than(revision).await.map_err(read_failure)
    }

    fn context(&self) -> WriteContext<'_> {
        WriteContext {
            user: &self.user,
            now: self.clock.now(),
            namespace: "",
            api_version: "networking.k8s.io/v1",
            subresource: "",
            field_manager: "kube-apiserver",
            served_as: self.store.resource(),
            is_apply: false,
            dry_run: false,
        }
    }

    /// Makes the object that gives `address` to a service.
    ///
    /// Errors: `AlreadyExists` if somebody has it; what admission and the engine say.
    pub(super) async fn create(&self, address: IpAddr, service: ServiceName<'_>) -> Result<(), Status> {
        self.store.create(&self.context(), object(address, service)).await.map(drop)
    }

    /// Deletes the object of `address` if it is that of the service. It may be gone.
    pub(super) async fn release(&self, address: IpAddr, service: ServiceName<'_>) -> Result<(), Status> {
        let snapshot = self.newest().await?;
        let Some(stored) = find(&snapshot, address) else { return Ok(()) };
        if !refers_to(&tree(stored)?, service) {
            return Ok(());
        }
        self.delete(stored).await
    }

    /// Deletes this object, and no other of its name. It may be gone.
    pub(super) async fn delete(&self, stored: &Stored) -> Result<(), Status> {
        let options = DeleteOptions { precondition_uid: Some(stored.uid.clone()), ..DeleteOptions::default() };
        match self.store.delete(&self.context(), &stored.name, &options).await {
            Err(status) if !status.is_not_found() && !status.is_conflict() => Err(status),
            _ => Ok(()),
        }
    }
}

/// The object of an address.
pub(super) fn find(objects: &Snapshot, address: IpAddr) -> Option<&Arc<Stored>> {
    objects.get(&cache_key("", &address.to_string()))
}

/// The addresses whose objects this server looks after.
pub(super) fn ours(objects: &Snapshot) -> Vec<IpAddr> {
    let is_ours = |stored: &Stored| stored.facts.labels.get(LABEL_MANAGED_BY) == Some(MANAGED_BY);
    let objects = objects.range("", "").filter(|(_, stored)| is_ours(stored));
    objects.filter_map(|(_, stored)| stored.name.parse().ok()).collect()
}

/// Whether an object says that the service has its address.
pub(super) fn refers_to(object: &Value, service: ServiceName<'_>) -> bool {
    let text = |field: &str| object.str_at(&["spec", "parentRef", field]).unwrap_or_default();
    is_of_a_service(object) && text("namespace") == service.namespace && text("name") == service.name
}

/// Whether an object says that a service has its address.
pub(super) fn is_of_a_service(object: &Value) -> bool {
    let text = |field: &str| object.str_at(&["spec", "parentRef", field]).unwrap_or_default();
    text("group").is_empty() && text("resource") == "services"
}

fn object(address: IpAddr, service: ServiceName<'_>) -> Value {
    let labels = [(LABEL_FAMILY, Value::from(family_of(address))), (LABEL_MANAGED_BY, MANAGED_BY.into())];
    let metadata = [("name", Value::from(address.to_string().as_str())), ("labels", Value::object_of(labels))];
    let parent =
        [("resource", Value::from("services")), ("namespace", service.namespace.into()), ("name", service.name.into())];
    Value::object_of([
        ("apiVersion", Value::from("networking.k8s.io/v1")),
        ("kind", "IPAddress".into()),
        ("metadata", Value::object_of(metadata)),
        ("spec", Value::object_of([("parentRef", Value::object_of(parent))])),
    ])
}

#[cfg(test)]
impl IpAddresses {
    /// The same, for another holder.
    pub(super) fn again(&self) -> Self {
        Self::new(Arc::clone(&self.store), Arc::clone(&self.clock))
    }
}
