//! Who has which parts, and who waits for one.

use std::collections::{BTreeMap, BTreeSet};

use corten_apimachinery::value::Str;
use ipnet::IpNet;

use super::cidr_set::CidrSet;

/// The ranges and their owners. Capacity: one entry for each node.
#[derive(Debug)]
pub(super) struct Allocator {
    sets: Vec<CidrSet>,
    owners: BTreeMap<Str, Vec<IpNet>>,
    waiting: BTreeSet<Str>,
}

impl Allocator {
    /// Over ranges that are cut into parts, without what services use.
    pub(super) fn new(mut sets: Vec<CidrSet>, services: &[IpNet]) -> Self {
        for set in &mut sets {
            services.iter().for_each(|service| set.occupy(service));
        }
        Self { sets, owners: BTreeMap::new(), waiting: BTreeSet::new() }
    }

    /// Whether the node has its parts.
    pub(super) fn has(&self, node: &str) -> bool {
        self.owners.contains_key(node)
    }

    /// The node has these already.
    pub(super) fn occupy(&mut self, node: &Str, cidrs: &[IpNet]) {
        for cidr in cidrs {
            self.sets.iter_mut().for_each(|set| set.occupy(cidr));
        }
        self.waiting.remove(node);
        self.owners.insert(node.clone(), cidrs.to_vec());
    }

    /// One part of each range for the node: those it was given before, if any. `None` if there are none left; then it is
    /// among those that `release` returns.
    pub(super) fn allocate(&mut self, node: &Str) -> Option<Vec<IpNet>> {
        if let Some(cidrs) = self.owners.get(node) {
            return Some(cidrs.clone());
        }
        let parts: Vec<Option<IpNet>> = self.sets.iter_mut().map(CidrSet::allocate).collect();
        if parts.is_empty() || parts.iter().any(Option::is_none) {
            for (set, part) in self.sets.iter_mut().zip(&parts) {
                part.iter().for_each(|part| set.release(part));
            }
            self.waiting.insert(node.clone());
            return None;
        }
        let cidrs: Vec<IpNet> = parts.into_iter().flatten().collect();
        self.waiting.remove(node);
        self.owners.insert(node.clone(), cidrs.clone());
        Some(cidrs)
    }

    /// The node is gone. Returns the nodes that wait for a part, which may have one now.
    pub(super) fn release(&mut self, node: &str) -> BTreeSet<Str> {
        self.waiting.remove(node);
        let Some(cidrs) = self.owners.remove(node) else { return BTreeSet::new() };
        for cidr in &cidrs {
            // What two nodes have by somebody's mistake stays taken until both are gone.
            if !self.owners.values().flatten().any(|other| other == cidr) {
                self.sets.iter_mut().for_each(|set| set.release(cidr));
            }
        }
        self.waiting.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    fn texts(cidrs: Option<Vec<IpNet>>) -> Vec<String> {
        cidrs.unwrap_or_default().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn nodes_keep_their_parts_and_wait_when_there_are_none() {
        let ranges = [(net("10.0.0.0/23"), 24), (net("fd00::/62"), 64)];
        let sets = ranges.into_iter().filter_map(|(range, length)| CidrSet::new(range, length)).collect();
        let mut allocator = Allocator::new(sets, &[]);
        let [a, b, c] = ["a", "b", "c"].map(Str::from);
        allocator.occupy(&a, &[net("10.0.0.0/24"), net("fd00::/64")]);
        assert_eq!(texts(allocator.allocate(&b)), ["10.0.1.0/24", "fd00:0:0:1::/64"]);
        assert_eq!(texts(allocator.allocate(&b)), ["10.0.1.0/24", "fd00:0:0:1::/64"]);
        assert_eq!(allocator.allocate(&c), None);
        assert_eq!(allocator.release("a"), BTreeSet::from([c.clone()]));
        assert_eq!(texts(allocator.allocate(&c)), ["10.0.0.0/24", "fd00:0:0:3::/64"]);
    }

    #[test]
    fn service_addresses_are_not_given_to_nodes() {
        let set = CidrSet::new(net("10.0.0.0/22"), 24).unwrap();
        let mut allocator = Allocator::new(vec![set], &[net("10.0.0.0/24")]);
        assert_eq!(texts(allocator.allocate(&"a".into())), ["10.0.1.0/24"]);
    }
}
