//! A node with pods and a neighbour, servers that say who they are and whom they see, and services in short words.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    thread,
    time::Duration,
};

use corten_base::SystemClock;
use corten_net::{
    Netns,
    netlink::{Address, LinkChange, LinkKind, NewLink, Route, Rtnl, Veth},
    sysctl,
};
use ipnet::IpNet;

use crate::{
    backend::{
        Backend,
        nftables::{NftablesBackend, NftablesConfig},
        userspace::{UserspaceBackend, UserspaceConfig},
    },
    change_tracker::{ChangeTracker, EndpointFacts, ServiceFacts, ServicePort, SliceFacts, SlicePort},
    names::{IpFamily, ObjectName, Protocol},
    ruleset::{Change, Ruleset, build},
};

/// Long enough for a loaded machine; only failures wait for it.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a packet that must not arrive is waited for.
const IMPATIENCE: Duration = Duration::from_millis(300);
const NODE: &str = "n1";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Nftables,
    Userspace,
}

/// Node 192.168.0.1 with pods 10.1.0.2 (client), .3 and .4 (endpoints "a" and "b", TCP and UDP on port 8080), and a
/// neighbour machine 192.168.0.2.
pub(super) struct Scene {
    pub(super) kind: Kind,
    pub(super) backend: Option<Box<dyn Backend>>,
    pub(super) ruleset: Ruleset,
    tracker: ChangeTracker,
    pub(super) node: Netns,
    pub(super) client: Netns,
    pub(super) a: Netns,
    pub(super) neighbour: Netns,
    pub(super) runtime: tokio::runtime::Runtime,
    _b: Netns,
}

impl Scene {
    pub(super) fn new(kind: Kind) -> Self {
        let node = Netns::create().unwrap();
        node.bring_up_loopback().unwrap();
        let rtnl = Rtnl::open_in(&node).unwrap();
        rtnl.create_link(&new_link("br0", LinkKind::Bridge)).unwrap();
        let bridge = rtnl.expect_link("br0").unwrap().index;
        for gateway in ["10.1.0.1/24", "fd00:1::1/64"] {
            rtnl.add_address(&Address { link: bridge, net: net(gateway) }).unwrap();
        }
        sysctl::write_all(&node, &[("net/ipv4/ip_forward", "1"), ("net/ipv6/conf/all/forwarding", "1")]).unwrap();
        let pod = |last: u8| pod(&rtnl, bridge, last);
        let (client, a, b) = (pod(2), pod(3), pod(4));
        for (netns, name, last) in [(&a, "a", 3), (&b, "b", 4)] {
            for address in [format!("10.1.0.{last}:8080"), format!("[fd00:1::{last}]:8080")] {
                serve_tcp(netns, name, &address);
                serve_udp(netns, name, &address);
            }
        }
        let neighbour = Netns::create().unwrap();
        neighbour.bring_up_loopback().unwrap();
        cable(&node, &neighbour, "wire", ["192.168.0.1/24", "192.168.0.2/24"]);
        rtnl.replace_route(&Route::via(net("0.0.0.0/0"), ip("192.168.0.2"))).unwrap();
        // Its threads live in the node's namespace, and with them all sockets of the userspace backend.
        let runtime = node
            .run(|| tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build())
            .unwrap()
            .unwrap();
        let mut scene = Self {
            kind,
            backend: None,
            ruleset: Ruleset::default(),
            tracker: ChangeTracker::new(),
            node,
            client,
            a,
            neighbour,
            runtime,
            _b: b,
        };
        scene.backend = Some(scene.open("test"));
        scene.replace();
        scene
    }

    /// A backend in the node's namespace.
    pub(super) fn open(&self, prefix: &str) -> Box<dyn Backend> {
        let cluster_cidrs = vec![net("10.1.0.0/16"), net("fd00:1::/48")];
        let (kind, runtime) = (self.kind, &self.runtime);
        self.node
            .run(|| -> Box<dyn Backend> {
                let _in_runtime = runtime.enter();
                match kind {
                    Kind::Nftables => {
                        let config =
                            NftablesConfig { prefix: prefix.to_owned(), cluster_cidrs, ..NftablesConfig::default() };
                        Box::new(NftablesBackend::open(config).unwrap())
                    }
                    Kind::Userspace => {
                        let config = UserspaceConfig {
                            families: IpFamily::ALL.to_vec(),
                            cluster_cidrs,
                            service_cidrs: vec![net("10.96.0.0/16"), net("fd00:96::/112")],
                        };
                        Box::new(UserspaceBackend::open(config, SystemClock::shared()).unwrap())
                    }
                }
            })
            .unwrap()
    }

