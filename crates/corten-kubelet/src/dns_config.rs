//! The resolver configuration (`/etc/resolv.conf`) of a pod, from its `dnsPolicy`, its `dnsConfig` and the node's own file.
//!
//! Pure: the caller reads the node's file, hands in its text, and records the events that come back.
//! Options keep the order in which they were first named; upstream's order is that of a Go map, so any order is right.
//! Upstream: pkg/kubelet/network/dns/dns.go (v1.35).

mod resolv_conf;

use std::net::IpAddr;

pub use resolv_conf::{ParseError, ResolvConf};

/// The most nameservers that a pod gets: what resolver libraries read (validation.MaxDNSNameservers).
pub const MAX_NAMESERVERS: usize = 3;
/// The most search domains that a pod gets (validation.MaxDNSSearchPaths).
pub const MAX_SEARCHES: usize = 32;
/// The longest search line, in bytes and without the keyword (validation.MaxDNSSearchListChars).
pub const MAX_SEARCH_LIST_BYTES: usize = 2_048;
/// The longest search domain, in bytes: some resolver libraries abort on a longer one.
const MAX_SEARCH_BYTES: usize = 253;
/// With cluster DNS, five dots: so that `_port._proto.service.namespace.svc` is still tried with the search domains.
const CLUSTER_OPTIONS: &str = "ndots:5";

/// `spec.dnsPolicy` of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DnsPolicy {
    /// The cluster's DNS; the node's for a pod on the host network.
    ClusterFirst,
    /// The cluster's DNS, on the host network too.
    ClusterFirstWithHostNet,
    /// What the node itself uses.
    Default,
    /// Nothing but `dnsConfig`.
    None,
}

impl DnsPolicy {
    /// Reads the field; `Err` holds a value that no API server would have let through, which upstream treats as `ClusterFirst`.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "ClusterFirst" => Ok(Self::ClusterFirst),
            "ClusterFirstWithHostNet" => Ok(Self::ClusterFirstWithHostNet),
            "Default" => Ok(Self::Default),
            "None" => Ok(Self::None),
            other => Err(format!("invalid DNSPolicy={other}")),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::ClusterFirst => "ClusterFirst",
            Self::ClusterFirstWithHostNet => "ClusterFirstWithHostNet",
            Self::Default => "Default",
            Self::None => "None",
        }
    }
}

/// `spec.dnsConfig` of a pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PodDnsConfig {
    /// Added after the policy's.
    pub nameservers: Vec<String>,
    /// Added after the policy's.
    pub searches: Vec<String>,
    /// Name and value; replace the policy's options of the same name.
    pub options: Vec<(String, Option<String>)>,
}

/// What the forming needs to know of the pod.
#[derive(Debug, Clone, Copy)]
pub struct PodDns<'a> {
    /// The pod's namespace.
    pub namespace: &'a str,
    /// The pod as upstream prints it in events: `name_namespace(uid)`.
    pub display: &'a str,
    /// `spec.dnsPolicy`.
    pub policy: DnsPolicy,
    /// `spec.hostNetwork`.
    pub host_network: bool,
    /// `spec.dnsConfig`.
    pub config: Option<&'a PodDnsConfig>,
}

/// What the forming needs to know of the node.
#[derive(Debug, Clone, Copy)]
pub struct NodeDns<'a> {
    /// `--cluster-dns`.
    pub cluster_dns: &'a [IpAddr],
    /// `--cluster-domain`; empty for none.
    pub cluster_domain: &'a str,
    /// The node's addresses, for their families.
    pub node_ips: &'a [IpAddr],
    /// The parsed file of `--resolv-conf`; `None` when the flag is empty.
    pub resolv_conf: Option<&'a ResolvConf>,
}

/// Which object an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// The pod.
    Pod,
    /// The node.
    Node,
}

/// A warning to record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsEvent {
    /// The object.
    pub subject: Subject,
    /// The event's reason.
    pub reason: &'static str,
    /// The event's text.
    pub message: String,
}

impl DnsEvent {
    const fn pod(reason: &'static str, message: String) -> Self {
        Self { subject: Subject::Pod, reason, message }
    }

    const fn node(reason: &'static str, message: String) -> Self {
        Self { subject: Subject::Node, reason, message }
    }
}

/// Forms the resolver configuration of a pod, and the warnings on the way.
#[must_use]
pub fn pod_dns(node: &NodeDns<'_>, pod: &PodDns<'_>) -> (ResolvConf, Vec<DnsEvent>) {
    let mut events = Vec::new();
    let mut formed = base(node, pod, &mut events);
    if let Some(config) = pod.config {
        merge(&mut formed, config);
    }
    limit_nameservers(&mut formed.nameservers, &mut events);
    limit_searches(&mut formed.searches, &mut events);
    (formed, events)
}

