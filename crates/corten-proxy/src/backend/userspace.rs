//! Services without packet rules: listeners in this process, for kernels that have no nftables.
//!
//! Every address of a service becomes one of `lo`, so that packets for it end here; every port gets a listener that
//! passes connections on to an endpoint. Node ports listen on all addresses.
//!
//! What differs from nftables, by nature: endpoints see an address of this node instead of the client's; a port whose
//! policy is Local and has no endpoint here refuses instead of dropping; SCTP is not served; and of two things done at
//! once the first is visible before the second. The first packet to an
//! IPv6 address that is new on `lo` can get lost. Where a service has no endpoints there is no listener, and the kernel
//! refuses at once.

mod balancer;
mod places;
mod tcp;
mod udp;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, mpsc},
};

use corten_base::{ErrorChain, SharedClock, Shutdown, ShutdownTrigger, TaskSet};
use corten_net::netlink::{Address, Rtnl};
use ipnet::IpNet;
use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, SockaddrStorage, sockopt};
use tracing::{info, warn};

use self::{
    balancer::Balancer,
    places::{ConnectionPlaces, FlowPlaces},
};
use super::{Backend, BackendError};
use crate::{
    names::{IpFamily, Protocol},
    ruleset::{
        Change, PortKey, PortRules, Route, Ruleset, diff,
        frontends::{Claims, Frontend, Role, frontends},
    },
};

const LOOPBACK: &str = "lo";
/// Connections at once, all services together: each takes two descriptors of the process's usual 1,048,576 and two
/// buffers of 8 KiB. Clients beyond wait, one at each listener and the others in its backlog.
const CONNECTIONS_MAX: usize = 16_384;
/// Of these, one client's. More are closed.
const CONNECTIONS_OF_CLIENT_MAX: usize = 4_096;
/// Flows of datagrams at once, all services together: each takes one descriptor of the same number. Where there is no place,
/// the flow that is idle for longest of the client with most of them ends.
const FLOWS_MAX: usize = 16_384;
/// Of these, one client's: more, and its own flow that is idle for longest ends.
const FLOWS_OF_CLIENT_MAX: usize = 4_096;
/// The kernel's own limit unless raised (`net.core.somaxconn`).
const BACKLOG: i32 = 4_096;

/// How the userspace backend works.
#[derive(Clone, Debug)]
pub struct UserspaceConfig {
    /// Families to serve.
    pub families: Vec<IpFamily>,
    /// Addresses of pods: their connections to outside addresses go to endpoints anywhere.
    pub cluster_cidrs: Vec<IpNet>,
    /// Addresses of services; what is left of them on `lo` by a crash is removed.
    pub service_cidrs: Vec<IpNet>,
}

/// See the module. Must be used inside a tokio runtime.
#[derive(Debug)]
pub struct UserspaceBackend {
    config: UserspaceConfig,
    rtnl: Rtnl,
    loopback: u32,
    runtime: tokio::runtime::Handle,
    tasks: TaskSet,
    context: Context,
    /// Ends connections too; dropped or requested when all is over.
    end: ShutdownTrigger,
    shutdown: Shutdown,
    current: Ruleset,
    balancers: BTreeMap<PortKey, Arc<Balancer>>,
    claims: Claims<Target>,
    listeners: BTreeMap<Frontend, Listener>,
    /// Ports that a full sync could not open: somebody else has them, for a moment or for good.
    shut: BTreeMap<Frontend, Shut>,
    /// Addresses that we put on `lo`.
    addresses: BTreeSet<IpAddr>,
}

/// What all tasks need.
#[derive(Clone, Debug)]
struct Context {
    clock: SharedClock,
    connections: Arc<ConnectionPlaces>,
    flows: Arc<FlowPlaces>,
}

/// For how long a port could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shut {
    /// For one full sync, which has failed for it.
    Once,
    /// For longer: it fails no sync any more, and is tried again with every change and every look at the rules.
    Lasting,
}

