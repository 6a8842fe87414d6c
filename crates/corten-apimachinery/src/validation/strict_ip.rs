//! Addresses and networks in the one form that newer fields take, and older fields where a gate asks for it.
//!
//! Upstream: k8s.io/apimachinery/pkg/util/validation/ip.go (v1.35).

use std::net::IpAddr;

use super::ip::{network, parse_cidr_sloppy, parse_ip_sloppy, validate_cidr, validate_ip};
use crate::field::{Error, ErrorList, Path, quote};

/// An address as it is written canonically: what fields since v1.27 take.
#[must_use]
pub fn validate_canonical_ip(path: &Path, text: &str) -> ErrorList {
    let errors = validate_ip_form(path, text, true);
    let Some(address) = parse_ip_sloppy(text).filter(|_| errors.is_empty()) else { return errors };
    canonical(path, text, &address.to_string())
}

/// A network as it is written canonically: what fields since v1.27 take.
#[must_use]
pub fn validate_canonical_cidr(path: &Path, text: &str) -> ErrorList {
    let errors = validate_cidr_form(path, text, true);
    let Some((address, length)) = parse_cidr_sloppy(text).filter(|_| errors.is_empty()) else { return errors };
    canonical(path, text, &format!("{}/{length}", network(address, length)))
}

fn canonical(path: &Path, text: &str, canonical: &str) -> ErrorList {
    if text == canonical {
        return ErrorList::new();
    }
    Error::invalid(path, text, format!("must be in canonical form ({})", quote(canonical))).into()
}

/// An address of an older field: `strict` refuses what programs read in different ways (`StrictIPCIDRValidation`).
#[must_use]
pub fn validate_ip_form(path: &Path, text: &str, strict: bool) -> ErrorList {
    let errors = validate_ip(path, text);
    if !errors.is_empty() || !strict {
        return errors;
    }
    match text.parse::<IpAddr>() {
        // It has been read, so only this can be in the way.
        Err(_) => Error::invalid(path, text, "must not have leading 0s").into(),
        Ok(address) if is_mapped(address) => {
            Error::invalid(path, text, "must not be an IPv4-mapped IPv6 address").into()
        }
        Ok(_) => errors,
    }
}

/// A network of an older field: `strict` refuses what programs read in different ways (`StrictIPCIDRValidation`).
#[must_use]
pub fn validate_cidr_form(path: &Path, text: &str, strict: bool) -> ErrorList {
    let errors = validate_cidr(path, text);
    let Some((address, length)) = parse_cidr_sloppy(text).filter(|_| strict) else { return errors };
    let (written, digits) = text.split_once('/').unwrap_or_default();
    let has_leading_zero = digits.len() > 1 && digits.starts_with('0');
    let detail = match written.parse::<IpAddr>() {
        Ok(written) if !has_leading_zero && is_mapped(written) => "must not have an IPv4-mapped IPv6 address",
        Ok(_) if !has_leading_zero && network(address, length) != address => {
            "must not have bits set beyond the prefix length"
        }
        Ok(_) if !has_leading_zero => return errors,
        _ => "must not have leading 0s in IP or prefix length",
    };
    Error::invalid(path, text, detail).into()
}

fn is_mapped(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some())
}

/// Whether network `inner` is a part of network `outer`, and smaller. Both are an address in them and a prefix length.
#[must_use]
pub fn is_smaller_part(inner: (IpAddr, u8), outer: (IpAddr, u8)) -> bool {
    inner.0.is_ipv4() == outer.0.is_ipv4()
        && inner.1 > outer.1
        && network(inner.0, outer.1) == network(outer.0, outer.1)
}
