//! The form of subsets: each set of addresses once, with all of its ports; and not more than an object may hold.
//!
//! Upstream: pkg/api/v1/endpoints/util.go RepackSubsets and pkg/controller/endpoint truncateEndpoints (v1.35). Upstream
//! orders sets and ports by hashes; the API server here orders them by value, and so does this.

use std::{collections::BTreeMap, net::IpAddr};

use corten_api::core::v1::{EndpointAddress, EndpointPort, EndpointSubset};

/// How many addresses endpoints hold.
pub(super) const CAPACITY: usize = 1_000;

/// What tells addresses apart: the address as text, which is also the order that the server keeps, and whose it is.
type AddressKey = (String, String);
type PortKey = (String, i32, String, String);
/// Addresses, each with whether it is ready.
type Addresses = BTreeMap<AddressKey, (EndpointAddress, bool)>;

/// Ports in their order.
type Ports<'s> = BTreeMap<Option<PortKey>, Option<&'s EndpointPort>>;

/// What tells sets of addresses apart.
type SetKey = Vec<(AddressKey, bool)>;

/// How many addresses subsets may have before they are cut to `CAPACITY`: the same ones again for each set of ports that some
/// of them have. Far above what pods of one service differ in.
const REPACKED_MAX: usize = 1_000_000;

/// Brings subsets into their one form. An address that is both ready and not ready for a port is not ready. Also whether that
/// was all: of what would be beyond any bound there is nothing.
pub(super) fn repack(subsets: Vec<EndpointSubset>) -> (Vec<EndpointSubset>, bool) {
    // The ports that are in the same subsets have the same addresses, which are gathered once for all of them.
    let mut by_port: BTreeMap<Option<PortKey>, (Option<&EndpointPort>, Vec<usize>)> = BTreeMap::new();
    for (index, subset) in subsets.iter().enumerate() {
        let mut add = |key: Option<PortKey>, port| {
            let (_, members) = by_port.entry(key).or_insert_with(|| (port, Vec::new()));
            if members.last() != Some(&index) {
                members.push(index);
            }
        };
        let ports = subset.ports.as_deref().unwrap_or_default();
        if ports.is_empty() {
            // Headless services have endpoints without a port: no port is a port of its own here.
            add(None, None);
        }
        ports.iter().for_each(|port| add(Some(port_key(port)), Some(port)));
    }
    let mut together: BTreeMap<Vec<usize>, Ports<'_>> = BTreeMap::new();
    for (key, (port, members)) in by_port {
        together.entry(members).or_default().insert(key, port);
    }
    let lens: Vec<usize> = subsets.iter().map(|subset| ready(subset) + unready(subset)).collect();
    if together.keys().flatten().map(|member| lens[*member]).sum::<usize>() > REPACKED_MAX {
        return (Vec::new(), false);
    }
    let mut by_addresses: BTreeMap<SetKey, (Addresses, Ports<'_>)> = BTreeMap::new();
    for (members, ports) in together {
        let mut addresses = Addresses::new();
        for subset in members.into_iter().map(|member| &subsets[member]) {
            for (list, is_ready) in [(&subset.addresses, true), (&subset.not_ready_addresses, false)] {
                for address in list.iter().flatten() {
                    let entry = addresses.entry(address_key(address)).or_insert_with(|| (address.clone(), is_ready));
                    entry.1 &= is_ready;
                }
            }
        }
        let key = addresses.iter().map(|(key, (_, is_ready))| (key.clone(), *is_ready)).collect();
        by_addresses.entry(key).or_insert_with(|| (addresses, Ports::new())).1.extend(ports);
    }
    let packed = by_addresses.into_values().filter(|(addresses, _)| !addresses.is_empty());
    (
        packed.map(|(addresses, ports)| subset(addresses, ports.into_values().flatten().cloned().collect())).collect(),
        true,
    )
}

fn subset(addresses: Addresses, ports: Vec<EndpointPort>) -> EndpointSubset {
    let (ready, unready): (Vec<_>, Vec<_>) = addresses.into_values().partition(|(_, is_ready)| *is_ready);
    let list = |entries: Vec<(EndpointAddress, bool)>| {
        let addresses: Vec<EndpointAddress> = entries.into_iter().map(|(address, _)| address).collect();
        (!addresses.is_empty()).then_some(addresses)
    };
    EndpointSubset {
        addresses: list(ready),
        not_ready_addresses: list(unready),
        ports: (!ports.is_empty()).then_some(ports),
    }
}

fn address_key(address: &EndpointAddress) -> AddressKey {
    let uid = address.target_ref.as_ref().and_then(|target| target.uid.clone());
    // A text that is no address sorts as it is: the server refuses it anyway.
    let ip = address.ip.parse::<IpAddr>().map_or_else(|_| address.ip.clone(), |ip| ip.to_string());
    (ip, uid.unwrap_or_default())
}

fn port_key(port: &EndpointPort) -> PortKey {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    (text(&port.name), port.port, text(&port.protocol), text(&port.app_protocol))
}

/// How many addresses there are.
pub(super) fn count(subsets: &[EndpointSubset]) -> usize {
    subsets.iter().map(|subset| ready(subset) + unready(subset)).sum()
}

/// Cuts subsets to `CAPACITY`, each by its share, ready addresses kept before the others. Whether anything was cut.
pub(super) fn truncate(subsets: &mut Vec<EndpointSubset>) -> bool {
    if count(subsets) <= CAPACITY {
        return false;
    }
    let all_ready: usize = subsets.iter().map(ready).sum();
    let all_unready: usize = subsets.iter().map(unready).sum();
    let cuts_ready = all_ready > CAPACITY;
    let (room, total) = if cuts_ready { (CAPACITY, all_ready) } else { (CAPACITY - all_ready, all_unready) };
    let mut left = room;
    for subset in subsets.iter_mut() {
        let here = if cuts_ready { ready(subset) } else { unready(subset) };
        // Rounded up, so that the last subset has less than its share.
        let share = (here * room).div_ceil(total).min(left).min(here);
        left -= share;
        if cuts_ready {
            cut(&mut subset.addresses, share);
            subset.not_ready_addresses = None;
        } else {
            cut(&mut subset.not_ready_addresses, share);
        }
    }
    subsets.retain(|subset| ready(subset) + unready(subset) > 0);
    true
}

fn cut(addresses: &mut Option<Vec<EndpointAddress>>, max: usize) {
    if let Some(list) = addresses {
        list.truncate(max);
    }
    if addresses.as_ref().is_some_and(Vec::is_empty) {
        *addresses = None;
    }
}

fn ready(subset: &EndpointSubset) -> usize {
    subset.addresses.as_deref().unwrap_or_default().len()
}

fn unready(subset: &EndpointSubset) -> usize {
    subset.not_ready_addresses.as_deref().unwrap_or_default().len()
}
