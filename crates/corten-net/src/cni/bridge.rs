//! The plugin `bridge`: a cable from the sandbox to a bridge of the node, with addresses from its IPAM plugin.
//!
//! Names and hardware addresses follow from the container and its address, so an addition may be repeated, a deletion
//! works when the sandbox is gone, and an address that goes to another pod keeps its hardware address: no neighbour
//! holds a stale entry.
//!
//! Masquerading (`ipMasq`) is two sets in an nftables table: pods whose packets get the node's address, and networks
//! where they do not. Beyond upstream's fields: `nftTable` names the table (several clusters on one machine),
//! `ipMasqExcept` lists further networks that see the pod's own address.
//! Upstream: containernetworking/plugins `plugins/main/bridge`.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::{CniError, CniResult, Dns, Host, Interface, IpConfig, Plugin, Request, RouteConfig, catalog, code};
use crate::{
    netlink::{Address, Link, LinkChange, LinkKind, MacAddress, MasterChange, NewLink, Route, Rtnl, Veth},
    netns::Netns,
    nftables::{
        Chain, ChainType, DataType, Element, Family, Field, Hook, Nftables, Rule, Set, Table, Transaction, Value,
        nat_flags, priority,
    },
    sysctl,
};

const DEFAULT_TABLE: &str = "corten-cni";
/// Deletions of one attachment that run at once; more than two are not expected.
const FORGET_ATTEMPTS: usize = 10;

/// See the module.
#[derive(Debug)]
pub struct Bridge;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    #[serde(default = "default_bridge")]
    bridge: String,
    #[serde(default)]
    is_gateway: bool,
    #[serde(default)]
    is_default_gateway: bool,
    #[serde(default)]
    force_address: bool,
    #[serde(default)]
    ip_masq: bool,
    #[serde(default)]
    ip_masq_except: Vec<IpNet>,
    #[serde(default)]
    mtu: Option<u32>,
    #[serde(default)]
    hairpin_mode: bool,
    #[serde(default)]
    promisc_mode: bool,
    #[serde(default)]
    vlan: u16,
    #[serde(default = "default_table")]
    nft_table: String,
    #[serde(default)]
    ipam: Ipam,
    #[serde(default)]
    dns: Dns,
}

#[derive(Debug, Default, Deserialize)]
struct Ipam {
    #[serde(default, rename = "type")]
    plugin_type: String,
}

fn default_bridge() -> String {
    "cni0".to_owned()
}

pub(super) fn default_table() -> String {
    DEFAULT_TABLE.to_owned()
}

impl Config {
    /// The configuration of a gateway bridge of this name; the rest are defaults.
    fn of(bridge: &str) -> Result<Self, CniError> {
        serde_json::from_value(serde_json::json!({"bridge": bridge, "isGateway": true}))
            .map_err(|error| CniError::new(code::INVALID_CONFIG, "no bridge can have this name").details(&error))
    }

    fn read(request: &Request<'_>) -> Result<Self, CniError> {
        let mut config: Self = request.parse()?;
        config.is_gateway |= config.is_default_gateway;
        for (is_set, field) in [(config.promisc_mode, "promiscMode"), (config.vlan != 0, "vlan")] {
            if is_set {
                return Err(CniError::new(code::UNSUPPORTED_FIELD, format!("field {field} is not supported")));
            }
        }
        Ok(config)
    }

    fn ipam(&self) -> Result<Option<&'static dyn Plugin>, CniError> {
        if self.ipam.plugin_type.is_empty() {
            return Ok(None);
        }
        let missing =
            || CniError::new(code::INVALID_CONFIG, format!("IPAM plugin {:?} is not built in", self.ipam.plugin_type));
        catalog::find(&self.ipam.plugin_type).map(Some).ok_or_else(missing)
    }
}

/// Makes a bridge with its gateway addresses before the first cable, so that the node's own servers can listen on them.
///
/// Idempotent; an addition with the same configuration finds what it would have made.
pub fn prepare(host: &Host, bridge: &str, networks: &[IpNet]) -> Result<(), CniError> {
    let config = Config::of(bridge)?;
    let rtnl = host.rtnl()?;
    let link = ensure_bridge(rtnl, &config)?;
    let gateways: Vec<IpConfig> = networks
        .iter()
        .map(|network| IpConfig { interface: None, address: *network, gateway: network.hosts().next() })
        .collect();
    serve_as_gateway(rtnl, &host.netns, &link, &config, &gateways)
}

