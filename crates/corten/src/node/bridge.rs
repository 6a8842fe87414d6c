//! The pods' bridge and its gateway address, where DNS listens.
//!
//! The pod network's own plugin makes the same bridge when the node has got its range. Where another network is configured
//! it does not, and DNS needs the address all the same.

use std::net::Ipv4Addr;

use anyhow::{Context as _, bail};
use corten_net::{
    cni::{Host, bridge},
    netlink::Rtnl,
    netns::Netns,
};
use ipnet::{IpNet, Ipv4Net};

use crate::config::nth_address;

/// The address of the bridge in a node's range of pod addresses.
pub(crate) fn gateway(pod_cidr: Ipv4Net) -> Ipv4Addr {
    nth_address(pod_cidr, 1)
}

/// Refuses somebody else's interface with the bridge's name. Blocks for a system call.
pub(crate) fn expect_ours(name: &str) -> anyhow::Result<()> {
    let rtnl = Rtnl::open().context("talk to the kernel's network")?;
    let link = rtnl.link_by_name(name).context("look for the bridge")?;
    if link.is_some_and(|link| link.kind.as_deref() != Some("bridge")) {
        bail!("{name} exists and is not a bridge: rename it, pods need this name");
    }
    Ok(())
}

/// Makes the bridge and gives it its address; packets are forwarded from now on. Blocks for some system calls.
pub(crate) fn ensure(name: &str, pod_cidr: Ipv4Net) -> anyhow::Result<()> {
    let host = Host::new(Netns::current().context("open the network namespace")?);
    bridge::prepare(&host, name, &[IpNet::V4(pod_cidr)])
        .with_context(|| format!("give {name} the address {}", gateway(pod_cidr)))
}
