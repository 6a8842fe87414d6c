//! The typed configuration of the process: everything is decided before anything starts.
//!
//! Flow: flags and environment (`cli`) -> [`Places`] (where things are, what they are called) and [`Config`] (what runs) ->
//! `assembly`. Two clusters on one machine have two roots, and differ in everything that the machine shares.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use corten_net::netlink::Rtnl;
use corten_proxy::ProxyMode;
use ipnet::Ipv4Net;
use sha2::{Digest as _, Sha256};

/// Where everything is kept unless `--root` says otherwise.
pub(crate) const DEFAULT_ROOT: &str = "/var/lib/corten";

/// The name of the cluster below the default root: of its control groups, bridge, packet rules and context.
const NAME: &str = "corten";

/// The longest path that a socket can have: `sun_path` has 108 bytes, the last of them zero.
const SOCKET_PATH_MAX: usize = 107;

/// The longest socket's path below the run directory: `runtime/sock/` and 24 digits of a pod's id.
const LONGEST_SOCKET: usize = "/runtime/sock/".len() + 24;

/// Where a cluster keeps its things, and what it calls what it shares with the rest of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Places {
    /// What survives a reboot.
    pub(crate) root: PathBuf,
    /// What a reboot ends.
    pub(crate) run: PathBuf,
    /// The start of the names of control groups, bridge, packet rules; the name of the context.
    pub(crate) name: String,
}

impl Places {
    /// The places of the cluster kept under `root`; a relative path starts at the working directory.
    ///
    /// Errors: the working directory cannot be read, the path is empty.
    pub(crate) fn new(root: &Path) -> anyhow::Result<Self> {
        let root = std::path::absolute(root).with_context(|| format!("find the directory {:?}", root.display()))?;
        // `a/b/` and `a/b` are one place.
        let root: PathBuf = root.components().collect();
        if root == Path::new(DEFAULT_ROOT) {
            return Ok(Self { root, run: Path::new("/run").join(NAME), name: NAME.to_owned() });
        }
        let digest = Sha256::digest(root.as_os_str().as_encoded_bytes());
        // 24 bits tell the clusters of one machine apart; an interface name has 15 bytes.
        let name = format!("{NAME}-{:02x}{:02x}{:02x}", digest[0], digest[1], digest[2]);
        let below = root.join("run");
        let fits = below.as_os_str().len() + LONGEST_SOCKET <= SOCKET_PATH_MAX;
        let run = if fits { below } else { Path::new("/run").join(&name) };
        Ok(Self { root, run, name })
    }

    /// Certificates and keys.
    pub(crate) fn pki(&self) -> PathBuf {
        self.root.join("pki")
    }

    /// The store.
    pub(crate) fn store(&self) -> PathBuf {
        self.root.join("store")
    }

    /// Images, snapshots and the records of pods.
    pub(crate) fn containers(&self) -> PathBuf {
        self.root.join("containers")
    }

    /// The images alone.
    pub(crate) fn images(&self) -> PathBuf {
        self.containers().join("images")
    }

    /// Pods' volumes.
    pub(crate) fn kubelet(&self) -> PathBuf {
        self.root.join("kubelet")
    }

    /// Logs of the process.
    pub(crate) fn log(&self) -> PathBuf {
        self.root.join("log")
    }

    /// The process's own log.
    pub(crate) fn log_file(&self) -> PathBuf {
        self.log().join("corten.log")
    }

    /// The log of the DNS process.
    pub(crate) fn dns_log_file(&self) -> PathBuf {
        self.log().join("dns.log")
    }

    /// Logs of containers. The default root has them where every log collector looks.
    pub(crate) fn pod_logs(&self) -> PathBuf {
        if self.name == NAME { PathBuf::from("/var/log/pods") } else { self.log().join("pods") }
    }

    /// The lock that a running process holds, with its process id.
    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("corten.pid")
    }

    /// The administrator's kubeconfig.
    pub(crate) fn admin_kubeconfig(&self) -> PathBuf {
        self.root.join("admin.conf")
    }

    /// The socket on which the running process takes commands.
    pub(crate) fn control_socket(&self) -> PathBuf {
        self.run.join("control.sock")
    }

    /// The socket on which the DNS process is fed.
    pub(crate) fn dns_socket(&self) -> PathBuf {
        self.run.join("dns.sock")
    }

    /// What is known of the DNS process.
    pub(crate) fn dns_record(&self) -> PathBuf {
        self.run.join("dns.json")
    }

    /// The pods' bridge.
    pub(crate) fn bridge(&self) -> String {
        format!("{}0", self.name)
    }

    /// The container runtime's places; `executable` is this program.
    pub(crate) fn container_runtime(&self, executable: PathBuf) -> corten_container_runtime::Config {
        corten_container_runtime::Config {
            bridge: self.bridge(),
            ..corten_container_runtime::Config::new(&self.name, self.containers(), self.run.join("runtime"), executable)
        }
    }

    /// Everything below the root that corten makes: what `delete` removes.
    pub(crate) fn data(&self) -> Vec<PathBuf> {
        let mut data = vec![self.pki(), self.store(), self.containers(), self.kubelet(), self.log()];
        data.push(self.admin_kubeconfig());
        data.push(self.lock());
        data
    }
}

