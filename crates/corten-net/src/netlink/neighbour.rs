//! Fixed neighbour entries (who has this address) and forwarding entries of bridges and tunnels (where is this hardware
//! address).
//!
//! Source: Linux `include/uapi/linux/neighbour.h`.

use std::net::IpAddr;

#[allow(
    clippy::wildcard_imports,
    reason = "a table of the kernel's constants with prefixes of their own; test builds do not lint this"
)]
use super::uapi::*;
use super::{
    Rtnl,
    address::{family, octets, read_ip},
    codec::{Writer, flags, u16_at, u32_at},
    error::Error,
    link::MacAddress,
    split,
};

/// A fixed entry of the neighbour table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Index of the interface.
    pub link: u32,
    /// The neighbour's address.
    pub ip: IpAddr,
    /// Its hardware address.
    pub address: MacAddress,
}

/// A forwarding entry of a tunnel: frames for `address` go to the remote end `remote`. The zero address stands for all
/// others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FdbEntry {
    /// Index of the tunnel interface.
    pub link: u32,
    /// Hardware address on the far side.
    pub address: MacAddress,
    /// Address of the remote end.
    pub remote: IpAddr,
}

impl Rtnl {
    /// The fixed neighbour entries of an interface.
    pub fn neighbours(&self, link: u32) -> Result<Vec<Neighbour>, Error> {
        let mut request = Writer::message(RTM_GETNEIGH, flags::DUMP);
        request.raw(&header(AF_UNSPEC, 0, 0, 0));
        self.collect(request, "list neighbours", |payload| {
            let (head, attributes) = split(payload, NDMSG_BYTES)?;
            let index = u32_at(head, 4);
            let ip = attributes.get(NDA_DST).and_then(read_ip);
            let address = attributes.get(NDA_LLADDR).and_then(|b| b.try_into().ok()).map(MacAddress);
            Ok(match (ip, address) {
                (Some(ip), Some(address)) if index == link && u16_at(head, 8) & NUD_PERMANENT != 0 => {
                    Some(Neighbour { link, ip, address })
                }
                _ => None,
            })
        })
    }

    /// Sets a fixed neighbour entry.
    pub fn replace_neighbour(&self, entry: &Neighbour) -> Result<(), Error> {
        let mut request = Writer::message(RTM_NEWNEIGH, flags::CREATE | flags::REPLACE);
        request.raw(&header(family(entry.ip), entry.link, NUD_PERMANENT, 0));
        request.bytes(NDA_DST, &octets(entry.ip)).bytes(NDA_LLADDR, &entry.address.0);
        self.acknowledge(request, || format!("set neighbour {} on interface {}", entry.ip, entry.link))
    }

    /// Deletes a neighbour entry; returns whether it was there.
    pub fn delete_neighbour(&self, link: u32, ip: IpAddr) -> Result<bool, Error> {
        let mut request = Writer::message(RTM_DELNEIGH, 0);
        request.raw(&header(family(ip), link, 0, 0)).bytes(NDA_DST, &octets(ip));
        existed(self.acknowledge(request, || format!("delete neighbour {ip} from interface {link}")))
    }

    /// The forwarding entries of a tunnel.
    pub fn fdb(&self, link: u32) -> Result<Vec<FdbEntry>, Error> {
        let mut request = Writer::message(RTM_GETNEIGH, flags::DUMP);
        request.raw(&header(AF_BRIDGE, 0, 0, 0));
        self.collect(request, "list forwarding entries", |payload| {
            let (head, attributes) = split(payload, NDMSG_BYTES)?;
            let remote = attributes.get(NDA_DST).and_then(read_ip);
            let address = attributes.get(NDA_LLADDR).and_then(|b| b.try_into().ok()).map(MacAddress);
            Ok(match (remote, address) {
                (Some(remote), Some(address)) if u32_at(head, 4) == link => Some(FdbEntry { link, address, remote }),
                _ => None,
            })
        })
    }

    /// Sets a forwarding entry of a tunnel.
    pub fn replace_fdb(&self, entry: &FdbEntry) -> Result<(), Error> {
        let mut request = Writer::message(RTM_NEWNEIGH, flags::CREATE | flags::REPLACE);
        write_fdb(&mut request, entry);
        self.acknowledge(request, || format!("set forwarding entry {} of interface {}", entry.address, entry.link))
    }

    /// Deletes a forwarding entry of a tunnel; returns whether it was there.
    pub fn delete_fdb(&self, entry: &FdbEntry) -> Result<bool, Error> {
        let mut request = Writer::message(RTM_DELNEIGH, 0);
        write_fdb(&mut request, entry);
        existed(
            self.acknowledge(request, || {
                format!("delete forwarding entry {} of interface {}", entry.address, entry.link)
            }),
        )
    }
}

fn write_fdb(w: &mut Writer, entry: &FdbEntry) {
    w.raw(&header(AF_BRIDGE, entry.link, NUD_PERMANENT | NUD_NOARP, NTF_SELF));
    w.bytes(NDA_LLADDR, &entry.address.0).bytes(NDA_DST, &octets(entry.remote));
}

fn existed(result: Result<(), Error>) -> Result<bool, Error> {
    match result {
        Ok(()) => Ok(true),
        Err(e) if e.is_not_found() => Ok(false),
        Err(e) => Err(e),
    }
}

/// `struct ndmsg`.
fn header(family: u8, link: u32, state: u16, entry_flags: u8) -> [u8; NDMSG_BYTES] {
    let mut out = [0; NDMSG_BYTES];
    out[0] = family;
    out[4..8].copy_from_slice(&link.to_ne_bytes());
    out[8..10].copy_from_slice(&state.to_ne_bytes());
    out[10] = entry_flags;
    out
}
