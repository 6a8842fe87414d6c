//! What all services of a family share: base chains, dispatch maps, masquerading.

use corten_net::nftables::{
    Chain, ChainType, CmpOp, DataType, Element, Family, Field, Hook, Reject, Rule, Selector, Set, Table, TableDump,
    Transaction, Value, Verdict, ct_status, nat_flags, priority,
};
use ipnet::{IpNet, Ipv4Net};

use super::{NftablesConfig, port::Leftover};
use crate::names::IpFamily;

/// Refuses a connection at once.
pub(super) const REJECT: &str = "reject";
const DISPATCH: &str = "dispatch";
const POSTROUTING: &str = "postrouting";
const PREROUTING: &str = "prerouting";
const OUTPUT: &str = "output";
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

    /// Appends the creation of what is shared, as far as the table does not have it, but no rules and elements.
    pub(super) fn create(&self, config: &NftablesConfig, existing: Option<&TableDump>, tx: &mut Transaction) {
        let t = &self.table;
        tx.add_table(t);
        for set in self.sets().filter(|s| existing.is_none_or(|dump| dump.set(&s.name).is_none())) {
            tx.add_set(t, set.clone());
        }
        for chain in self.chains(config) {
            if existing.is_none_or(|dump| dump.chains.iter().all(|c| c.name != chain.name)) {
                tx.add_chain(t, chain);
            }
        }
    }

    /// Whether what the table has under our names is made as ours is, so that it can be filled anew.
    pub(super) fn is_ours(&self, config: &NftablesConfig, existing: &TableDump) -> bool {
        self.sets().all(|set| existing.set(&set.name).is_none_or(|dump| dump.set == *set))
            && self
                .chains(config)
                .iter()
                .all(|chain| existing.chains.iter().filter(|c| c.name == chain.name).all(|c| c.base == chain.base))
    }

    /// The chains and sets of ports, and whatever else is in the table: to be deleted. Chains are emptied first: the ones
    /// lead to others.
    pub(super) fn leftovers(&self, config: &NftablesConfig, existing: &TableDump) -> Vec<Leftover> {
        let t = &self.table;
        let shared = self.chains(config);
        let chains: Vec<&str> =
            existing.chains.iter().map(|c| &*c.name).filter(|name| shared.iter().all(|c| c.name != *name)).collect();
        let sets = existing.sets.iter().map(|s| &s.set.name).filter(|name| self.sets().all(|s| s.name != **name));
        let emptied = chains.iter().map(|name| Leftover::Rules(t.clone(), (*name).to_owned()));
        let deleted = chains.iter().map(|name| Leftover::Chain(t.clone(), (*name).to_owned()));
        emptied.chain(deleted).chain(sets.map(|name| Leftover::Set(t.clone(), name.clone()))).collect()
    }

    /// Appends all shared rules, and the elements that follow from the configuration, in place of those that are there.
    pub(super) fn fill(&self, config: &NftablesConfig, tx: &mut Transaction) {
        let t = &self.table;
        for set in self.sets() {
            tx.flush_set(t, &set.name);
        }
        for chain in self.chains(config) {
            tx.flush_chain(t, chain.name);
        }
        tx.add_elements(t, &self.cluster_cidrs, prefixes(self.family, &config.cluster_cidrs));
        tx.add_elements(t, &self.node_port_addresses, prefixes(self.family, &config.node_port_addresses));
        tx.add_rule(t, Rule::new(REJECT).reject(Reject::Icmp(if self.family == IpFamily::V4 { 3 } else { 4 })));
        self.fill_dispatch(config, tx);
        self.fill_postrouting(config, tx);
        if self.has_guard(config) {
            self.fill_guard(tx);
        }
        for name in [PREROUTING, OUTPUT] {
            tx.add_rule(t, Rule::new(name).jump(DISPATCH));
        }
    }

    fn sets(&self) -> impl Iterator<Item = &Set> {
        [
            &self.services,
            &self.node_ports,
            &self.cluster_ips,
            &self.hairpins,
            &self.cluster_cidrs,
            &self.node_port_addresses,
        ]
        .into_iter()
    }

    fn chains(&self, config: &NftablesConfig) -> Vec<Chain> {
        let mut chains = vec![
            Chain::regular(REJECT),
            Chain::regular(DISPATCH),
            Chain::base(POSTROUTING, ChainType::Nat, Hook::Postrouting, priority::SRCNAT),
        ];
        if self.has_guard(config) {
            chains.push(Chain::base(GUARD, ChainType::Filter, Hook::Prerouting, priority::RAW));
        }
        chains.push(Chain::base(PREROUTING, ChainType::Nat, Hook::Prerouting, priority::DSTNAT));
        chains.push(Chain::base(OUTPUT, ChainType::Nat, Hook::Output, priority::DSTNAT));
        chains
    }

    fn has_guard(&self, config: &NftablesConfig) -> bool {
        self.family == IpFamily::V4 && config.localhost_node_ports
    }

    fn fill_dispatch(&self, config: &NftablesConfig, tx: &mut Transaction) {
        let t = &self.table;
        let to_cluster_ip = || Rule::new(DISPATCH).in_set(&[self.destination()], &self.cluster_ips.name);
        let mark = config.masquerade_mark;
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

    fn fill_postrouting(&self, config: &NftablesConfig, tx: &mut Transaction) {
        let t = &self.table;
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
    fn fill_guard(&self, tx: &mut Transaction) {
        let t = &self.table;
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
