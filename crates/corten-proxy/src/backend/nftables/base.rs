//! What all services of a family share: base chains, dispatch maps, masquerading.

use corten_net::nftables::{
    Chain, ChainType, CmpOp, DataType, Element, Family, Field, Hook, Reject, Rule, Selector, Set, Table, Transaction,
    Value, Verdict, ct_status, nat_flags, priority,
};
use ipnet::{IpNet, Ipv4Net};

use super::NftablesConfig;
use crate::names::IpFamily;

/// Refuses a connection at once.
pub(super) const REJECT: &str = "reject";
const DISPATCH: &str = "dispatch";
const POSTROUTING: &str = "postrouting";
const GUARD: &str = "localhost-guard";
const LOOPBACK: &str = "lo";
const LOOPBACK_NET: IpNet = IpNet::V4(Ipv4Net::new_assert(std::net::Ipv4Addr::new(127, 0, 0, 0), 8));

/// The table of one family, and the sets that all services share.
#[derive(Debug)]
pub(super) struct FamilyTable {
    pub(super) family: IpFamily,
    pub(super) table: Table,
    /// (address, protocol, port) -> chain.
    pub(super) services: Set,
    /// (protocol, port) -> chain, for addresses of this machine.
    pub(super) node_ports: Set,
    /// Cluster addresses.
    pub(super) cluster_ips: Set,
    /// (source, destination) of pods that reach themselves.
    pub(super) hairpins: Set,
    /// Addresses of pods.
    cluster_cidrs: Set,
    node_port_addresses: Set,
}

impl FamilyTable {
    pub(super) fn new(family: IpFamily, config: &NftablesConfig) -> Self {
        let (nft_family, ip) = match family {
            IpFamily::V4 => (Family::Ip4, DataType::Ip4),
            IpFamily::V6 => (Family::Ip6, DataType::Ip6),
        };
        Self {
            family,
            table: Table::new(nft_family, format!("{}-proxy", config.prefix)),
            services: Set::verdict_map("services", &[ip, DataType::Protocol, DataType::Port]),
            node_ports: Set::verdict_map("node-ports", &[DataType::Protocol, DataType::Port]),
            cluster_ips: Set::new("cluster-ips", &[ip]),
            hairpins: Set::new("hairpins", &[ip, ip]),
            cluster_cidrs: Set::new("cluster-cidrs", &[ip]).with_intervals(),
            node_port_addresses: Set::new("node-port-addresses", &[ip]).with_intervals(),
        }
    }

    pub(super) fn ip_type(&self) -> DataType {
        match self.family {
            IpFamily::V4 => DataType::Ip4,
            IpFamily::V6 => DataType::Ip6,
        }
    }

    pub(super) fn source(&self) -> Field {
        match self.family {
            IpFamily::V4 => Field::Ip4Source,
            IpFamily::V6 => Field::Ip6Source,
        }
    }

    pub(super) fn destination(&self) -> Field {
        match self.family {
            IpFamily::V4 => Field::Ip4Destination,
            IpFamily::V6 => Field::Ip6Destination,
        }
    }

