//! The chains and sets of one port of a service.
//!
//! Names have the port's number `N`:
//! - `c-N`, `l-N`: pick one of the endpoints of the cluster, of this node. The endpoints are in a map of the same name
//!   from 0, 1, ... to (address, port). With affinity, `c-N-clients` maps a client to its endpoint until its time is up, and
//!   there is a rule for each endpoint: a change of one of `n` endpoints costs `n` rules then.
//!   The kernel leaves a client's endpoint as it is while it knows the client, so clients of an endpoint that went are
//!   taken out after the change; until then the rule passes over endpoints that have just gone;
//! - `e-N`: where clients from outside go;
//! - `f-N`: who may use the load balancer's addresses.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use corten_net::nftables::{
    Chain, CmpOp, DataType, Element, Expr, Field, Nat, PayloadBase, Reg, Rule, Selector, Set, Table, Transaction,
    Value, Verdict,
};
use ipnet::IpNet;

use super::{NftablesConfig, Plan, base::FamilyTable, base::prefixes};
use crate::{
    names::IpFamily,
    ruleset::{PortKey, PortRules, Route, frontends::Role},
};

/// Where a frontend leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// To a chain.
    Chain(String),
    /// Nowhere, and the client is told.
    Reject,
    /// Nowhere.
    Drop,
}

/// Something that is to be deleted once nothing refers to it.
#[derive(Debug)]
pub(super) enum Leftover {
    /// The rules of a chain.
    Rules(Table, String),
    Chain(Table, String),
    Set(Table, String),
    /// Numbers that no rule picks any more.
    Elements(Table, Set, Vec<Element>),
}

impl Leftover {
    pub(super) fn delete(self, tx: &mut Transaction) {
        match self {
            Self::Rules(table, chain) => tx.flush_chain(&table, chain),
            Self::Chain(table, name) => tx.delete_chain(&table, name),
            Self::Set(table, name) => tx.delete_set(&table, name),
            Self::Elements(table, set, elements) => tx.delete_elements(&table, &set, elements),
        };
    }
}

/// What the kernel has of one port.
#[derive(Debug)]
pub(super) struct PortState {
    id: u64,
    cluster: Group,
    local: Group,
    external: Option<External>,
    firewall: Option<BTreeSet<IpNet>>,
}

/// What the chain `e-N` does.
#[derive(Clone, Debug, PartialEq, Eq)]
struct External {
    route: Route,
    has_local: bool,
}

/// A chain that picks one of some endpoints; not there while there are none.
#[derive(Debug)]
struct Group {
    name: String,
    /// The endpoint of each number.
    slots: Vec<SocketAddr>,
    affinity: Option<Duration>,
    /// Endpoints that have gone, the last ones last: clients that are still sent to them choose anew.
    gone: Vec<SocketAddr>,
}

/// What becomes of the map of a group.
#[derive(Debug, Default)]
struct Reassigned {
    /// Keys that get other data.
    replaced: Vec<Element>,
    /// Elements that are new, or have other data.
    added: Vec<Element>,
    /// Keys that no rule picks any more.
    unused: Vec<Element>,
}

/// How many endpoints that have gone a rule passes over; the kernel takes 128 expressions in one. By the time that more have
/// gone, the clients of the first ones have long been taken out.
const GONE_MAX: usize = 64;

/// The number in the name of a port's chain or set.
pub(super) fn id_of(name: &str) -> Option<u64> {
    let (kind, rest) = name.split_once('-')?;
    let number = rest.strip_suffix("-clients").unwrap_or(rest);
    if matches!(kind, "c" | "l" | "e" | "f") { number.parse().ok() } else { None }
}

impl PortState {
    pub(super) fn new(id: u64) -> Self {
        Self {
            id,
            cluster: Group::new(format!("c-{id}")),
            local: Group::new(format!("l-{id}")),
            external: None,
            firewall: None,
        }
    }

    fn external_name(&self) -> String {
        format!("e-{}", self.id)
    }

