//! The typed configuration of the process: everything is decided before anything starts.
//!
//! Flow: flags and environment (`cli`) -> [`Places`] (where things are, what they are called) and [`Config`] (what runs) ->
//! `assembly`. Two clusters on one machine have two roots, and differ in everything that the machine shares.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use corten_apimachinery::validation::is_dns1123_subdomain;
use corten_net::netlink::Rtnl;
use corten_proxy::ProxyMode;
use ipnet::Ipv4Net;
use sha2::{Digest as _, Sha256};

use crate::{descriptors, record::Record};

/// The cluster's domain.
pub(crate) const CLUSTER_DOMAIN: &str = "cluster.local";

/// kubeadm's and k3s' customary ranges; the kubelet's port; kubeadm's port of the API.
const DEFAULT_CLUSTER_CIDR: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(10, 244, 0, 0), 16);
pub(crate) const DEFAULT_SERVICE_CIDR: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(10, 96, 0, 0), 12);
const DEFAULT_KUBELET_PORT: u16 = 10_250;
const DEFAULT_API_PORT: u16 = 6443;

/// The longest prefixes of ranges that are of use: services need a tenth address, which is that of DNS; pods a gateway.
const SERVICE_PREFIX_MAX: u8 = 28;
const CLUSTER_PREFIX_MAX: u8 = 28;

/// A node's part of the pods' range, unless that is smaller or has more parts than node-ipam counts. Upstream:
/// `--node-cidr-mask-size`, and the 16 bits between a range and its parts.
const NODE_PREFIX: u8 = 24;
const NODE_PREFIX_BITS_MAX: u8 = 16;

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
    /// The places of the cluster kept under `root`; a relative path starts at the working directory. Links are followed here,
    /// once, so that one directory is one cluster.
    ///
    /// Errors: the working directory cannot be read, the path is empty or the machine's own root.
    pub(crate) fn new(root: &Path) -> anyhow::Result<Self> {
        let root = std::path::absolute(root).with_context(|| format!("find the directory {:?}", root.display()))?;
        // `a/b/` and `a/b` are one place.
        let root = resolved(&root.components().collect::<PathBuf>());
        if root == Path::new("/") {
            bail!("the root of the machine's files cannot be a cluster's: name another directory with --root");
        }
        if root == resolved(Path::new(DEFAULT_ROOT)) {
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

    /// Whether this is the cluster that commands mean which name none.
    pub(crate) fn is_default(&self) -> bool {
        self.name == NAME
    }

    /// The flag that leads other commands to the same cluster, with a blank before it, as a shell takes it.
    pub(crate) fn flag(&self) -> String {
        if self.is_default() { String::new() } else { format!(" --root {}", quoted(&self.root)) }
    }

    /// Certificates and keys.
    pub(crate) fn pki(&self) -> PathBuf {
        self.root.join("pki")
    }

    /// Certificates and keys in whose place `restore` has put others.
    pub(crate) fn replaced_pki(&self) -> PathBuf {
        self.root.join("pki.replaced")
    }

    /// What `restore` unpacks.
    pub(crate) fn restoring(&self) -> PathBuf {
        self.root.join(".restoring")
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
        if self.is_default() { PathBuf::from("/var/log/pods") } else { self.log().join("pods") }
    }

    /// Links to the logs of containers, as the kubelet makes them.
    pub(crate) fn log_links(&self) -> PathBuf {
        self.pod_logs().with_file_name("containers")
    }

    /// The lock that a running process holds, with its process id.
    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("corten.pid")
    }

    /// What the cluster was made with.
    pub(crate) fn record(&self) -> PathBuf {
        self.root.join("cluster.json")
    }

    /// Whether a cluster has been started here, whose store therefore has to be there.
    pub(crate) fn has_cluster(&self) -> bool {
        // Clusters of earlier versions have no record.
        self.record().exists() || self.admin_kubeconfig().exists()
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

    /// What the machine's settings were before the cluster changed them.
    pub(crate) fn found_settings(&self) -> PathBuf {
        self.run.join("settings.json")
    }

    /// The pods' bridge.
    pub(crate) fn bridge(&self) -> String {
        format!("{}0", self.name)
    }

    /// The table of the service proxy's packet rules.
    pub(crate) fn proxy_table(&self) -> String {
        format!("{}-proxy", self.name)
    }

    /// The container runtime's places; `executable` is this program.
    pub(crate) fn container_runtime(&self, executable: PathBuf) -> corten_container_runtime::Config {
        corten_container_runtime::Config {
            bridge: self.bridge(),
            open_files: descriptors::inherited(),
            ..corten_container_runtime::Config::new(&self.name, self.containers(), self.run.join("runtime"), executable)
        }
    }

    /// Everything below the root that corten makes: what `delete` removes.
    pub(crate) fn data(&self) -> Vec<PathBuf> {
        let mut data = vec![
            self.pki(),
            self.replaced_pki(),
            self.restoring(),
            self.store(),
            self.containers(),
            self.kubelet(),
            self.log(),
        ];
        data.push(self.admin_kubeconfig());
        data.push(self.record());
        data.push(self.lock());
        data
    }
}

/// A path as a word of a shell's command line.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |one: char| one.is_ascii_alphanumeric() || "/._-+:@%,=".contains(one);
    if text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// An absolute path without links, as far as it exists.
fn resolved(path: &Path) -> PathBuf {
    for ancestor in path.ancestors() {
        // What cannot be looked at now is said when it is used.
        if let (Ok(real), Ok(rest)) = (ancestor.canonicalize(), path.strip_prefix(ancestor)) {
            return real.join(rest).components().collect();
        }
    }
    path.to_owned()
}

/// What runs in the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// API server and store, controllers, scheduler.
    ControlPlane,
    /// All of it, with a node.
    Cluster,
}

