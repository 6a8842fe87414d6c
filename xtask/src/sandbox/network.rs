//! Three network namespaces on one segment: the sandbox, the world outside of it, and a neighbour host.

use std::fs::File;
use std::net::Ipv4Addr;
use std::thread;

use anyhow::Context;
use nix::sched::{CloneFlags, unshare};

use super::netlink::{LOOPBACK, Netlink, Peer};

const OUTSIDE: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
const INSIDE: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 2);
const NEIGHBOUR: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 3);
/// An address beyond the gateway, from a range reserved for documentation (RFC 5737).
const WORLD: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const PREFIX_LENGTH: u8 = 24;

/// `eth0` where it is the only interface.
const ETH0: u32 = 2;
/// Interfaces of the outside; any number that is free will do.
const BRIDGE: u32 = 10;

/// What `/etc/resolv.conf` says inside: the gateway, where a test may run a server.
pub(super) const RESOLV_CONF: &str = "nameserver 10.99.0.1\noptions timeout:1 attempts:1\n";

/// The namespaces live as long as these files are open or a process is inside.
pub(super) struct Network {
    pub(super) inside: File,
    pub(super) outside: File,
    pub(super) neighbour: File,
}

impl Network {
    pub(super) fn create() -> anyhow::Result<Self> {
        let network = Self { inside: new_namespace()?, outside: new_namespace()?, neighbour: new_namespace()? };
        let outside = Netlink::open_in(&network.outside)?;
        outside.bring_up(LOOPBACK, None)?;
        outside.add_bridge("segment", BRIDGE)?;
        outside.add_address(BRIDGE, OUTSIDE, PREFIX_LENGTH)?;
        outside.add_address(LOOPBACK, WORLD, 32)?;
        outside.bring_up(BRIDGE, None)?;
        let hosts = [("inside", &network.inside, INSIDE), ("neighbour", &network.neighbour, NEIGHBOUR)];
        for (port, (name, namespace, address)) in (BRIDGE + 1..).zip(hosts) {
            outside.add_veth(name, port, &Peer { name: "eth0", index: ETH0, namespace })?;
            outside.bring_up(port, Some(BRIDGE))?;
            let host = Netlink::open_in(namespace)?;
            host.bring_up(LOOPBACK, None)?;
            host.add_address(ETH0, address, PREFIX_LENGTH)?;
            host.bring_up(ETH0, None)?;
            host.add_default_route(OUTSIDE, ETH0)?;
        }
        Ok(network)
    }
}

/// Makes a namespace in a thread of its own, so that the caller stays in its own.
fn new_namespace() -> anyhow::Result<File> {
    let made = thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).context("make a network namespace")?;
        File::open("/proc/thread-self/ns/net").context("open the new network namespace")
    });
    made.join().expect("the thread makes two system calls and cannot panic")
}
