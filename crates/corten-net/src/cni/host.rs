//! The node as the built-in plugins see it: its namespace with open handles.
//!
//! Handles are kept open on purpose: closing a netfilter socket waits until the kernel has freed what earlier transactions deleted, 10 to 20 ms each time.

use std::sync::OnceLock;

use super::CniError;
use crate::{conntrack::Conntrack, netlink::Rtnl, netns::Netns, nftables::Nftables};

/// See the module. Handles are opened when they are first needed.
#[derive(Debug)]
pub struct Host {
    /// The node's namespace.
    pub netns: Netns,
    rtnl: OnceLock<Rtnl>,
    nft: OnceLock<Nftables>,
    conntrack: OnceLock<Conntrack>,
}

impl Host {
    /// The node whose bridges and packet rules are in `netns`.
    #[must_use]
    pub fn new(netns: Netns) -> Self {
        Self { netns, rtnl: OnceLock::new(), nft: OnceLock::new(), conntrack: OnceLock::new() }
    }

    /// Interfaces, addresses, routes.
    pub(super) fn rtnl(&self) -> Result<&Rtnl, CniError> {
        open(&self.rtnl, || Rtnl::open_in(&self.netns), "cannot look at the node's interfaces")
    }

    /// Packet rules.
    pub(super) fn nft(&self) -> Result<&Nftables, CniError> {
        open(&self.nft, || Nftables::open_in(&self.netns), "cannot open the packet rules")
    }

    /// Tracked connections.
    pub(super) fn conntrack(&self) -> Result<&Conntrack, CniError> {
        open(&self.conntrack, || Conntrack::open_in(&self.netns), "cannot open connection tracking")
    }
}

fn open<'a, T>(
    cell: &'a OnceLock<T>,
    make: impl FnOnce() -> Result<T, crate::netlink::Error>,
    what: &'static str,
) -> Result<&'a T, CniError> {
    if let Some(handle) = cell.get() {
        return Ok(handle);
    }
    let handle = make().map_err(CniError::kernel(what))?;
    // Another thread may have been faster; one of two equal handles is dropped.
    Ok(cell.get_or_init(|| handle))
}