/// What the command line says about a cluster; what is absent is as the cluster was made, or has its default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wishes {
    /// The address to serve the API on.
    pub(crate) listen: Option<IpAddr>,
    /// The port to serve the API on.
    pub(crate) api_port: Option<u16>,
    /// The address that everybody else is told; found if absent.
    pub(crate) advertise: Option<IpAddr>,
    /// The node's name; the host's by default.
    pub(crate) node_name: Option<String>,
    /// The range of pods' addresses.
    pub(crate) cluster_cidr: Option<Ipv4Net>,
    /// The range of services' addresses.
    pub(crate) service_cidr: Option<Ipv4Net>,
    /// How services are carried out.
    pub(crate) proxy_mode: Option<ProxyMode>,
    /// The port of the kubelet's server.
    pub(crate) kubelet_port: Option<u16>,
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

/// Addresses that are no hosts'. Cleaning up after services takes addresses of their range from the machine.
static RESERVED: [(Ipv4Net, &str); 4] = [
    (Ipv4Net::new_assert(Ipv4Addr::new(0, 0, 0, 0), 8), "this network"),
    (Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8), "the machine itself"),
    (Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 0, 0), 16), "for addresses of one link"),
    (Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 3), "for groups and experiments"),
];

fn overlap(a: &Ipv4Net, b: &Ipv4Net) -> bool {
    a.contains(b) || b.contains(a)
}

impl Config {
    /// Completes what was wished for with what the cluster was made with, and with what the machine says. Blocks for some
    /// system calls.
    ///
    /// Errors: wishes that contradict the cluster, a name that is none, ranges that overlap or are too small; the machine
    /// has no address to tell others.
    pub(crate) fn complete(
        scope: Scope,
        places: Places,
        wishes: Wishes,
        record: Option<&Record>,
    ) -> anyhow::Result<Self> {
        let hostname = rustix::system::uname().nodename().to_string_lossy().trim().to_lowercase();
        let ip = wishes.listen.or(record.map(|record| record.listen.ip()));
        let port = wishes.api_port.or(record.map(|record| record.listen.port()));
        let listen = SocketAddr::new(ip.unwrap_or(Ipv4Addr::UNSPECIFIED.into()), port.unwrap_or(DEFAULT_API_PORT));
        let wished_name = wishes.node_name.map(|name| node_name("--node-name", &name)).transpose()?;
        let known_name = record.and_then(|record| record.node_name.clone());
        let found_name = || match scope {
            Scope::Cluster => node_name("the host's name", &hostname)
                .context("this machine's name cannot be its node's: choose one with --node-name"),
            // Nothing bears it.
            Scope::ControlPlane => Ok(hostname.clone()),
        };
        let node_name = keep("--node-name", known_name.as_ref(), wished_name.as_ref())?.cloned();
        let [wished_pods, wished_services] =
            [wishes.cluster_cidr, wishes.service_cidr].map(|it| it.map(|it| it.trunc()));
        let cluster_cidr = keep("--cluster-cidr", record.map(|it| &it.cluster_cidr), wished_pods.as_ref())?;
        let service_cidr = keep("--service-cidr", record.map(|it| &it.service_cidr), wished_services.as_ref())?;
        let config = Self {
            scope,
            places,
            listen,
            node_name: node_name.map_or_else(found_name, Ok)?,
            advertise: match wishes.advertise {
                Some(address) => match leads_nowhere(address).filter(|_| scope == Scope::Cluster) {
                    Some(why) => bail!(
                        "--advertise-address {address} is {why}, where no pod finds the API: \
                         name an address of this machine, or leave the flag out"
                    ),
                    None => address,
                },
                None if !listen.ip().is_unspecified() => listen.ip(),
                None => primary_address()?,
            },
            hostname,
            cluster_cidr: cluster_cidr.copied().unwrap_or(DEFAULT_CLUSTER_CIDR),
            service_cidr: service_cidr.copied().unwrap_or(DEFAULT_SERVICE_CIDR),
            proxy_mode: wishes.proxy_mode.or(record.map(|record| record.proxy_mode)).unwrap_or_default(),
            kubelet_port: wishes
                .kubelet_port
                .or(record.map(|record| record.kubelet_port))
                .unwrap_or(DEFAULT_KUBELET_PORT),
        };
        check_ranges(config.cluster_cidr, config.service_cidr)?;
        Ok(config)
    }