/// Removes a bridge and the packet rules of its pods; what is gone already is no error.
pub fn remove(host: &Host, bridge: &str, table: &str) -> Result<(), CniError> {
    remove_link(host.rtnl()?, bridge)?;
    let nft = host.nft()?;
    if !nft.is_supported().map_err(CniError::kernel("cannot look at the packet rules"))? {
        return Ok(());
    }
    let mut transaction = Transaction::new();
    transaction.purge_table(&Table::new(Family::Inet, table));
    nft.commit(&transaction).map(drop).map_err(CniError::kernel("cannot remove the packet rules"))
}

impl Plugin for Bridge {
    fn add(&self, request: &Request<'_>) -> Result<CniResult, CniError> {
        let config = Config::read(request)?;
        let sandbox = request.sandbox()?;
        let host = request.host.rtnl()?;
        let bridge = ensure_bridge(host, &config)?;
        let mut result = match config.ipam()? {
            Some(ipam) => ipam.add(request)?,
            None => CniResult::default(),
        };
        for ip in &mut result.ips {
            ip.interface = Some(2);
            if config.is_gateway && ip.gateway.is_none() {
                ip.gateway = ip.address.hosts().next();
            }
        }
        if config.is_default_gateway {
            add_default_routes(&mut result);
        }
        if config.is_gateway {
            serve_as_gateway(host, &request.host.netns, &bridge, &config, &result.ips)?;
        }
        let host_name = host_interface(request);
        let port = ensure_cable(host, &sandbox, &host_name, &bridge, &config, request, &result)?;
        let inside = configure_sandbox(&sandbox, request.interface, &result)?;
        if config.ip_masq {
            masquerade(request, &config, &result.ips)?;
        }
        let entry = |link: &Link, sandbox: String| Interface {
            name: link.name.clone(),
            mac: link.address.map(|a| a.to_string()).unwrap_or_default(),
            mtu: Some(link.mtu),
            sandbox,
        };
        let path = request.netns.map(|p| p.display().to_string()).unwrap_or_default();
        result.interfaces = vec![entry(&bridge, String::new()), entry(&port, String::new()), entry(&inside, path)];
        if result.dns == Dns::default() {
            result.dns = config.dns;
        }
        Ok(result)
    }

    fn delete(&self, request: &Request<'_>) -> Result<(), CniError> {
        let config = Config::read(request)?;
        let host = request.host.rtnl()?;
        remove_link(host, &host_interface(request))?;
        // Made by another implementation, its node end has a name that is not known.
        if let Some(sandbox) = request.remaining_sandbox()? {
            let inside = Rtnl::open_in(&sandbox).map_err(CniError::kernel("cannot look into the sandbox"))?;
            remove_link(&inside, request.interface)?;
        }
        if config.ip_masq {
            forget_masquerade(request, &config)?;
        }
        // Last: an address must not be given away while anything still uses it.
        match config.ipam()? {
            Some(ipam) => ipam.delete(request),
            None => Ok(()),
        }
    }

    fn check(&self, request: &Request<'_>) -> Result<(), CniError> {
        let config = Config::read(request)?;
        let mismatch = |what: String| Err(CniError::new(code::MISMATCH, what));
        let host = request.host.rtnl()?;
        let read = CniError::kernel::<crate::netlink::Error>;
        let Some(bridge) = host.link_by_name(&config.bridge).map_err(read("cannot find the bridge"))? else {
            return mismatch(format!("bridge {} does not exist", config.bridge));
        };
        let name = host_interface(request);
        match host.link_by_name(&name).map_err(read("cannot find the node's end"))? {
            Some(port) if port.master == Some(bridge.index) => {}
            _ => return mismatch(format!("interface {name} is no port of {}", config.bridge)),
        }
        let inside = Rtnl::open_in(&request.sandbox()?).map_err(read("cannot look into the sandbox"))?;
        let Some(link) = inside.link_by_name(request.interface).map_err(read("cannot find the sandbox's end"))? else {
            return mismatch(format!("interface {} does not exist", request.interface));
        };
        let addresses = inside.addresses(Some(link.index)).map_err(read("cannot read addresses"))?;
        for ip in request.previous.into_iter().flat_map(|p| p.ips_of(request.interface)) {
            if !addresses.iter().any(|a| a.net == ip.address) {
                return mismatch(format!("interface {} has no address {}", request.interface, ip.address));
            }
        }
        match config.ipam()? {
            Some(ipam) => ipam.check(request),
            None => Ok(()),
        }
    }
}

/// Name of the node's end of the cable.
fn host_interface(request: &Request<'_>) -> String {
    let mut hash = Sha256::new();
    for part in [request.network, request.container_id, request.interface] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    // 11 digits: names of interfaces have at most 15 bytes. Two of 250 pods share them with a probability of 2^-29.
    let digits: String = hash.finalize().iter().take(6).map(|b| format!("{b:02x}")).collect();
    format!("veth{}", &digits[..11])
}

