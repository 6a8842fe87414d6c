//! `HostPorts`: the ports of a node that are taken.
//!
//! A pod may want tens of thousands, so nobody looks through them: whether one is free is a look into a map.
//! Upstream: `HostPortInfo` of pkg/scheduler/framework (v1.35), which forgets how often a port is taken.

use std::collections::BTreeMap;

use corten_apimachinery::value::Str;

/// Stands for all addresses.
const ALL: &str = "0.0.0.0";

/// A port of the node that a pod takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// The address; `0.0.0.0` for all.
    pub ip: Str,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: Str,
    /// The number.
    pub port: u16,
}

/// Ports that are taken, by protocol and number: at which addresses, and how often. Pods that did not come through a
/// scheduler may take one twice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostPorts {
    taken: BTreeMap<(Str, u16), BTreeMap<Str, usize>>,
}

impl HostPorts {
    /// Takes a port.
    pub fn add(&mut self, port: &HostPort) {
        let addresses = self.taken.entry((port.protocol.clone(), port.port)).or_default();
        *addresses.entry(port.ip.clone()).or_default() += 1;
    }

    /// Gives up a port that was taken with `add`.
    pub fn remove(&mut self, port: &HostPort) {
        let key = (port.protocol.clone(), port.port);
        let Some(addresses) = self.taken.get_mut(&key) else { return };
        if let Some(times) = addresses.get_mut(&port.ip) {
            *times -= 1;
            if *times == 0 {
                addresses.remove(&port.ip);
            }
        }
        if addresses.is_empty() {
            self.taken.remove(&key);
        }
    }

    /// Whether somebody who wants this port finds it taken: at the same address, or because one of both wants all.
    #[must_use]
    pub fn conflict_with(&self, wanted: &HostPort) -> bool {
        self.taken.get(&(wanted.protocol.clone(), wanted.port)).is_some_and(|addresses| {
            wanted.ip == ALL || addresses.contains_key(ALL) || addresses.contains_key(&wanted.ip)
        })
    }

    /// Whether somebody who wants these ports finds one of them taken.
    #[must_use]
    pub fn conflict_with_any(&self, wanted: &[HostPort]) -> bool {
        !self.taken.is_empty() && wanted.iter().any(|port| self.conflict_with(port))
    }
}

impl<'a> FromIterator<&'a HostPort> for HostPorts {
    fn from_iter<I: IntoIterator<Item = &'a HostPort>>(ports: I) -> Self {
        let mut taken = Self::default();
        ports.into_iter().for_each(|port| taken.add(port));
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `protocol address port`.
    fn port(text: &str) -> HostPort {
        let mut words = text.split(' ');
        let mut next = || words.next().unwrap();
        HostPort { protocol: next().into(), ip: next().into(), port: next().parse().unwrap() }
    }

    #[track_caller]
    fn check(taken: &[&str], wanted: &str, want: bool) {
        let taken: Vec<HostPort> = taken.iter().map(|text| port(text)).collect();
        let mut ports: HostPorts = taken.iter().collect();
        assert_eq!(ports.conflict_with_any(&[port("TCP 9.9.9.9 9"), port(wanted)]), want, "{taken:?} {wanted}");
        taken.iter().for_each(|port| ports.remove(port));
        assert_eq!(ports, HostPorts::default(), "all given up");
    }

    #[test]
    fn a_port_is_taken_at_its_address_or_at_all() {
        check(&[], "TCP 0.0.0.0 80", false);
        check(&["TCP 0.0.0.0 80"], "TCP 0.0.0.0 80", true);
        check(&["TCP 0.0.0.0 80"], "TCP 10.0.0.1 80", true);
        check(&["TCP 10.0.0.1 80"], "TCP 0.0.0.0 80", true);
        check(&["TCP 10.0.0.1 80"], "TCP 10.0.0.1 80", true);
        check(&["TCP 10.0.0.1 80"], "TCP 10.0.0.2 80", false);
        check(&["TCP 10.0.0.1 80", "TCP 10.0.0.2 80"], "TCP 10.0.0.2 80", true);
        check(&["TCP 0.0.0.0 80"], "UDP 0.0.0.0 80", false);
        check(&["TCP 0.0.0.0 80", "SCTP 10.0.0.1 81"], "TCP 10.0.0.1 81", false);
        check(&["TCP 0.0.0.0 80", "SCTP 10.0.0.1 81"], "SCTP 0.0.0.0 81", true);
        check(&["TCP 0.0.0.0 80"], "TCP 0.0.0.0 81", false);
        check(&["TCP :: 80"], "TCP fd00::1 80", false);
    }

    #[test]
    fn a_port_that_was_taken_twice_is_free_when_both_gave_it_up() {
        let one = port("UDP 10.0.0.1 53");
        let mut ports: HostPorts = [&one, &one].into_iter().collect();
        ports.remove(&one);
        assert!(ports.conflict_with(&one));
        ports.remove(&one);
        assert!(!ports.conflict_with(&one));
        ports.remove(&one);
        assert_eq!(ports, HostPorts::default());
    }
}