/// What runs in the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// API server and store, controllers, scheduler.
    ControlPlane,
    /// All of it, with a node.
    Cluster,
}

/// What the command line says about a cluster; nothing is looked up yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wishes {
    /// Where the API is to be served.
    pub(crate) listen: SocketAddr,
    /// The address that everybody else is told; found if absent.
    pub(crate) advertise: Option<IpAddr>,
    /// The node's name; the host's if absent.
    pub(crate) node_name: Option<String>,
    /// The range of pods' addresses.
    pub(crate) cluster_cidr: Ipv4Net,
    /// The range of services' addresses.
    pub(crate) service_cidr: Ipv4Net,
    /// How services are carried out.
    pub(crate) proxy_mode: ProxyMode,
    /// The port of the kubelet's server.
    pub(crate) kubelet_port: u16,
}

/// What the process runs, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Config {
    /// What runs.
    pub(crate) scope: Scope,
    /// Where it is kept.
    pub(crate) places: Places,
    /// Where the API is served.
    pub(crate) listen: SocketAddr,
    /// The node's primary address: where pods and services find the API.
    pub(crate) advertise: IpAddr,
    /// The host's name.
    pub(crate) hostname: String,
    /// The node's name.
    pub(crate) node_name: String,
    /// The range of pods' addresses.
    pub(crate) cluster_cidr: Ipv4Net,
    /// The range of services' addresses.
    pub(crate) service_cidr: Ipv4Net,
    /// How services are carried out.
    pub(crate) proxy_mode: ProxyMode,
    /// The port of the kubelet's server.
    pub(crate) kubelet_port: u16,
}

impl Config {
    /// Completes what was wished for with what the machine says. Blocks for some system calls.
    ///
    /// Errors: the machine has no address to tell others, or a range is too small.
    pub(crate) fn complete(scope: Scope, places: Places, wishes: Wishes) -> anyhow::Result<Self> {
        let hostname = rustix::system::uname().nodename().to_string_lossy().to_lowercase();
        let advertise = match (wishes.advertise, wishes.listen.ip()) {
            (Some(address), _) => address,
            (None, ip) if !ip.is_unspecified() => ip,
            (None, _) => primary_address()?,
        };
        if wishes.service_cidr.prefix_len() > 28 {
            bail!("the service range {} is too small: the tenth address of it is for DNS", wishes.service_cidr);
        }
        if wishes.cluster_cidr.prefix_len() > 24 {
            bail!("the pod range {} is too small: a node gets 256 addresses of it", wishes.cluster_cidr);
        }
        Ok(Self {
            scope,
            places,
            listen: wishes.listen,
            advertise,
            node_name: wishes.node_name.unwrap_or_else(|| hostname.clone()),
            hostname,
            cluster_cidr: wishes.cluster_cidr,
            service_cidr: wishes.service_cidr,
            proxy_mode: wishes.proxy_mode,
            kubelet_port: wishes.kubelet_port,
        })
    }

    /// The first address of the service network: where the API is found inside the cluster.
    pub(crate) fn api_service_address(&self) -> Ipv4Addr {
        nth_address(self.service_cidr, 1)
    }

    /// The tenth address of the service network: where DNS is found inside the cluster.
    pub(crate) fn dns_service_address(&self) -> Ipv4Addr {
        nth_address(self.service_cidr, 10)
    }

    /// This node's part of the pods' range: the first, which the controllers give to the first node, too.
    pub(crate) fn pod_cidr(&self) -> Ipv4Net {
        Ipv4Net::new(self.cluster_cidr.network(), 24).expect("24 bits are no more than 32")
    }

    /// The address at which programs on this machine reach the API.
    pub(crate) fn local_server(&self, port: u16) -> SocketAddr {
        let ip = if self.listen.ip().is_unspecified() { Ipv4Addr::LOCALHOST.into() } else { self.listen.ip() };
        SocketAddr::new(ip, port)
    }
}

