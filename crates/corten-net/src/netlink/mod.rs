//! Netlink: messages and sockets (`codec`, `socket`), and the routing family on top of them (`Rtnl`: links, addresses,
//! routes, neighbours).
//!
//! Packet rules and connection tracking speak the same protocol and live in `crate::nftables` and `crate::conntrack`.

mod address;
pub mod codec;
mod error;
mod link;
mod neighbour;
mod route;
pub mod socket;
mod uapi;

use parking_lot::Mutex;

use self::{
    codec::{Attributes, Writer},
    socket::{Protocol, Socket},
};
use crate::netns::{Netns, NetnsError};

pub(crate) use self::link::check_name as check_interface_name;
pub use self::{
    address::Address,
    error::Error,
    link::{Link, LinkChange, LinkKind, MacAddress, MasterChange, NewLink, Veth, Vxlan},
    neighbour::{FdbEntry, Neighbour},
    route::{Route, RouteKind, RouteScope, TABLE_MAIN},
};

/// A handle to the routing tables and interfaces of one network namespace.
///
/// Calls are serialised by a lock: the kernel serialises them anyway.
#[derive(Debug)]
pub struct Rtnl {
    socket: Mutex<Socket>,
}

impl Rtnl {
    /// Opens a handle to the network namespace of the calling thread.
    pub fn open() -> Result<Self, Error> {
        Ok(Self { socket: Mutex::new(Socket::open(Protocol::Route)?) })
    }

    /// Opens a handle to `netns`; the calling thread stays where it is.
    pub fn open_in(netns: &Netns) -> Result<Self, Error> {
        netns.run(Self::open).map_err(Error::from_netns)?
    }

    /// Sends one request and waits for its acknowledgement.
    fn acknowledge(&self, request: Writer, operation: impl FnOnce() -> String) -> Result<(), Error> {
        self.socket.lock().request(request).map(drop).map_err(|e| e.during(operation))
    }

    /// Sends one request and gives each message of the answer to `each`.
    fn collect<T>(
        &self,
        request: Writer,
        operation: &'static str,
        mut each: impl FnMut(&[u8]) -> Result<Option<T>, Error>,
    ) -> Result<Vec<T>, Error> {
        let messages = self.socket.lock().request(request).map_err(|e| e.during(|| operation.to_owned()))?;
        messages.iter().filter_map(|m| each(&m.payload).transpose()).collect()
    }
}

impl Error {
    pub(crate) fn from_netns(error: NetnsError) -> Self {
        Self::Netns { source: Box::new(error) }
    }
}

/// Splits a payload into its fixed header of `header_bytes` and its attributes.
fn split(payload: &[u8], header_bytes: usize) -> Result<(&[u8], Attributes<'_>), Error> {
    let (header, rest) = payload.split_at_checked(header_bytes).ok_or(Error::Malformed("short header"))?;
    Ok((header, Attributes::parse(rest)?))
}
