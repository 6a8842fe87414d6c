//! The pods' bridge and its gateway address, made before the first pod so that DNS can listen there.
//!
//! The pod network's own plugin makes the same bridge when it is missing and takes one that is there.

use std::net::Ipv4Addr;

use anyhow::{Context as _, bail};
use corten_net::{
    netlink::{Address, LinkChange, LinkKind, NewLink, Rtnl},
    netns::Netns,
    sysctl,
};
use ipnet::{IpNet, Ipv4Net};

use crate::config::nth_address;

/// The address of the bridge in a node's range of pod addresses.
pub(crate) fn gateway(pod_cidr: Ipv4Net) -> Ipv4Addr {
    nth_address(pod_cidr, 1)
}

/// Makes the bridge and gives it its address; packets are forwarded from now on. Blocks for some system calls.
pub(crate) fn ensure(name: &str, pod_cidr: Ipv4Net) -> anyhow::Result<()> {
    let host = Netns::current().context("open the network namespace")?;
    sysctl::write(&host, "net/ipv4/ip_forward", "1").context(
        "allow this machine to forward packets, without which pods reach nobody: is /proc/sys writable here?",
    )?;
    let rtnl = Rtnl::open_in(&host).context("talk to the kernel's network")?;
    let link = match rtnl.link_by_name(name).context("look for the bridge")? {
        Some(link) => link,
        None => {
            let new = NewLink { name, kind: LinkKind::Bridge, mtu: None, address: None, master: None, up: true };
            rtnl.create_link(&new).with_context(|| format!("create the bridge {name}"))?;
            let link = rtnl.expect_link(name).context("look for the bridge")?;
            // Setting the address that it has fixes it. Otherwise it would change to the smallest among the ports.
            let change = LinkChange { address: link.address, ..LinkChange::default() };
            rtnl.change_link(link.index, &change).context("fix the bridge's hardware address")?;
            link
        }
    };
    if link.kind.as_deref() != Some("bridge") {
        bail!("{name} exists and is not a bridge: rename it, pods need this name");
    }
    if !link.up {
        rtnl.change_link(link.index, &LinkChange { up: Some(true), ..LinkChange::default() })
            .context("bring up the bridge")?;
    }
    let net = Ipv4Net::new(gateway(pod_cidr), pod_cidr.prefix_len()).context("form the bridge's address")?;
    let address = Address { link: link.index, net: IpNet::V4(net) };
    rtnl.add_address(&address).with_context(|| format!("give {name} the address {net}"))?;
    Ok(())
}