/// The address `n` places after the network's own.
pub(crate) fn nth_address(network: Ipv4Net, n: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(network.network().to_bits() + n)
}

/// The address from which this machine talks to others: what the routing table chooses, or the first one it has.
fn primary_address() -> anyhow::Result<IpAddr> {
    // Connecting a UDP socket sends nothing; the kernel only looks up the route. The address is one for documentation.
    let by_route = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))
        .and_then(|socket| socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).and_then(|()| socket.local_addr()));
    if let Ok(address) = by_route
        && !address.ip().is_loopback()
    {
        return Ok(address.ip());
    }
    let addresses = Rtnl::open().and_then(|rtnl| rtnl.addresses(None)).context("read the machine's addresses")?;
    let usable = |ip: &IpAddr| matches!(ip, IpAddr::V4(ip) if !ip.is_loopback() && !ip.is_link_local());
    addresses.iter().map(|address| address.net.addr()).find(usable).context(
        "this machine has no IPv4 address except loopback, which pods cannot use to reach the API: \
         configure a network interface, or name an address with --advertise-address",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wishes() -> Wishes {
        Wishes {
            listen: "0.0.0.0:6443".parse().unwrap(),
            advertise: Some("10.0.0.7".parse().unwrap()),
            node_name: None,
            cluster_cidr: "10.244.0.0/16".parse().unwrap(),
            service_cidr: "10.96.0.0/12".parse().unwrap(),
            proxy_mode: ProxyMode::Auto,
            kubelet_port: 10_250,
        }
    }

    #[test]
    fn the_default_root_has_the_plain_names() {
        let places = Places::new(Path::new("/var/lib/corten/")).unwrap();
        assert_eq!((places.run.to_str(), &*places.name, &*places.bridge()), (Some("/run/corten"), "corten", "corten0"));
        assert_eq!(places.pod_logs(), Path::new("/var/log/pods"));
    }

    #[test]
    fn another_root_has_names_of_its_own() {
        let (one, other) = (Places::new(Path::new("/tmp/one")).unwrap(), Places::new(Path::new("/tmp/other")).unwrap());
        assert_ne!(one.name, other.name);
        assert_ne!(one.bridge(), other.bridge());
        assert_eq!(one.run, Path::new("/tmp/one/run"));
        assert!(one.bridge().len() <= 15, "{}", one.bridge());
        assert_eq!(one.pod_logs(), Path::new("/tmp/one/log/pods"));
    }

    #[test]
    fn sockets_fit_below_any_root() {
        for length in [1, 40, 60, 70, 200] {
            let places = Places::new(&Path::new("/").join("d".repeat(length))).unwrap();
            let longest = places.container_runtime(PathBuf::new()).run.join("sock").join("0".repeat(24));
            assert!(longest.as_os_str().len() <= SOCKET_PATH_MAX, "{}", longest.display());
        }
    }

    #[test]
    fn services_addresses_follow_from_the_range() {
        let places = Places::new(Path::new("/tmp/x")).unwrap();
        let config = Config::complete(Scope::Cluster, places, wishes()).unwrap();
        assert_eq!(config.api_service_address(), Ipv4Addr::new(10, 96, 0, 1));
        assert_eq!(config.dns_service_address(), Ipv4Addr::new(10, 96, 0, 10));
        assert_eq!(config.local_server(6443), "127.0.0.1:6443".parse().unwrap());
        assert_eq!(config.advertise, IpAddr::V4(Ipv4Addr::new(10, 0, 0, 7)));
    }

    #[test]
    fn a_listen_address_is_advertised_when_it_is_one() {
        let places = Places::new(Path::new("/tmp/x")).unwrap();
        let wishes = Wishes { listen: "10.0.0.9:1".parse().unwrap(), advertise: None, ..wishes() };
        let config = Config::complete(Scope::Cluster, places, wishes).unwrap();
        assert_eq!(config.advertise, IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9)));
        assert_eq!(config.local_server(1), "10.0.0.9:1".parse().unwrap());
    }

    #[test]
    fn ranges_that_are_too_small_are_refused() {
        let places = Places::new(Path::new("/tmp/x")).unwrap();
        let small = Wishes { service_cidr: "10.96.0.0/29".parse().unwrap(), ..wishes() };
        assert!(Config::complete(Scope::Cluster, places.clone(), small).is_err());
        let small = Wishes { cluster_cidr: "10.244.0.0/25".parse().unwrap(), ..wishes() };
        assert!(Config::complete(Scope::Cluster, places, small).is_err());
    }
}
