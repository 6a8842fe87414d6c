//! Network interfaces: create, find, change, delete.
//!
//! Source: Linux `include/uapi/linux/if_link.h`.

use std::{
    fmt,
    net::IpAddr,
    os::fd::{AsRawFd as _, RawFd},
    str::FromStr,
};

#[allow(
    clippy::wildcard_imports,
    reason = "a table of the kernel's constants with prefixes of their own; test builds do not lint this"
)]
use super::uapi::*;
use super::{
    Rtnl,
    codec::{Attributes, Writer, flags, u32_at},
    error::Error,
    split,
};
use crate::netns::Netns;

/// 15: an interface name is a 16-byte field with its terminating zero.
const NAME_MAX_BYTES: usize = 15;

/// An Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddress(pub [u8; 6]);

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for MacAddress {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self, Error> {
        let invalid = || Error::Invalid { what: "hardware address", value: s.to_owned() };
        let bytes = s.split(':').map(|part| u8::from_str_radix(part, 16)).collect::<Result<Vec<_>, _>>();
        bytes.ok().and_then(|b| b.try_into().ok()).map(Self).ok_or_else(invalid)
    }
}

/// An interface as the kernel describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Index, unique within its namespace.
    pub index: u32,
    /// Name.
    pub name: String,
    /// Kind of a virtual interface: `veth`, `bridge`, `vxlan`; none for hardware and `lo`.
    pub kind: Option<String>,
    /// Hardware address, if it is an Ethernet-like interface.
    pub address: Option<MacAddress>,
    /// Largest packet in bytes.
    pub mtu: u32,
    /// Whether it is administratively up.
    pub up: bool,
    /// Index of the bridge that it is a port of.
    pub master: Option<u32>,
    /// Index of the peer (veth) or of the interface below (vxlan), possibly in another namespace.
    pub link: Option<u32>,
    /// Whether the bridge may send a frame back out of the port it came from; only known for ports of a bridge.
    pub hairpin: Option<bool>,
}

/// An interface to create.
#[derive(Debug)]
pub struct NewLink<'a> {
    /// Name, at most 15 bytes.
    pub name: &'a str,
    /// What to create.
    pub kind: LinkKind<'a>,
    /// Largest packet in bytes; the kernel's default if absent.
    pub mtu: Option<u32>,
    /// Hardware address; random if absent.
    pub address: Option<MacAddress>,
    /// Bridge to become a port of.
    pub master: Option<u32>,
    /// Whether to bring it up at once.
    pub up: bool,
}

/// Kinds of interfaces that can be created.
#[derive(Debug)]
pub enum LinkKind<'a> {
    /// A switch.
    Bridge,
    /// A cable; the other end is described by [`Veth`].
    Veth(Veth<'a>),
    /// A tunnel of Ethernet frames over UDP.
    Vxlan(Vxlan),
}

/// The other end of a cable.
#[derive(Debug)]
pub struct Veth<'a> {
    /// Its name.
    pub peer_name: &'a str,
    /// Where it appears; in the same namespace if absent.
    pub peer_netns: Option<&'a Netns>,
    /// Its hardware address; random if absent.
    pub peer_address: Option<MacAddress>,
}

/// A tunnel whose remote ends are given by forwarding entries (`Rtnl::replace_fdb`), not learned.
#[derive(Clone, Copy, Debug)]
pub struct Vxlan {
    /// Network identifier, 24 bits.
    pub id: u32,
    /// Index of the interface below.
    pub underlay: Option<u32>,
    /// Address of this end.
    pub local: Option<IpAddr>,
    /// UDP port of all ends.
    pub port: u16,
}

/// What to do about the bridge of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MasterChange {
    /// Become a port of the bridge with this index.
    Join(u32),
    /// Leave the bridge.
    Leave,
}

/// What to change about an interface; what is absent stays as it is.
#[derive(Debug, Default)]
pub struct LinkChange<'a> {
    /// Administrative state.
    pub up: Option<bool>,
    /// Largest packet in bytes.
    pub mtu: Option<u32>,
    /// New name; the interface has to be down (before Linux 6.4).
    pub name: Option<&'a str>,
    /// Hardware address.
    pub address: Option<MacAddress>,
    /// Its bridge.
    pub master: Option<MasterChange>,
    /// Another namespace to move to. Its addresses are lost on the way.
    pub netns: Option<&'a Netns>,
}

impl Rtnl {
    /// All interfaces of the namespace.
    pub fn links(&self) -> Result<Vec<Link>, Error> {
        let mut request = Writer::message(RTM_GETLINK, flags::DUMP);
        request.raw(&header(AF_UNSPEC, 0, 0, 0));
        self.collect(request, "list interfaces", |payload| read_link(payload).map(Some))
    }