    fn firewall_name(&self) -> String {
        format!("f-{}", self.id)
    }

    /// Where a frontend in this role leads to, once `update` is in force.
    pub(super) fn target(&self, role: Role, rules: &PortRules) -> Target {
        let route = if role == Role::ClusterIp { rules.internal } else { rules.external };
        match (role, route) {
            (_, Route::Reject) => Target::Reject,
            (Role::ClusterIp, Route::Cluster) => Target::Chain(self.cluster.name.clone()),
            (Role::ClusterIp, Route::Local) if rules.local_endpoints.is_empty() => Target::Drop,
            (Role::ClusterIp, Route::Local) => Target::Chain(self.local.name.clone()),
            (Role::External, _) => Target::Chain(self.external_name()),
            (Role::LoadBalancer, _) if rules.source_ranges.is_some() => Target::Chain(self.firewall_name()),
            (Role::LoadBalancer, _) => Target::Chain(self.external_name()),
        }
    }

    /// Appends what brings the port to `rules`.
    pub(super) fn update(
        &mut self,
        table: &FamilyTable,
        config: &NftablesConfig,
        key: &PortKey,
        rules: &PortRules,
        plan: &mut Plan,
    ) {
        let label = key.to_string();
        // Chains that lead to those of the groups go first.
        let before = std::mem::take(&mut plan.leftovers);
        self.cluster.update(table, &label, &rules.cluster_endpoints, rules.affinity, plan);
        self.local.update(table, &label, &rules.local_endpoints, rules.affinity, plan);
        let mut of_groups = std::mem::replace(&mut plan.leftovers, before);
        let external = (rules.is_external() && rules.external != Route::Reject)
            .then_some(External { route: rules.external, has_local: !rules.local_endpoints.is_empty() });
        let firewall =
            rules.source_ranges.clone().filter(|_| external.is_some() && !rules.load_balancer_ips.is_empty());
        // What leads to another chain is made after it and goes before it.
        if firewall.is_none() {
            self.update_firewall(table, &label, None, plan);
        }
        self.update_external(table, config, &label, external, plan);
        if firewall.is_some() {
            self.update_firewall(table, &label, firewall, plan);
        }
        plan.leftovers.append(&mut of_groups);
    }

    /// The sets of clients to look through for endpoints that are gone, with the endpoints that count.
    pub(super) fn clients(&self, table: &FamilyTable) -> impl Iterator<Item = (Set, BTreeSet<SocketAddr>)> {
        let group = |group: &Group| {
            let timeout = group.affinity?;
            Some((group.clients_set(table, timeout), group.slots.iter().copied().collect()))
        };
        [group(&self.cluster), group(&self.local)].into_iter().flatten()
    }

    /// Lists everything for deletion.
    pub(super) fn remove(mut self, table: &FamilyTable, leftovers: &mut Vec<Leftover>) {
        let t = &table.table;
        if self.firewall.is_some() {
            leftovers.push(Leftover::Chain(t.clone(), self.firewall_name()));
            leftovers.push(Leftover::Set(t.clone(), self.firewall_name()));
        }
        if self.external.is_some() {
            leftovers.push(Leftover::Chain(t.clone(), self.external_name()));
        }
        self.cluster.clear(table, leftovers);
        self.local.clear(table, leftovers);
    }

