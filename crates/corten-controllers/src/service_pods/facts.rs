//! The facts of a pod that decide about endpoints.

use std::net::IpAddr;

use corten_apimachinery::{codec::json, stored::Stored, value::Str};
use jiff::Timestamp;
use serde::Deserialize;

use super::parse_ip;

/// A container's port that has a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedPort {
    /// The name.
    pub(crate) name: Str,
    /// `TCP`, `UDP` or `SCTP`.
    pub(crate) protocol: Str,
    /// The number.
    pub(crate) port: i32,
}

/// What endpoints depend on, of one pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PodFacts {
    /// The labels, sorted by key.
    pub(crate) labels: Box<[(Str, Str)]>,
    /// `status.podIPs`.
    pub(crate) ips: Box<[IpAddr]>,
    /// `spec.nodeName`; empty before it is scheduled.
    pub(crate) node: Str,
    /// `spec.hostname`.
    pub(crate) hostname: Str,
    /// `spec.subdomain`.
    pub(crate) subdomain: Str,
    /// The ports that have names, in the order in which they are searched: sidecars last.
    pub(crate) ports: Box<[NamedPort]>,
    /// Whether the condition `Ready` holds.
    pub(crate) is_ready: bool,
    /// Since when the condition `Ready` is what it is.
    pub(crate) ready_since: Option<Timestamp>,
    /// Whether its deletion has begun.
    pub(crate) is_terminating: bool,
    /// Whether it has ended, for good.
    pub(crate) is_terminal: bool,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PodView {
    spec: SpecView,
    status: StatusView,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct SpecView {
    node_name: Str,
    hostname: Str,
    subdomain: Str,
    containers: Vec<ContainerView>,
    init_containers: Vec<ContainerView>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct ContainerView {
    restart_policy: Option<Str>,
    ports: Vec<PortView>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PortView {
    #[serde(default)]
    name: Str,
    #[serde(default)]
    protocol: Str,
    container_port: i32,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct StatusView {
    phase: Str,
    #[serde(rename = "podIP")]
    pod_ip: Option<Str>,
    #[serde(rename = "podIPs")]
    pod_ips: Vec<IpView>,
    conditions: Vec<ConditionView>,
}

#[derive(Deserialize)]
struct IpView {
    #[serde(default)]
    ip: Str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConditionView {
    #[serde(rename = "type")]
    ty: Str,
    #[serde(default)]
    status: Str,
    last_transition_time: Option<Timestamp>,
}

impl PodFacts {
    /// The facts of a served pod.
    pub(crate) fn of(pod: &Stored) -> Self {
        let view: PodView = match json::view(&pod.json) {
            Ok(view) => view,
            Err(error) => {
                tracing::error!(pod = %corten_informer::Key::of(pod), err = %error, "Read a pod that is none");
                PodView::default()
            }
        };
        let PodView { spec, status } = view;
        let sidecars =
            spec.init_containers.into_iter().filter(|container| container.restart_policy.as_deref() == Some("Always"));
        let ports = spec.containers.into_iter().chain(sidecars).flat_map(|container| container.ports);
        let named = ports.filter(|port| !port.name.is_empty()).map(|port| NamedPort {
            name: port.name,
            protocol: if port.protocol.is_empty() { Str::const_new("TCP") } else { port.protocol },
            port: port.container_port,
        });
        let ips = status.pod_ips.iter().filter_map(|entry| parse_ip(&entry.ip));
        let mut ips: Vec<IpAddr> = ips.collect();
        if ips.is_empty() {
            ips.extend(status.pod_ip.as_deref().and_then(parse_ip));
        }
        let ready = status.conditions.iter().find(|condition| condition.ty == "Ready");
        Self {
            labels: pod.facts.labels.clone(),
            ips: ips.into(),
            node: spec.node_name,
            hostname: spec.hostname,
            subdomain: spec.subdomain,
            ports: named.collect(),
            is_ready: ready.is_some_and(|condition| condition.status == "True"),
            ready_since: ready.and_then(|condition| condition.last_transition_time),
            is_terminating: pod.facts.is_deleting,
            is_terminal: status.phase == "Succeeded" || status.phase == "Failed",
        }
    }
}
