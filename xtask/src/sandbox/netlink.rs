//! The few rtnetlink requests that a sandbox's network takes, so that no `ip` program has to be installed.
//!
//! Interface indexes are chosen by the caller, who makes the namespaces and so knows which are free. Layouts: rtnetlink(7).

use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::thread;

use anyhow::{Context, bail};
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};

const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;
const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST_ACK: u16 = 0x1 | 0x4;
const NLM_F_CREATE_EXCL: u16 = 0x400 | 0x200;

const IFLA_IFNAME: u16 = 3;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_NET_NS_FD: u16 = 28;
const VETH_INFO_PEER: u16 = 1;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const IFF_UP: u32 = 1;
const AF_INET: u8 = 2;

/// Index of `lo` in every namespace.
pub(super) const LOOPBACK: u32 = 1;

/// The far end of a pair of virtual Ethernet interfaces.
pub(super) struct Peer<'a> {
    pub(super) name: &'a str,
    pub(super) index: u32,
    /// The network namespace it is born in.
    pub(super) namespace: &'a File,
}

/// A request socket inside one network namespace.
pub(super) struct Netlink {
    socket: OwnedFd,
}

impl Netlink {
    /// Opens a socket in `namespace`. The calling thread stays where it is: a short-lived one goes in and brings the
    /// socket back, which belongs to the namespace it was made in.
    pub(super) fn open_in(namespace: &File) -> anyhow::Result<Self> {
        let opened = thread::scope(|scope| {
            let inside = scope.spawn(|| {
                setns(namespace, CloneFlags::CLONE_NEWNET)?;
                socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)
            });
            inside.join().expect("the thread makes two system calls and cannot panic")
        });
        Ok(Self { socket: opened.context("open a netlink socket in a network namespace")? })
    }

    pub(super) fn add_bridge(&self, name: &str, index: u32) -> anyhow::Result<()> {
        let mut message = Message::link(index, 0, NLM_F_CREATE_EXCL);
        message.text(IFLA_IFNAME, name);
        message.nested(IFLA_LINKINFO, |info| info.text(IFLA_INFO_KIND, "bridge"));
        self.request(message).with_context(|| format!("add bridge {name}"))
    }

    pub(super) fn add_veth(&self, name: &str, index: u32, peer: &Peer<'_>) -> anyhow::Result<()> {
        let mut message = Message::link(index, 0, NLM_F_CREATE_EXCL);
        message.text(IFLA_IFNAME, name);
        message.nested(IFLA_LINKINFO, |info| {
            info.text(IFLA_INFO_KIND, "veth");
            info.nested(IFLA_INFO_DATA, |data| {
                data.nested(VETH_INFO_PEER, |far| {
                    far.bytes.extend(interface_header(peer.index, 0));
                    far.text(IFLA_IFNAME, peer.name);
                    let fd: RawFd = peer.namespace.as_raw_fd();
                    far.attribute(IFLA_NET_NS_FD, &fd.to_ne_bytes());
                });
            });
        });
        self.request(message).with_context(|| format!("add interface {name}"))
    }

    /// Brings an interface up, as a port of `bridge` if one is given.
    pub(super) fn bring_up(&self, index: u32, bridge: Option<u32>) -> anyhow::Result<()> {
        let mut message = Message::link(index, IFF_UP, 0);
        if let Some(bridge) = bridge {
            message.attribute(IFLA_MASTER, &bridge.to_ne_bytes());
        }
        self.request(message).with_context(|| format!("bring interface {index} up"))
    }

    pub(super) fn add_address(&self, index: u32, address: Ipv4Addr, prefix_length: u8) -> anyhow::Result<()> {
        let mut header = vec![AF_INET, prefix_length, 0, 0];
        header.extend(index.to_ne_bytes());
        let mut message = Message::new(RTM_NEWADDR, NLM_F_CREATE_EXCL, &header);
        message.attribute(IFA_LOCAL, &address.octets());
        message.attribute(IFA_ADDRESS, &address.octets());
        self.request(message).with_context(|| format!("add address {address}"))
    }

    pub(super) fn add_default_route(&self, gateway: Ipv4Addr, index: u32) -> anyhow::Result<()> {
        // Family, lengths of destination and source, tos, table main, protocol boot, scope universe, type unicast, flags.
        let header = [AF_INET, 0, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0];
        let mut message = Message::new(RTM_NEWROUTE, NLM_F_CREATE_EXCL, &header);
        message.attribute(RTA_GATEWAY, &gateway.octets());
        message.attribute(RTA_OIF, &index.to_ne_bytes());
        self.request(message).with_context(|| format!("add default route over {gateway}"))
    }

    /// Sends one request and waits for its acknowledgement.
    fn request(&self, message: Message) -> anyhow::Result<()> {
        let bytes = message.finish();
        send(self.socket.as_raw_fd(), &bytes, MsgFlags::empty()).context("send")?;
        // An acknowledgement repeats the request's header after its own and the error number.
        let mut reply = [0; 4096];
        let length = recv(self.socket.as_raw_fd(), &mut reply, MsgFlags::empty()).context("receive")?;
        let reply = &reply[..length];
        let kind = reply.get(4..6).and_then(|kind| kind.try_into().ok()).map(u16::from_ne_bytes);
        let code = reply.get(16..20).and_then(|code| code.try_into().ok()).map(i32::from_ne_bytes);
        match (kind, code) {
            (Some(NLMSG_ERROR), Some(0)) => Ok(()),
            (Some(NLMSG_ERROR), Some(code)) => Err(io::Error::from_raw_os_error(-code).into()),
            _ => bail!("the kernel answered with message type {kind:?}"),
        }
    }
}