/// A locally administered address made of an IP address.
fn hardware_address(ip: IpAddr) -> MacAddress {
    let tail: [u8; 4] = match ip {
        IpAddr::V4(ip) => ip.octets(),
        IpAddr::V6(ip) => {
            let digest = Sha256::digest(ip.octets());
            [digest[0], digest[1], digest[2], digest[3]]
        }
    };
    MacAddress([0x0a, 0x58, tail[0], tail[1], tail[2], tail[3]])
}

fn ensure_bridge(host: &Rtnl, config: &Config) -> Result<Link, CniError> {
    let find = || host.link_by_name(&config.bridge).map_err(CniError::kernel("cannot find the bridge"));
    let link = match find()? {
        Some(link) => link,
        None => {
            let new = NewLink {
                name: &config.bridge,
                kind: LinkKind::Bridge,
                mtu: config.mtu,
                address: None,
                master: None,
                up: true,
            };
            match host.create_link(&new) {
                Ok(()) => {}
                // Another addition was faster.
                Err(e) if e.is_exists() => {}
                Err(e) => return Err(CniError::kernel("cannot create the bridge")(e)),
            }
            let link = find()?.ok_or_else(|| CniError::new(code::TRY_AGAIN_LATER, "the bridge vanished"))?;
            // Setting the address that it has fixes it. Otherwise it would change to the smallest among the ports.
            let change = LinkChange { address: link.address, ..LinkChange::default() };
            host.change_link(link.index, &change)
                .map_err(CniError::kernel("cannot fix the bridge's hardware address"))?;
            link
        }
    };
    if link.kind.as_deref() != Some("bridge") {
        return Err(CniError::new(code::INVALID_CONFIG, format!("{} exists and is not a bridge", config.bridge)));
    }
    if !link.up {
        let change = LinkChange { up: Some(true), ..LinkChange::default() };
        host.change_link(link.index, &change).map_err(CniError::kernel("cannot bring up the bridge"))?;
    }
    Ok(link)
}

fn add_default_routes(result: &mut CniResult) {
    for ip in &result.ips {
        let any = any_like(ip.address);
        if !result.routes.iter().any(|r| r.dst == any) {
            result.routes.push(RouteConfig { dst: any, gw: ip.gateway, mtu: None, priority: None });
        }
    }
}

fn any_like(net: IpNet) -> IpNet {
    let text = if net.addr().is_ipv4() { "0.0.0.0/0" } else { "::/0" };
    text.parse().expect("a constant")
}

fn serve_as_gateway(
    host: &Rtnl,
    netns: &Netns,
    bridge: &Link,
    config: &Config,
    ips: &[IpConfig],
) -> Result<(), CniError> {
    let kernel = CniError::kernel::<crate::netlink::Error>;
    let existing = host.addresses(Some(bridge.index)).map_err(kernel("cannot read the bridge's addresses"))?;
    for ip in ips {
        let Some(gateway) = ip.gateway else { continue };
        let wanted = IpNet::new(gateway, ip.address.prefix_len())
            .map_err(|e| CniError::new(code::INVALID_CONFIG, "gateway and address differ in family").details(&e))?;
        for other in existing.iter().filter(|a| a.net != wanted && a.net.addr().is_ipv4() == gateway.is_ipv4()) {
            let overlaps = other.net.contains(&wanted.network()) || wanted.contains(&other.net.network());
            if !overlaps {
                continue;
            }
            if !config.force_address {
                let text = format!("{} already has the address {} instead of {wanted}", bridge.name, other.net);
                return Err(CniError::new(code::INVALID_CONFIG, text));
            }
            host.delete_address(other).map_err(kernel("cannot replace the bridge's address"))?;
        }
        host.add_address(&Address { link: bridge.index, net: wanted })
            .map_err(kernel("cannot give the bridge its address"))?;
        let forwarding = if gateway.is_ipv4() { "net/ipv4/ip_forward" } else { "net/ipv6/conf/all/forwarding" };
        // Reading first: writing `forwarding` walks over all interfaces.
        let on = sysctl::read(netns, forwarding).map_err(CniError::kernel("cannot read the forwarding setting"))?;
        if on != "1" {
            sysctl::write(netns, forwarding, "1").map_err(CniError::kernel("cannot enable forwarding"))?;
        }
    }
    Ok(())
}

