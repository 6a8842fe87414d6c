//! The plugin `portmap`: packets to a port of the node (`hostPort`) go to the pod.
//!
//! The ports are elements of maps, marked with their owner, so adding and deleting cost what one pod has. A port that
//! another pod has goes to the newer one: who asks has seen to it that the other one is ending, which may take its time.
//! The chains are put down anew in each addition's transaction and are always whole:
//!
//! - `hostports`, from prerouting and output: look up (address, protocol, port), then, for addresses of this node,
//!   (protocol, port); translate the destination;
//! - `hostports-return`: connections from 127.0.0.1, from the pod itself and from its subnet get the node's address, or
//!   answers would not come back this way;
//! - `hostports-guard`: 127.0.0.1 works because the interface to the pod accepts such packets (`route_localnet`); what
//!   came from elsewhere with such a destination is dropped (CVE-2020-8558).
//!
//! Upstream: containernetworking/plugins `plugins/meta/portmap`.

use std::{
    collections::HashSet,
    net::{IpAddr, SocketAddr},
};

use ipnet::IpNet;
use serde::Deserialize;

use super::{
    CniError, CniResult, IpConfig, Plugin, Request,
    bridge::{default_table, forget_elements, forget_matching},
    code,
};
use crate::{
    conntrack::UDP,
    netlink::TABLE_MAIN,
    nftables::{
        Chain, ChainType, CmpOp, DataType, Element, ElementData, Family, Field, Hook, Rule, Selector, Set, Table,
        Transaction, Value, Verdict, ct_status, nat_flags, priority,
    },
    sysctl,
};

const TCP: u8 = 6;
const PORTS: &str = "hostports";
const RETURN: &str = "hostports-return";
const GUARD: &str = "hostports-guard";

/// See the module.
#[derive(Debug)]
pub struct Portmap;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    #[serde(default)]
    runtime_config: RuntimeConfig,
    #[serde(default = "default_snat")]
    snat: bool,
    #[serde(default = "default_table")]
    nft_table: String,
    /// TCP ports on which servers of this node listen. Our own setting: packet rules come before listeners, and whoever may
    /// make a pod would take the API server's place.
    #[serde(default)]
    reserved_ports: Vec<u16>,
}

