//! Services as packet rules, a few nftables transactions per change.
//!
//! A table per family, `PREFIX-proxy`, so that several clusters can live on one machine. A new connection is looked up
//! by (destination, protocol, port) in the map `services`, or by (protocol, port) in `node-ports`; the map leads to a
//! chain of the service's port, which picks an endpoint. Shared chains and sets are in `base`, those of one port in
//! `port`; a port's have a number in their names, given anew at each full sync.
//!
//! Only first packets of connections come here (chains of type `nat`), so connections survive the removal of their
//! endpoint until they end. UDP has no end: there, connections to endpoints that are gone are forgotten after the
//! commit, and the next packet is translated anew.
//!
//! The kernel lets a packet that is just being looked at see the rules of before a commit together with the elements of
//! after it. So a change is up to three commits: new chains that nothing leads to yet; what leads to them; and once no
//! packet can be on its way to them, the deletion of what nothing leads to any more.
//!
//! Upstream: `pkg/proxy/nftables/proxier.go`, `pkg/proxy/conntrack/cleanup.go` (v1.35). Ours differs in shape: one map
//! per port instead of a chain per endpoint, and one set of hairpin pairs instead of a rule per endpoint.

mod base;
mod plan;
mod port;
mod stale_udp;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use corten_net::{
    Netns,
    conntrack::{Conntrack, UDP},
    nftables::{
        CommitError, Element, ElementData, Nftables, Set, Table, TableDump, Transaction, Value, wait_for_packets,
    },
    sysctl,
};
use ipnet::IpNet;

use self::{
    base::FamilyTable,
    plan::{Plan, State},
    port::id_of,
    stale_udp::StaleUdp,
};
use super::{Backend, BackendError};
use crate::{
    names::IpFamily,
    ruleset::{Change, Ruleset},
};

/// Looks at a set of clients: each but the first because one of them left between look and deletion.
const FORGET_ATTEMPTS: usize = 5;

const ROUTE_LOCALNET: &str = "net/ipv4/conf/all/route_localnet";

/// How the rules are made.
#[derive(Clone, Debug)]
pub struct NftablesConfig {
    /// Start of the tables' names; another cluster on the machine has another.
    pub prefix: String,
    /// Families to have tables for.
    pub families: Vec<IpFamily>,
    /// Addresses of pods (`--cluster-cidr`); if given, clients outside it that use a cluster address are masqueraded.
    pub cluster_cidrs: Vec<IpNet>,
    /// Masquerade all clients of cluster addresses (`--masquerade-all`).
    pub masquerade_all: bool,
    /// The bit of the packet mark that asks for masquerading (`--iptables-masquerade-bit`).
    pub masquerade_mark: u32,
    /// Local addresses that serve node ports (`--nodeport-addresses`); empty for all.
    pub node_port_addresses: Vec<IpNet>,
    /// Node ports on 127.0.0.1 (`--iptables-localhost-nodeports`).
    pub localhost_node_ports: bool,
}

