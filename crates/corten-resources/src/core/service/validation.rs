//! Rules of services.

use std::net::IpAddr;

use corten_api::core::v1::{Service, ServicePort, ServiceSpec};
use corten_apimachinery::{
    Features, Value,
    field::{Error, ErrorList, Path},
    meta::ObjectMeta,
    validation::{is_dns1123_label, is_dns1123_subdomain, is_label_value, is_qualified_name, parse_ip_sloppy},
};

use super::allocation::{is_externally_accessible, needs_health_check_node_port};
use crate::{
    core::pod_spec::validation::port_number_or_name,
    internal_form,
    older_addresses::OlderAddresses,
    report::{Report, with_view},
    view::{Seen, each, each_of, list, or_default, text, texts},
};

/// One day.
const AFFINITY_MAX_SECONDS: i32 = 86_400;
const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];
const TYPES: &[&str] = &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
const SOURCE_RANGES: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";
const ONLY_LOAD_BALANCER: &str = "may only be used when `type` is 'LoadBalancer'";

fn is_headless(spec: &ServiceSpec) -> bool {
    list(&spec.cluster_ips) == ["None"]
}

/// Every rule that a service breaks. What `old` has of addresses and networks may stay.
pub(super) fn service(features: &Features, service: &Value, old: Option<&Value>) -> ErrorList {
    let older = OlderAddresses::new(features);
    let known = |field| older.knowing(old.into_iter().flat_map(move |old| in_spec(old, field)));
    with_view(&readable(service), |view: &Service, errors| {
        topology_annotations(service, errors);
        let spec = or_default(&view.spec);
        by_type(&spec, errors);
        ports(&spec, errors);
        let path = Path::new("spec");
        for (key, value) in spec.selector.iter().flatten() {
            errors.invalids(&path.child("selector"), key, is_qualified_name(key));
            errors.invalids(&path.child("selector"), value, is_label_value(value));
        }
        affinity(&spec, &path, errors);
        cluster_ips(&spec, &path, &known("clusterIPs"), errors);
        let external = known("externalIPs");
        for (at, ip) in each(&spec.external_ips, &path.child("externalIPs")) {
            let bad = external.ip(&at, ip);
            if bad.is_empty() { non_special_ip(ip, &at, errors) } else { errors.extend(bad) }
        }
        errors.require_one_of(&path.child("type"), text(&spec.type_), TYPES);
        unique_ports(&spec, &path.child("ports"), errors);
        source_ranges(service, &spec, (old, &known("loadBalancerSourceRanges")), errors);
        load_balancer(&spec, &path, errors);
        traffic(service, &spec, &path, errors);
    })
}

fn topology_annotations(service: &Value, errors: &mut ErrorList) {
    const MODE: &str = "service.kubernetes.io/topology-mode";
    const HINTS: &str = "service.kubernetes.io/topology-aware-hints";
    if let (Some(mode), Some(hints)) = (service.annotation(MODE), service.annotation(HINTS))
        && mode != hints
    {
        let path = Path::new("metadata").child("annotations").key(MODE);
        errors.invalid(&path, mode, format!("must match annotations[{HINTS}] when both are specified"));
    }
}

fn by_type(spec: &ServiceSpec, errors: &mut ErrorList) {
    let path = Path::new("spec");
    let ty = text(&spec.type_);
    if list(&spec.ports).is_empty() && !is_headless(spec) && ty != "ExternalName" {
        errors.required(&path.child("ports"), "");
    }
    match ty {
        "LoadBalancer" | "NodePort" if is_headless(spec) => {
            let detail = format!("may not be set to 'None' for {ty} services");
            errors.invalid(&path.child("clusterIPs").index(0), "None", detail);
        }
        "ExternalName" => {
            for (field, is_set) in [
                ("clusterIPs", !list(&spec.cluster_ips).is_empty()),
                ("ipFamilies", !list(&spec.ip_families).is_empty()),
                ("ipFamilyPolicy", spec.ip_family_policy.is_some()),
            ] {
                if is_set {
                    errors.forbidden(&path.child(field), "may not be set for ExternalName services");
                }
            }
            let name = text(&spec.external_name);
            let name = name.strip_suffix('.').unwrap_or(name);
            if errors.require(&path.child("externalName"), name) {
                errors.invalids(&path.child("externalName"), name, is_dns1123_subdomain(name));
            }
        }
        _ => {}
    }
}

