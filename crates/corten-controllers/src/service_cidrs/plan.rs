//! What is to be done about a service range. Pure.

use std::{net::IpAddr, time::Duration};

use corten_apimachinery::{meta::ObjectMeta as _, value::Value};
use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};

use crate::{conditions, objects::time_at};

/// What keeps a range until nobody needs it any more.
pub(super) const FINALIZER: &str = "networking.k8s.io/service-cidr-finalizer";

/// How long a range that is being deleted stays at least: API servers have to learn of it. Upstream's figure.
const GRACE: SignedDuration = SignedDuration::from_secs(10);

/// The condition `Ready`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) status: &'static str,
    pub(super) reason: &'static str,
    pub(super) message: &'static str,
}

const READY: Condition = Condition { status: "True", reason: "", message: "Kubernetes Service CIDR is ready" };

const TERMINATING: Condition = Condition {
    status: "False",
    reason: "Terminating",
    message: "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR",
};

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plan {
    /// It is as it should be.
    Nothing,
    /// It is to be kept and said to be ready.
    Keep { adds_finalizer: bool, condition: Option<Condition> },
    /// It cannot go yet, and is to say so.
    Block(Condition),
    /// It can go, after this.
    Wait(Duration),
    /// It can go.
    Release,
}

/// Decides about `object`. `is_blocked` is only asked when that decides.
pub(super) fn plan<E>(object: &Value, now: Timestamp, is_blocked: impl FnOnce() -> Result<bool, E>) -> Result<Plan, E> {
    let is_kept = object.finalizers().any(|finalizer| finalizer == FINALIZER);
    let missing = |condition: Condition| (!says(object, condition)).then_some(condition);
    let Some(deleted) = time_at(object, &["metadata", "deletionTimestamp"]) else {
        return Ok(match (is_kept, missing(READY)) {
            (true, None) => Plan::Nothing,
            (is_kept, condition) => Plan::Keep { adds_finalizer: !is_kept, condition },
        });
    };
    if is_blocked()? {
        return Ok(missing(TERMINATING).map_or(Plan::Nothing, Plan::Block));
    }
    let left = GRACE - now.duration_since(deleted);
    Ok(match is_kept {
        _ if left.is_positive() => Plan::Wait(left.unsigned_abs()),
        true => Plan::Release,
        false => Plan::Nothing,
    })
}

fn says(object: &Value, wanted: Condition) -> bool {
    conditions::find(object.items_at(&["status", "conditions"]), "Ready").is_some_and(|condition| {
        let text = |field: &str| condition.str_at(&[field]).unwrap_or_default();
        (text("status"), text("reason"), text("message")) == (wanted.status, wanted.reason, wanted.message)
    })
}

/// The ranges of an object.
#[derive(Debug, Clone)]
pub(super) struct Ranges {
    name: String,
    is_deleting: bool,
    nets: Vec<IpNet>,
}

impl Ranges {
    pub(super) fn of(object: &Value) -> Self {
        let nets = object.items_at(&["spec", "cidrs"]).iter().filter_map(|cidr| cidr.as_str()?.parse().ok());
        Self {
            name: object.name().to_owned(),
            is_deleting: object.deletion_timestamp().is_some(),
            nets: nets.collect(),
        }
    }

    /// Whether `net` of `other` can go because of this one.
    fn stays_for(&self, net: &IpNet, other: &Self) -> bool {
        self.nets.iter().any(|own| own.contains(net) && self.outlives(own, net, other))
    }

    /// Whether `address` of `net` of `other` has a range in this one.
    fn stays_with(&self, address: IpAddr, net: &IpNet, other: &Self) -> bool {
        self.nets.iter().any(|own| has(own, address) && self.outlives(own, net, other))
    }

    /// Whether the range `own` is there when `net` of `other` goes. Of two that are both on their way out the larger one
    /// stays, or the one whose name comes first; upstream lets both go.
    fn outlives(&self, own: &IpNet, net: &IpNet, other: &Self) -> bool {
        !self.is_deleting || (own.prefix_len(), &self.name) < (net.prefix_len(), &other.name)
    }
}

/// Whether addresses would have no range once `going` is gone.
pub(super) fn is_blocked(going: &Ranges, others: &[Ranges], mut addresses: impl Iterator<Item = IpAddr>) -> bool {
    let is_covered = |net: &&IpNet| others.iter().any(|other| other.stays_for(net, going));
    let bare: Vec<&IpNet> = going.nets.iter().filter(|net| !is_covered(net)).collect();
    if bare.is_empty() {
        return false;
    }
    addresses.any(|address| {
        let net = bare.iter().find(|net| has(net, address));
        net.is_some_and(|net| !others.iter().any(|other| other.stays_with(address, net, going)))
    })
}

/// Whether services can have `address` of `net`: not its own one, and not the broadcast address of IPv4.
fn has(net: &IpNet, address: IpAddr) -> bool {
    net.contains(&address) && net.network() != address && (address.is_ipv6() || net.broadcast() != address)
}

#[cfg(test)]
mod tests;