/// Where a frontend leads to: nothing can be there without a listener.
#[derive(Clone, Debug)]
struct Target {
    balancer: Arc<Balancer>,
    role: Role,
}

impl PartialEq for Target {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.balancer, &other.balancer) && self.role == other.role
    }
}

#[derive(Debug)]
struct Listener {
    stop: ShutdownTrigger,
    /// Disconnected once nobody has the socket any more.
    ended: mpsc::Receiver<()>,
}

impl Listener {
    /// Waits until the port is free again; the next service may want it at once.
    fn wait(self) {
        // Nothing is ever sent: the error says that all senders are gone.
        let _ = self.ended.recv();
    }
}

impl UserspaceBackend {
    /// A backend for the network namespace of the calling thread and the tokio runtime it is in. Changes nothing yet.
    pub fn open(config: UserspaceConfig, clock: SharedClock) -> Result<Self, BackendError> {
        let rtnl = Rtnl::open()?;
        let loopback = rtnl.expect_link(LOOPBACK)?.index;
        let (end, shutdown) = Shutdown::new();
        Ok(Self {
            config,
            rtnl,
            loopback,
            runtime: tokio::runtime::Handle::current(),
            tasks: TaskSet::new("proxy-userspace"),
            context: Context {
                clock,
                connections: ConnectionPlaces::new(CONNECTIONS_MAX, CONNECTIONS_OF_CLIENT_MAX),
                flows: FlowPlaces::new(FLOWS_MAX, FLOWS_OF_CLIENT_MAX),
            },
            end,
            shutdown,
            current: Ruleset::default(),
            balancers: BTreeMap::new(),
            claims: Claims::default(),
            listeners: BTreeMap::new(),
            shut: BTreeMap::new(),
            addresses: BTreeSet::new(),
        })
    }

    /// Closes and opens what the changes ask for. Gives the ports that could not be opened.
    fn set_ports(&mut self, changes: &[Change]) -> BTreeMap<Frontend, BackendError> {
        for change in changes.iter().filter(|c| self.config.families.contains(&c.key.family)) {
            let key = &change.key;
            let old = change.old.as_deref().map(|r| frontends(key, r)).unwrap_or_default();
            let mut new = BTreeMap::new();
            if let Some(rules) = &change.new {
                let cidrs = &self.config.cluster_cidrs;
                let balancer = self
                    .balancers
                    .entry(key.clone())
                    .or_insert_with(|| Arc::new(Balancer::new(Arc::clone(rules), cidrs.clone())));
                balancer.set_rules(Arc::clone(rules));
                for (frontend, role) in frontends(key, rules) {
                    if is_served(rules, role) && frontend.protocol != Protocol::Sctp {
                        new.insert(frontend, (role, Target { balancer: Arc::clone(balancer), role }));
                    }
                }
            } else {
                self.balancers.remove(key);
            }
            self.claims.set(key, &old, &new);
        }
        let frontend_changes = self.claims.take_changes();
        let stopping: Vec<_> = frontend_changes.iter().filter_map(|(f, ..)| self.listeners.remove(f)).collect();
        stopping.iter().for_each(|listener| listener.stop.request());
        stopping.into_iter().for_each(Listener::wait);
        let mut wanted: BTreeSet<Frontend> = frontend_changes.into_iter().map(|(frontend, ..)| frontend).collect();
        // What was closed just now may be what kept them shut.
        wanted.extend(self.shut.keys().copied());
        self.open_ports(wanted)
    }

    /// Opens those of these ports that lead somewhere and have no listener. Gives those that could not be opened: one port
    /// that somebody else has must not keep the others shut.
    fn open_ports(&mut self, wanted: impl IntoIterator<Item = Frontend>) -> BTreeMap<Frontend, BackendError> {
        let mut failed = BTreeMap::new();
        for frontend in wanted {
            if let Some(target) = self.claims.winner(&frontend).cloned()
                && !self.listeners.contains_key(&frontend)
                && let Err(error) = self.listen(frontend, target)
            {
                failed.insert(frontend, error);
            } else if self.shut.remove(&frontend) == Some(Shut::Lasting) {
                info!(port = frontend.port, protocol = ?frontend.protocol, "Opened port of service at last");
            }
        }
        failed
    }

