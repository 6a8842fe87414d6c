//! The addresses of one range. Pure.
//!
//! Upstream: pkg/registry/core/service/ipallocator (v1.35).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::pool::Pool;

/// A family's name in the API.
pub(super) fn family_of(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "IPv4" } else { "IPv6" }
}

/// The other family.
pub(super) fn other_family(family: &str) -> &'static str {
    if family == "IPv4" { "IPv6" } else { "IPv4" }
}

/// The addresses of a range but for its own, and for the broadcast address of IPv4.
#[derive(Debug)]
pub(super) struct Addresses {
    range: IpNet,
    first: u128,
    pool: Pool,
}

impl Addresses {
    pub(super) fn new(range: IpNet) -> Self {
        let range = range.trunc();
        let host_bits = u32::from(range.max_prefix_len() - range.prefix_len());
        let all = 1_u128.checked_shl(host_bits).unwrap_or(u128::MAX);
        let unusable = if range.addr().is_ipv4() { 2 } else { 1 };
        // Of ranges of IPv6 larger than 2^64, the beginning is used.
        let size = u64::try_from(all.saturating_sub(unusable)).unwrap_or(u64::MAX);
        let chosen_by_hand = if all < 16 { 0 } else { (size / 16).clamp(16, 256) };
        let pool = Pool::new(size, chosen_by_hand);
        Self { range, first: number(range.addr()) + 1, pool }
    }

    pub(super) fn family(&self) -> &'static str {
        family_of(self.range.addr())
    }

    /// The address at `offset`.
    pub(super) fn at(&self, offset: u64) -> IpAddr {
        let bits = self.first + u128::from(offset);
        match self.range {
            // A network of IPv4 has numbers of 32 bits.
            IpNet::V4(_) => IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(bits).unwrap_or(u32::MAX))),
            IpNet::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(bits)),
        }
    }

    fn offset(&self, address: IpAddr) -> Option<u64> {
        if family_of(address) != self.family() {
            return None;
        }
        let offset = u64::try_from(number(address).checked_sub(self.first)?).ok()?;
        (offset < self.pool.size()).then_some(offset)
    }

    /// Takes `address`.
    ///
    /// Errors: in upstream's words.
    pub(super) fn take(&mut self, address: IpAddr, owner: &str) -> Result<(), String> {
        let Some(offset) = self.offset(address) else {
            return Err(format!(
                "the provided IP ({address}) is not in the valid range. The range of valid IPs is {}",
                self.range
            ));
        };
        if self.pool.take(offset, owner) { Ok(()) } else { Err("provided IP is already allocated".to_owned()) }
    }

    pub(super) fn take_any(&mut self, owner: &str, below: impl Fn(u64) -> u64) -> Result<IpAddr, String> {
        let offset = self.pool.take_any(owner, below).ok_or("range is full")?;
        Ok(self.at(offset))
    }

    pub(super) fn release(&mut self, address: IpAddr, owner: &str) {
        if let Some(offset) = self.offset(address) {
            self.pool.release(offset, owner);
        }
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_bits().into(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}
