//! Packet rules: a typed model of nftables, atomic transactions and listings, all by netlink.
//!
//! Flow: build `Transaction` from `Table`, `Chain`, `Set`, `Element`, `Rule` -> `Nftables::commit` sends one batch ->
//! the kernel takes all of it or nothing. What a change costs follows its own size: single elements, rules and chains
//! are added and deleted by themselves. Reading back (`Nftables::dump`) gives the same types, for tests and for finding
//! one's own table after a restart.
//!
//! Source: Linux `include/uapi/linux/netfilter/nf_tables.h`, and nft(8) for the names of things.

mod dump;
mod error;
mod expr;
mod grace;
mod rule;
mod set;
mod table;
mod transaction;
mod uapi;
mod value;

use parking_lot::Mutex;

use crate::{
    netlink::{
        self,
        codec::{Attributes, Message, Writer},
        socket::{Protocol, Socket},
    },
    netns::Netns,
};

pub use self::{
    dump::{RuleDump, SetDump, TableDump},
    error::{CommitError, Failure},
    expr::{CmpOp, CtKey, Expr, FibFlags, FibResult, MetaKey, Nat, PayloadBase, Reg, Reject, nat_flags},
    grace::wait_for_packets,
    rule::{Field, Rule, Selector, ct_state, ct_status},
    set::{Element, ElementData, Set, SetData},
    table::{BaseChain, Chain, ChainType, Family, Hook, Policy, Table, Verdict, priority},
    transaction::{Committed, RulePlace, Transaction},
    value::{DataType, Value},
};

/// A handle to the packet rules of one network namespace. Calls are serialised by a lock.
#[derive(Debug)]
pub struct Nftables {
    socket: Mutex<Socket>,
}

impl Nftables {
    /// Opens a handle to the network namespace of the calling thread.
    pub fn open() -> Result<Self, netlink::Error> {
        Ok(Self { socket: Mutex::new(Socket::open(Protocol::Netfilter)?) })
    }

    /// Opens a handle to `netns`; the calling thread stays where it is.
    pub fn open_in(netns: &Netns) -> Result<Self, netlink::Error> {
        netns.run(Self::open).map_err(netlink::Error::from_netns)?
    }

    /// The number of the current generation of rules. It changes with every commit of anybody in the namespace.
    ///
    /// Errors: `EOPNOTSUPP`/`EINVAL` on a kernel without nftables, see [`Nftables::is_supported`].
    pub fn generation(&self) -> Result<u32, netlink::Error> {
        let request = request(uapi::MSG_GETGEN, Family::Unspecified, 0);
        let answer = self.ask(request, "read generation of packet rules")?;
        let payload = &answer.first().ok_or(netlink::Error::Malformed("no generation"))?.payload;
        attributes(payload)?.be32(uapi::GEN_ID).ok_or(netlink::Error::Malformed("no generation"))
    }

    /// Whether the kernel has nftables at all. Errors other than its absence are returned.
    pub fn is_supported(&self) -> Result<bool, netlink::Error> {
        match self.generation() {
            Ok(_) => Ok(true),
            Err(e) if matches!(e.errno(), Some(libc::EOPNOTSUPP | libc::EINVAL | libc::EPROTONOSUPPORT)) => Ok(false),
            Err(e) => Err(e),
        }
    }

    fn ask(&self, request: Writer, operation: &str) -> Result<Vec<Message>, netlink::Error> {
        self.socket.lock().request(request).map_err(|e| e.during(|| operation.to_owned()))
    }
}

/// Starts a message of the nftables subsystem.
fn request(kind: u16, family: Family, message_flags: u16) -> Writer {
    let mut w = Writer::message(uapi::SUBSYSTEM << 8 | kind, message_flags);
    w.raw(&[family.number(), 0, 0, 0]);
    w
}

/// The attributes behind the 4-byte `struct nfgenmsg`.
fn attributes(payload: &[u8]) -> Result<Attributes<'_>, netlink::Error> {
    Attributes::parse(payload.get(4..).ok_or(netlink::Error::Malformed("short header"))?)
}
