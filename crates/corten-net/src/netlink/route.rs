//! Routes.
//!
//! Source: Linux `include/uapi/linux/rtnetlink.h`.

use std::net::IpAddr;

use ipnet::IpNet;

#[allow(
    clippy::wildcard_imports,
    reason = "a table of the kernel's constants with prefixes of their own; test builds do not lint this"
)]
use super::uapi::*;
use super::{
    Rtnl,
    address::{family, octets, read_ip},
    codec::{Attributes, Writer, flags, u32_at},
    error::Error,
    split,
};

/// The table that routes go to unless said otherwise.
pub const TABLE_MAIN: u32 = 254;
/// `RTPROT_BOOT`, what other tools use for routes that were set by hand.
const PROTOCOL_BOOT: u8 = 3;

/// What happens to packets that match a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteKind {
    /// They are sent on.
    Unicast,
    /// They are for this machine.
    Local,
    /// They are dropped silently.
    Blackhole,
    /// They are refused with an ICMP message.
    Unreachable,
    /// Another kind that is only read, never written.
    Other(u8),
}

/// How far away the destination is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteScope {
    /// Behind a gateway, anywhere.
    Universe,
    /// On the directly attached network.
    Link,
    /// On this machine.
    Host,
}

/// A route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Destination; `0.0.0.0/0` or `::/0` is the default route.
    pub destination: IpNet,
    /// Next hop.
    pub gateway: Option<IpAddr>,
    /// Index of the interface to leave by.
    pub link: Option<u32>,
    /// Source address for packets from this machine.
    pub preferred_source: Option<IpAddr>,
    /// Smaller wins; the kernel's default if absent.
    pub metric: Option<u32>,
    /// Largest packet in bytes.
    pub mtu: Option<u32>,
    /// Routing table.
    pub table: u32,
    /// Who made the route: a number of one's own lets a restarted program find its routes.
    pub protocol: u8,
    /// What it does.
    pub kind: RouteKind,
    /// How far.
    pub scope: RouteScope,
    /// Treat the gateway as reachable on the interface even if no address of the interface covers it.
    pub on_link: bool,
}

impl Route {
    /// A route to `destination` by a gateway.
    #[must_use]
    pub fn via(destination: IpNet, gateway: IpAddr) -> Self {
        Self { gateway: Some(gateway), scope: RouteScope::Universe, ..Self::new(destination) }
    }

    /// A route to a `destination` attached to the interface `link`.
    #[must_use]
    pub fn on(destination: IpNet, link: u32) -> Self {
        // IPv6 knows one scope only.
        let scope = if destination.addr().is_ipv4() { RouteScope::Link } else { RouteScope::Universe };
        Self { link: Some(link), scope, ..Self::new(destination) }
    }

    fn new(destination: IpNet) -> Self {
        Self {
            destination,
            gateway: None,
            link: None,
            preferred_source: None,
            metric: None,
            mtu: None,
            table: TABLE_MAIN,
            protocol: PROTOCOL_BOOT,
            kind: RouteKind::Unicast,
            scope: RouteScope::Universe,
            on_link: false,
        }
    }
}