fn ports(spec: &ServiceSpec, errors: &mut ErrorList) {
    let ports: &[ServicePort] = list(&spec.ports);
    let mut names = Seen::default();
    for (at, port) in each_of(ports, &Path::new("spec").child("ports")) {
        let name = text(&port.name);
        if name.is_empty() {
            if ports.len() > 1 {
                errors.required(&at.child("name"), "");
            }
        } else {
            errors.invalids(&at.child("name"), name, is_dns1123_label(name));
            if !names.is_new(name) {
                errors.push(Error::duplicate(&at.child("name"), name));
            }
        }
        errors.port(&at.child("port"), port.port.into());
        errors.require_one_of(&at.child("protocol"), text(&port.protocol), PROTOCOLS);
        if let Some(target) = &port.target_port {
            port_number_or_name(target, &at.child("targetPort"), errors);
        }
        if let Some(protocol) = &port.app_protocol {
            errors.invalids(&at.child("appProtocol"), protocol, is_qualified_name(protocol));
        }
    }
}

fn affinity(spec: &ServiceSpec, path: &Path, errors: &mut ErrorList) {
    let affinity = text(&spec.session_affinity);
    errors.require_one_of(&path.child("sessionAffinity"), affinity, &["ClientIP", "None"]);
    let at = path.child("sessionAffinityConfig");
    let config = spec.session_affinity_config.as_ref();
    if affinity == "None" && config.is_some() {
        errors.forbidden(&at, "must not be set when session affinity is None");
    }
    if affinity != "ClientIP" {
        return;
    }
    let detail = "when session affinity type is ClientIP";
    match config.map(|config| config.client_ip.as_ref()) {
        None => errors.required(&at, detail),
        Some(None) => errors.required(&at.child("clientIP"), detail),
        Some(Some(client)) => {
            let at = at.child("clientIP").child("timeoutSeconds");
            match client.timeout_seconds {
                None => errors.required(&at, detail),
                Some(seconds) if !(1..=AFFINITY_MAX_SECONDS).contains(&seconds) => {
                    let detail = format!("must be greater than 0 and less than {AFFINITY_MAX_SECONDS}");
                    errors.invalid(&at, seconds, detail);
                }
                Some(_) => {}
            }
        }
    }
}

/// The rules of addresses alone, for what was looked at as a whole already: in which form they are is no question here.
pub(super) fn cluster_ip_fields(service: &Value) -> ErrorList {
    with_view(&readable(service), |view: &Service, errors| {
        cluster_ips(&or_default(&view.spec), &Path::new("spec"), &OlderAddresses::in_any_form(), errors);
    })
}

fn cluster_ips(spec: &ServiceSpec, path: &Path, older: &OlderAddresses<'_>, errors: &mut ErrorList) {
    if spec.type_.as_deref() == Some("ExternalName") {
        return;
    }
    let (ip, ips, families) = (text(&spec.cluster_ip), list(&spec.cluster_ips), list(&spec.ip_families));
    let at = path.child("clusterIPs");
    match (ip.is_empty(), ips.first()) {
        (false, None) => errors.required(&at, ""),
        (false, Some(first)) if first != ip => {
            errors.invalid(&at, texts(ips), "first value must match `clusterIP`");
        }
        (true, Some(_)) => errors.invalid(&at, texts(ips), "must be empty when `clusterIP` is not specified"),
        _ => {}
    }
    let mut seen = Seen::default();
    for (at, family) in each_of(families, &path.child("ipFamilies")) {
        errors.one_of(&at, family, &["IPv4", "IPv6"]);
        if !seen.is_new(family) {
            errors.push(Error::duplicate(&at, family.as_str()));
        }
    }
    if let Some(policy) = &spec.ip_family_policy {
        let policies = &["PreferDualStack", "RequireDualStack", "SingleStack"];
        errors.one_of(&path.child("ipFamilyPolicy"), policy, policies);
    }
    let mut is_bad = false;
    for (index, ip) in ips.iter().enumerate() {
        if index == 0 && ip == "None" {
            if ips.len() > 1 {
                is_bad = true;
                errors.invalid(&at, texts(ips), "'None' must be the first and only value");
            }
            continue;
        }
        let bad = older.ip(&at.index(index), ip);
        is_bad |= !bad.is_empty();
        errors.extend(bad);
    }
    if ips.len() > 2 {
        errors.invalid(&at, texts(ips), "may only hold up to 2 values");
    }
    if is_bad {
        return;
    }
    let is_v6 = |ip: &str| matches!(parse_ip_sloppy(ip), Some(IpAddr::V6(_)));
    if ips.len() > 1 && ips.iter().all(|ip| is_v6(ip) == is_v6(&ips[0])) {
        errors.invalid(&at, texts(ips), "may specify no more than one IP for each IP family");
    }
    if is_headless(spec) {
        return;
    }
    for (index, (ip, family)) in ips.iter().zip(families).enumerate() {
        if (family == "IPv4" && is_v6(ip)) || (family == "IPv6" && !is_v6(ip)) {
            let detail = format!("expected an {family} value as indicated by `ipFamilies[{index}]`");
            errors.invalid(&at.index(index), ip.as_str(), detail);
        }
    }
}

