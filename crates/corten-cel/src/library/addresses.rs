//! Addresses and networks.
//!
//! Upstream: k8s.io/apiserver/pkg/cel/library/{ip,cidr}.go, pkg/cel/{ip,cidr}.go (v1.35).

use std::{any::Any, net::IpAddr, sync::Arc};

use super::{Function, Library, Overload, costs, overload, wrong_types};
use crate::{
    error::EvalError,
    eval::Context,
    value::{Opaque, Value},
};

/// An address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ip(IpAddr);

impl Opaque for Ip {
    fn type_name(&self) -> &'static str {
        "net.IP"
    }

    fn equals(&self, other: &dyn Opaque) -> bool {
        other.downcast::<Self>() == Some(self)
    }

    fn size(&self) -> Option<u64> {
        Some(if self.0.is_ipv4() { 4 } else { 16 })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A network, with its address as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cidr {
    address: IpAddr,
    length: u8,
}

impl Cidr {
    /// With zeros behind the prefix.
    fn masked(self) -> Self {
        Self { address: masked(self.address, self.length), ..self }
    }
}

/// `address` with zeros behind `length` bits, which is at most what it has.
fn masked(address: IpAddr, length: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => IpAddr::V4((v4.to_bits() & u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0)).into()),
        IpAddr::V6(v6) => {
            IpAddr::V6((v6.to_bits() & u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0)).into())
        }
    }
}

impl Opaque for Cidr {
    fn type_name(&self) -> &'static str {
        "net.CIDR"
    }

    fn equals(&self, other: &dyn Opaque) -> bool {
        other.downcast::<Self>() == Some(self)
    }

    fn size(&self) -> Option<u64> {
        Some(u64::from(self.length).div_ceil(8))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Reads an address as upstream does: without zones, leading zeros, or IPv4 inside of IPv6.
fn parse_ip(text: &str) -> Result<IpAddr, EvalError> {
    if text.contains('%') {
        return Err(EvalError::failed(format!("IP address \"{text}\" with zone value is not allowed")));
    }
    let address: IpAddr = text.parse().map_err(|_| {
        EvalError::failed(format!(
            "IP Address \"{text}\" parse error during conversion from string: ParseAddr(\"{text}\"): unable to parse IP"
        ))
    })?;
    match address {
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => {
            Err(EvalError::failed(format!("IPv4-mapped IPv6 address \"{text}\" is not allowed")))
        }
        address => Ok(address),
    }
}

fn parse_cidr(text: &str) -> Result<Cidr, EvalError> {
    let wrong = || {
        EvalError::failed(format!(
            "network address parse error during conversion from string: netip.ParsePrefix(\"{text}\"): invalid prefix"
        ))
    };
    let (address, length) = text.rsplit_once('/').ok_or_else(wrong)?;
    let digits = length.bytes().all(|byte| byte.is_ascii_digit()) && (length == "0" || !length.starts_with('0'));
    let length: u8 = Some(length).filter(|_| digits).and_then(|length| length.parse().ok()).ok_or_else(wrong)?;
    let address = parse_ip(address).map_err(|_| wrong())?;
    if length > if address.is_ipv4() { 32 } else { 128 } {
        return Err(wrong());
    }
    Ok(Cidr { address, length })
}

fn opaque<'a>(value: impl Opaque) -> Value<'a> {
    Value::Opaque(Arc::new(value))
}

fn ip_of(value: &Value<'_>) -> Result<IpAddr, EvalError> {
    match value {
        Value::String(text) => parse_ip(text),
        Value::Opaque(opaque) => opaque.downcast::<Ip>().map(|ip| ip.0).ok_or_else(EvalError::no_such_overload),
        _ => Err(EvalError::no_such_overload()),
    }
}

fn cidr_of(value: &Value<'_>) -> Result<Cidr, EvalError> {
    match value {
        Value::String(text) => parse_cidr(text),
        Value::Opaque(opaque) => opaque.downcast::<Cidr>().copied().ok_or_else(EvalError::no_such_overload),
        _ => Err(EvalError::no_such_overload()),
    }
}

fn ip<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [text] = args else { return wrong_types() };
    ip_of(text).map(|address| opaque(Ip(address)))
}

fn is_ip<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [Value::String(text)] = args else { return wrong_types() };
    Ok(Value::Bool(parse_ip(text).is_ok()))
}

fn is_canonical<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [Value::String(text)] = args else { return wrong_types() };
    Ok(Value::Bool(parse_ip(text)?.to_string() == **text))
}

fn ip_text<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [value] = args else { return wrong_types() };
    Ok(Value::string(ip_of(value)?.to_string()))
}

fn family<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [value] = args else { return wrong_types() };
    Ok(Value::Int(if ip_of(value)?.is_ipv4() { 4 } else { 6 }))
}

fn is_link_local_multicast(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.octets()[..3] == [224, 0, 0],
        IpAddr::V6(v6) => v6.segments()[0] & 0xff0f == 0xff02,
    }
}