    /// Addresses on `lo` follow the services, with or without endpoints: those without are to refuse.
    fn set_addresses(&mut self) -> Result<(), BackendError> {
        let wanted: BTreeSet<IpAddr> = self
            .current
            .ports()
            .filter(|(key, _)| self.config.families.contains(&key.family))
            .flat_map(|(key, rules)| frontends(key, rules).into_keys().filter_map(|f| f.ip))
            .collect();
        for ip in wanted.difference(&self.addresses.clone()) {
            let address = Address { link: self.loopback, net: IpNet::from(*ip) };
            // One that is there already is the machine's own (or left by a crash, then the sweep has taken it).
            if self.rtnl.add_address(&address)? {
                self.addresses.insert(*ip);
            }
        }
        for ip in self.addresses.clone().difference(&wanted) {
            self.rtnl.delete_address(&Address { link: self.loopback, net: IpNet::from(*ip) })?;
            self.addresses.remove(ip);
        }
        Ok(())
    }

    /// Takes what a crash left of services on `lo`. The machine's own addresses there stay: services have one each, alone.
    fn sweep(&self) -> Result<(), BackendError> {
        for address in self.rtnl.addresses(Some(self.loopback))? {
            let ip = address.net.addr();
            if ip.is_loopback() || address.net != IpNet::from(ip) {
                continue;
            }
            let is_service = crate::proxy::contains(&self.config.service_cidrs, ip);
            if is_service && !self.addresses.contains(&ip) {
                self.rtnl.delete_address(&address)?;
            }
        }
        Ok(())
    }

    fn listen(&mut self, frontend: Frontend, target: Target) -> Result<(), BackendError> {
        let address = SocketAddr::new(frontend.ip.unwrap_or(frontend.family.unspecified()), frontend.port);
        let failed = |source| BackendError::Listen { address, source };
        let (stop, stopped) = self.shutdown.child();
        let _in_runtime = self.runtime.enter();
        let (alive, ended) = mpsc::channel();
        if frontend.protocol == Protocol::Tcp {
            let listener = tcp_listener(address).map_err(failed)?;
            let (tasks, context, end) = (self.tasks.clone(), self.context.clone(), self.shutdown.clone());
            self.tasks.spawn("tcp listener", async move {
                tcp::serve(listener, target, tasks, context, stopped, end).await;
                drop(alive);
            });
        } else {
            let socket = udp_socket(address).map_err(failed)?;
            let serving = udp::serve(socket, target, self.tasks.clone(), self.context.clone(), stopped, alive);
            self.tasks.spawn("udp listener", serving);
        }
        self.listeners.insert(frontend, Listener { stop, ended });
        Ok(())
    }
}

/// Whether anybody could be passed on to an endpoint.
fn is_served(rules: &PortRules, role: Role) -> bool {
    match if role == Role::ClusterIp { rules.internal } else { rules.external } {
        Route::Reject => false,
        Route::Cluster => true,
        Route::Local => role != Role::ClusterIp || !rules.local_endpoints.is_empty(),
    }
}

/// A socket for one family only: `[::]` would take the port of `0.0.0.0` too.
fn bound_socket(address: SocketAddr, kind: SockType) -> io::Result<std::os::fd::OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let fd = socket::socket(family, kind, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, None)?;
    socket::setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    if address.is_ipv6() {
        socket::setsockopt(&fd, sockopt::Ipv6V6Only, &true)?;
    }
    socket::bind(std::os::fd::AsRawFd::as_raw_fd(&fd), &SockaddrStorage::from(address))?;
    Ok(fd)
}

fn tcp_listener(address: SocketAddr) -> io::Result<tokio::net::TcpListener> {
    let fd = bound_socket(address, SockType::Stream)?;
    socket::listen(&fd, socket::Backlog::new(BACKLOG)?)?;
    tokio::net::TcpListener::from_std(fd.into())
}