/// An address that traffic can be sent to from anywhere.
pub(crate) fn non_special_ip(ip: &str, path: &Path, errors: &mut ErrorList) {
    let Some(address) = parse_ip_sloppy(ip) else {
        errors.invalid(path, ip, "must be a valid IP address");
        return;
    };
    let (local_unicast, local_multicast) = match address {
        IpAddr::V4(v4) => (v4.is_link_local(), matches!(v4.octets(), [224, 0, 0, _])),
        IpAddr::V6(v6) => (v6.segments()[0] & 0xffc0 == 0xfe80, v6.segments()[0] & 0xff0f == 0xff02),
    };
    if address.is_unspecified() {
        errors.invalid(path, ip, format!("may not be unspecified ({ip})"));
    }
    if address.is_loopback() {
        errors.invalid(path, ip, "may not be in the loopback range (127.0.0.0/8, ::1/128)");
    }
    if local_unicast {
        errors.invalid(path, ip, "may not be in the link-local range (169.254.0.0/16, fe80::/10)");
    }
    if local_multicast {
        errors.invalid(path, ip, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)");
    }
}

fn unique_ports(spec: &ServiceSpec, path: &Path, errors: &mut ErrorList) {
    let (mut node_ports, mut ports) = (Seen::default(), Seen::default());
    let node_port = |port: &ServicePort| port.node_port.filter(|port| *port != 0);
    if text(&spec.type_) == "ClusterIP" {
        for (at, _) in each(&spec.ports, path).filter(|(_, port)| node_port(port).is_some()) {
            errors.forbidden(&at.child("nodePort"), "may not be used when `type` is 'ClusterIP'");
        }
    }
    for (at, port) in each(&spec.ports, path) {
        let Some(number) = node_port(port) else { continue };
        if !node_ports.is_new(format!("{}/{number}", text(&port.protocol))) {
            errors.push(Error::duplicate(&at.child("nodePort"), number));
        }
    }
    for (at, port) in each(&spec.ports, path) {
        if !ports.is_new(format!("{}/{}", text(&port.protocol), port.port)) {
            // What they have in common, as a port of its own.
            let key = ServicePort { port: port.port, protocol: port.protocol.clone(), ..ServicePort::default() };
            let shown = || internal_form::core_view("ServicePort", &key);
            errors.push_with(|| Error::duplicate(&at, Value::Null).showing(shown()));
        }
    }
}

/// The texts of a list in the spec, without the blanks that networks may have around them.
fn in_spec<'v>(service: &'v Value, field: &str) -> impl Iterator<Item = &'v str> {
    service.items_at(&["spec", field]).iter().filter_map(Value::as_str).map(str::trim)
}

