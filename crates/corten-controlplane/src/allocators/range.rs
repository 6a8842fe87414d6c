//! The addresses of one range, and the order in which they are tried. Pure.
//!
//! Upstream: pkg/registry/core/service/ipallocator/ipallocator.go, pkg/api/servicecidr (v1.35).

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops,
};

use ipnet::IpNet;

/// The longest range of IPv6 that addresses are given of: a position in it has 64 bits. Upstream's figure.
const IPV6_PREFIX_MIN: u8 = 64;

/// A family's name in the API.
pub(super) fn family_of(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "IPv4" } else { "IPv6" }
}

/// The other family.
pub(super) fn other_family(family: &str) -> &'static str {
    if family == "IPv4" { "IPv6" } else { "IPv4" }
}

/// The addresses of a range but for its own, and for the broadcast address of IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    net: IpNet,
    first: u128,
    size: u64,
    /// Below it are the addresses that users mostly choose themselves: given last. Source: KEP-3070.
    chosen_by_hand: u64,
}

impl Range {
    /// `None` for a range that is too large to give addresses of.
    pub(super) fn new(net: IpNet) -> Option<Self> {
        if net.addr().is_ipv6() && net.prefix_len() < IPV6_PREFIX_MIN {
            return None;
        }
        let net = net.trunc();
        let all = 1_u128 << u32::from(net.max_prefix_len() - net.prefix_len());
        let unusable = if net.addr().is_ipv4() { 2 } else { 1 };
        let size = u64::try_from(all.saturating_sub(unusable)).unwrap_or(u64::MAX);
        // min(max(16, all / 16), 256), and none of a range so small.
        let chosen_by_hand = if all <= 16 { 0 } else { (size / 16 + 1).clamp(16, 256) };
        Some(Self { net, first: number(first_of(net)), size, chosen_by_hand })
    }

    pub(super) fn net(&self) -> IpNet {
        self.net
    }

    pub(super) fn family(&self) -> &'static str {
        family_of(self.net.addr())
    }

    /// How many addresses a service can have.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Whether a service can have `address` of this range.
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        let offset = number(address).checked_sub(self.first);
        family_of(address) == self.family() && offset.is_some_and(|offset| offset < u128::from(self.size))
    }

    /// The address at `offset`.
    fn at(&self, offset: u64) -> IpAddr {
        address(self.net, self.first.saturating_add(offset.into()))
    }

    /// All addresses in the order in which they are tried: the upper part and then the lower one, each from a random place
    /// on, so that an address that was just given back is not given again at once. `below` draws a number below its argument.
    pub(super) fn search(self, below: impl Fn(u64) -> u64) -> impl Iterator<Item = IpAddr> + Send + 'static {
        let parts = [self.chosen_by_hand..self.size, 0..self.chosen_by_hand.min(self.size)];
        let tried = parts.map(|part| {
            let start = part.start + below(part.end.saturating_sub(part.start).max(1));
            [start..part.end, part.start..start.min(part.end)]
        });
        tried.into_iter().flatten().flat_map(|offsets: ops::Range<u64>| offsets).map(move |offset| self.at(offset))
    }
}

/// The first address of a range that is not its own.
pub(super) fn first_of(net: IpNet) -> IpAddr {
    address(net, number(net.network()).saturating_add(1))
}

fn address(net: IpNet, bits: u128) -> IpAddr {
    match net {
        // A network of IPv4 has numbers of 32 bits.
        IpNet::V4(_) => IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(bits).unwrap_or(u32::MAX))),
        IpNet::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(bits)),
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_bits().into(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}