impl Rtnl {
    /// The routes of one table, both families.
    pub fn routes(&self, table: u32) -> Result<Vec<Route>, Error> {
        let mut all = Vec::new();
        for family in [AF_INET, AF_INET6] {
            let mut request = Writer::message(RTM_GETROUTE, flags::DUMP);
            request.raw(&[family, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            all.extend(self.collect(request, "list routes", |payload| {
                Ok(read_route(payload)?.filter(|route| route.table == table))
            })?);
        }
        Ok(all)
    }

    /// Adds a route, or puts it in place of the one with the same destination, metric and table.
    pub fn replace_route(&self, route: &Route) -> Result<(), Error> {
        let mut request = Writer::message(RTM_NEWROUTE, flags::CREATE | flags::REPLACE);
        write_route(&mut request, route);
        self.acknowledge(request, || format!("set route to {}", route.destination))
    }

    /// Deletes the route with this destination (and gateway, interface, metric where given); returns whether it was
    /// there.
    pub fn delete_route(&self, route: &Route) -> Result<bool, Error> {
        let mut request = Writer::message(RTM_DELROUTE, 0);
        write_route(&mut request, route);
        match self.acknowledge(request, || format!("delete route to {}", route.destination)) {
            Ok(()) => Ok(true),
            Err(e) if e.is_not_found() => Ok(false),
            Err(e) => Err(e),
        }
    }
}

fn write_route(w: &mut Writer, route: &Route) {
    let net = route.destination.trunc();
    let kind = match route.kind {
        RouteKind::Unicast => 1,
        RouteKind::Local => 2,
        RouteKind::Blackhole => 6,
        RouteKind::Unreachable => 7,
        RouteKind::Other(kind) => kind,
    };
    let scope = match route.scope {
        RouteScope::Universe => 0,
        RouteScope::Link => 253,
        RouteScope::Host => 254,
    };
    // Tables above 255 are named by the attribute alone.
    let table = u8::try_from(route.table).unwrap_or(0);
    w.raw(&[family(net.addr()), net.prefix_len(), 0, 0, table, route.protocol, scope, kind]);
    w.raw(&if route.on_link { RTNH_F_ONLINK } else { 0 }.to_ne_bytes());
    w.u32(RTA_TABLE, route.table);
    if net.prefix_len() > 0 {
        w.bytes(RTA_DST, &octets(net.addr()));
    }
    if let Some(gateway) = route.gateway {
        w.bytes(RTA_GATEWAY, &octets(gateway));
    }
    if let Some(link) = route.link {
        w.u32(RTA_OIF, link);
    }
    if let Some(source) = route.preferred_source {
        w.bytes(RTA_PREFSRC, &octets(source));
    }
    if let Some(metric) = route.metric {
        w.u32(RTA_PRIORITY, metric);
    }
    if let Some(mtu) = route.mtu {
        w.nest(RTA_METRICS, |w| {
            w.u32(RTAX_MTU, mtu);
        });
    }
}

/// Reads a route; nothing for kinds that no address describes (multicast, cloned cache entries).
fn read_route(payload: &[u8]) -> Result<Option<Route>, Error> {
    let (head, attributes) = split(payload, RTMSG_BYTES)?;
    let any = match head[0] {
        AF_INET => IpAddr::from([0; 4]),
        AF_INET6 => IpAddr::from([0; 16]),
        _ => return Ok(None),
    };
    let destination =
        attributes.get(RTA_DST).map_or(Some(any), read_ip).ok_or(Error::Malformed("route destination"))?;
    let kind = match head[7] {
        1 => RouteKind::Unicast,
        2 => RouteKind::Local,
        6 => RouteKind::Blackhole,
        7 => RouteKind::Unreachable,
        other => RouteKind::Other(other),
    };
    let scope = match head[6] {
        253 => RouteScope::Link,
        254 => RouteScope::Host,
        _ => RouteScope::Universe,
    };
    Ok(Some(Route {
        destination: IpNet::new(destination, head[1]).map_err(|_| Error::Malformed("route prefix length"))?,
        gateway: attributes.get(RTA_GATEWAY).and_then(read_ip),
        link: attributes.u32(RTA_OIF),
        preferred_source: attributes.get(RTA_PREFSRC).and_then(read_ip),
        metric: attributes.u32(RTA_PRIORITY),
        mtu: attributes.nested(RTA_METRICS)?.and_then(|m: Attributes<'_>| m.u32(RTAX_MTU)),
        table: attributes.u32(RTA_TABLE).unwrap_or_else(|| u32::from(head[4])),
        protocol: head[5],
        kind,
        scope,
        on_link: u32_at(head, 8) & RTNH_F_ONLINK != 0,
    }))
}
