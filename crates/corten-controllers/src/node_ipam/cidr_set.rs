//! The parts of one range, each free or taken.
//!
//! Upstream: pkg/controller/nodeipam/ipam/cidrset (v1.35).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// How many bits may be between a range and its parts. Upstream's limit: 65,536 parts are 8 KiB of bits here.
const BITS_MAX: u8 = 16;

/// A range cut into equal parts.
#[derive(Debug, Clone)]
pub(super) struct CidrSet {
    range: IpNet,
    part_length: u8,
    /// One bit for each part.
    taken: Vec<u64>,
    count: usize,
    /// Where the search goes on: parts that were given back last are given out last.
    next: usize,
}

impl CidrSet {
    /// `range` in parts with prefixes of `part_length`; `None` if those do not fit into it.
    pub(super) fn new(range: IpNet, part_length: u8) -> Option<Self> {
        let bits = part_length.checked_sub(range.prefix_len())?;
        if bits > BITS_MAX || part_length > range.max_prefix_len() {
            return None;
        }
        let count = 1_usize << bits;
        Some(Self { range: range.trunc(), part_length, taken: vec![0; count.div_ceil(64)], count, next: 0 })
    }

    /// Takes the next free part; `None` if there is none.
    pub(super) fn allocate(&mut self) -> Option<IpNet> {
        let free = (0..self.count).map(|step| (self.next + step) % self.count).find(|at| !self.is_taken(*at))?;
        self.set(free, true);
        self.next = (free + 1) % self.count;
        Some(self.part(free))
    }

    /// Takes all parts that `cidr` overlaps; nothing if it lies outside.
    pub(super) fn occupy(&mut self, cidr: &IpNet) {
        self.mark(cidr, true);
    }

    /// Gives back all parts that `cidr` overlaps.
    pub(super) fn release(&mut self, cidr: &IpNet) {
        self.mark(cidr, false);
    }

    fn mark(&mut self, cidr: &IpNet, taken: bool) {
        let overlaps = self.range.contains(&cidr.trunc()) || cidr.contains(&self.range);
        if cidr.addr().is_ipv6() != self.range.addr().is_ipv6() || !overlaps {
            return;
        }
        let (first, last) = if cidr.contains(&self.range) {
            (0, self.count - 1)
        } else {
            (self.index(cidr.network()), self.index(cidr.broadcast()))
        };
        for at in first..=last {
            self.set(at, taken);
        }
    }

    fn index(&self, address: IpAddr) -> usize {
        let shift = u32::from(self.range.max_prefix_len() - self.part_length);
        let offset = number(address) - number(self.range.network());
        usize::try_from(offset >> shift).expect("an address of the range is in one of its parts")
    }

    fn part(&self, at: usize) -> IpNet {
        let shift = u32::from(self.range.max_prefix_len() - self.part_length);
        let first = number(self.range.network()) + ((at as u128) << shift);
        let address: IpAddr = match self.range.addr() {
            IpAddr::V4(_) => Ipv4Addr::from(u32::try_from(first).expect("an IPv4 range has IPv4 parts")).into(),
            IpAddr::V6(_) => Ipv6Addr::from(first).into(),
        };
        IpNet::new(address, self.part_length).expect("the length was checked")
    }

    fn is_taken(&self, at: usize) -> bool {
        self.taken[at / 64] & (1 << (at % 64)) != 0
    }

    fn set(&mut self, at: usize, taken: bool) {
        let bit = 1 << (at % 64);
        if taken {
            self.taken[at / 64] |= bit;
        } else {
            self.taken[at / 64] &= !bit;
        }
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    #[track_caller]
    fn check(range: &str, length: u8, occupied: &[&str], want: &[&str]) {
        let mut set = CidrSet::new(net(range), length).unwrap();
        for cidr in occupied {
            set.occupy(&net(cidr));
        }
        let got: Vec<String> = std::iter::from_fn(|| set.allocate()).take(4).map(|cidr| cidr.to_string()).collect();
        assert_eq!(got, want);
    }

    #[test]
    fn parts_are_given_in_order_without_those_that_are_taken() {
        check("10.0.0.0/22", 24, &[], &["10.0.0.0/24", "10.0.1.0/24", "10.0.2.0/24", "10.0.3.0/24"]);
        check("10.0.0.0/22", 24, &["10.0.1.0/24", "192.168.0.0/16"], &["10.0.0.0/24", "10.0.2.0/24", "10.0.3.0/24"]);
        check("10.0.0.0/22", 24, &["10.0.0.128/25", "10.0.2.0/23"], &["10.0.1.0/24"]);
        check("10.0.0.0/22", 24, &["10.0.0.0/8"], &[]);
        check("fd00::/62", 64, &["fd00:0:0:1::/64"], &["fd00::/64", "fd00:0:0:2::/64", "fd00:0:0:3::/64"]);
    }

    #[test]
    fn what_is_given_back_comes_last() {
        let mut set = CidrSet::new(net("10.0.0.0/22"), 24).unwrap();
        let first = set.allocate().unwrap();
        set.release(&first);
        assert_eq!(set.allocate(), Some(net("10.0.1.0/24")));
    }

    #[test]
    fn parts_must_fit_and_must_not_be_too_many() {
        assert!(CidrSet::new(net("10.0.0.0/24"), 16).is_none());
        assert!(CidrSet::new(net("10.0.0.0/24"), 33).is_none());
        assert!(CidrSet::new(net("fd00::/32"), 64).is_none());
    }
}