fn default_snat() -> bool {
    true
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RuntimeConfig {
    #[serde(default)]
    port_mappings: Vec<PortMapping>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PortMapping {
    host_port: u16,
    container_port: u16,
    protocol: String,
    #[serde(default, rename = "hostIP")]
    host_ip: String,
}

/// A mapping with its words read.
struct Mapping {
    host_ip: Option<IpAddr>,
    host_port: u16,
    protocol: u8,
    container_port: u16,
}

impl PortMapping {
    fn read(&self) -> Result<Option<Mapping>, CniError> {
        if self.host_port == 0 {
            return Ok(None);
        }
        let invalid = |what: String| CniError::new(code::INVALID_CONFIG, what);
        let protocol = match self.protocol.to_ascii_lowercase().as_str() {
            "tcp" => TCP,
            "udp" => UDP,
            "sctp" => 132,
            other => return Err(invalid(format!("unknown protocol {other:?} of host port {}", self.host_port))),
        };
        let host_ip = match self.host_ip.as_str() {
            "" => None,
            text => Some(
                text.parse::<IpAddr>()
                    .map_err(|e| invalid(format!("host address {text:?} is not valid")).details(&e))?,
            ),
        };
        let Self { host_port, container_port, .. } = *self;
        Ok(Some(Mapping { host_ip, host_port, protocol, container_port }))
    }

    fn read_all(mappings: &[Self]) -> Result<Vec<Mapping>, CniError> {
        mappings.iter().filter_map(|m| m.read().transpose()).collect()
    }
}

impl Mapping {
    /// Whether the mapping is for the family of the address; one without a host address is for both.
    fn is_for(&self, ip: IpAddr) -> bool {
        self.host_ip.is_none_or(|host| host.is_ipv4() == ip.is_ipv4())
    }

    fn specific_ip(&self) -> Option<IpAddr> {
        self.host_ip.filter(|ip| !ip.is_unspecified())
    }
}

/// Ports of the node: address (none for all), protocol, number. A pod may want tens of thousands, and so may others, so nobody
/// looks through them: whether one is among them is a look into a set.
struct Places(HashSet<(Option<IpAddr>, u8, u16)>);

impl Places {
    fn of(mappings: &[Mapping]) -> Self {
        Self(mappings.iter().map(|m| (m.specific_ip(), m.protocol, m.host_port)).collect())
    }

    /// Whether a mapping is for one of them.
    fn have(&self, other: &Mapping) -> bool {
        self.0.contains(&(other.specific_ip(), other.protocol, other.host_port))
    }

    /// Whether what was sent there came to one of them.
    fn take_in(&self, protocol: u8, to: SocketAddr) -> bool {
        [None, Some(to.ip())].into_iter().any(|ip| self.0.contains(&(ip, protocol, to.port())))
    }
}

/// The sets of one family.
struct PortSets {
    is_ip6: bool,
    any: Set,
    specific: Set,
    returning: Set,
}

impl PortSets {
    fn new(is_ip6: bool) -> Self {
        let (suffix, ip) = if is_ip6 { ("6", DataType::Ip6) } else { ("4", DataType::Ip4) };
        let target = [ip, DataType::Port];
        Self {
            is_ip6,
            any: Set::map(format!("hostports{suffix}"), &[DataType::Protocol, DataType::Port], &target),
            specific: Set::map(format!("hostip-ports{suffix}"), &[ip, DataType::Protocol, DataType::Port], &target),
            returning: Set::new(format!("hostports-return{suffix}"), &[DataType::Port, DataType::Protocol, ip, ip])
                .with_intervals(),
        }
    }

    fn both() -> [Self; 2] {
        [Self::new(false), Self::new(true)]
    }

    fn all(&self) -> [&Set; 3] {
        [&self.any, &self.specific, &self.returning]
    }
}

impl Plugin for Portmap {
    fn add(&self, request: &Request<'_>) -> Result<CniResult, CniError> {
        let config: Config = request.parse()?;
        let previous =
            request.previous.ok_or_else(|| CniError::new(code::INVALID_CONFIG, "must be called as chained plugin"))?;
        let mappings = PortMapping::read_all(&config.runtime_config.port_mappings)?;
        if mappings.is_empty() {
            return Ok(previous.clone());
        }
        if let Some(own) = mappings.iter().find(|m| m.protocol == TCP && config.reserved_ports.contains(&m.host_port)) {
            let text = format!("host port {} is in use by a server of this node", own.host_port);
            return Err(CniError::new(code::PORT_TAKEN, text));
        }
        // The first address of each family, as a pod's status has them.
        let ips: Vec<&IpConfig> = [true, false]
            .into_iter()
            .filter_map(|v4| previous.ips_of(request.interface).find(|ip| ip.address.addr().is_ipv4() == v4))
            .collect();
        let nft = request.host.nft()?;
        let table = Table::new(Family::Inet, &config.nft_table);
        let owner = request.owner();
        let places = Places::of(&mappings);
        for sets in PortSets::both() {
            for set in [&sets.any, &sets.specific] {
                // Whoever has the port is ending, or this pod would not have been let in.
                let is_taken_over = |element: &Element| read_mapping(element).is_some_and(|other| places.have(&other));
                forget_matching(nft, &table, set, |element| {
                    element.comment.as_deref() == Some(&owner) || is_taken_over(element)
                })?;
            }
            forget_elements(nft, &table, &sets.returning, &owner)?;
        }
        let mut tx = Transaction::new();
        write_chains(&mut tx, &table);
        for ip in &ips {
            write_ports(&mut tx, &table, ip, &mappings, config.snat, &owner);
        }
        nft.commit(&tx).map_err(|e| match e.errno() {
            Some(libc::EEXIST | libc::EBUSY) => {
                CniError::new(code::PORT_TAKEN, "a host port is in use by another pod").details(&e)
            }
            _ => CniError::kernel("cannot set up host ports")(e),
        })?;
        if config.snat && ips.iter().any(|ip| ip.address.addr().is_ipv4()) {
            accept_local_sources(request, &ips)?;
        }
        forget_udp(request, &mappings)?;
        Ok(previous.clone())
    }

    fn delete(&self, request: &Request<'_>) -> Result<(), CniError> {
        let config: Config = request.parse()?;
        let nft = request.host.nft()?;
        let table = Table::new(Family::Inet, &config.nft_table);
        let mut mappings = Vec::new();
        for sets in PortSets::both() {
            for set in sets.all() {
                mappings.extend(forget_elements(nft, &table, set, &request.owner())?.iter().filter_map(read_mapping));
            }
        }
        forget_udp(request, &mappings)
    }

    fn check(&self, request: &Request<'_>) -> Result<(), CniError> {
        let config: Config = request.parse()?;
        let nft = request.host.nft()?;
        let table = Table::new(Family::Inet, &config.nft_table);
        let forwarded = |m: &Mapping| (m.protocol, m.host_port, m.container_port);
        let mut present = HashSet::new();
        for sets in PortSets::both() {
            for set in [&sets.any, &sets.specific] {
                match nft.elements(&table, set) {
                    Ok(elements) => present.extend(elements.iter().filter_map(read_mapping).map(|m| forwarded(&m))),
                    Err(e) if e.is_not_found() => {}
                    Err(e) => return Err(CniError::kernel("cannot read packet rules")(e)),
                }
            }
        }
        for wanted in PortMapping::read_all(&config.runtime_config.port_mappings)? {
            if !present.contains(&forwarded(&wanted)) {
                let text = format!("host port {} is not forwarded", wanted.host_port);
                return Err(CniError::new(code::MISMATCH, text));
            }
        }
        Ok(())
    }
}

fn write_chains(tx: &mut Transaction, table: &Table) {
    tx.add_table(table);
    for chain in [
        Chain::regular(PORTS),
        Chain::base("hostports-pre", ChainType::Nat, Hook::Prerouting, priority::DSTNAT),
        Chain::base("hostports-out", ChainType::Nat, Hook::Output, priority::DSTNAT),
        Chain::base(RETURN, ChainType::Nat, Hook::Postrouting, priority::SRCNAT),
        Chain::base(GUARD, ChainType::Filter, Hook::Prerouting, priority::RAW),
    ] {
        let name = chain.name.clone();
        tx.add_chain(table, chain).flush_chain(table, name);
    }
    for base in ["hostports-pre", "hostports-out"] {
        tx.add_rule(table, Rule::new(base).jump(PORTS));
    }
    for sets in PortSets::both() {
        for set in sets.all() {
            tx.add_set(table, set.clone());
        }
        let (family, source, destination) = if sets.is_ip6 {
            (10, Field::Ip6Source, Field::Ip6Destination)
        } else {
            (2, Field::Ip4Source, Field::Ip4Destination)
        };
        let of_family = |chain| Rule::new(chain).matches(Field::NfProto, &Value::Protocol(family));
        let specific = [destination, Field::L4Proto, Field::DestinationPort];
        tx.add_rule(table, of_family(PORTS).dnat_map(Selector::Fields(&specific), &sets.specific.name, sets.is_ip6));
        tx.add_rule(
            table,
            of_family(PORTS).matches(Field::FibDestinationType, &Value::LOCAL).dnat_map(
                Selector::Fields(&specific[1..]),
                &sets.any.name,
                sets.is_ip6,
            ),
        );
        let returning = [Field::CtOriginalDestinationPort, Field::L4Proto, source, destination];
        tx.add_rule(
            table,
            of_family(RETURN)
                .any_bit(Field::CtStatus, ct_status::DNAT)
                .in_set(&returning, &sets.returning.name)
                .masquerade(nat_flags::FULLY_RANDOM),
        );
    }
    tx.add_rule(
        table,
        Rule::new(GUARD)
            .matches(Field::NfProto, &Value::Protocol(2))
            .compares(Field::IifName, CmpOp::Ne, &Value::IfName("lo".to_owned()))
            .in_network(Field::Ip4Destination, localhost(), false)
            .verdict(Verdict::Drop),
    );
}

fn localhost() -> IpNet {
    "127.0.0.0/8".parse().expect("a constant")
}

fn write_ports(tx: &mut Transaction, table: &Table, ip: &IpConfig, mappings: &[Mapping], snat: bool, owner: &str) {
    let pod = ip.address.addr();
    let sets = PortSets::new(pod.is_ipv6());
    for m in mappings.iter().filter(|m| m.is_for(pod)) {
        let (protocol, port) = (Value::Protocol(m.protocol), Value::Port(m.host_port));
        let target = vec![Value::from(pod), Value::Port(m.container_port)];
        let (set, key) = match m.specific_ip() {
            Some(host) => (&sets.specific, vec![host.into(), protocol.clone(), port.clone()]),
            None => (&sets.any, vec![protocol.clone(), port.clone()]),
        };
        tx.add_elements(table, set, [Element::new(key).to_values(target).comment(owner)]);
        if !snat {
            continue;
        }
        let local = pod.is_ipv4().then(localhost);
        for from in [Some(ip.address.trunc()), local].into_iter().flatten() {
            let bound = |source: IpAddr| vec![port.clone(), protocol.clone(), source.into(), pod.into()];
            let element = Element::range(bound(from.network()), bound(from.broadcast())).comment(owner);
            tx.add_elements(table, &sets.returning, [element]);
        }
    }
}

/// Lets packets with a source in 127/8 leave by, and answers come in by, the interface that leads to the pod.
fn accept_local_sources(request: &Request<'_>, ips: &[&IpConfig]) -> Result<(), CniError> {
    let rtnl = request.host.rtnl()?;
    let routes = rtnl.routes(TABLE_MAIN).map_err(CniError::kernel("cannot read the routes"))?;
    for ip in ips.iter().filter(|ip| ip.address.addr().is_ipv4()) {
        let leading = routes.iter().filter(|r| r.destination.contains(&ip.address.addr()));
        let Some(index) = leading.max_by_key(|r| r.destination.prefix_len()).and_then(|r| r.link) else { continue };
        let Some(link) = rtnl.link_by_index(index).map_err(CniError::kernel("cannot find an interface"))? else {
            continue;
        };
        let name = format!("net/ipv4/conf/{}/route_localnet", link.name);
        sysctl::write(&request.host.netns, &name, "1").map_err(CniError::kernel("cannot enable route_localnet"))?;
    }
    Ok(())
}

/// Forgets UDP connections to the ports: a client that keeps sending would stay with the old translation, or with none.
fn forget_udp(request: &Request<'_>, mappings: &[Mapping]) -> Result<(), CniError> {
    if mappings.iter().all(|m| m.protocol != UDP) {
        return Ok(());
    }
    let places = Places::of(mappings);
    let conntrack = request.host.conntrack()?;
    conntrack
        .delete_where(|entry| {
            let sent = &entry.original;
            sent.protocol == UDP && places.take_in(UDP, sent.destination)
        })
        .map(drop)
        .map_err(CniError::kernel("cannot forget connections"))
}

/// The mapping that an element of one of the port maps stands for.
fn read_mapping(element: &Element) -> Option<Mapping> {
    let (host_ip, protocol, host_port) = match element.key[..] {
        [Value::Protocol(protocol), Value::Port(port)] => (None, protocol, port),
        [ref ip, Value::Protocol(protocol), Value::Port(port)] => (Some(ip.ip()?), protocol, port),
        _ => return None,
    };
    let Some(ElementData::Values(values)) = &element.data else { return None };
    let [_, Value::Port(container_port)] = values[..] else { return None };
    Some(Mapping { host_ip, host_port, protocol, container_port })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(host_ip: &str, protocol: u8, host_port: u16) -> Mapping {
        Mapping { host_ip: host_ip.parse().ok(), host_port, protocol, container_port: 1 }
    }

    #[test]
    fn a_port_is_one_of_an_address_or_of_all() {
        let places = Places::of(&[mapping("", UDP, 53), mapping("10.0.0.1", UDP, 54), mapping("0.0.0.0", 6, 80)]);
        for (host_ip, protocol, port, have) in [
            ("", UDP, 53, true),
            ("0.0.0.0", UDP, 53, true),
            ("10.0.0.1", UDP, 53, false),
            ("10.0.0.1", UDP, 54, true),
            ("", UDP, 54, false),
            ("", 6, 53, false),
            ("::", 6, 80, true),
        ] {
            assert_eq!(places.have(&mapping(host_ip, protocol, port)), have, "{host_ip} {protocol} {port}");
        }
        for (to, taken_in) in [("10.0.0.9:53", true), ("10.0.0.1:54", true), ("10.0.0.2:54", false), ("[::1]:53", true)]
        {
            assert_eq!(places.take_in(UDP, to.parse().unwrap()), taken_in, "{to}");
        }
    }

    /// Each was compared with each of the other pods', and with each connection of the node while the kernel listed them.
    #[test]
    fn tens_of_thousands_of_ports_are_looked_up() {
        let wanted: Vec<Mapping> = (1_000..=60_000).map(|port| mapping("10.0.0.1", UDP, port)).collect();
        let others: Vec<Mapping> = (1_000..=60_000).map(|port| mapping("10.0.0.2", UDP, port)).collect();
        let places = Places::of(&wanted);
        for _ in 0..10 {
            assert!(!others.iter().any(|other| places.have(other)));
        }
        let connections = (0..=u16::MAX).cycle().take(1_000_000).map(|port| SocketAddr::from(([10, 0, 0, 3], port)));
        assert_eq!(connections.filter(|to| places.take_in(UDP, *to)).count(), 0);
    }
}
