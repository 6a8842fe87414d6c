//! A node with a bridge and pods, made of namespaces and cables, and servers that say who they are and whom they see.

use std::{
    io::{self, Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    thread,
    time::Duration,
};

use corten_net::{
    Netns,
    conntrack::Conntrack,
    netlink::{Address, LinkChange, LinkKind, NewLink, Route, Rtnl, Veth},
    nftables::Nftables,
    sysctl,
};
use ipnet::IpNet;

/// Long enough for a loaded machine; only failures wait for it.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a packet that must not arrive is waited for.
const IMPATIENCE: Duration = Duration::from_millis(300);

/// Leaves the test when it cannot make namespaces.
macro_rules! need_root {
    () => {
        if !nix::unistd::Uid::effective().is_root() {
            println!("skipped: needs root to make network namespaces");
            return;
        }
    };
}
pub(crate) use need_root;

/// A machine: a namespace with a bridge `br0` that has the first address of each pod network.
pub(crate) struct Node {
    pub(crate) netns: Netns,
    pub(crate) rtnl: Rtnl,
    pub(crate) nft: Nftables,
    pub(crate) conntrack: Conntrack,
    pub(crate) bridge: u32,
}

/// A pod: a namespace with an `eth0` whose other end is a port of its node's bridge.
pub(crate) struct Pod {
    pub(crate) netns: Netns,
    pub(crate) port: u32,
}

impl Node {
    pub(crate) fn new(gateways: &[&str]) -> Self {
        let netns = Netns::create().unwrap();
        netns.bring_up_loopback().unwrap();
        let rtnl = Rtnl::open_in(&netns).unwrap();
        rtnl.create_link(&new_link("br0", LinkKind::Bridge)).unwrap();
        let bridge = rtnl.expect_link("br0").unwrap().index;
        for gateway in gateways {
            assert!(rtnl.add_address(&Address { link: bridge, net: net(gateway) }).unwrap());
        }
        rtnl.change_link(bridge, &LinkChange { up: Some(true), ..LinkChange::default() }).unwrap();
        sysctl::write_all(&netns, &[("net/ipv4/ip_forward", "1"), ("net/ipv6/conf/all/forwarding", "1")]).unwrap();
        // Bridged packets of services must pass the rules, as on a real node.
        for name in ["net/bridge/bridge-nf-call-iptables", "net/bridge/bridge-nf-call-ip6tables"] {
            sysctl::write_if_present(&netns, name, "1").unwrap();
        }
        let nft = Nftables::open_in(&netns).unwrap();
        let conntrack = Conntrack::open_in(&netns).unwrap();
        Self { netns, rtnl, nft, conntrack, bridge }
    }

    /// Attaches a pod with these addresses; the first host of each network is its gateway.
    pub(crate) fn pod(&self, name: &str, addresses: &[&str]) -> Pod {
        let netns = Netns::create().unwrap();
        netns.bring_up_loopback().unwrap();
        let veth = Veth { peer_name: "eth0", peer_netns: Some(&netns), peer_address: None };
        let link = NewLink { master: Some(self.bridge), ..new_link(name, LinkKind::Veth(veth)) };
        self.rtnl.create_link(&link).unwrap();
        let port = self.rtnl.expect_link(name).unwrap().index;
        let inside = Rtnl::open_in(&netns).unwrap();
        let eth0 = inside.expect_link("eth0").unwrap().index;
        inside.change_link(eth0, &LinkChange { up: Some(true), ..LinkChange::default() }).unwrap();
        for address in addresses {
            let net = net(address);
            inside.add_address(&Address { link: eth0, net }).unwrap();
            let gateway = net.hosts().next().unwrap();
            let any = if net.addr().is_ipv4() { "0.0.0.0/0" } else { "::/0" };
            inside.replace_route(&Route::via(self::net(any), gateway)).unwrap();
        }
        Pod { netns, port }
    }
}

pub(crate) fn new_link<'a>(name: &'a str, kind: LinkKind<'a>) -> NewLink<'a> {
    NewLink { name, kind, mtu: None, address: None, master: None, up: true }
}

pub(crate) fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Connects two namespaces by a cable `name` with one address at each end; both ends are up.
pub(crate) fn cable(left: &Netns, right: &Netns, name: &str, addresses: [&str; 2]) {
    let rtnl = Rtnl::open_in(left).unwrap();
    let veth = Veth { peer_name: name, peer_netns: Some(right), peer_address: None };
    rtnl.create_link(&new_link(name, LinkKind::Veth(veth))).unwrap();
    for (netns, address) in [left, right].into_iter().zip(addresses) {
        let rtnl = Rtnl::open_in(netns).unwrap();
        let link = rtnl.expect_link(name).unwrap().index;
        rtnl.change_link(link, &LinkChange { up: Some(true), ..LinkChange::default() }).unwrap();
        rtnl.add_address(&Address { link, net: net(address) }).unwrap();
    }
}

/// Starts a TCP server in the namespace that answers every connection with its name and the address it sees, then
/// closes. It ends with the process.
pub(crate) fn serve(netns: &Netns, name: &str, address: &str) {
    let listener = netns.run(|| TcpListener::bind(address)).unwrap().unwrap();
    let name = name.to_owned();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let Ok(mut connection) = connection else { return };
            let peer = connection.peer_addr().map(|p| p.ip().to_string()).unwrap_or_default();
            // A client that went away is no concern of the server.
            drop(connection.write_all(format!("{name} {peer}").as_bytes()));
        }
    });
}

/// Connects from the namespace and returns the server's answer: `name address`.
pub(crate) fn call(netns: &Netns, target: &str) -> io::Result<String> {
    call_within(netns, target, PATIENCE)
}

/// Whether a connection attempt is met with silence.
pub(crate) fn is_dropped(netns: &Netns, target: &str) -> bool {
    call_within(netns, target, IMPATIENCE).is_err_and(|e| e.kind() == io::ErrorKind::TimedOut)
}

fn call_within(netns: &Netns, target: &str, patience: Duration) -> io::Result<String> {
    let target: SocketAddr = target.parse().unwrap();
    let mut connection = netns.run(|| TcpStream::connect_timeout(&target, patience)).unwrap()?;
    connection.set_read_timeout(Some(PATIENCE))?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Opens a UDP socket in the namespace.
pub(crate) fn udp(netns: &Netns, address: &str) -> UdpSocket {
    let socket = netns.run(|| UdpSocket::bind(address)).unwrap().unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// Receives one datagram: its text and its sender.
pub(crate) fn receive(socket: &UdpSocket) -> io::Result<(String, SocketAddr)> {
    let mut buffer = [0; 1500];
    let (size, from) = socket.recv_from(&mut buffer)?;
    Ok((String::from_utf8_lossy(&buffer[..size]).into_owned(), from))
}