/// A request being written: header, then attributes padded to four bytes.
struct Message {
    bytes: Vec<u8>,
}

impl Message {
    fn new(kind: u16, flags: u16, header: &[u8]) -> Self {
        let mut bytes = vec![0; 4];
        bytes.extend(kind.to_ne_bytes());
        bytes.extend((NLM_F_REQUEST_ACK | flags).to_ne_bytes());
        // Sequence number and port: one request is under way at a time, so zero will do.
        bytes.extend([0; 8]);
        bytes.extend(header);
        Self { bytes }
    }

    fn link(index: u32, interface_flags: u32, flags: u16) -> Self {
        Self::new(RTM_NEWLINK, flags, &interface_header(index, interface_flags))
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        self.nested(kind, |inner| inner.bytes.extend(value));
    }

    fn text(&mut self, kind: u16, value: &str) {
        self.nested(kind, |inner| {
            inner.bytes.extend(value.bytes());
            inner.bytes.push(0);
        });
    }

    fn nested(&mut self, kind: u16, write: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.bytes.extend([0; 2]);
        self.bytes.extend(kind.to_ne_bytes());
        write(self);
        let length = u16::try_from(self.bytes.len() - start).expect("a request is a few hundred bytes");
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn finish(mut self) -> Vec<u8> {
        let length = u32::try_from(self.bytes.len()).expect("a request is a few hundred bytes");
        self.bytes[..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes
    }
}

/// `struct ifinfomsg`: family and type unspecified, then index, flags and the mask of flags that change.
fn interface_header(index: u32, flags: u32) -> [u8; 16] {
    let mut header = [0; 16];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header[12..16].copy_from_slice(&flags.to_ne_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_nest_and_are_padded() {
        let mut message = Message::new(RTM_NEWLINK, 0, &[]);
        message.nested(7, |inner| inner.text(1, "ab"));
        let bytes = message.finish();
        assert_eq!(bytes.len(), 16 + 4 + 8);
        assert_eq!(bytes[..4], 28u32.to_ne_bytes());
        assert_eq!(bytes[16..18], 12u16.to_ne_bytes());
        assert_eq!(bytes[20..22], 7u16.to_ne_bytes());
        assert_eq!(&bytes[24..], b"ab\0\0");
    }
}