    /// The interface of this name, if it exists.
    pub fn link_by_name(&self, name: &str) -> Result<Option<Link>, Error> {
        check_name(name)?;
        let mut request = Writer::message(RTM_GETLINK, 0);
        request.raw(&header(AF_UNSPEC, 0, 0, 0)).string(IFLA_IFNAME, name);
        self.one_link(request)
    }

    /// The interface with this index, if it exists.
    pub fn link_by_index(&self, index: u32) -> Result<Option<Link>, Error> {
        let mut request = Writer::message(RTM_GETLINK, 0);
        request.raw(&header(AF_UNSPEC, index, 0, 0));
        self.one_link(request)
    }

    /// The interface of this name.
    ///
    /// Errors: [`Error::Missing`] if there is none.
    pub fn expect_link(&self, name: &str) -> Result<Link, Error> {
        self.link_by_name(name)?.ok_or_else(|| Error::Missing { what: "interface", name: name.to_owned() })
    }

    /// Creates an interface. Errors: `is_exists` if the name (or the peer's) is taken.
    pub fn create_link(&self, new: &NewLink<'_>) -> Result<(), Error> {
        check_name(new.name)?;
        if let LinkKind::Veth(veth) = &new.kind {
            check_name(veth.peer_name)?;
        }
        let up = if new.up { IFF_UP } else { 0 };
        let mut request = Writer::message(RTM_NEWLINK, flags::CREATE | flags::EXCL);
        request.raw(&header(AF_UNSPEC, 0, up, up)).string(IFLA_IFNAME, new.name);
        if let Some(mtu) = new.mtu {
            request.u32(IFLA_MTU, mtu);
        }
        if let Some(address) = new.address {
            request.bytes(IFLA_ADDRESS, &address.0);
        }
        if let Some(master) = new.master {
            request.u32(IFLA_MASTER, master);
        }
        request.nest(IFLA_LINKINFO, |w| write_kind(w, &new.kind, new.mtu));
        self.acknowledge(request, || format!("create interface {}", new.name))
    }

    /// Changes an interface.
    pub fn change_link(&self, index: u32, change: &LinkChange<'_>) -> Result<(), Error> {
        let (set, mask) = match change.up {
            Some(true) => (IFF_UP, IFF_UP),
            Some(false) => (0, IFF_UP),
            None => (0, 0),
        };
        let mut request = Writer::message(RTM_NEWLINK, 0);
        request.raw(&header(AF_UNSPEC, index, set, mask));
        if let Some(name) = change.name {
            check_name(name)?;
            request.string(IFLA_IFNAME, name);
        }
        if let Some(mtu) = change.mtu {
            request.u32(IFLA_MTU, mtu);
        }
        if let Some(address) = change.address {
            request.bytes(IFLA_ADDRESS, &address.0);
        }
        match change.master {
            Some(MasterChange::Join(master)) => {
                request.u32(IFLA_MASTER, master);
            }
            Some(MasterChange::Leave) => {
                request.u32(IFLA_MASTER, 0);
            }
            None => {}
        }
        if let Some(netns) = change.netns {
            request.u32(IFLA_NET_NS_FD, descriptor(netns.as_raw_fd()));
        }
        self.acknowledge(request, || format!("change interface {index}: {change:?}"))
    }

    /// Lets the bridge send frames back out of this port (needed when a pod reaches itself through a service), or
    /// forbids it.
    pub fn set_hairpin(&self, port_index: u32, on: bool) -> Result<(), Error> {
        let mut request = Writer::message(RTM_SETLINK, 0);
        request.raw(&header(AF_BRIDGE, port_index, 0, 0)).nest(IFLA_PROTINFO, |w| {
            w.u8(IFLA_BRPORT_MODE, u8::from(on));
        });
        self.acknowledge(request, || format!("set hairpin mode of bridge port {port_index}"))
    }

    /// Deletes an interface, and its peer if it is a cable. Errors: `is_not_found`.
    pub fn delete_link(&self, index: u32) -> Result<(), Error> {
        let mut request = Writer::message(RTM_DELLINK, 0);
        request.raw(&header(AF_UNSPEC, index, 0, 0));
        self.acknowledge(request, || format!("delete interface {index}"))
    }

    fn one_link(&self, request: Writer) -> Result<Option<Link>, Error> {
        match self.collect(request, "find interface", |payload| read_link(payload).map(Some)) {
            Ok(links) => Ok(links.into_iter().next()),
            Err(e) if e.is_not_found() => Ok(None),
            Err(e) => Err(e),
        }
    }
}