/// The warning about a node whose own file is longer than pods can get, recorded once at start. `path` is the file's.
///
/// Source: Configurer.CheckLimitsForResolvConf.
#[must_use]
pub fn check_node_limits(file: &ResolvConf, path: &str, cluster_domain: &str) -> Option<DnsEvent> {
    let max = if cluster_domain.is_empty() { MAX_SEARCHES } else { MAX_SEARCHES - 3 };
    let message = if file.searches.len() > max {
        format!("Resolv.conf file '{path}' contains search line consisting of more than {max} domains!")
    } else if file.searches.iter().any(|search| search.len() > MAX_SEARCH_BYTES) {
        format!(
            "Resolv.conf file {path:?} contains a search path which length is more than allowed {MAX_SEARCH_BYTES} chars!"
        )
    } else if line_bytes(&file.searches) > MAX_SEARCH_LIST_BYTES {
        format!(
            "Resolv.conf file '{path}' contains search line which length is more than allowed {MAX_SEARCH_LIST_BYTES} chars!"
        )
    } else {
        return None;
    };
    Some(DnsEvent::node("CheckLimitsForResolvConf", message))
}

fn base(node: &NodeDns<'_>, pod: &PodDns<'_>, events: &mut Vec<DnsEvent>) -> ResolvConf {
    let cluster = match pod.policy {
        DnsPolicy::None => return ResolvConf::default(),
        DnsPolicy::ClusterFirstWithHostNet => true,
        DnsPolicy::ClusterFirst => !pod.host_network,
        DnsPolicy::Default => false,
    };
    let host = node.resolv_conf.cloned();
    if cluster && !node.cluster_dns.is_empty() {
        return ResolvConf {
            nameservers: node.cluster_dns.iter().map(ToString::to_string).collect(),
            searches: cluster_searches(node.cluster_domain, pod.namespace, host.unwrap_or_default().searches),
            options: vec![CLUSTER_OPTIONS.to_owned()],
        };
    }
    if cluster {
        let message = format!(
            "kubelet does not have ClusterDNS IP configured and cannot create Pod using {:?} policy. Falling back to {:?} policy.",
            DnsPolicy::ClusterFirst.name(),
            DnsPolicy::Default.name(),
        );
        events.push(DnsEvent::pod("MissingClusterDNS", format!("pod: {:?}. {message}", pod.display)));
        events.push(DnsEvent::node("MissingClusterDNS", message));
    }
    host.unwrap_or_else(|| loopback(node.node_ips))
}

/// Without a file of the node, lookups are switched off: a resolver library takes a missing nameserver for the local machine anyway.
fn loopback(node_ips: &[IpAddr]) -> ResolvConf {
    let mut nameservers: Vec<String> =
        node_ips.iter().map(|ip| if ip.is_ipv6() { "::1" } else { "127.0.0.1" }.to_owned()).collect();
    if nameservers.is_empty() {
        nameservers.push("127.0.0.1".to_owned());
    }
    ResolvConf { nameservers, searches: vec![".".to_owned()], options: Vec::new() }
}

fn cluster_searches(domain: &str, namespace: &str, host: Vec<String>) -> Vec<String> {
    if domain.is_empty() {
        return host;
    }
    let mut searches = vec![format!("{namespace}.svc.{domain}"), format!("svc.{domain}"), domain.to_owned()];
    append_distinct(&mut searches, &host);
    searches
}

fn merge(formed: &mut ResolvConf, config: &PodDnsConfig) {
    distinct(&mut formed.nameservers);
    append_distinct(&mut formed.nameservers, &config.nameservers);
    distinct(&mut formed.searches);
    append_distinct(&mut formed.searches, &config.searches);
    let options = config.options.iter().map(|(name, value)| match value.as_deref() {
        None | Some("") => name.clone(),
        Some(value) => format!("{name}:{value}"),
    });
    resolv_conf::set_options(&mut formed.options, options);
}

fn limit_nameservers(nameservers: &mut Vec<String>, events: &mut Vec<DnsEvent>) {
    if nameservers.len() <= MAX_NAMESERVERS {
        return;
    }
    nameservers.truncate(MAX_NAMESERVERS);
    let message = format!(
        "Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: {}",
        nameservers.join(" ")
    );
    events.push(DnsEvent::pod("DNSConfigForming", message));
}

fn limit_searches(searches: &mut Vec<String>, events: &mut Vec<DnsEvent>) {
    let before = searches.len();
    searches.truncate(MAX_SEARCHES);
    searches.retain(|search| search.len() <= MAX_SEARCH_BYTES);
    while line_bytes(searches) > MAX_SEARCH_LIST_BYTES {
        searches.pop();
    }
    if searches.len() < before {
        let message = format!(
            "Search Line limits were exceeded, some search paths have been omitted, the applied search line is: {}",
            searches.join(" ")
        );
        events.push(DnsEvent::pod("DNSConfigForming", message));
    }
}

/// The length of the words joined by blanks.
fn line_bytes(words: &[String]) -> usize {
    words.iter().map(|word| word.len() + 1).sum::<usize>().saturating_sub(1)
}

fn append_distinct(list: &mut Vec<String>, more: &[String]) {
    for word in more {
        if !list.contains(word) {
            list.push(word.clone());
        }
    }
}

fn distinct(list: &mut Vec<String>) {
    let all = std::mem::take(list);
    append_distinct(list, &all);
}

#[cfg(test)]
mod tests;