    pub(super) fn with_backend<T: Send>(&mut self, work: impl FnOnce(&mut dyn Backend, &Ruleset) -> T + Send) -> T {
        let backend = self.backend.as_mut().unwrap();
        let ruleset = &self.ruleset;
        self.node.run(|| work(&mut **backend, ruleset)).unwrap()
    }

    pub(super) fn replace(&mut self) {
        self.with_backend(|backend, ruleset| backend.replace(ruleset)).unwrap();
    }

    /// Takes the changes of the tracker into the ruleset.
    pub(super) fn changes(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        for (name, view) in self.tracker.take() {
            let rules = view.and_then(|v| build(&v, NODE));
            changes.extend(self.ruleset.set_service(&name, rules));
        }
        changes
    }

    fn sync(&mut self) {
        let changes = self.changes();
        self.with_backend(move |backend, _| backend.apply(&changes)).unwrap();
    }

    pub(super) fn apply(&mut self, service: ServiceFacts, endpoints: &[&str]) {
        self.set(service, endpoints);
        self.sync();
    }

    /// Tells the tracker, but not yet the backend.
    pub(super) fn set(&mut self, service: ServiceFacts, endpoints: &[&str]) {
        self.tracker.set_slice(slice(&service, endpoints));
        self.tracker.set_service(service);
    }

    pub(super) fn endpoints(&mut self, service: &ServiceFacts, endpoints: &[&str]) {
        self.tracker.set_slice(slice(service, endpoints));
        self.sync();
    }

    pub(super) fn delete(&mut self, service: &ServiceFacts) {
        self.tracker.delete_service(&service.name);
        self.tracker.delete_slice(&service.name);
        self.sync();
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // While its namespace and runtime are still there.
        self.backend = None;
    }
}

/// A service with one TCP port 80 -> 8080.
pub(super) fn service(name: &str, cluster_ip: &str) -> ServiceFacts {
    ServiceFacts {
        name: ObjectName::new("default", name),
        cluster_ips: vec![ip(cluster_ip)],
        external_ips: Vec::new(),
        load_balancer_ips: Vec::new(),
        source_ranges: None,
        internal_local: false,
        external_local: false,
        affinity: None,
        health_check_node_port: None,
        ports: vec![ServicePort { name: String::new(), protocol: Protocol::Tcp, port: 80, node_port: None }],
    }
}

pub(super) fn with_node_port(mut service: ServiceFacts, port: u16) -> ServiceFacts {
    service.ports[0].node_port = Some(port);
    service
}

pub(super) fn over_udp(mut service: ServiceFacts) -> ServiceFacts {
    service.ports[0].protocol = Protocol::Udp;
    service
}

/// Endpoints are addresses; one with `@other` behind is on another node.
fn slice(service: &ServiceFacts, endpoints: &[&str]) -> SliceFacts {
    let protocol = service.ports[0].protocol;
    let endpoints = endpoints.iter().map(|text| {
        let (address, node) = text.split_once('@').unwrap_or((text, NODE));
        EndpointFacts { ip: ip(address), ready: true, serving: true, terminating: false, node: Some(node.to_owned()) }
    });
    SliceFacts {
        name: service.name.clone(),
        service: Some(service.name.clone()),
        ports: vec![SlicePort { name: String::new(), protocol, port: 8080 }],
        endpoints: endpoints.collect(),
    }
}

fn pod(rtnl: &Rtnl, bridge: u32, last: u8) -> Netns {
    let netns = Netns::create().unwrap();
    netns.bring_up_loopback().unwrap();
    let name = format!("pod{last}");
    let veth = Veth { peer_name: "eth0", peer_netns: Some(&netns), peer_address: None };
    rtnl.create_link(&NewLink { master: Some(bridge), ..new_link(&name, LinkKind::Veth(veth)) }).unwrap();
    rtnl.set_hairpin(rtnl.expect_link(&name).unwrap().index, true).unwrap();
    let inside = Rtnl::open_in(&netns).unwrap();
    let eth0 = inside.expect_link("eth0").unwrap().index;
    inside.change_link(eth0, &LinkChange { up: Some(true), ..LinkChange::default() }).unwrap();
    for (address, any, gateway) in
        [(format!("10.1.0.{last}/24"), "0.0.0.0/0", "10.1.0.1"), (format!("fd00:1::{last}/64"), "::/0", "fd00:1::1")]
    {
        inside.add_address(&Address { link: eth0, net: net(&address) }).unwrap();
        inside.replace_route(&Route::via(net(any), ip(gateway))).unwrap();
    }
    netns
}