/// Whether the kernel accepts `name` as the name of an interface.
pub(crate) fn check_name(name: &str) -> Result<(), Error> {
    let acceptable = !name.is_empty()
        && name.len() <= NAME_MAX_BYTES
        && !matches!(name, "." | "..")
        && !name.contains(|c: char| c == '/' || c == ':' || c == '\0' || c.is_ascii_whitespace());
    if acceptable { Ok(()) } else { Err(Error::Invalid { what: "interface name", value: name.to_owned() }) }
}

/// `struct ifinfomsg`.
fn header(family: u8, index: u32, set: u32, mask: u32) -> [u8; IFINFOMSG_BYTES] {
    let mut out = [0; IFINFOMSG_BYTES];
    out[0] = family;
    out[4..8].copy_from_slice(&index.to_ne_bytes());
    out[8..12].copy_from_slice(&set.to_ne_bytes());
    out[12..16].copy_from_slice(&mask.to_ne_bytes());
    out
}

fn write_kind(w: &mut Writer, kind: &LinkKind<'_>, mtu: Option<u32>) {
    match kind {
        LinkKind::Bridge => {
            w.string(IFLA_INFO_KIND, "bridge");
        }
        LinkKind::Veth(veth) => {
            w.string(IFLA_INFO_KIND, "veth").nest(IFLA_INFO_DATA, |w| {
                w.nest(VETH_INFO_PEER, |w| {
                    w.raw(&header(AF_UNSPEC, 0, 0, 0)).string(IFLA_IFNAME, veth.peer_name);
                    if let Some(mtu) = mtu {
                        w.u32(IFLA_MTU, mtu);
                    }
                    if let Some(address) = veth.peer_address {
                        w.bytes(IFLA_ADDRESS, &address.0);
                    }
                    if let Some(netns) = veth.peer_netns {
                        w.u32(IFLA_NET_NS_FD, descriptor(netns.as_raw_fd()));
                    }
                });
            });
        }
        LinkKind::Vxlan(vxlan) => {
            w.string(IFLA_INFO_KIND, "vxlan").nest(IFLA_INFO_DATA, |w| {
                w.u32(IFLA_VXLAN_ID, vxlan.id).be16(IFLA_VXLAN_PORT, vxlan.port).u8(IFLA_VXLAN_LEARNING, 0);
                if let Some(underlay) = vxlan.underlay {
                    w.u32(IFLA_VXLAN_LINK, underlay);
                }
                match vxlan.local {
                    Some(IpAddr::V4(local)) => {
                        w.bytes(IFLA_VXLAN_LOCAL, &local.octets());
                    }
                    Some(IpAddr::V6(local)) => {
                        w.bytes(IFLA_VXLAN_LOCAL6, &local.octets());
                    }
                    None => {}
                }
            });
        }
    }
}

fn descriptor(fd: RawFd) -> u32 {
    u32::try_from(fd).expect("an open descriptor is not negative")
}

fn read_link(payload: &[u8]) -> Result<Link, Error> {
    let (head, attributes) = split(payload, IFINFOMSG_BYTES)?;
    let info = attributes.nested(IFLA_LINKINFO)?;
    let port = match info {
        Some(info) => info.nested(IFLA_INFO_SLAVE_DATA)?,
        None => None,
    };
    Ok(Link {
        index: u32_at(head, 4),
        name: attributes.string(IFLA_IFNAME).ok_or(Error::Malformed("interface without name"))?,
        kind: info.and_then(|i| i.string(IFLA_INFO_KIND)),
        address: attributes.get(IFLA_ADDRESS).and_then(|b| b.try_into().ok()).map(MacAddress),
        mtu: attributes.u32(IFLA_MTU).unwrap_or_default(),
        up: u32_at(head, 8) & IFF_UP != 0,
        master: attributes.u32(IFLA_MASTER),
        link: attributes.u32(IFLA_LINK),
        hairpin: port.and_then(|p: Attributes<'_>| p.u8(IFLA_BRPORT_MODE)).map(|mode| mode != 0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_the_names_that_the_kernel_accepts() {
        for name in ["eth0", "a", "veth1234567890a", "br-x.1"] {
            check_name(name).unwrap();
        }
        for name in ["", ".", "..", "a/b", "a b", "a:1", "sixteen-bytes-xx"] {
            assert!(check_name(name).is_err(), "{name:?} was accepted");
        }
    }

    #[test]
    fn hardware_addresses_read_and_print_alike() {
        let text = "0a:58:0a:f4:00:01";
        assert_eq!(text.parse::<MacAddress>().unwrap().to_string(), text);
        for bad in ["", "0a:58", "0a:58:0a:f4:00:01:02", "zz:58:0a:f4:00:01"] {
            assert!(bad.parse::<MacAddress>().is_err(), "{bad:?} was accepted");
        }
    }
}