fn udp_socket(address: SocketAddr) -> io::Result<tokio::net::UdpSocket> {
    let fd = bound_socket(address, SockType::Datagram)?;
    // Tells which of our addresses a datagram was for, so that answers can come from it.
    if address.is_ipv4() {
        // Without it two listeners would share datagrams of one port: only TCP needs the address again at once.
        socket::setsockopt(&fd, sockopt::ReuseAddr, &false)?;
        socket::setsockopt(&fd, sockopt::Ipv4PacketInfo, &true)?;
    } else {
        socket::setsockopt(&fd, sockopt::ReuseAddr, &false)?;
        socket::setsockopt(&fd, sockopt::Ipv6RecvPacketInfo, &true)?;
    }
    tokio::net::UdpSocket::from_std(fd.into())
}

impl Backend for UserspaceBackend {
    fn name(&self) -> &'static str {
        "userspace"
    }

    fn replace(&mut self, ruleset: &Ruleset) -> Result<(), BackendError> {
        let changes = diff(&self.current, ruleset);
        self.current = ruleset.clone();
        self.sweep()?;
        self.set_addresses()?;
        self.set_ports(&changes);
        // Those that failed to open earlier, too, for which the claims have not changed.
        let missing: Vec<_> = self.claims.frontends().filter(|f| !self.listeners.contains_key(f)).copied().collect();
        let mut first_error = None;
        for (frontend, error) in self.open_ports(missing) {
            match self.shut.get(&frontend) {
                None => {
                    self.shut.insert(frontend, Shut::Once);
                    first_error.get_or_insert(error);
                }
                Some(Shut::Once) => {
                    warn!(err = %ErrorChain(&error), "Could not open port of service: somebody else has it");
                    self.shut.insert(frontend, Shut::Lasting);
                }
                Some(Shut::Lasting) => {}
            }
        }
        first_error.map_or(Ok(()), Err)
    }

    fn apply(&mut self, changes: &[Change]) -> Result<(), BackendError> {
        for change in changes {
            self.current.set_port(&change.key, change.new.clone());
        }
        self.set_addresses()?;
        let failed = self.set_ports(changes);
        let is_new = |(frontend, _): &(Frontend, BackendError)| self.shut.get(frontend) != Some(&Shut::Lasting);
        failed.into_iter().find(is_new).map_or(Ok(()), |(_, error)| Err(error))
    }

    fn is_intact(&mut self) -> Result<bool, BackendError> {
        let there: BTreeSet<IpAddr> = self.rtnl.addresses(Some(self.loopback))?.iter().map(|a| a.net.addr()).collect();
        let lost: Vec<IpAddr> = self.addresses.difference(&there).copied().collect();
        for ip in &lost {
            self.addresses.remove(ip);
        }
        // Nobody tells when another process gives a port back.
        self.open_ports(self.shut.keys().copied().collect::<Vec<_>>());
        Ok(lost.is_empty())
    }

    fn clean_up(&mut self) -> Result<(), BackendError> {
        self.end.request();
        self.listeners.clear();
        self.replace(&Ruleset::default())
    }
}

impl Drop for UserspaceBackend {
    /// Without this process nobody answers at the addresses, so its tasks end with it.
    fn drop(&mut self) {
        self.end.request();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A target with one endpoint.
    pub(super) fn target_to(endpoint: SocketAddr) -> Target {
        let rules = PortRules {
            cluster_ip: endpoint.ip(),
            port: 1,
            node_port: None,
            external_ips: BTreeSet::new(),
            load_balancer_ips: BTreeSet::new(),
            source_ranges: None,
            internal: Route::Cluster,
            external: Route::Cluster,
            cluster_endpoints: BTreeSet::from([endpoint]),
            local_endpoints: BTreeSet::new(),
            hairpins: BTreeSet::new(),
            affinity: None,
        };
        Target { balancer: Arc::new(Balancer::new(Arc::new(rules), Vec::new())), role: Role::ClusterIp }
    }
}
