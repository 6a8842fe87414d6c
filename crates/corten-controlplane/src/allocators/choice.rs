//! Which addresses a service is to get: the ones it asks for, or the first free ones. Pure.
//!
//! What is chosen is not taken yet: the objects that say whose an address is are made once the service is valid. A dry run
//! names addresses that stand for those.
//! Upstream: pkg/registry/core/service/storage/alloc.go (v1.35).

use std::{fmt, net::IpAddr};

use corten_apimachinery::{
    field::{Error, Path},
    gvk::GroupVersionKind,
    meta::ObjectMeta as _,
    status::Status,
    validation::parse_ip_sloppy,
    value::Value,
};
use corten_base::Rng;

use super::{
    families::{is_external_name, is_headless, keeps_dual_stack, texts},
    service_ranges::ServiceRanges,
};

pub(super) const IPS: [&str; 2] = ["spec", "clusterIPs"];

/// One address that a service is to get.
pub(super) struct Chosen {
    /// Its place in `clusterIPs`.
    pub(super) index: usize,
    pub(super) address: IpAddr,
    /// What may be tried in its place; `None` for an address that was asked for.
    pub(super) others: Option<Box<dyn Iterator<Item = IpAddr> + Send>>,
}

impl fmt::Debug for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.address, self.index)
    }
}

/// What is known of addresses.
pub(super) struct Known<'a> {
    pub(super) ranges: &'a ServiceRanges,
    pub(super) is_taken: &'a dyn Fn(IpAddr) -> bool,
    pub(super) rng: &'a dyn Rng,
}

/// Why an address is not given, and which one that was.
pub(super) struct Refusal {
    pub(super) status: Status,
    pub(super) of: Refused,
}

/// What was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// This address, which was asked for.
    Address(IpAddr),
    /// Any address of this family.
    Family(&'static str),
}

/// Chooses what `service`, whose families are settled, needs beyond what `old` has, and writes it in.
///
/// Errors: in upstream's words; the service is as before.
pub(super) fn choose(service: &mut Value, old: Option<&Value>, known: &Known<'_>) -> Result<Vec<Chosen>, Refusal> {
    let mut chosen = Vec::new();
    each_missing(service, old, |service, index, family, ips| {
        if ips[index].is_empty() {
            let mut others = known.ranges.search(family, known.rng);
            let address = others
                .find(|&address| !(known.is_taken)(address))
                .ok_or_else(|| Refusal { status: none_left("range is full"), of: Refused::Family(family) })?;
            ips[index] = address.to_string();
            chosen.push(Chosen { index, address, others: Some(others) });
            return Ok(());
        }
        let address = parse_ip_sloppy(&ips[index]);
        let refuse = |why: &str| Refusal {
            status: not_given(service, ips, index, why),
            of: address.map_or(Refused::Family(family), Refused::Address),
        };
        let address = asked(address, known).map_err(refuse)?;
        chosen.push(Chosen { index, address, others: None });
        Ok(())
    })?;
    Ok(chosen)
}

/// Writes in what stands in a dry run for what `service` needs beyond what `old` has: for an address that is to be chosen,
/// that of the range itself. Whether one that is asked for is free is not looked at, as upstream does not.
///
/// Errors: in upstream's words; the service is as before.
pub(super) fn rehearse(service: &mut Value, old: Option<&Value>, ranges: &ServiceRanges) -> Result<(), Status> {
    each_missing(service, old, |service, index, family, ips| {
        let first = ranges.ready(family).next();
        if ips[index].is_empty() {
            let range = first.ok_or_else(|| none_left(NOT_READY))?;
            ips[index] = range.net().network().to_string();
            return Ok(());
        }
        let refuse = |why: &str| not_given(service, ips, index, why);
        let address = parse_ip_sloppy(&ips[index]).ok_or_else(|| refuse(INVALID))?;
        if ranges.give(address) {
            return Ok(());
        }
        let range = first.ok_or_else(|| refuse(NOT_READY))?.net();
        Err(refuse(&format!(
            "the provided IP ({address}) is not in the valid range. The range of valid IPs is {range}"
        )))
    })
}

/// Goes through the addresses that `service` lacks beyond what `old` has: `give` is told the place and family of each and all
/// addresses, among which it writes. They are written into the service at the end.
fn each_missing<E>(
    service: &mut Value,
    old: Option<&Value>,
    mut give: impl FnMut(&Value, usize, &'static str, &mut [String]) -> Result<(), E>,
) -> Result<(), E> {
    if is_external_name(service) || is_headless(service) || keeps_dual_stack(service, old) {
        return Ok(());
    }
    // A service that had addresses keeps them; it can only gain one of a second family.
    let had = match old.filter(|old| !is_external_name(old)) {
        Some(old) if is_headless(old) => return Ok(()),
        Some(old) => texts(old, &["spec", "ipFamilies"]).len(),
        None => 0,
    };
    let families = texts(service, &["spec", "ipFamilies"]);
    let mut ips = texts(service, &IPS);
    ips.resize(ips.len().max(families.len()), String::new());
    for (index, family) in families.iter().enumerate().skip(had) {
        // Settled families are these two.
        let family = if family == "IPv6" { "IPv6" } else { "IPv4" };
        give(service, index, family, &mut ips)?;
    }
    write(service, &ips);
    Ok(())
}

fn asked(address: Option<IpAddr>, known: &Known<'_>) -> Result<IpAddr, &'static str> {
    let address = address.ok_or(INVALID)?;
    if !known.ranges.give(address) {
        return Err("the provided network does not match the current range");
    }
    if (known.is_taken)(address) { Err(ALLOCATED) } else { Ok(address) }
}

const INVALID: &str = "invalid IP";
/// That no range gives addresses now.
const NOT_READY: &str = "allocator not ready";

/// Why an address that was asked for is not given.
pub(super) const ALLOCATED: &str = "provided IP is already allocated";

/// Writes the addresses of a service into it.
pub(super) fn write(service: &mut Value, ips: &[String]) {
    if let Some(first) = ips.first() {
        service.set(&["spec", "clusterIP"], first.as_str());
        service.set(&IPS, shown(ips));
    }
}

fn shown(ips: &[String]) -> Value {
    Value::array(ips.iter().map(|ip| Value::from(ip.as_str())))
}

/// That no address could be chosen.
pub(super) fn none_left(why: &str) -> Status {
    Status::internal(format_args!("failed to allocate a serviceIP: {why}"))
}

/// That the address at `index`, which was asked for, is not given.
pub(super) fn not_given(service: &Value, ips: &[String], index: usize, why: &str) -> Status {
    let detail = format!("failed to allocate IP {}: {why}", ips[index]);
    invalid(service, &[Error::invalid(&Path::new("spec").child("clusterIPs"), shown(ips), detail)])
}

/// The refusal of a service.
pub(super) fn invalid(service: &Value, errors: &[Error]) -> Status {
    Status::invalid(&GroupVersionKind::new("", "v1", "Service"), service.name(), errors)
}
