//! Rules of host ports, DNS, host aliases and hostnames.

use corten_api::core::v1::PodSpec;
use corten_apimachinery::{
    field::{ErrorList, Path},
    validation::{is_dns1123_subdomain, is_dns1123_subdomain_with_underscore},
};

use super::Options;
use crate::{
    older_addresses::OlderAddresses,
    report::Report,
    view::{each, each_of, list, text, texts},
};

/// What the C library's resolver takes.
const NAME_SERVERS_MAX: usize = 3;
const SEARCH_PATHS_MAX: usize = 32;
const SEARCH_LIST_MAX_CHARS: usize = 2_048;
/// What the kernel takes as a host name.
const HOSTNAME_MAX_BYTES: usize = 64;

/// In the host's network a container's port is the host's.
pub(super) fn host_ports(spec: &PodSpec, path: &Path, options: &Options<'_>, errors: &mut ErrorList) {
    if spec.host_network != Some(true) {
        return;
    }
    for (at, container) in each_of(&spec.containers, &path.child("containers")) {
        for (at, port) in each(&container.ports, &at.child("ports")) {
            let host_port = port.host_port.unwrap_or_default();
            if (options.is_pod || host_port != 0) && host_port != port.container_port {
                let detail = "must match `containerPort` when `hostNetwork` is true";
                errors.invalid(&at.child("hostPort"), host_port, detail);
            }
        }
    }
}

pub(super) fn dns_config(spec: &PodSpec, path: &Path, older: &OlderAddresses<'_>, errors: &mut ErrorList) {
    let config = spec.dns_config.as_ref();
    let servers = config.map(|config| list(&config.nameservers)).unwrap_or_default();
    if spec.dns_policy.as_deref() == Some("None") {
        if config.is_none() {
            errors.required(path, "must provide `dnsConfig` when `dnsPolicy` is None");
            return;
        }
        if servers.is_empty() {
            let detail = "must provide at least one DNS nameserver when `dnsPolicy` is None";
            errors.required(&path.child("nameservers"), detail);
            return;
        }
    }
    let Some(config) = config else { return };
    let at = path.child("nameservers");
    if servers.len() > NAME_SERVERS_MAX {
        errors.invalid(&at, texts(servers), format!("must not have more than {NAME_SERVERS_MAX} nameservers"));
    }
    for (at, server) in each_of(servers, &at) {
        errors.extend(older.ip(&at, server));
    }
    let (at, searches) = (path.child("searches"), list(&config.searches));
    if searches.len() > SEARCH_PATHS_MAX {
        errors.invalid(&at, texts(searches), format!("must not have more than {SEARCH_PATHS_MAX} search paths"));
    }
    if searches.join(" ").len() > SEARCH_LIST_MAX_CHARS {
        let detail =
            format!("must not have more than {SEARCH_LIST_MAX_CHARS} characters (including spaces) in the search list");
        errors.invalid(&at, texts(searches), detail);
    }
    for (at, search) in each_of(searches, &at).filter(|(_, search)| *search != ".") {
        let search = search.strip_suffix('.').unwrap_or(search);
        errors.invalids(&at, search, is_dns1123_subdomain_with_underscore(search));
    }
    for (at, option) in each(&config.options, &path.child("options")) {
        if text(&option.name).is_empty() {
            errors.required(&at, "must not be empty");
        }
    }
}

pub(super) fn host_aliases(spec: &PodSpec, path: &Path, older: &OlderAddresses<'_>, errors: &mut ErrorList) {
    for (at, alias) in each(&spec.host_aliases, path) {
        errors.extend(older.ip(&at.child("ip"), &alias.ip));
        for (at, name) in each(&alias.hostnames, &at.child("hostnames")) {
            errors.invalids(&at, name, is_dns1123_subdomain(name));
        }
    }
}

pub(super) fn hostname_override(spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    let Some(name) = spec.hostname_override.as_deref() else { return };
    if spec.set_hostname_as_fqdn == Some(true) {
        errors.forbidden(path, "may not be specified when setHostnameAsFQDN is true");
    }
    if spec.host_network == Some(true) {
        errors.forbidden(path, "may not be specified when hostNetwork is true");
    }
    if name.len() > HOSTNAME_MAX_BYTES {
        errors.push(corten_apimachinery::field::Error::too_long(path, HOSTNAME_MAX_BYTES));
    }
    errors.invalids(path, name, is_dns1123_subdomain(name));
}