impl Default for NftablesConfig {
    fn default() -> Self {
        Self {
            prefix: "corten".to_owned(),
            families: IpFamily::ALL.to_vec(),
            cluster_cidrs: Vec::new(),
            masquerade_all: false,
            masquerade_mark: 1 << 14,
            node_port_addresses: Vec::new(),
            localhost_node_ports: true,
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct NftablesBackend {
    config: NftablesConfig,
    netns: Netns,
    nft: Nftables,
    conntrack: Conntrack,
    tables: BTreeMap<IpFamily, FamilyTable>,
    state: State,
    /// The generation that our last commit made, as far as known.
    generation: Option<u32>,
}

impl NftablesBackend {
    /// A backend for the network namespace of the calling thread. Changes nothing yet.
    pub fn open(config: NftablesConfig) -> Result<Self, BackendError> {
        let tables = config.families.iter().map(|f| (*f, FamilyTable::new(*f, &config))).collect();
        Ok(Self {
            netns: Netns::current()?,
            nft: Nftables::open()?,
            conntrack: Conntrack::open()?,
            tables,
            state: State::default(),
            generation: None,
            config,
        })
    }

    /// Whether the kernel can do this at all.
    pub fn is_supported() -> Result<bool, BackendError> {
        Ok(Nftables::open()?.is_supported()?)
    }

    /// Removes the tables that are there, and first turns off what their rules guard: packets for 127/8 from elsewhere.
    pub fn retire(&mut self) -> Result<(), BackendError> {
        let present = self.nft.tables()?;
        let is_present = |ours: &Table| present.iter().any(|it| (it.family, &it.name) == (ours.family, &ours.name));
        let guarded = self.tables.get(&IpFamily::V4).is_some_and(|ours| is_present(&ours.table));
        if guarded && self.config.localhost_node_ports {
            sysctl::write(&self.netns, ROUTE_LOCALNET, "0")?;
        }
        self.clean_up()
    }

    /// Settings that the rules rely on.
    fn prepare_kernel(&self) -> Result<(), BackendError> {
        if self.tables.contains_key(&IpFamily::V4) {
            sysctl::write(&self.netns, "net/ipv4/ip_forward", "1")?;
            if self.config.localhost_node_ports {
                // Lets packets with the source 127.0.0.1 out to a pod before they are translated.
                sysctl::write(&self.netns, ROUTE_LOCALNET, "1")?;
            }
            sysctl::write_if_present(&self.netns, "net/bridge/bridge-nf-call-iptables", "1")?;
        }
        if self.tables.contains_key(&IpFamily::V6) {
            sysctl::write_if_present(&self.netns, "net/ipv6/conf/all/forwarding", "1")?;
            sysctl::write_if_present(&self.netns, "net/bridge/bridge-nf-call-ip6tables", "1")?;
        }
        Ok(())
    }

    /// Carries out a plan, but for its sweep.
    fn commit_plan(&mut self, plan: &Plan) -> Result<(), BackendError> {
        self.commit(&plan.prepare)?;
        self.commit(&plan.switch)
    }

    /// The end of a plan.
    fn sweep(&mut self, plan: Plan) -> Result<(), BackendError> {
        let tx = plan.sweep();
        if tx.is_empty() {
            return Ok(());
        }
        // Where the kernel cannot wait, the commit itself takes longer than nearly every packet does.
        wait_for_packets();
        self.commit(&tx)
    }

    /// Fills the tables that are there anew, so that each packet meets rules of before or after.
    ///
    /// Errors: the kernel refuses it if the tables hold things of somebody else that we cannot see.
    fn refill(&mut self, changes: &[Change], existing: &[TableDump]) -> Result<(State, Plan), BackendError> {
        let names = existing.iter().flat_map(|dump| {
            let chains = dump.chains.iter().map(|c| &c.name);
            chains.chain(dump.sets.iter().map(|s| &s.set.name))
        });
        let mut state = State::after(names.filter_map(|name| id_of(name)).max().unwrap_or(0));
        let mut plan = Plan::default();
        for (table, dump) in self.tables.values().zip(existing) {
            table.create(&self.config, Some(dump), &mut plan.prepare);
            table.fill(&self.config, &mut plan.switch);
            plan.leftovers.extend(table.leftovers(&self.config, dump));
        }
        state.plan(&self.tables, &self.config, changes, &mut plan);
        self.commit_plan(&plan)?;
        Ok((state, plan))
    }

    /// Makes the tables anew in one commit. A connection that begins in that moment may be refused.
    fn rebuild(&mut self, changes: &[Change]) -> Result<State, BackendError> {
        let mut tx = Transaction::new();
        for table in self.tables.values() {
            tx.purge_table(&table.table);
            table.create(&self.config, None, &mut tx);
        }
        let (mut state, mut plan) = (State::default(), Plan::default());
        for table in self.tables.values() {
            table.fill(&self.config, &mut plan.switch);
        }
        state.plan(&self.tables, &self.config, changes, &mut plan);
        tx.append(&mut plan.prepare).append(&mut plan.switch);
        self.commit(&tx)?;
        Ok(state)
    }

    /// All our tables, if all are there and as we make them.
    fn dump_own(&self) -> Result<Option<Vec<TableDump>>, BackendError> {
        let mut dumps = Vec::new();
        for table in self.tables.values() {
            match self.nft.dump(&table.table)? {
                Some(dump) if table.is_ours(&self.config, &dump) => dumps.push(dump),
                _ => return Ok(None),
            }
        }
        Ok(Some(dumps))
    }

    fn commit(&mut self, transaction: &Transaction) -> Result<(), BackendError> {
        if transaction.is_empty() {
            return Ok(());
        }
        self.generation = None;
        self.nft.commit(transaction)?;
        self.generation = Some(self.nft.generation()?);
        Ok(())
    }

    /// Lets clients whose endpoint is gone be sent to another one for good. No packet leads to those endpoints any more,
    /// so what is found here is all there is.
    fn forget_clients(&mut self, changes: &[Change]) -> Result<(), BackendError> {
        for change in changes {
            let (Some(old), Some(new)) = (&change.old, &change.new) else { continue };
            let has_lost = old.endpoints().any(|a| !new.cluster_endpoints.contains(&a))
                || old.endpoints().any(|a| !new.local_endpoints.contains(&a));
            let is_sticky = old.affinity.is_some() && new.affinity.is_some();
            let (Some(table), Some(port)) = (self.tables.get(&change.key.family), self.state.ports.get(&change.key))
            else {
                continue;
            };
            if !has_lost || !is_sticky {
                continue;
            }
            let sets: Vec<_> = port.clients(table).collect();
            let table = table.table.clone();
            for (set, alive) in sets {
                self.forget_clients_of(&table, &set, &alive)?;
            }
        }
        Ok(())
    }

    fn forget_clients_of(
        &mut self,
        table: &Table,
        set: &Set,
        alive: &BTreeSet<SocketAddr>,
    ) -> Result<(), BackendError> {
        for _ in 0..FORGET_ATTEMPTS {
            let stale: Vec<Element> = self
                .nft
                .elements(table, set)?
                .into_iter()
                .filter(|e| endpoint_of(e).is_some_and(|endpoint| !alive.contains(&endpoint)))
                .map(|e| Element::new(e.key))
                .collect();
            if stale.is_empty() {
                return Ok(());
            }
            let mut tx = Transaction::new();
            tx.delete_elements(table, set, stale);
            match self.commit(&tx) {
                // One of them left by itself meanwhile, and with it all of the transaction was refused.
                Err(BackendError::Commit(e)) if e.is_not_found() => {}
                result => return result,
            }
        }
        Ok(())
    }

    /// Forgets UDP connections whose service no longer leads where they go, which includes those from before the
    /// service was there. One listing of all connections, and only if a UDP port lost something or is new.
    fn forget_stale(&self, changes: &[Change]) -> Result<usize, BackendError> {
        let stale = StaleUdp::new(changes);
        if stale.is_empty() {
            return Ok(0);
        }
        self.conntrack
            .delete_where(|e| e.original.protocol == UDP && stale.covers(e.original.destination, e.reply.source))
            .map_err(BackendError::Conntrack)
    }
}

/// The endpoint that a client's element holds.
fn endpoint_of(element: &Element) -> Option<SocketAddr> {
    let Some(ElementData::Values(values)) = &element.data else { return None };
    match values[..] {
        [Value::Ip4(ip), Value::Port(port)] => Some((ip, port).into()),
        [Value::Ip6(ip), Value::Port(port)] => Some((ip, port).into()),
        _ => None,
    }
}

impl Backend for NftablesBackend {
    fn name(&self) -> &'static str {
        "nftables"
    }

    fn replace(&mut self, ruleset: &Ruleset) -> Result<(), BackendError> {
        self.prepare_kernel()?;
        let changes: Vec<_> = ruleset
            .ports()
            .map(|(key, rules)| Change { key: key.clone(), old: None, new: Some(rules.clone()) })
            .collect();
        let refilled = match self.dump_own()? {
            None => None,
            Some(existing) => match self.refill(&changes, &existing) {
                Err(BackendError::Commit(CommitError::Refused { .. })) => None,
                result => Some(result?),
            },
        };
        let (state, plan) = match refilled {
            Some((state, plan)) => (state, plan),
            None => (self.rebuild(&changes)?, Plan::default()),
        };
        self.state = state;
        self.forget_stale(&changes)?;
        self.sweep(plan)
    }

    fn apply(&mut self, changes: &[Change]) -> Result<(), BackendError> {
        let mut plan = Plan::default();
        self.state.plan(&self.tables, &self.config, changes, &mut plan);
        self.commit_plan(&plan)?;
        self.forget_clients(changes)?;
        self.forget_stale(changes)?;
        self.sweep(plan)
    }

    fn is_intact(&mut self) -> Result<bool, BackendError> {
        let generation = self.nft.generation()?;
        if self.generation == Some(generation) {
            return Ok(true);
        }
        // Somebody changed something: see whether our tables are still there and have all their services.
        for table in self.tables.values() {
            let Some(dump) = self.nft.dump(&table.table)? else { return Ok(false) };
            let services = dump.set(&table.services.name).map_or(0, |s| s.elements.len());
            let node_ports = dump.set(&table.node_ports.name).map_or(0, |s| s.elements.len());
            let wanted = self.state.claims.frontends().filter(|f| f.family == table.family).count();
            if services + node_ports != wanted {
                return Ok(false);
            }
        }
        self.generation = Some(generation);
        Ok(true)
    }

    fn clean_up(&mut self) -> Result<(), BackendError> {
        let mut tx = Transaction::new();
        for table in self.tables.values() {
            tx.purge_table(&table.table);
        }
        self.commit(&tx)?;
        self.state = State::default();
        Ok(())
    }
}
