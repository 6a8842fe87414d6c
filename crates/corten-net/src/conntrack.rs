//! Connection tracking: list connections and forget them.
//!
//! A connection keeps the translation that its first packet got. When an endpoint goes away, UDP clients that keep
//! sending would reach the dead address for as long as they send; forgetting the entry lets the next packet be
//! translated anew.
//!
//! Deleting is by the entry's own tuple and id, so that a connection that took its place meanwhile survives. Source:
//! Linux `include/uapi/linux/netfilter/nfnetlink_conntrack.h`; upstream: `pkg/proxy/conntrack` (v1.35).

use std::net::{IpAddr, SocketAddr};

use parking_lot::Mutex;

use crate::{
    netlink::{
        Error,
        codec::{Attributes, Writer, flags},
        socket::{Protocol, Socket},
    },
    netns::Netns,
};

const SUBSYSTEM: u16 = 1;
const MSG_GET: u16 = 1;
const MSG_DELETE: u16 = 2;
const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_MARK: u16 = 8;
const CTA_ID: u16 = 12;
const CTA_ZONE: u16 = 18;
const CTA_TUPLE_IP: u16 = 1;
const CTA_TUPLE_PROTO: u16 = 2;
const CTA_IP_V4_SRC: u16 = 1;
const CTA_IP_V4_DST: u16 = 2;
const CTA_IP_V6_SRC: u16 = 3;
const CTA_IP_V6_DST: u16 = 4;
const CTA_PROTO_NUM: u16 = 1;
const CTA_PROTO_SRC_PORT: u16 = 2;
const CTA_PROTO_DST_PORT: u16 = 3;

/// Number of TCP.
pub const TCP: u8 = 6;
/// Number of UDP.
pub const UDP: u8 = 17;
/// Number of SCTP.
pub const SCTP: u8 = 132;

/// One direction of a connection. Ports are 0 for protocols without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tuple {
    /// Transport protocol.
    pub protocol: u8,
    /// Sender.
    pub source: SocketAddr,
    /// Receiver.
    pub destination: SocketAddr,
}

/// A tracked connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// As the client sees it: to the service's address.
    pub original: Tuple,
    /// As answers are expected: from the endpoint's address.
    pub reply: Tuple,
    /// Mark.
    pub mark: u32,
    id: Option<u32>,
    zone: Option<u16>,
    /// The original tuple as the kernel gave it, with all that is not modelled (such as ICMP's type and id).
    raw_original: Vec<u8>,
}

/// Which connections are meant: those that agree in all that is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Transport protocol.
    pub protocol: Option<u8>,
    /// Where the client sent to.
    pub original_destination: Option<IpAddr>,
    /// The port the client sent to.
    pub original_destination_port: Option<u16>,
    /// Who answers: the endpoint.
    pub reply_source: Option<IpAddr>,
    /// The endpoint's port.
    pub reply_source_port: Option<u16>,
}

impl Filter {
    /// Whether the connection is meant.
    #[must_use]
    pub fn matches(&self, entry: &Entry) -> bool {
        fn agrees<T: PartialEq>(wanted: Option<T>, is: T) -> bool {
            wanted.is_none_or(|wanted| wanted == is)
        }
        agrees(self.protocol, entry.original.protocol)
            && agrees(self.original_destination, entry.original.destination.ip())
            && agrees(self.original_destination_port, entry.original.destination.port())
            && agrees(self.reply_source, entry.reply.source.ip())
            && agrees(self.reply_source_port, entry.reply.source.port())
    }
}

/// A handle to the tracked connections of one network namespace. Calls are serialised by a lock.
#[derive(Debug)]
pub struct Conntrack {
    socket: Mutex<Socket>,
}

impl Conntrack {
    /// Opens a handle to the network namespace of the calling thread.
    pub fn open() -> Result<Self, Error> {
        Ok(Self { socket: Mutex::new(Socket::open(Protocol::Netfilter)?) })
    }

    /// Opens a handle to `netns`; the calling thread stays where it is.
    pub fn open_in(netns: &Netns) -> Result<Self, Error> {
        netns.run(Self::open).map_err(Error::from_netns)?
    }

    /// All tracked connections.
    pub fn list(&self) -> Result<Vec<Entry>, Error> {
        self.list_where(|_| true)
    }

