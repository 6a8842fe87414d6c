//! What the kernel has of the rules, and the transactions that turn it into what it is to have. Pure.

use std::{collections::BTreeMap, net::IpAddr};

use corten_net::nftables::{Element, Transaction, Value, Verdict};

use super::{
    NftablesConfig,
    base::{self, FamilyTable},
    port::{Leftover, PortState, Target},
};
use crate::{
    names::IpFamily,
    ruleset::{
        Change, PortKey,
        frontends::{Claims, Frontend, frontends},
    },
};

/// The transactions of a change, in their order.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// New chains and sets, with their content. Nothing leads to them yet.
    pub(super) prepare: Transaction,
    /// What packets see change.
    pub(super) switch: Transaction,
    /// What nothing leads to any more.
    pub(super) leftovers: Vec<Leftover>,
}

impl Plan {
    /// Where changes of a chain and its sets go.
    pub(super) fn writer(&mut self, is_new: bool) -> &mut Transaction {
        if is_new { &mut self.prepare } else { &mut self.switch }
    }

    /// The third transaction. Chains that jump to others come first in the list.
    pub(super) fn sweep(self) -> Transaction {
        let mut tx = Transaction::new();
        for leftover in self.leftovers {
            leftover.delete(&mut tx);
        }
        tx
    }
}

/// What the kernel has of ours, after the last commit.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) ports: BTreeMap<PortKey, PortState>,
    pub(super) claims: Claims<Target>,
    cluster_ips: Counted<IpAddr>,
    hairpins: Counted<IpAddr>,
    last_id: u64,
}

/// Things that several ports have in common: there while somebody needs them.
#[derive(Debug)]
struct Counted<T> {
    users: BTreeMap<T, usize>,
    before: BTreeMap<T, bool>,
}

impl<T> Default for Counted<T> {
    fn default() -> Self {
        Self { users: BTreeMap::new(), before: BTreeMap::new() }
    }
}

impl<T: Ord + Copy> Counted<T> {
    fn touch(&mut self, item: T) {
        let is_there = self.users.contains_key(&item);
        self.before.entry(item).or_insert(is_there);
    }

    fn add(&mut self, item: T) {
        self.touch(item);
        *self.users.entry(item).or_default() += 1;
    }

    fn remove(&mut self, item: T) {
        self.touch(item);
        let users = self.users.get_mut(&item).expect("was added by the port that lets it go");
        *users -= 1;
        if *users == 0 {
            self.users.remove(&item);
        }
    }

    /// What came and what went since the last call.
    fn take_changes(&mut self) -> (Vec<T>, Vec<T>) {
        let (mut came, mut went) = (Vec::new(), Vec::new());
        for (item, was_there) in std::mem::take(&mut self.before) {
            match (was_there, self.users.contains_key(&item)) {
                (false, true) => came.push(item),
                (true, false) => went.push(item),
                _ => {}
            }
        }
        (came, went)
    }
}

impl State {
    /// That of tables whose chains and sets have numbers up to this one, with nothing in them that counts.
    pub(super) fn after(last_id: u64) -> Self {
        Self { last_id, ..Self::default() }
    }

    /// Appends what turns the kernel's state into the one after `changes`.
    pub(super) fn plan(
        &mut self,
        tables: &BTreeMap<IpFamily, FamilyTable>,
        config: &NftablesConfig,
        changes: &[Change],
        plan: &mut Plan,
    ) {
        for change in changes.iter().filter(|c| tables.contains_key(&c.key.family)) {
            let table = &tables[&change.key.family];
            let key = &change.key;
            let old_frontends = change.old.as_deref().map(|r| frontends(key, r)).unwrap_or_default();
            let mut new_frontends = BTreeMap::new();
            if let Some(rules) = change.new.as_deref() {
                let last_id = &mut self.last_id;
                let port = self.ports.entry(key.clone()).or_insert_with(|| {
                    *last_id += 1;
                    PortState::new(*last_id)
                });
                port.update(table, config, key, rules, plan);
                for (frontend, role) in frontends(key, rules) {
                    new_frontends.insert(frontend, (role, port.target(role, rules)));
                }
                self.cluster_ips.add(rules.cluster_ip);
                rules.hairpins.iter().for_each(|ip| self.hairpins.add(*ip));
            } else if let Some(port) = self.ports.remove(key) {
                port.remove(table, &mut plan.leftovers);
            }
            if let Some(rules) = change.old.as_deref() {
                self.cluster_ips.remove(rules.cluster_ip);
                rules.hairpins.iter().for_each(|ip| self.hairpins.remove(*ip));
            }
            self.claims.set(key, &old_frontends, &new_frontends);
        }
        self.plan_maps(tables, &mut plan.switch);
    }

    fn plan_maps(&mut self, tables: &BTreeMap<IpFamily, FamilyTable>, tx: &mut Transaction) {
        let mut deletions: BTreeMap<(IpFamily, bool), Vec<Element>> = BTreeMap::new();
        let mut additions = deletions.clone();
        for (frontend, old, new) in self.claims.take_changes() {
            let list = (frontend.family, frontend.ip.is_some());
            if old.is_some() {
                deletions.entry(list).or_default().push(Element::new(frontend_key(&frontend)));
            }
            if let Some(target) = new {
                let element = Element::new(frontend_key(&frontend)).to_verdict(target_verdict(&target));
                additions.entry(list).or_default().push(element);
            }
        }
        for ((family, has_address), elements) in deletions {
            let t = &tables[&family];
            tx.delete_elements(&t.table, if has_address { &t.services } else { &t.node_ports }, elements);
        }
        for ((family, has_address), elements) in additions {
            let t = &tables[&family];
            tx.add_elements(&t.table, if has_address { &t.services } else { &t.node_ports }, elements);
        }
        let (cluster_ips, hairpins) = (self.cluster_ips.take_changes(), self.hairpins.take_changes());
        for (family, t) in tables {
            let of = |ips: &[IpAddr], times: usize| -> Vec<Element> {
                ips.iter()
                    .filter(|ip| IpFamily::of(**ip) == *family)
                    .map(|ip| Element::new(vec![Value::from(*ip); times]))
                    .collect()
            };
            tx.add_elements(&t.table, &t.cluster_ips, of(&cluster_ips.0, 1));
            tx.delete_elements(&t.table, &t.cluster_ips, of(&cluster_ips.1, 1));
            tx.add_elements(&t.table, &t.hairpins, of(&hairpins.0, 2));
            tx.delete_elements(&t.table, &t.hairpins, of(&hairpins.1, 2));
        }
    }
}

fn frontend_key(frontend: &Frontend) -> Vec<Value> {
    let address = frontend.ip.map(Value::from);
    let rest = [Value::Protocol(frontend.protocol.number()), Value::Port(frontend.port)];
    address.into_iter().chain(rest).collect()
}

fn target_verdict(target: &Target) -> Verdict {
    match target {
        Target::Chain(name) => Verdict::Goto(name.clone()),
        Target::Reject => Verdict::Goto(base::REJECT.to_owned()),
        Target::Drop => Verdict::Drop,
    }
}