    /// What later starts are to keep. A control plane that runs alone says itself where it serves, and keeps what there is
    /// of a node.
    pub(crate) fn record(&self, earlier: Option<&Record>) -> Record {
        let node_name = match self.scope {
            Scope::Cluster => Some(self.node_name.clone()),
            Scope::ControlPlane => earlier.and_then(|record| record.node_name.clone()),
        };
        let everywhere = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), DEFAULT_API_PORT);
        let listen = match self.scope {
            Scope::Cluster => self.listen,
            Scope::ControlPlane => earlier.map_or(everywhere, |record| record.listen),
        };
        let ranges = (self.cluster_cidr, self.service_cidr);
        Record::new(ranges, CLUSTER_DOMAIN, node_name, (listen, self.kubelet_port, self.proxy_mode))
    }

    /// The first address of the service network: where the API is found inside the cluster.
    pub(crate) fn api_service_address(&self) -> Ipv4Addr {
        nth_address(self.service_cidr, 1)
    }

    /// The tenth address of the service network: where DNS is found inside the cluster.
    pub(crate) fn dns_service_address(&self) -> Ipv4Addr {
        nth_address(self.service_cidr, 10)
    }

    /// The length of the prefix of a node's part of the pods' range. Upstream: `--node-cidr-mask-size`.
    pub(crate) fn node_prefix(&self) -> u8 {
        let range = self.cluster_cidr.prefix_len();
        NODE_PREFIX.clamp(range, range + NODE_PREFIX_BITS_MAX)
    }

    /// The first node's part of the pods' range.
    pub(crate) fn first_pod_cidr(&self) -> Ipv4Net {
        Ipv4Net::new(self.cluster_cidr.network(), self.node_prefix()).expect("a node's prefix is that of an address")
    }

    /// The address at which programs on this machine reach the API.
    pub(crate) fn local_server(&self, port: u16) -> SocketAddr {
        let ip = if self.listen.ip().is_unspecified() { Ipv4Addr::LOCALHOST.into() } else { self.listen.ip() };
        SocketAddr::new(ip, port)
    }
}

/// Refuses ranges that overlap, are too small, or cannot be used.
pub(crate) fn check_ranges(pods: Ipv4Net, services: Ipv4Net) -> anyhow::Result<()> {
    if services.prefix_len() > SERVICE_PREFIX_MAX {
        bail!("the service range {services} is too small: it needs 16 addresses, the tenth of which is for DNS");
    }
    if pods.prefix_len() > CLUSTER_PREFIX_MAX {
        bail!("the pod range {pods} is too small: it needs 16 addresses");
    }
    for (range, of) in [(pods, "pod"), (services, "service")] {
        if let Some((reserved, why)) = RESERVED.iter().find(|(reserved, _)| overlap(&range, reserved)) {
            bail!("the {of} range {range} cannot be used: {reserved} is {why}; the private ranges of RFC 1918 can");
        }
    }
    if overlap(&pods, &services) {
        bail!(
            "the pod range {pods} and the service range {services} overlap: choose ranges without a common address \
             with --cluster-cidr and --service-cidr"
        );
    }
    Ok(())
}

/// The node's name that `given` means, as the kubelet reads it: without blanks around it, in lower case. `what` gave it.
///
/// Upstream: pkg/util/node, `GetHostname`; the API server's rule for names of nodes.
pub(crate) fn node_name(what: &str, given: &str) -> anyhow::Result<String> {
    let name = given.trim().to_lowercase();
    let problems = is_dns1123_subdomain(&name);
    if problems.is_empty() {
        Ok(name)
    } else {
        bail!("{what} {given:?} is no name for a node: {}", problems.join("; "))
    }
}

/// What the cluster was made with, or what is wished for where it was not made yet.
///
/// Errors: the wish is another one, and this cannot be changed any more.
fn keep<'a, T: PartialEq + std::fmt::Display>(
    flag: &str,
    made_with: Option<&'a T>,
    wished: Option<&'a T>,
) -> anyhow::Result<Option<&'a T>> {
    match (made_with, wished) {
        (Some(made_with), Some(wished)) if made_with != wished => bail!(
            "this cluster was made with {flag} {made_with}, and objects in it depend on that: leave {flag} out, or remove \
             the cluster with `corten delete` before it is made anew with {wished}"
        ),
        (made_with, wished) => Ok(made_with.or(wished)),
    }
}

/// The address `n` places after the network's own.
pub(crate) fn nth_address(network: Ipv4Net, n: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(network.network().to_bits() + n)
}

/// Why an address cannot be told to others as where to find this machine.
fn leads_nowhere(address: IpAddr) -> Option<&'static str> {
    match address.to_canonical() {
        it if it.is_unspecified() => Some("no address of its own"),
        it if it.is_loopback() => Some("the loopback address, which is another one in every pod"),
        it if it.is_multicast() => Some("a multicast address"),
        IpAddr::V4(it) if it.is_broadcast() => Some("the broadcast address"),
        _ => None,
    }
}

/// The address from which this machine talks to others: what the routing table chooses, or the first one it has.
pub(crate) fn primary_address() -> anyhow::Result<IpAddr> {
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
mod tests;