    pub(super) fn cluster_cidrs_of<'a>(&self, config: &'a NftablesConfig) -> impl Iterator<Item = IpNet> + use<'a> {
        of_family(self.family, &config.cluster_cidrs)
    }

    /// Appends the creation of everything shared.
    pub(super) fn create(&self, config: &NftablesConfig, tx: &mut Transaction) {
        let t = &self.table;
        tx.add_table(t);
        for set in [
            &self.services,
            &self.node_ports,
            &self.cluster_ips,
            &self.hairpins,
            &self.cluster_cidrs,
            &self.node_port_addresses,
        ] {
            tx.add_set(t, set.clone());
        }
        tx.add_elements(t, &self.cluster_cidrs, prefixes(self.family, &config.cluster_cidrs));
        tx.add_elements(t, &self.node_port_addresses, prefixes(self.family, &config.node_port_addresses));
        tx.add_chain(t, Chain::regular(REJECT));
        tx.add_rule(t, Rule::new(REJECT).reject(Reject::Icmp(if self.family == IpFamily::V4 { 3 } else { 4 })));
        self.create_dispatch(config, tx);
        self.create_postrouting(config, tx);
        if self.family == IpFamily::V4 && config.localhost_node_ports {
            self.create_guard(tx);
        }
        for (name, hook) in [("prerouting", Hook::Prerouting), ("output", Hook::Output)] {
            tx.add_chain(t, Chain::base(name, ChainType::Nat, hook, priority::DSTNAT));
            tx.add_rule(t, Rule::new(name).jump(DISPATCH));
        }
    }

    fn create_dispatch(&self, config: &NftablesConfig, tx: &mut Transaction) {
        let t = &self.table;
        let to_cluster_ip = || Rule::new(DISPATCH).in_set(&[self.destination()], &self.cluster_ips.name);
        let mark = config.masquerade_mark;
        tx.add_chain(t, Chain::regular(DISPATCH));
        if config.masquerade_all {
            tx.add_rule(t, to_cluster_ip().set_mark(mark, mark));
        } else if self.cluster_cidrs_of(config).next().is_some() {
            let from_outside = to_cluster_ip().not_in_set(&[self.source()], &self.cluster_cidrs.name);
            tx.add_rule(t, from_outside.set_mark(mark, mark));
        }
        let key = [self.destination(), Field::L4Proto, Field::DestinationPort];
        tx.add_rule(t, Rule::new(DISPATCH).verdict_map(Selector::Fields(&key), &self.services.name));
        tx.add_rule(t, to_cluster_ip().comment("no such port").goto(REJECT));
        let mut node_port = Rule::new(DISPATCH).matches(Field::FibDestinationType, &Value::LOCAL);
        if of_family(self.family, &config.node_port_addresses).next().is_some() {
            node_port = node_port.in_set(&[self.destination()], &self.node_port_addresses.name);
        }
        if self.family == IpFamily::V4 && !config.localhost_node_ports {
            node_port = node_port.in_network(self.destination(), LOOPBACK_NET, true);
        }
        if self.family == IpFamily::V6 {
            // The kernel lets no packet with the source ::1 out, so that a node port could not work there.
            node_port = node_port.compares(self.destination(), CmpOp::Ne, &Value::Ip6(std::net::Ipv6Addr::LOCALHOST));
        }
        tx.add_rule(t, node_port.verdict_map(Selector::Fields(&key[1..]), &self.node_ports.name));
    }

    fn create_postrouting(&self, config: &NftablesConfig, tx: &mut Transaction) {
        let t = &self.table;
        tx.add_chain(t, Chain::base(POSTROUTING, ChainType::Nat, Hook::Postrouting, priority::SRCNAT));
        let mark = config.masquerade_mark;
        tx.add_rule(
            t,
            Rule::new(POSTROUTING).any_bit(Field::Mark, mark).set_mark(0, mark).masquerade(nat_flags::FULLY_RANDOM),
        );
        // A pod that its own service sends to itself would answer itself directly, past the translation.
        tx.add_rule(
            t,
            Rule::new(POSTROUTING)
                .any_bit(Field::CtStatus, ct_status::DNAT)
                .in_set(&[self.source(), self.destination()], &self.hairpins.name)
                .masquerade(nat_flags::FULLY_RANDOM),
        );
    }

    /// CVE-2020-8558: `route_localnet` would let neighbours reach what listens on 127.0.0.1. Before translation, no
    /// honest packet from another machine has such a destination.
    fn create_guard(&self, tx: &mut Transaction) {
        let t = &self.table;
        tx.add_chain(t, Chain::base(GUARD, ChainType::Filter, Hook::Prerouting, priority::RAW));
        tx.add_rule(
            t,
            Rule::new(GUARD)
                .compares(Field::IifName, CmpOp::Ne, &Value::IfName(LOOPBACK.to_owned()))
                .in_network(Field::Ip4Destination, LOOPBACK_NET, false)
                .verdict(Verdict::Drop),
        );
    }
}

fn of_family(family: IpFamily, nets: &[IpNet]) -> impl Iterator<Item = IpNet> + use<'_> {
    nets.iter().copied().filter(move |net| IpFamily::of(net.addr()) == family)
}

/// Elements of an interval set. Aggregated, because the kernel refuses intervals that overlap.
pub(super) fn prefixes<'a>(family: IpFamily, nets: impl IntoIterator<Item = &'a IpNet>) -> Vec<Element> {
    let nets: Vec<IpNet> = nets.into_iter().copied().filter(|net| IpFamily::of(net.addr()) == family).collect();
    IpNet::aggregate(&nets).into_iter().map(Element::prefix).collect()
}