    fn update_external(
        &mut self,
        table: &FamilyTable,
        config: &NftablesConfig,
        label: &str,
        new: Option<External>,
        plan: &mut Plan,
    ) {
        if self.external == new {
            return;
        }
        let (t, name) = (&table.table, self.external_name());
        let Some(new) = new else {
            plan.leftovers.push(Leftover::Chain(t.clone(), name));
            self.external = None;
            return;
        };
        let tx = plan.writer(self.external.is_none());
        if self.external.is_some() {
            tx.flush_chain(t, &name);
        } else {
            tx.add_chain(t, Chain { comment: Some(label.to_owned()), ..Chain::regular(&name) });
        }
        let mark = config.masquerade_mark;
        let masqueraded = |rule: Rule| rule.set_mark(mark, mark);
        if new.route == Route::Cluster {
            tx.add_rule(t, masqueraded(Rule::new(&name)));
            tx.add_rule(t, Rule::new(&name).goto(&self.cluster.name));
        } else {
            // Pods and processes of this node use an outside address like the cluster address.
            for cidr in table.cluster_cidrs_of(config) {
                let from_pod = Rule::new(&name).in_network(table.source(), cidr, false);
                tx.add_rule(t, from_pod.goto(&self.cluster.name));
            }
            let from_node = || Rule::new(&name).matches(Field::FibSourceType, &Value::LOCAL);
            tx.add_rule(t, masqueraded(from_node()));
            tx.add_rule(t, from_node().goto(&self.cluster.name));
            let last = Rule::new(&name);
            let last = if new.has_local { last.goto(&self.local.name) } else { last.verdict(Verdict::Drop) };
            tx.add_rule(t, last);
        }
        self.external = Some(new);
    }

    fn update_firewall(&mut self, table: &FamilyTable, label: &str, new: Option<BTreeSet<IpNet>>, plan: &mut Plan) {
        if self.firewall == new {
            return;
        }
        let (t, name) = (&table.table, self.firewall_name());
        let set = Set::new(&name, &[table.ip_type()]).with_intervals();
        let Some(ranges) = new else {
            plan.leftovers.push(Leftover::Chain(t.clone(), name.clone()));
            plan.leftovers.push(Leftover::Set(t.clone(), name));
            self.firewall = None;
            return;
        };
        let tx = plan.writer(self.firewall.is_none());
        if self.firewall.is_some() {
            tx.flush_set(t, &name);
        } else {
            tx.add_chain(t, Chain { comment: Some(label.to_owned()), ..Chain::regular(&name) });
            tx.add_set(t, set.clone());
            tx.add_rule(t, Rule::new(&name).in_set(&[table.source()], &name).goto(self.external_name()));
            tx.add_rule(t, Rule::new(&name).verdict(Verdict::Drop));
        }
        tx.add_elements(t, &set, prefixes(table.family, &ranges));
        self.firewall = Some(ranges);
    }
}

impl Group {
    fn new(name: String) -> Self {
        Self { name, slots: Vec::new(), affinity: None, gone: Vec::new() }
    }

    fn endpoints_set(&self, table: &FamilyTable) -> Set {
        Set::map(&self.name, &[DataType::Integer], &[table.ip_type(), DataType::Port])
    }

    fn clients_set(&self, table: &FamilyTable, timeout: Duration) -> Set {
        Set::map(self.clients_name(), &[table.ip_type()], &[table.ip_type(), DataType::Port]).updated_by_rules(timeout)
    }

    fn clients_name(&self) -> String {
        format!("{}-clients", self.name)
    }

    fn clear(&mut self, table: &FamilyTable, leftovers: &mut Vec<Leftover>) {
        if self.slots.is_empty() {
            return;
        }
        let t = &table.table;
        leftovers.push(Leftover::Chain(t.clone(), self.name.clone()));
        leftovers.push(Leftover::Set(t.clone(), self.name.clone()));
        if self.affinity.take().is_some() {
            leftovers.push(Leftover::Set(t.clone(), self.clients_name()));
        }
        self.slots.clear();
        self.gone.clear();
    }

