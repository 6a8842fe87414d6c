//! Which addresses a service is to get: the ones it asks for, or the first free ones. Pure.
//!
//! What is chosen is not taken yet: the objects that say whose an address is are made once the service is valid.
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

/// Chooses what `service`, whose families are settled, needs beyond what `old` has, and writes it in.
///
/// Errors: in upstream's words; the service is as before.
pub(super) fn choose(service: &mut Value, old: Option<&Value>, known: &Known<'_>) -> Result<Vec<Chosen>, Status> {
    let mut chosen = Vec::new();
    if is_external_name(service) || is_headless(service) || keeps_dual_stack(service, old) {
        return Ok(chosen);
    }
    // A service that had addresses keeps them; it can only gain one of a second family.
    let had = match old.filter(|old| !is_external_name(old)) {
        Some(old) if is_headless(old) => return Ok(chosen),
        Some(old) => texts(old, &["spec", "ipFamilies"]).len(),
        None => 0,
    };
    let families = texts(service, &["spec", "ipFamilies"]);
    let mut ips = texts(service, &IPS);
    ips.resize(ips.len().max(families.len()), String::new());
    for (index, family) in families.iter().enumerate().skip(had) {
        if ips[index].is_empty() {
            let mut others = known.ranges.search(family, known.rng);
            let address =
                others.find(|&address| !(known.is_taken)(address)).ok_or_else(|| none_left("range is full"))?;
            ips[index] = address.to_string();
            chosen.push(Chosen { index, address, others: Some(others) });
        } else {
            let address = asked(&ips[index], known).map_err(|why| not_given(service, &ips, index, &why))?;
            chosen.push(Chosen { index, address, others: None });
        }
    }
    write(service, &ips);
    Ok(chosen)
}

fn asked(text: &str, known: &Known<'_>) -> Result<IpAddr, String> {
    let address = parse_ip_sloppy(text).ok_or("invalid IP")?;
    if !known.ranges.give(address) {
        return Err("the provided network does not match the current range".to_owned());
    }
    if (known.is_taken)(address) { Err(ALLOCATED.to_owned()) } else { Ok(address) }
}

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