/// Makes the cable unless an earlier addition did; returns the node's end.
fn ensure_cable(
    host: &Rtnl,
    sandbox: &Netns,
    host_name: &str,
    bridge: &Link,
    config: &Config,
    request: &Request<'_>,
    result: &CniResult,
) -> Result<Link, CniError> {
    let kernel = CniError::kernel::<crate::netlink::Error>;
    let inside = Rtnl::open_in(sandbox).map_err(kernel("cannot look into the sandbox"))?;
    let has_end = inside.link_by_name(request.interface).map_err(kernel("cannot look into the sandbox"))?.is_some();
    let existing = host.link_by_name(host_name).map_err(kernel("cannot find the node's end"))?;
    match (&existing, has_end) {
        (Some(_), true) | (None, false) => {}
        (Some(half), false) => {
            // The sandbox was made anew under the same id: the old cable leads nowhere.
            host.delete_link(half.index).map_err(kernel("cannot remove an old cable"))?;
        }
        (None, true) => {
            let text = format!("interface {} exists in the sandbox already", request.interface);
            return Err(CniError::new(code::MISMATCH, text));
        }
    }
    if !(existing.is_some() && has_end) {
        let peer_address = result.ips.first().map(|ip| hardware_address(ip.address.addr()));
        let veth = Veth { peer_name: request.interface, peer_netns: Some(sandbox), peer_address };
        let kind = LinkKind::Veth(veth);
        let new =
            NewLink { name: host_name, kind, mtu: config.mtu, address: None, master: Some(bridge.index), up: true };
        host.create_link(&new).map_err(kernel("cannot create the cable"))?;
    }
    let port = host.expect_link(host_name).map_err(kernel("cannot find the node's end"))?;
    if port.master != Some(bridge.index) || !port.up {
        let change =
            LinkChange { master: Some(MasterChange::Join(bridge.index)), up: Some(true), ..LinkChange::default() };
        host.change_link(port.index, &change).map_err(kernel("cannot connect the cable"))?;
    }
    if config.hairpin_mode {
        host.set_hairpin(port.index, true).map_err(kernel("cannot set hairpin mode"))?;
    }
    Ok(port)
}

fn configure_sandbox(sandbox: &Netns, interface: &str, result: &CniResult) -> Result<Link, CniError> {
    let kernel = CniError::kernel::<crate::netlink::Error>;
    let inside = Rtnl::open_in(sandbox).map_err(kernel("cannot look into the sandbox"))?;
    let link = inside.expect_link(interface).map_err(kernel("cannot find the sandbox's end"))?;
    if result.ips.iter().any(|ip| ip.address.addr().is_ipv6()) {
        // Some machines disable IPv6 by default; a pod that has an address needs it.
        let name = format!("net/ipv6/conf/{interface}/disable_ipv6");
        sysctl::write_if_present(sandbox, &name, "0").map_err(CniError::kernel("cannot enable IPv6"))?;
    }
    let change = LinkChange { up: Some(true), ..LinkChange::default() };
    inside.change_link(link.index, &change).map_err(kernel("cannot bring up the sandbox's end"))?;
    for ip in &result.ips {
        inside
            .add_address(&Address { link: link.index, net: ip.address })
            .map_err(kernel("cannot give the sandbox its address"))?;
    }
    for route in &result.routes {
        let same_family = |ip: &&IpConfig| ip.address.addr().is_ipv4() == route.dst.addr().is_ipv4();
        let gateway = route.gw.or_else(|| result.ips.iter().find(same_family).and_then(|ip| ip.gateway));
        let base = match gateway {
            Some(gateway) => Route { link: Some(link.index), ..Route::via(route.dst, gateway) },
            None => Route::on(route.dst, link.index),
        };
        let route = Route { mtu: route.mtu, metric: route.priority, ..base };
        inside.replace_route(&route).map_err(kernel("cannot add a route to the sandbox"))?;
    }
    inside.expect_link(interface).map_err(kernel("cannot find the sandbox's end"))
}

fn remove_link(rtnl: &Rtnl, name: &str) -> Result<(), CniError> {
    let kernel = CniError::kernel::<crate::netlink::Error>;
    let Some(link) = rtnl.link_by_name(name).map_err(kernel("cannot find an interface"))? else { return Ok(()) };
    match rtnl.delete_link(link.index) {
        Err(e) if !e.is_not_found() => Err(kernel("cannot remove an interface")(e)),
        _ => Ok(()),
    }
}

/// The sets of one network and family: pods that are masqueraded, and networks where they are not.
struct MasqueradeSets {
    pods: Set,
    except: Set,
}

