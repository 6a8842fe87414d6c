//! The node ports in memory against those of stored services. Pure.
//!
//! Upstream: pkg/registry/core/service/portallocator/controller/repair.go (v1.35).

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use corten_apimachinery::{stored::Stored, value::Str};

use crate::allocators::ports::Ports;

/// In which round that finds a port which no service has it goes back: its write may be on the way. Upstream:
/// `numRepairsBeforeLeakCleanup`.
const ROUND_OF_RELEASE: u32 = 3;

/// Ports that somebody has taken and no stored service has, by who has them, with the rounds that they are left.
pub(super) type Leaks = HashMap<(i64, Str), u32>;

/// What is wrong with a node port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrong {
    NotAllocated,
    Duplicate,
    /// The range is this one.
    OutOfRange((u16, u16)),
}

/// Something wrong with a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Finding<'a> {
    pub(super) service: &'a Stored,
    pub(super) port: i64,
    pub(super) wrong: Wrong,
}

impl Finding<'_> {
    /// Reason and message of the event that tells of it.
    pub(super) fn event(&self) -> (&'static str, String) {
        let port = self.port;
        match self.wrong {
            Wrong::NotAllocated => ("PortNotAllocated", format!("Port {port} is not allocated; repairing")),
            Wrong::Duplicate => (
                "PortAlreadyAllocated",
                format!("Port {port} was assigned to multiple services; please recreate service"),
            ),
            Wrong::OutOfRange((first, last)) => (
                "PortOutOfRange",
                format!("Port {port} is not within the port range {first}-{last}; please recreate service"),
            ),
        }
    }
}

/// Brings `pool` to what `services` have, with their ports, and says what was wrong. What no service has goes back after
/// some rounds.
pub(super) fn repair<'a>(
    pool: &mut Ports,
    leaks: &mut Leaks,
    services: &'a [(Arc<Stored>, Vec<i64>)],
) -> Vec<Finding<'a>> {
    let holders: HashSet<(i64, &str)> =
        services.iter().flat_map(|(service, ports)| ports.iter().map(|&port| (port, &*service.uid))).collect();
    let mut findings = Vec::new();
    for (service, ports) in services {
        // TCP and UDP may share a number.
        for port in ports.iter().copied().collect::<BTreeSet<i64>>() {
            let wrong = match pool.owner(port) {
                _ if !pool.has(port) => Wrong::OutOfRange(pool.range()),
                Some(owner) if *owner == *service.uid => continue,
                Some(owner) if holders.contains(&(port, owner)) => Wrong::Duplicate,
                _ => {
                    pool.assign(port, &service.uid);
                    Wrong::NotAllocated
                }
            };
            findings.push(Finding { service, port, wrong });
        }
    }
    let leaked: Vec<(i64, Str)> = pool.owners().filter(|(port, owner)| !holders.contains(&(*port, owner))).collect();
    let mut left: Leaks = HashMap::new();
    for (port, owner) in leaked {
        match leaks.get(&(port, owner.clone())).copied().unwrap_or(ROUND_OF_RELEASE - 1) {
            0 => {
                tracing::info!(node_port = port, "Released a node port that no service has");
                pool.release(port, &owner);
            }
            rounds => drop(left.insert((port, owner), rounds - 1)),
        }
    }
    *leaks = left;
    findings
}

#[cfg(test)]
mod tests;