    fn update(
        &mut self,
        table: &FamilyTable,
        label: &str,
        endpoints: &BTreeSet<SocketAddr>,
        affinity: Option<Duration>,
        plan: &mut Plan,
    ) {
        if endpoints.is_empty() {
            return self.clear(table, &mut plan.leftovers);
        }
        let t = &table.table;
        let is_new = self.slots.is_empty();
        let count_before = self.slots.len();
        let endpoints_set = self.endpoints_set(table);
        let tx = plan.writer(is_new);
        if is_new {
            tx.add_chain(t, Chain { comment: Some(label.to_owned()), ..Chain::regular(&self.name) });
            tx.add_set(t, endpoints_set.clone());
        }
        let (gone, came) = (self.gone(endpoints), self.came(endpoints));
        let Reassigned { replaced, added, unused } = self.reassign(&gone, &came);
        tx.delete_elements(t, &endpoints_set, replaced);
        tx.add_elements(t, &endpoints_set, added);

        let affinity_starts = affinity.is_some() && self.affinity.is_none();
        let affinity_ends = affinity.is_none() && self.affinity.is_some();
        let passed_over = self.pass_over(affinity.is_some(), &gone, endpoints);
        if let Some(timeout) = affinity.filter(|_| affinity_starts) {
            tx.add_set(t, self.clients_set(table, timeout));
        } else if affinity.is_some() && gone.len() > GONE_MAX {
            // More than a rule can pass over have gone at once: all clients choose anew.
            tx.flush_set(t, self.clients_name());
        }
        // With affinity rules name the endpoints.
        let names_change = affinity.is_some() && !(gone.is_empty() && came.is_empty());
        if is_new || count_before != self.slots.len() || self.affinity != affinity || passed_over || names_change {
            if !is_new {
                tx.flush_chain(t, &self.name);
            }
            for rule in self.rules(table, affinity) {
                tx.add_rule(t, rule);
            }
        }
        // A packet that is being looked at may pick a number by the rule before this change.
        plan.leftovers.push(Leftover::Elements(t.clone(), endpoints_set, unused));
        if affinity_ends {
            plan.leftovers.push(Leftover::Set(t.clone(), self.clients_name()));
        }
        self.affinity = affinity;
    }

    /// Notes which endpoints the rules pass over; gives whether that has changed.
    fn pass_over(&mut self, has_affinity: bool, gone: &[SocketAddr], endpoints: &BTreeSet<SocketAddr>) -> bool {
        let before = self.gone.clone();
        self.gone.retain(|endpoint| has_affinity && !endpoints.contains(endpoint));
        if has_affinity && self.affinity.is_some() {
            self.gone.extend(gone);
        }
        let surplus = self.gone.len().saturating_sub(GONE_MAX);
        self.gone.drain(..surplus);
        self.gone != before
    }

    fn gone(&self, endpoints: &BTreeSet<SocketAddr>) -> Vec<SocketAddr> {
        self.slots.iter().copied().filter(|a| !endpoints.contains(a)).collect()
    }

    fn came(&self, endpoints: &BTreeSet<SocketAddr>) -> Vec<SocketAddr> {
        let known: BTreeSet<_> = self.slots.iter().copied().collect();
        endpoints.difference(&known).copied().collect()
    }

    /// Gives numbers `0..n` to the endpoints so that as few as possible change.
    fn reassign(&mut self, gone: &[SocketAddr], came: &[SocketAddr]) -> Reassigned {
        let before = self.slots.clone();
        let gone: BTreeSet<_> = gone.iter().collect();
        let mut came = came.iter().copied();
        let mut slots: Vec<Option<SocketAddr>> = before.iter().map(|a| (!gone.contains(a)).then_some(*a)).collect();
        for slot in slots.iter_mut().filter(|s| s.is_none()) {
            *slot = came.next();
        }
        slots.extend(came.map(Some));
        // Holes that are left are filled from the end.
        let mut at = 0;
        while at < slots.len() {
            if slots[at].is_none() {
                slots.swap_remove(at);
            } else {
                at += 1;
            }
        }
        self.slots = slots.into_iter().flatten().collect();
        let number = |i: usize| Value::Integer(u32::try_from(i).expect("fewer endpoints than addresses"));
        let mut out = Reassigned::default();
        for i in 0..before.len().max(self.slots.len()) {
            let (old, new) = (before.get(i), self.slots.get(i));
            if old == new {
                continue;
            }
            if old.is_some() {
                let list = if new.is_some() { &mut out.replaced } else { &mut out.unused };
                list.push(Element::new([number(i)]));
            }
            if let Some(new) = new {
                out.added.push(Element::new([number(i)]).to_values([Value::from(new.ip()), Value::Port(new.port())]));
            }
        }
        out
    }

