//! Rules of endpoint slices.

use corten_api::discovery::v1::{Endpoint, EndpointSlice};
use corten_apimachinery::{
    Features, Value,
    field::{Error, ErrorList, ErrorType, Path},
    validation::{
        is_dns1123_label, is_dns1123_subdomain, is_label_value, is_qualified_name, parse_ip_sloppy, validate_ipv4,
    },
    value::semantically_equal,
};

use crate::{
    core::service::non_special_ip,
    older_addresses::OlderAddresses,
    report::{Report, with_view},
    view::{Seen, each_of, list, text},
};

const ENDPOINTS_MAX: usize = 1_000;
const ADDRESSES_MAX: usize = 100;
const PORTS_MAX: usize = 20_000;
const TOPOLOGY_MAX: usize = 16;
const ZONE_HINTS_MAX: usize = 8;
const NODE_HINTS_MAX: usize = 8;

pub(super) fn create(features: &Features, slice: &Value) -> ErrorList {
    validate(features, slice, None)
}

fn validate(features: &Features, tree: &Value, old: Option<&Value>) -> ErrorList {
    with_view(tree, |slice: &EndpointSlice, errors| {
        errors.require_one_of(&Path::new("addressType"), &slice.address_type, &["FQDN", "IPv4", "IPv6"]);
        let mut of_endpoints = ErrorList::new();
        endpoints(slice, &OlderAddresses::new(features), &mut of_endpoints);
        // What was taken under other rules may stay as it is. Compared last: it is rarely needed, and takes long.
        let stays = |old: &Value| semantically_equal(tree.get("endpoints"), old.get("endpoints"));
        if !of_endpoints.is_empty() && !old.is_some_and(stays) {
            errors.extend(of_endpoints);
        }
        ports(slice, errors);
    })
}

fn endpoints(slice: &EndpointSlice, older: &OlderAddresses<'_>, errors: &mut ErrorList) {
    let path = Path::new("endpoints");
    if slice.endpoints.len() > ENDPOINTS_MAX {
        errors.push(Error::too_many(&path, slice.endpoints.len(), ENDPOINTS_MAX));
        return;
    }
    for (at, endpoint) in each_of(&slice.endpoints, &path) {
        let (addresses_at, count) = (at.child("addresses"), endpoint.addresses.len());
        if count == 0 {
            errors.required(&addresses_at, "must contain at least 1 address");
        } else if count > ADDRESSES_MAX {
            errors.push(Error::too_many(&addresses_at, count, ADDRESSES_MAX));
        }
        for (at, address) in each_of(&endpoint.addresses, &addresses_at) {
            one_address((&slice.address_type, address), &at, older, errors);
        }
        if let Some(name) = &endpoint.node_name {
            errors.object_name(&at.child("nodeName"), name);
        }
        topology(endpoint, &at, errors);
        if let Some(name) = &endpoint.hostname {
            errors.invalids(&at.child("hostname"), name, is_dns1123_label(name));
        }
        hints(endpoint, &at.child("hints"), errors);
    }
}

fn one_address((ty, address): (&str, &str), path: &Path, older: &OlderAddresses<'_>, errors: &mut ErrorList) {
    match ty {
        "IPv4" => {
            let bad = validate_ipv4(path, address);
            errors.extend(if bad.is_empty() { older.ip(path, address) } else { bad });
            non_special_ip(address, path, errors);
        }
        "IPv6" => {
            if parse_ip_sloppy(address).is_some_and(|ip| ip.is_ipv6()) {
                errors.extend(older.ip(path, address));
            } else {
                errors.invalid(path, address, "must be a valid IPv6 address");
            }
            non_special_ip(address, path, errors);
        }
        "FQDN" => domain_name(address, path, errors),
        _ => {}
    }
}

fn domain_name(name: &str, path: &Path, errors: &mut ErrorList) {
    if !errors.require(path, name) {
        return;
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    let messages = is_dns1123_subdomain(name);
    if !messages.is_empty() {
        errors.invalid(path, name, messages.join(","));
    } else if !name.contains('.') {
        errors.invalid(path, name, "should be a domain with at least two segments separated by dots");
    }
}

fn topology(endpoint: &Endpoint, path: &Path, errors: &mut ErrorList) {
    let path = path.child("deprecatedTopology");
    let Some(topology) = &endpoint.deprecated_topology else { return };
    if topology.len() > TOPOLOGY_MAX {
        errors.push(Error::too_many(&path, topology.len(), TOPOLOGY_MAX));
    }
    for (key, value) in topology {
        errors.invalids(&path, key, is_qualified_name(key));
        errors.invalids(&path, value, is_label_value(value));
    }
    // The zone has a field of its own.
    let zone = "topology.kubernetes.io/zone";
    if topology.contains_key(zone) {
        let detail = "reserved key was not removed in conversion".to_owned();
        let field = path.key(zone).to_string();
        errors.push(Error { kind: ErrorType::Internal, field, bad_value: None, detail });
    }
}

fn hints(endpoint: &Endpoint, path: &Path, errors: &mut ErrorList) {
    let Some(hints) = &endpoint.hints else { return };
    let zones: Vec<&str> = list(&hints.for_zones).iter().map(|zone| zone.name.as_str()).collect();
    let nodes: Vec<&str> = list(&hints.for_nodes).iter().map(|node| node.name.as_str()).collect();
    for (field, names, max) in [("forZones", zones, ZONE_HINTS_MAX), ("forNodes", nodes, NODE_HINTS_MAX)] {
        let path = path.child(field);
        if names.len() > max {
            errors.push(Error::too_many(&path, names.len(), max));
            continue;
        }
        let mut seen = Seen::default();
        for (index, name) in names.iter().enumerate() {
            let at = path.index(index).child("name");
            if !seen.is_new(*name) {
                errors.push(Error::duplicate(&at, *name));
            }
            let messages = if field == "forZones" { is_label_value(name) } else { is_dns1123_subdomain(name) };
            errors.invalids(&at, name, messages);
        }
    }
}

fn ports(slice: &EndpointSlice, errors: &mut ErrorList) {
    let (path, ports) = (Path::new("ports"), list(&slice.ports));
    if ports.len() > PORTS_MAX {
        errors.push(Error::too_many(&path, ports.len(), PORTS_MAX));
        return;
    }
    let mut names = Seen::default();
    for (at, port) in each_of(ports, &path) {
        let name = text(&port.name);
        if !name.is_empty() {
            errors.invalids(&at.child("name"), name, is_dns1123_label(name));
        }
        if !names.is_new(name) {
            errors.push(Error::duplicate(&at.child("name"), name));
        }
        errors.require_one_of(&at.child("protocol"), text(&port.protocol), &["SCTP", "TCP", "UDP"]);
        if let Some(number) = port.port {
            errors.port(&at.child("port"), number.into());
        }
        if let Some(protocol) = &port.app_protocol {
            errors.invalids(&at.child("appProtocol"), protocol, is_qualified_name(protocol));
        }
    }
}

pub(super) fn update(features: &Features, slice: &Value, old: &Value) -> ErrorList {
    let mut errors = validate(features, slice, Some(old));
    errors.immutable(&Path::new("addressType"), slice.get("addressType"), old.get("addressType"));
    errors
}
