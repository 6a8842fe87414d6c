//! Rules of ingresses. What was wrong before a rule came may stay in an update.

use std::collections::BTreeSet;

use corten_apimachinery::{
    Features, Value,
    field::{ErrorList, Path},
    meta::ObjectMeta as _,
    validation::{
        is_dns1035_label, is_dns1123_label, is_dns1123_subdomain, is_path_segment_name, is_port_name,
        is_wildcard_dns1123_subdomain, parse_ip_sloppy, validate_ip_form,
    },
};

use crate::report::Report;

/// How the class was said before it had a field.
pub(super) const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";

const PATH_TYPES: &[&str] = &["Exact", "ImplementationSpecific", "Prefix"];
const NO_IP: &str = "must be a DNS name, not an IP address";
const BAD_IN_PATHS: &[&str] = &["//", "/./", "/../", "%2f", "%2F"];
const BAD_AT_ENDS: &[&str] = &["/..", "/."];

/// What is taken that a new object must not have.
#[derive(Debug, Clone, Copy, Default)]
struct Taken {
    bad_secret_name: bool,
    bad_wildcard_rule: bool,
    /// Names of services that are labels of RFC 1123 and not of RFC 1035: they begin with a digit.
    relaxed_service_name: bool,
}

impl Taken {
    fn with(features: &Features) -> Self {
        let relaxed_service_name = features.is_enabled("RelaxedServiceNameValidation");
        Self { relaxed_service_name, ..Self::default() }
    }

    /// What `old` has already.
    fn also_of(self, old: &Value) -> Self {
        let bad_secret_name = old.items_at(&["spec", "tls"]).iter().any(|tls| !secret_messages(tls).is_empty());
        let bad_wildcard_rule = old.items_at(&["spec", "rules"]).iter().any(|rule| {
            let mut errors = ErrorList::new();
            rule_value(rule, &Path::root(), Self::default(), &mut errors);
            text(rule, "host").contains('*') && !errors.is_empty()
        });
        let is_relaxed = |name: &str| is_dns1123_label(name).is_empty() && !is_dns1035_label(name).is_empty();
        let relaxed_service_name = self.relaxed_service_name || service_names(old).any(is_relaxed);
        Self { bad_secret_name, bad_wildcard_rule, relaxed_service_name }
    }
}

/// The services of all backends.
fn service_names(ingress: &Value) -> impl Iterator<Item = &str> {
    let paths = ingress.items_at(&["spec", "rules"]).iter().flat_map(|rule| rule.items_at(&["http", "paths"]));
    let backends =
        ingress.at(&["spec", "defaultBackend"]).into_iter().chain(paths.filter_map(|path| path.get("backend")));
    backends.filter_map(|backend| backend.str_at(&["service", "name"]))
}

fn text<'v>(object: &'v Value, field: &str) -> &'v str {
    object.str_at(&[field]).unwrap_or_default()
}

/// A field that is there and not null.
fn set<'v>(object: &'v Value, field: &str) -> Option<&'v Value> {
    object.get(field).filter(|value| !value.is_null())
}

pub(super) fn create(features: &Features, ingress: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    spec(ingress, Taken::with(features), &mut errors);
    let annotation = ingress.annotation(CLASS_ANNOTATION);
    if let (Some(said), Some(class)) = (annotation, ingress.str_at(&["spec", "ingressClassName"]))
        && said != class
    {
        let path = Path::new("annotations").child(CLASS_ANNOTATION);
        errors.invalid(&path, said, "must match `ingressClassName` when both are specified");
    }
    errors
}

pub(super) fn update(features: &Features, ingress: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    spec(ingress, Taken::with(features).also_of(old), &mut errors);
    errors
}

fn spec(ingress: &Value, taken: Taken, errors: &mut ErrorList) {
    let path = Path::new("spec");
    let (backend, rules) = (ingress.at(&["spec", "defaultBackend"]), ingress.items_at(&["spec", "rules"]));
    let backend = backend.filter(|backend| !backend.is_null());
    if rules.is_empty() && backend.is_none() {
        let shown = ingress.at(&["spec", "rules"]).cloned().unwrap_or_default();
        errors.invalid(&path, shown, "either `defaultBackend` or `rules` must be specified");
    }
    if let Some(backend) = backend {
        self::backend(backend, &path.child("defaultBackend"), taken, errors);
    }
    for (index, rule) in rules.iter().enumerate() {
        self::rule(rule, &path.child("rules").index(index), taken, errors);
    }
    for (index, tls) in ingress.items_at(&["spec", "tls"]).iter().enumerate() {
        self::tls(tls, &path.child("tls").index(index), taken, errors);
    }
    if let Some(class) = ingress.str_at(&["spec", "ingressClassName"]) {
        errors.object_name(&path.child("ingressClassName"), class);
    }
}

fn rule(rule: &Value, path: &Path, taken: Taken, errors: &mut ErrorList) {
    let (host, at) = (text(rule, "host"), path.child("host"));
    let is_wildcard = host.contains('*');
    if !host.is_empty() {
        if parse_ip_sloppy(host).is_some() {
            errors.invalid(&at, host, NO_IP);
        }
        self::host(host, &at, errors);
    }
    if !is_wildcard || !taken.bad_wildcard_rule {
        rule_value(rule, path, taken, errors);
    }
}