    fn rules(&self, table: &FamilyTable, affinity: Option<Duration>) -> Vec<Rule> {
        let modulus = u32::try_from(self.slots.len()).expect("fewer endpoints than addresses");
        let Some(timeout) = affinity else {
            let is_ip6 = table.family == IpFamily::V6;
            return vec![Rule::new(&self.name).dnat_map(Selector::Turn { modulus }, &self.name, is_ip6)];
        };
        // A client's address (up to four registers), the address and port of an endpoint out of the map of clients, a
        // number, and an endpoint that the rule names.
        let (client, kept, number, named) = (Reg(0), Reg(4), Reg(9), Reg(10));
        let is_ip6 = table.family == IpFamily::V6;
        let (offset, length) = if is_ip6 { (8, 16) } else { (12, 4) };
        let port_of = |endpoint: Reg| Reg(endpoint.0 + if is_ip6 { 4 } else { 1 });
        let load_client =
            || Rule::new(&self.name).expr(Expr::Payload { base: PayloadBase::Network, offset, length, to: client });
        // nft 1.0.6 and older abort on what is looked up or remembered under a key or value that came out of a map, so
        // that it is compared with and replaced by what the rule names itself.
        let remember = |rule: Rule, endpoint: &SocketAddr| {
            let data = Some(named);
            rule.expr(Expr::Immediate { to: named, value: Value::from(endpoint.ip()).bytes() })
                .expr(Expr::Immediate { to: port_of(named), value: Value::Port(endpoint.port()).bytes() })
                .expr(Expr::Dynset {
                    set: self.clients_name(),
                    update: true,
                    key: client,
                    data,
                    timeout: Some(timeout),
                })
        };
        let translate = |rule: Rule, endpoint: Reg| {
            let (address, port) = (Some(endpoint), Some(port_of(endpoint)));
            rule.expr(Expr::Nat(Nat { is_destination: true, is_ip6, address, port, flags: 0 }))
        };
        let lookup = Expr::Lookup { set: self.clients_name(), key: client, to: Some(kept), negated: false };
        let known = self.gone.iter().fold(load_client().expr(lookup), |rule, gone| {
            let value = value_bytes(&[Value::from(gone.ip()), Value::Port(gone.port())]);
            rule.expr(Expr::Cmp { from: kept, op: CmpOp::Ne, value })
        });
        let first = self.slots.first().expect("a group with rules has endpoints");
        // Known, and its endpoint still counts: its time starts anew. The kernel keeps the endpoint that it has; the one
        // named here counts only if the client's time is up this very moment.
        let mut rules = vec![translate(remember(known, first), kept)];
        // Unknown, or sent to an endpoint that is gone: the backend forgets those right after the change. One rule for each
        // endpoint, the first of which is taken by every nth client, the next by every (n - 1)th of the others, and so on: each
        // in its turn.
        rules.extend(self.slots.iter().zip((1..=modulus).rev()).map(|(endpoint, left)| {
            let mut rule = load_client();
            if left > 1 {
                let value = 0_u32.to_ne_bytes().to_vec();
                rule = rule
                    .expr(Expr::Numgen { random: false, modulus: left, offset: 0, to: number })
                    .expr(Expr::Cmp { from: number, op: CmpOp::Eq, value });
            }
            translate(remember(rule, endpoint), named)
        }));
        rules
    }

    /// Which endpoint a client would be sent to is decided by the kernel; for tests.
    #[cfg(test)]
    pub(super) fn slots(&self) -> &[SocketAddr] {
        &self.slots
    }
}

/// Values as a map holds them: each fills whole registers of four bytes.
fn value_bytes(values: &[Value]) -> Vec<u8> {
    let padded = |value: &Value| {
        let mut bytes = value.bytes();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    };
    values.iter().flat_map(padded).collect()
}

#[cfg(test)]
mod tests;