impl MasqueradeSets {
    fn new(network: &str, is_ip6: bool) -> Self {
        let (family, address) = if is_ip6 { ("6", DataType::Ip6) } else { ("4", DataType::Ip4) };
        Self {
            pods: Set::new(format!("masq-pods{family}.{network}"), &[address]),
            except: Set::new(format!("masq-except{family}.{network}"), &[address]).with_intervals(),
        }
    }
}

/// Adds the pod's addresses, and the shared chain in the same transaction: it is put down anew each time, so that it is
/// always whole.
fn masquerade(request: &Request<'_>, config: &Config, ips: &[IpConfig]) -> Result<(), CniError> {
    let nft = request.host.nft()?;
    let table = Table::new(Family::Inet, &config.nft_table);
    let chain = format!("masq.{}", request.network);
    let mut tx = Transaction::new();
    tx.add_table(&table)
        .add_chain(&table, Chain::base(&chain, ChainType::Nat, Hook::Postrouting, priority::SRCNAT))
        .flush_chain(&table, &chain);
    for is_ip6 in [false, true] {
        let sets = MasqueradeSets::new(request.network, is_ip6);
        let (source, destination, multicast, family): (_, _, IpNet, u8) = if is_ip6 {
            (Field::Ip6Source, Field::Ip6Destination, "ff00::/8".parse().expect("a constant"), 10)
        } else {
            (Field::Ip4Source, Field::Ip4Destination, "224.0.0.0/4".parse().expect("a constant"), 2)
        };
        let of_family = |net: &&IpNet| net.addr().is_ipv6() == is_ip6;
        let own: Vec<IpNet> = ips.iter().map(|ip| ip.address.trunc()).collect();
        // Each network is an interval of its own: the kernel refuses intervals that overlap.
        let except = IpNet::aggregate(
            &own.iter().chain(&config.ip_masq_except).filter(of_family).copied().chain([multicast]).collect(),
        );
        tx.add_set(&table, sets.pods.clone()).add_set(&table, sets.except.clone());
        tx.flush_set(&table, &sets.except.name);
        tx.add_elements(&table, &sets.except, except.into_iter().map(Element::prefix).collect::<Vec<_>>());
        let pods = ips.iter().filter(|ip| ip.address.addr().is_ipv6() == is_ip6);
        let pods = pods.map(|ip| Element::new([Value::from(ip.address.addr())]).comment(request.owner()));
        tx.add_elements(&table, &sets.pods, pods.collect::<Vec<_>>());
        tx.add_rule(
            &table,
            Rule::new(&chain)
                .matches(Field::NfProto, &Value::Protocol(family))
                .in_set(&[source], &sets.pods.name)
                .not_in_set(&[destination], &sets.except.name)
                .masquerade(nat_flags::FULLY_RANDOM),
        );
    }
    nft.commit(&tx).map(drop).map_err(CniError::kernel("cannot set up masquerading"))
}

fn forget_masquerade(request: &Request<'_>, config: &Config) -> Result<(), CniError> {
    let nft = request.host.nft()?;
    let table = Table::new(Family::Inet, &config.nft_table);
    for is_ip6 in [false, true] {
        forget_elements(nft, &table, &MasqueradeSets::new(request.network, is_ip6).pods, &request.owner())?;
    }
    Ok(())
}

/// Deletes the elements of a set that belong to an attachment; fine if there are none, or no set.
pub(super) fn forget_elements(nft: &Nftables, table: &Table, set: &Set, owner: &str) -> Result<Vec<Element>, CniError> {
    forget_matching(nft, table, set, |element| element.comment.as_deref() == Some(owner))
}

/// Removes the elements that `is_it` picks, and gives them.
pub(super) fn forget_matching(
    nft: &Nftables,
    table: &Table,
    set: &Set,
    is_it: impl Fn(&Element) -> bool,
) -> Result<Vec<Element>, CniError> {
    for _ in 0..FORGET_ATTEMPTS {
        let elements = match nft.elements(table, set) {
            Ok(elements) => elements,
            Err(e) if e.is_not_found() => return Ok(Vec::new()),
            Err(e) => return Err(CniError::kernel("cannot read packet rules")(e)),
        };
        let found: Vec<_> = elements.into_iter().filter(&is_it).collect();
        let mut tx = Transaction::new();
        tx.delete_elements(table, set, found.clone());
        match nft.commit(&tx) {
            Ok(_) => return Ok(found),
            // A deletion of the same attachment took some of them: look again.
            Err(e) if e.is_not_found() => {}
            Err(e) => return Err(CniError::kernel("cannot remove packet rules")(e)),
        }
    }
    Err(CniError::new(code::TRY_AGAIN_LATER, "packet rules kept changing"))
}