    /// The connections that `is_meant` picks.
    pub fn list_where(&self, is_meant: impl Fn(&Entry) -> bool) -> Result<Vec<Entry>, Error> {
        let mut out = Vec::new();
        for family in [libc::AF_INET, libc::AF_INET6] {
            let answer = self
                .socket
                .lock()
                .request(message(MSG_GET, family, flags::DUMP))
                .map_err(|e| e.during(|| "list connections".to_owned()))?;
            for message in answer {
                out.extend(read_entry(&message.payload)?.filter(&is_meant));
            }
        }
        Ok(out)
    }

    /// Forgets a connection; returns whether it was still there.
    pub fn delete(&self, entry: &Entry) -> Result<bool, Error> {
        let family = if entry.original.source.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
        let mut request = message(MSG_DELETE, family, 0);
        request.nest(CTA_TUPLE_ORIG, |w| {
            w.raw(&entry.raw_original);
        });
        if let Some(id) = entry.id {
            request.be32(CTA_ID, id);
        }
        if let Some(zone) = entry.zone {
            request.be16(CTA_ZONE, zone);
        }
        match self.socket.lock().request(request) {
            Ok(_) => Ok(true),
            Err(e) if e.is_not_found() => Ok(false),
            Err(e) => Err(e.during(|| format!("forget connection to {}", entry.original.destination))),
        }
    }

    /// Forgets the connections that `is_meant` picks; returns how many there were. One listing serves any number of
    /// conditions.
    pub fn delete_where(&self, is_meant: impl Fn(&Entry) -> bool) -> Result<usize, Error> {
        let mut count = 0;
        for entry in self.list_where(is_meant)? {
            count += usize::from(self.delete(&entry)?);
        }
        Ok(count)
    }

    /// Forgets the connections that agree with the filter; returns how many there were.
    pub fn delete_matching(&self, filter: &Filter) -> Result<usize, Error> {
        self.delete_where(|entry| filter.matches(entry))
    }
}

fn message(kind: u16, family: libc::c_int, message_flags: u16) -> Writer {
    let mut w = Writer::message(SUBSYSTEM << 8 | kind, message_flags);
    w.raw(&[u8::try_from(family).expect("address families are small"), 0, 0, 0]);
    w
}

/// Nothing for protocols whose tuples have no addresses.
fn read_entry(payload: &[u8]) -> Result<Option<Entry>, Error> {
    let a = Attributes::parse(payload.get(4..).ok_or(Error::Malformed("short header"))?)?;
    let raw_original = a.get(CTA_TUPLE_ORIG).ok_or(Error::Malformed("connection without tuple"))?;
    let original = read_tuple(Attributes::parse(raw_original)?)?;
    let reply = match a.nested(CTA_TUPLE_REPLY)? {
        Some(tuple) => read_tuple(tuple)?,
        None => None,
    };
    Ok(original.zip(reply).map(|(original, reply)| Entry {
        original,
        reply,
        mark: a.be32(CTA_MARK).unwrap_or(0),
        id: a.be32(CTA_ID),
        zone: a.be16(CTA_ZONE),
        raw_original: raw_original.to_vec(),
    }))
}

fn read_tuple(tuple: Attributes<'_>) -> Result<Option<Tuple>, Error> {
    let (Some(ip), Some(proto)) = (tuple.nested(CTA_TUPLE_IP)?, tuple.nested(CTA_TUPLE_PROTO)?) else {
        return Ok(None);
    };
    let address = |v4, v6| -> Option<IpAddr> {
        let from4 = ip.get(v4).and_then(|b| <[u8; 4]>::try_from(b).ok()).map(IpAddr::from);
        from4.or_else(|| ip.get(v6).and_then(|b| <[u8; 16]>::try_from(b).ok()).map(IpAddr::from))
    };
    let port = |kind| proto.be16(kind).unwrap_or(0);
    let ends = address(CTA_IP_V4_SRC, CTA_IP_V6_SRC).zip(address(CTA_IP_V4_DST, CTA_IP_V6_DST));
    Ok(ends.map(|(source, destination)| Tuple {
        protocol: proto.u8(CTA_PROTO_NUM).unwrap_or(0),
        source: SocketAddr::new(source, port(CTA_PROTO_SRC_PORT)),
        destination: SocketAddr::new(destination, port(CTA_PROTO_DST_PORT)),
    }))
}