fn new_link<'a>(name: &'a str, kind: LinkKind<'a>) -> NewLink<'a> {
    NewLink { name, kind, mtu: None, address: None, master: None, up: true }
}

pub(super) fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn cable(left: &Netns, right: &Netns, name: &str, addresses: [&str; 2]) {
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

/// Answers every connection with a line, its name and the address it sees, then echoes. Ends with the process.
pub(super) fn serve_tcp(netns: &Netns, name: &str, address: &str) {
    let listener = netns.run(|| TcpListener::bind(address)).unwrap().unwrap();
    let name = name.to_owned();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let Ok(mut connection) = connection else { return };
            let peer = connection.peer_addr().map(|p| p.ip().to_string()).unwrap_or_default();
            let name = name.clone();
            thread::spawn(move || {
                // A client that goes away is no concern of the server.
                if connection.write_all(format!("{name} {peer}\n").as_bytes()).is_ok() {
                    let mut buffer = [0; 1_500];
                    while let Ok(size @ 1..) = connection.read(&mut buffer) {
                        if connection.write_all(&buffer[..size]).is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
}

/// Answers every datagram with its name and the address it sees. Ends with the process.
fn serve_udp(netns: &Netns, name: &str, address: &str) {
    let socket = netns.run(|| UdpSocket::bind(address)).unwrap().unwrap();
    let name = name.to_owned();
    thread::spawn(move || {
        let mut buffer = [0; 1_500];
        // Errors are about earlier answers that did not arrive.
        loop {
            if let Ok((_, peer)) = socket.recv_from(&mut buffer) {
                let _ = socket.send_to(format!("{name} {}", peer.ip()).as_bytes(), peer);
            }
        }
    });
}

/// An open connection, past the server's first line.
pub(super) struct Talk {
    pub(super) greeting: String,
    connection: BufReader<TcpStream>,
}

impl Talk {
    pub(super) fn open(netns: &Netns, target: &str) -> io::Result<Self> {
        Self::open_within(netns, target, PATIENCE)
    }

    fn open_within(netns: &Netns, target: &str, patience: Duration) -> io::Result<Self> {
        let target: SocketAddr = target.parse().unwrap();
        let connection = netns.run(|| TcpStream::connect_timeout(&target, patience)).unwrap()?;
        connection.set_read_timeout(Some(PATIENCE))?;
        let mut connection = BufReader::new(connection);
        let mut greeting = String::new();
        if connection.read_line(&mut greeting)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Self { greeting: greeting.trim_end().to_owned(), connection })
    }

    /// Sends a line and returns what comes back.
    pub(super) fn echo(&mut self, line: &str) -> io::Result<String> {
        self.connection.get_mut().write_all(format!("{line}\n").as_bytes())?;
        let mut answer = String::new();
        self.connection.read_line(&mut answer)?;
        Ok(answer.trim_end().to_owned())
    }
}

/// Connects from the namespace and returns the server's greeting: `name address`.
pub(super) fn call(netns: &Netns, target: &str) -> io::Result<String> {
    Talk::open(netns, target).map(|t| t.greeting)
}

/// Whether a connection attempt comes to nothing soon.
pub(super) fn fails(netns: &Netns, target: &str) -> bool {
    Talk::open_within(netns, target, IMPATIENCE).is_err()
}

/// The first letters of the answers to 40 calls, sorted: 40 calls miss one of two endpoints with a probability of 2^-39.
#[track_caller]
pub(super) fn reached(netns: &Netns, target: &str) -> String {
    let mut names: Vec<_> = (0..40).map(|_| call(netns, target).unwrap().remove(0)).collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().collect()
}

/// A UDP client.
pub(super) struct UdpTalk(UdpSocket);

impl UdpTalk {
    pub(super) fn new(netns: &Netns, target: &str) -> Self {
        let any = if target.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
        let socket = netns.run(|| UdpSocket::bind(any)).unwrap().unwrap();
        // Only answers from the address that was asked are received.
        netns.run(|| socket.connect(target)).unwrap().unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(socket)
    }

    pub(super) fn ask(&self) -> io::Result<String> {
        self.0.send(b"who")?;
        let mut buffer = [0; 100];
        let size = self.0.recv(&mut buffer)?;
        Ok(String::from_utf8_lossy(&buffer[..size]).into_owned())
    }
}
