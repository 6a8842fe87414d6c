//! Addresses of interfaces.
//!
//! Source: Linux `include/uapi/linux/if_addr.h`.

use std::net::IpAddr;

use ipnet::IpNet;

#[allow(
    clippy::wildcard_imports,
    reason = "a table of the kernel's constants with prefixes of their own; test builds do not lint this"
)]
use super::uapi::*;
use super::{
    Rtnl,
    codec::{Writer, flags, u32_at},
    error::Error,
    split,
};

/// An address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// Index of the interface.
    pub link: u32,
    /// Address and prefix length, host bits kept.
    pub net: IpNet,
}

impl Rtnl {
    /// All addresses of the namespace, or those of one interface.
    pub fn addresses(&self, link: Option<u32>) -> Result<Vec<Address>, Error> {
        let mut request = Writer::message(RTM_GETADDR, flags::DUMP);
        request.raw(&header(AF_UNSPEC, 0, link.unwrap_or(0)));
        self.collect(request, "list addresses", |payload| {
            let (head, attributes) = split(payload, IFADDRMSG_BYTES)?;
            let index = u32_at(head, 4);
            if link.is_some_and(|wanted| wanted != index) {
                return Ok(None);
            }
            let bytes = attributes.get(IFA_LOCAL).or_else(|| attributes.get(IFA_ADDRESS));
            let ip = bytes.and_then(read_ip).ok_or(Error::Malformed("address without address"))?;
            let net = IpNet::new(ip, head[1]).map_err(|_| Error::Malformed("address prefix length"))?;
            Ok(Some(Address { link: index, net }))
        })
    }

    /// Gives an interface an address; returns whether it is new. IPv6 addresses skip duplicate detection: they are
    /// usable at once.
    pub fn add_address(&self, address: &Address) -> Result<bool, Error> {
        let mut request = Writer::message(RTM_NEWADDR, flags::CREATE | flags::EXCL);
        write_address(&mut request, address);
        match address.net {
            IpNet::V4(net) if net.prefix_len() < 31 => {
                request.bytes(IFA_BROADCAST, &net.broadcast().octets());
            }
            IpNet::V4(_) => {}
            IpNet::V6(_) => {
                request.u32(IFA_FLAGS, IFA_F_NODAD);
            }
        }
        match self.acknowledge(request, || format!("add address {} to interface {}", address.net, address.link)) {
            Ok(()) => Ok(true),
            Err(e) if e.is_exists() => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Takes an address from an interface; returns whether it was there.
    pub fn delete_address(&self, address: &Address) -> Result<bool, Error> {
        let mut request = Writer::message(RTM_DELADDR, 0);
        write_address(&mut request, address);
        match self.acknowledge(request, || format!("delete address {} from interface {}", address.net, address.link)) {
            Ok(()) => Ok(true),
            Err(e) if e.is_not_found() => Ok(false),
            Err(e) => Err(e),
        }
    }
}

fn write_address(w: &mut Writer, address: &Address) {
    w.raw(&header(family(address.net.addr()), address.net.prefix_len(), address.link));
    let bytes = octets(address.net.addr());
    w.bytes(IFA_LOCAL, &bytes).bytes(IFA_ADDRESS, &bytes);
}

/// `struct ifaddrmsg`.
fn header(family: u8, prefix: u8, link: u32) -> [u8; IFADDRMSG_BYTES] {
    let mut out = [0; IFADDRMSG_BYTES];
    out[0] = family;
    out[1] = prefix;
    out[4..8].copy_from_slice(&link.to_ne_bytes());
    out
}

pub(super) fn family(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { AF_INET } else { AF_INET6 }
}

pub(super) fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

pub(super) fn read_ip(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}
