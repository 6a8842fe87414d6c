//! The typed configuration of the process: everything is decided before anything starts.
//!
//! Flow: flags and environment (`cli`) -> [`Places`] (where things are, what they are called) and [`Config`] (what runs) ->
//! `assembly`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use anyhow::{Context as _, bail};
use corten_apimachinery::validation::is_dns1123_subdomain;
use corten_net::netlink::Rtnl;
use corten_proxy::ProxyMode;
use ipnet::Ipv4Net;

use crate::{places::Places, record::Record};

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
    /// Which optional features are on: `Name=true,Other=false`.
    pub(crate) feature_gates: Option<String>,
    /// Which versions and resources are served: `api/beta=true,group/version=false`.
    pub(crate) runtime_config: Option<String>,
}

impl Wishes {
    /// Fails where the cluster of `record`, which runs, is another than these wish for. The address that everybody is told is
    /// in no record, and is not compared.
    pub(crate) fn expect_running(self, record: &Record) -> anyhow::Result<()> {
        let wished_name = self.node_name.map(|name| node_name("--node-name", &name)).transpose()?;
        keep("--node-name", record.node_name.as_ref(), wished_name.as_ref())?;
        let [pods, services] = [self.cluster_cidr, self.service_cidr].map(|it| it.map(|it| it.trunc()));
        keep("--cluster-cidr", Some(&record.cluster_cidr), pods.as_ref())?;
        keep("--service-cidr", Some(&record.service_cidr), services.as_ref())?;
        runs_with("--listen", &record.listen.ip(), self.listen.as_ref())?;
        runs_with("--api-port", &record.listen.port(), self.api_port.as_ref())?;
        runs_with("--kubelet-port", &record.kubelet_port, self.kubelet_port.as_ref())?;
        runs_with("--proxy-mode", &record.proxy_mode, self.proxy_mode.as_ref())?;
        runs_with("--feature-gates", &record.feature_gates, self.feature_gates.as_ref())?;
        runs_with("--runtime-config", &record.runtime_config, self.runtime_config.as_ref())
    }
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
    /// Which optional features are on, as it was said.
    pub(crate) feature_gates: String,
    /// Which versions and resources are served, as it was said.
    pub(crate) runtime_config: String,
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
            feature_gates: wishes
                .feature_gates
                .or(record.map(|record| record.feature_gates.clone()))
                .unwrap_or_default(),
            runtime_config: wishes
                .runtime_config
                .or(record.map(|record| record.runtime_config.clone()))
                .unwrap_or_default(),
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
        let mut record = Record::new(ranges, CLUSTER_DOMAIN, node_name, (listen, self.kubelet_port, self.proxy_mode));
        record.feature_gates.clone_from(&self.feature_gates);
        record.runtime_config.clone_from(&self.runtime_config);
        record
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

/// Errors: the wish is another than what the cluster runs with; another start can change it.
fn runs_with<T: PartialEq + std::fmt::Display>(flag: &str, runs: &T, wished: Option<&T>) -> anyhow::Result<()> {
    match wished {
        Some(wished) if wished != runs => bail!(
            "the cluster that runs here has {flag} {runs}: stop it with `corten down`, then `corten up {flag} {wished}` starts \
             it so"
        ),
        _ => Ok(()),
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