fn is_link_local_unicast(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

/// Private addresses count as global.
fn is_global_unicast(address: IpAddr) -> bool {
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    !(broadcast
        || address.is_unspecified()
        || address.is_loopback()
        || address.is_multicast()
        || is_link_local_unicast(address))
}

macro_rules! test_of_ip {
    ($name:ident, $test:expr) => {
        fn $name<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
            let [value] = args else { return wrong_types() };
            let test: fn(IpAddr) -> bool = $test;
            ip_of(value).map(|address| Value::Bool(test(address)))
        }
    };
}

test_of_ip!(unspecified, |address| address.is_unspecified());
test_of_ip!(loopback, |address| address.is_loopback());
test_of_ip!(link_local_multicast, is_link_local_multicast);
test_of_ip!(link_local_unicast, is_link_local_unicast);
test_of_ip!(global_unicast, is_global_unicast);

fn cidr<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [Value::String(text)] = args else { return wrong_types() };
    parse_cidr(text).map(opaque)
}

fn is_cidr<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [Value::String(text)] = args else { return wrong_types() };
    Ok(Value::Bool(parse_cidr(text).is_ok()))
}

fn cidr_text<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [value] = args else { return wrong_types() };
    let cidr = cidr_of(value)?;
    Ok(Value::string(format!("{}/{}", cidr.address, cidr.length)))
}

fn contains_ip<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [network, address] = args else { return wrong_types() };
    let (network, address) = (cidr_of(network)?, ip_of(address)?);
    let same_family = network.address.is_ipv4() == address.is_ipv4();
    Ok(Value::Bool(same_family && masked(address, network.length) == network.masked().address))
}

fn contains_cidr<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [network, other] = args else { return wrong_types() };
    let (network, other) = (cidr_of(network)?, cidr_of(other)?);
    let contained = network.address.is_ipv4() == other.address.is_ipv4()
        && network.length <= other.length
        && masked(other.address, network.length) == network.masked().address;
    Ok(Value::Bool(contained))
}

fn cidr_ip<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [network] = args else { return wrong_types() };
    cidr_of(network).map(|network| opaque(Ip(network.address)))
}

fn mask<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [network] = args else { return wrong_types() };
    cidr_of(network).map(|network| opaque(network.masked()))
}

fn prefix_length<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [network] = args else { return wrong_types() };
    cidr_of(network).map(|network| Value::Int(network.length.into()))
}

const fn unit(name: &'static str, overloads: &'static [Overload]) -> Function {
    Function { name, cost: &costs::UNIT, overloads }
}

const FUNCTIONS: &[Function] = &[
    Function {
        name: "ip",
        cost: &costs::IP,
        overloads: &[
            overload("string_to_ip", "(string): net.IP", ip),
            overload("cidr_ip", "net.CIDR.(): net.IP", cidr_ip),
        ],
    },
    Function { name: "isIP", cost: &costs::PARSE, overloads: &[overload("is_ip", "(string): bool", is_ip)] },
    Function {
        name: "ip.isCanonical",
        cost: &costs::CANONICAL,
        overloads: &[overload("ip_is_canonical", "(string): bool", is_canonical)],
    },
    Function {
        name: "string",
        cost: &costs::STANDARD,
        overloads: &[
            overload("ip_to_string", "(net.IP): string", ip_text),
            overload("cidr_to_string", "(net.CIDR): string", cidr_text),
        ],
    },
    unit("family", &[overload("ip_family", "net.IP.(): int", family)]),
    unit("isUnspecified", &[overload("ip_is_unspecified", "net.IP.(): bool", unspecified)]),
    unit("isLoopback", &[overload("ip_is_loopback", "net.IP.(): bool", loopback)]),
    unit("isLinkLocalMulticast", &[overload("ip_is_link_local_multicast", "net.IP.(): bool", link_local_multicast)]),
    unit("isLinkLocalUnicast", &[overload("ip_is_link_local_unicast", "net.IP.(): bool", link_local_unicast)]),
    unit("isGlobalUnicast", &[overload("ip_is_global_unicast", "net.IP.(): bool", global_unicast)]),
    Function {
        name: "cidr",
        cost: &costs::PARSE,
        overloads: &[overload("string_to_cidr", "(string): net.CIDR", cidr)],
    },
    Function { name: "isCIDR", cost: &costs::PARSE, overloads: &[overload("is_cidr", "(string): bool", is_cidr)] },
    Function {
        name: "containsIP",
        cost: &costs::CONTAINS_IP,
        overloads: &[
            overload("cidr_contains_ip_string", "net.CIDR.(string): bool", contains_ip),
            overload("cidr_contains_ip_ip", "net.CIDR.(net.IP): bool", contains_ip),
        ],
    },
    Function {
        name: "containsCIDR",
        cost: &costs::CONTAINS_CIDR,
        overloads: &[
            overload("cidr_contains_cidr_string", "net.CIDR.(string): bool", contains_cidr),
            overload("cidr_contains_cidr", "net.CIDR.(net.CIDR): bool", contains_cidr),
        ],
    },
    unit("masked", &[overload("cidr_masked", "net.CIDR.(): net.CIDR", mask)]),
    unit("prefixLength", &[overload("cidr_prefix_length", "net.CIDR.(): int", prefix_length)]),
];

pub(super) static LIBRARY: Library =
    Library { name: "kubernetes.net", types: &["net.IP", "net.CIDR"], functions: &[FUNCTIONS] };