/// Who may use a load balancer, by field or annotation. `older` knows what the `old` service has in the field.
fn source_ranges(
    service: &Value,
    spec: &ServiceSpec,
    (old, older): (Option<&Value>, &OlderAddresses<'_>),
    errors: &mut ErrorList,
) {
    let is_load_balancer = text(&spec.type_) == "LoadBalancer";
    let ranges = list(&spec.load_balancer_source_ranges);
    if !ranges.is_empty() {
        let at = Path::new("spec").child("LoadBalancerSourceRanges");
        if !is_load_balancer {
            errors.forbidden(&at, ONLY_LOAD_BALANCER);
        }
        for (at, range) in each_of(ranges, &at) {
            errors.extend(older.cidr(&at, range.trim()));
        }
    } else if let Some(value) = service.annotation(SOURCE_RANGES) {
        let at = Path::new("metadata").child("annotations").key(SOURCE_RANGES);
        if !is_load_balancer {
            errors.forbidden(&at, ONLY_LOAD_BALANCER);
        }
        if old.is_some_and(|old| old.annotation(SOURCE_RANGES) == Some(value)) {
            return;
        }
        let (value, older) = (value.trim(), older.knowing(std::iter::empty()));
        for range in value.split(',').filter(|_| !value.is_empty()) {
            errors.extend(older.cidr(&at, range.trim()));
        }
    }
}

fn load_balancer(spec: &ServiceSpec, path: &Path, errors: &mut ErrorList) {
    let is_load_balancer = text(&spec.type_) == "LoadBalancer";
    match spec.allocate_load_balancer_node_ports {
        Some(_) if !is_load_balancer => {
            errors.forbidden(&path.child("allocateLoadBalancerNodePorts"), ONLY_LOAD_BALANCER);
        }
        None if is_load_balancer => errors.required(&Path::new("allocateLoadBalancerNodePorts"), ""),
        _ => {}
    }
    if let Some(class) = &spec.load_balancer_class {
        let at = path.child("loadBalancerClass");
        if is_load_balancer {
            errors.invalids(&at, class, is_qualified_name(class));
        } else {
            errors.forbidden(&at, ONLY_LOAD_BALANCER);
        }
    }
}

fn traffic(service: &Value, spec: &ServiceSpec, path: &Path, errors: &mut ErrorList) {
    let (at, policy) = (path.child("externalTrafficPolicy"), text(&spec.external_traffic_policy));
    if is_externally_accessible(service) {
        errors.require_one_of(&at, policy, &["Cluster", "Local"]);
    } else if !policy.is_empty() {
        errors.invalid(&at, policy, "may only be set for externally-accessible services");
    }
    let (at, port) = (path.child("healthCheckNodePort"), spec.health_check_node_port.unwrap_or_default());
    match (needs_health_check_node_port(service), port) {
        (false, 0) => {}
        (false, port) => {
            let detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
            errors.invalid(&at, port, detail);
        }
        (true, 0) => errors.required(&at, ""),
        (true, port) => errors.port(&at, port.into()),
    }
    let at = path.child("internalTrafficPolicy");
    match spec.internal_traffic_policy.as_deref() {
        None if text(&spec.type_) != "ExternalName" && TYPES.contains(&text(&spec.type_)) => errors.required(&at, ""),
        None => {}
        Some(policy) => errors.one_of(&at, policy, &["Cluster", "Local"]),
    }
    if let Some(distribution) = &spec.traffic_distribution {
        let known = &["PreferClose", "PreferSameNode", "PreferSameZone"];
        errors.one_of(&path.child("trafficDistribution"), distribution, known);
    }
}

/// A service without its conditions: upstream has no rules for them, and takes those without a time, which structs do not.
fn readable(service: &Value) -> Value {
    let mut readable = service.clone();
    readable.unset(&["status", "conditions"]);
    readable
}

pub(super) fn status(features: &Features, service: &Value, old: &Value) -> ErrorList {
    let points = old.items_at(&["status", "loadBalancer", "ingress"]).iter();
    let older = OlderAddresses::new(features).knowing(points.filter_map(|point| point.str_at(&["ip"])));
    with_view(&readable(service), |view: &Service, errors| {
        let path = Path::new("status").child("loadBalancer").child("ingress");
        let ingress = view.status.as_ref().and_then(|status| status.load_balancer.as_ref());
        let ingress = ingress.map(|balancer| list(&balancer.ingress)).unwrap_or_default();
        let ty = view.spec.as_ref().map(|spec| text(&spec.type_)).unwrap_or_default();
        if ty != "LoadBalancer" && !ingress.is_empty() {
            errors.forbidden(&path, "may only be used when `spec.type` is 'LoadBalancer'");
            return;
        }
        for (at, ingress) in each_of(ingress, &path) {
            let ip = text(&ingress.ip);
            if !ip.is_empty() {
                errors.extend(older.ip(&at.child("ip"), ip));
            }
            let mode_at = at.child("ipMode");
            match (ingress.ip_mode.as_deref(), ip.is_empty()) {
                (None, false) => errors.required(&mode_at, "must be specified when `ip` is set"),
                (Some(_), true) => errors.forbidden(&mode_at, "may not be specified when `ip` is not set"),
                (Some(mode), false) => errors.one_of(&mode_at, mode, &["Proxy", "VIP"]),
                (None, true) => {}
            }
            let (at, name) = (at.child("hostname"), text(&ingress.hostname));
            if !name.is_empty() {
                errors.invalids(&at, name, is_dns1123_subdomain(name));
                if parse_ip_sloppy(name).is_some() {
                    errors.invalid(&at, name, "must be a DNS name, not an IP address");
                }
            }
        }
    })
}