fn host(host: &str, path: &Path, errors: &mut ErrorList) {
    let rule = if host.contains('*') { is_wildcard_dns1123_subdomain } else { is_dns1123_subdomain };
    errors.invalids(path, host, rule(host));
}

fn rule_value(rule: &Value, path: &Path, taken: Taken, errors: &mut ErrorList) {
    let Some(http) = set(rule, "http") else { return };
    let (paths, at) = (http.items_at(&["paths"]), path.child("http").child("paths"));
    if paths.is_empty() {
        errors.required(&at, "");
    }
    for (index, path) in paths.iter().enumerate() {
        http_path(path, &at.index(index), taken, errors);
    }
}

fn http_path(http: &Value, path: &Path, taken: Taken, errors: &mut ErrorList) {
    let Some(ty) = set(http, "pathType").and_then(Value::as_str) else {
        errors.required(&path.child("pathType"), "pathType must be specified");
        return;
    };
    let (value, at) = (text(http, "path"), path.child("path"));
    let is_exact = matches!(ty, "Exact" | "Prefix");
    match ty {
        "Exact" | "Prefix" | "ImplementationSpecific" => {
            if !value.starts_with('/') && (is_exact || !value.is_empty()) {
                errors.invalid(&at, value, "must be an absolute path");
            }
        }
        _ => errors.one_of(&path.child("pathType"), ty, PATH_TYPES),
    }
    if is_exact {
        for bad in BAD_IN_PATHS.iter().filter(|bad| value.contains(**bad)) {
            errors.invalid(&at, value, format!("must not contain '{bad}'"));
        }
        for bad in BAD_AT_ENDS.iter().filter(|bad| value.ends_with(**bad)) {
            errors.invalid(&at, value, format!("cannot end with '{bad}'"));
        }
    }
    backend(http.get("backend").unwrap_or(&Value::Null), &path.child("backend"), taken, errors);
}

fn backend(backend: &Value, path: &Path, taken: Taken, errors: &mut ErrorList) {
    match (set(backend, "resource"), set(backend, "service")) {
        (Some(_), Some(_)) => errors.invalid(path, "", "cannot set both resource and service backends"),
        (Some(resource), None) => reference(resource, &path.child("resource"), errors),
        (None, Some(service)) => service_backend(service, path, taken, errors),
        (None, None) => errors.invalid(path, "", "resource or service backend is required"),
    }
}

fn service_backend(service: &Value, path: &Path, taken: Taken, errors: &mut ErrorList) {
    let at = path.child("service");
    let name = text(service, "name");
    if errors.require(&at.child("name"), name) {
        let rule = if taken.relaxed_service_name { is_dns1123_label } else { is_dns1035_label };
        errors.invalids(&at.child("name"), name, rule(name));
    }
    let (port_name, number) = (
        service.str_at(&["port", "name"]).unwrap_or_default(),
        service.i64_at(&["port", "number"]).unwrap_or_default(),
    );
    match (port_name.is_empty(), number) {
        (false, 0) => errors.invalids(&at.child("port").child("name"), port_name, is_port_name(port_name)),
        (false, _) => errors.invalid(path, "", "cannot set both port name & port number"),
        (true, 0) => errors.required(path, "port name or number is required"),
        (true, number) => errors.port(&at.child("port").child("number"), number),
    }
}

/// An object of any kind in the same namespace. Also of the parameters of classes.
pub(in crate::networking) fn reference(reference: &Value, path: &Path, errors: &mut ErrorList) {
    if let Some(group) = reference.str_at(&["apiGroup"]) {
        errors.invalids(&path.child("apiGroup"), group, is_dns1123_subdomain(group));
    }
    for field in ["kind", "name"] {
        let (at, value) = (path.child(field), text(reference, field));
        if value.is_empty() {
            errors.required(&at, &format!("{field} is required"));
        } else {
            errors.invalids(&at, value, is_path_segment_name(value));
        }
    }
}

fn secret_messages(tls: &Value) -> Vec<String> {
    let name = text(tls, "secretName");
    if name.is_empty() { Vec::new() } else { is_dns1123_subdomain(name) }
}

fn tls(tls: &Value, path: &Path, taken: Taken, errors: &mut ErrorList) {
    for (index, name) in tls.items_at(&["hosts"]).iter().enumerate() {
        host(name.as_str().unwrap_or_default(), &path.child("hosts").index(index), errors);
    }
    if !taken.bad_secret_name {
        errors.invalids(&path.child("secretName"), text(tls, "secretName"), secret_messages(tls));
    }
}

pub(super) fn status(features: &Features, ingress: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let points = ["status", "loadBalancer", "ingress"];
    let strict = features.is_enabled("StrictIPCIDRValidation");
    let known: BTreeSet<&str> = old.items_at(&points).iter().map(|point| text(point, "ip")).collect();
    for (index, point) in ingress.items_at(&points).iter().enumerate() {
        let path = Path::new("status").child("loadBalancer").child("ingress").index(index);
        let (ip, name) = (text(point, "ip"), text(point, "hostname"));
        if !ip.is_empty() && !known.contains(ip) {
            errors.extend(validate_ip_form(&path.child("ip"), ip, strict));
        }
        if !name.is_empty() {
            let at = path.child("hostname");
            errors.invalids(&at, name, is_dns1123_subdomain(name));
            if parse_ip_sloppy(name).is_some() {
                errors.invalid(&at, name, NO_IP);
            }
        }
    }
    errors
}
