//! Addresses and networks. "Sloppy" forms with leading zeros are taken, as upstream still does, with a warning.
//!
//! Upstream: k8s.io/apimachinery/pkg/util/validation/ip.go and k8s.io/utils/net (v1.35).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{
    field::{Error, ErrorList, Path, quote},
    value::Value,
};

/// Parses an address; octets of IPv4 may have leading zeros and are decimal anyway. IPv4 in IPv6 counts as IPv4.
#[must_use]
pub fn parse_ip_sloppy(text: &str) -> Option<IpAddr> {
    if text.contains(':') {
        // Only the last 32 bits can be in dotted form, so a sloppy one is made strict first.
        let strict = match text.rsplit_once(':') {
            Some((head, tail)) if tail.contains('.') => format!("{head}:{}", parse_ipv4_sloppy(tail)?),
            _ => text.to_owned(),
        };
        let address: Ipv6Addr = strict.parse().ok()?;
        return Some(address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4));
    }
    parse_ipv4_sloppy(text).map(IpAddr::V4)
}

fn parse_ipv4_sloppy(text: &str) -> Option<Ipv4Addr> {
    let mut octets = [0_u8; 4];
    let mut parts = text.split('.');
    for octet in &mut octets {
        let part = parts.next()?;
        if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *octet = part.parse().ok()?;
    }
    parts.next().is_none().then(|| octets.into())
}

/// Parses `address/prefix length` into the address as written and the length of its prefix.
#[must_use]
pub fn parse_cidr_sloppy(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = text.split_once('/')?;
    if length.is_empty() || !length.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (address_ip, length) = (parse_ip_sloppy(address)?, length.parse::<u8>().ok()?);
    match (address_ip, address.contains(':')) {
        (IpAddr::V4(_), false) if length <= 32 => Some((address_ip, length)),
        (IpAddr::V4(_), true) if (96..=128).contains(&length) => Some((address_ip, length - 96)),
        (IpAddr::V6(_), _) if length <= 128 => Some((address_ip, length)),
        _ => None,
    }
}

/// The first address of a network.
pub(super) fn network(address: IpAddr, length: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask))
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
        }
    }
}

/// Any address.
#[must_use]
pub fn validate_ip(path: &Path, text: &str) -> ErrorList {
    check(path, text, parse_ip_sloppy(text).is_some(), "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")
}

/// An address of IPv4.
#[must_use]
pub fn validate_ipv4(path: &Path, text: &str) -> ErrorList {
    let ok = matches!(parse_ip_sloppy(text), Some(IpAddr::V4(_)));
    check(path, text, ok, "must be a valid IPv4 address")
}

/// A network.
#[must_use]
pub fn validate_cidr(path: &Path, text: &str) -> ErrorList {
    let ok = parse_cidr_sloppy(text).is_some();
    check(path, text, ok, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)")
}

fn check(path: &Path, text: &str, ok: bool, detail: &str) -> ErrorList {
    if ok { ErrorList::new() } else { Error::invalid(path, Value::from(text), detail).into() }
}

/// Advice about an address that is valid but not in the form it should have.
#[must_use]
pub fn ip_warnings(path: &Path, text: &str) -> Vec<String> {
    let Some(address) = parse_ip_sloppy(text) else { return Vec::new() };
    match text.parse::<IpAddr>() {
        Ok(strict) if strict == address && (strict.is_ipv4() || strict.to_string() == text) => Vec::new(),
        Ok(strict) if strict == address => {
            vec![format!(
                "{path}: IPv6 address {} should be in RFC 5952 canonical format ({})",
                quote(text),
                quote(&strict.to_string())
            )]
        }
        _ => vec![format!(
            "{path}: non-standard IP address {} will be considered invalid in a future Kubernetes release: use {}",
            quote(text),
            quote(&address.to_string())
        )],
    }
}

/// Advice about a network that is valid but not in the form it should have.
#[must_use]
pub fn cidr_warnings(path: &Path, text: &str) -> Vec<String> {
    let Some((address, length)) = parse_cidr_sloppy(text) else { return Vec::new() };
    let base = network(address, length);
    let mut warnings = Vec::new();
    if base != address {
        let whole = if address.is_ipv4() { 32 } else { 128 };
        warnings.push(format!(
            "{path}: CIDR value {} is ambiguous in this context (should be {} or {}?)",
            quote(text),
            quote(&format!("{base}/{length}")),
            quote(&format!("{address}/{whole}"))
        ));
    }
    let strict = text.split_once('/').and_then(|(address, digits)| {
        let has_leading_zero = digits.len() > 1 && digits.starts_with('0');
        address.parse::<IpAddr>().ok().filter(|_| !has_leading_zero)
    });
    if strict != Some(address) {
        warnings.push(format!(
            "{path}: non-standard CIDR value {} will be considered invalid in a future Kubernetes release: use {}",
            quote(text),
            quote(&format!("{base}/{length}"))
        ));
    }
    let canonical = format!("{address}/{length}");
    if warnings.is_empty() && address.is_ipv6() && canonical != text {
        warnings.push(format!(
            "{path}: IPv6 CIDR value {} should be in RFC 5952 canonical format ({})",
            quote(text),
            quote(&canonical)
        ));
    }
    warnings
}
