//! The facts of a pod that decide about endpoints.

use std::net::IpAddr;

use corten_apimachinery::{stored::Stored, value::Str};
use corten_informer::{Key, Projection};
use jiff::Timestamp;
use serde::Deserialize;

use super::parse_ip;
use crate::objects::has_same;

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

/// What endpoints depend on, of one pod, beside its labels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PodFacts {
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
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ChangingView {
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
    /// The facts of a served pod, of which there may have been a version before: what a pod is meant to be hardly changes.
    pub(crate) fn of(pod: &Stored, before: Option<&Projection<Self>>) -> Self {
        let ChangingView { status } = read(pod);
        let ips = status.pod_ips.iter().filter_map(|entry| parse_ip(&entry.ip));
        let mut ips: Vec<IpAddr> = ips.collect();
        if ips.is_empty() {
            ips.extend(status.pod_ip.as_deref().and_then(parse_ip));
        }
        let ready = status.conditions.iter().find(|condition| condition.ty == "Ready");
        Self {
            ips: ips.into(),
            is_ready: ready.is_some_and(|condition| condition.status == "True"),
            ready_since: ready.and_then(|condition| condition.last_transition_time),
            is_terminating: pod.facts.is_deleting,
            is_terminal: status.phase == "Succeeded" || status.phase == "Failed",
            ..match before.filter(|before| has_same(&before.object, pod, &[&["spec"]])) {
                Some(before) => before.value.clone(),
                None => Self::of_spec(pod),
            }
        }
    }

    /// Those that the spec says.
    fn of_spec(pod: &Stored) -> Self {
        let PodView { spec } = read(pod);
        let sidecars =
            spec.init_containers.into_iter().filter(|container| container.restart_policy.as_deref() == Some("Always"));
        let ports = spec.containers.into_iter().chain(sidecars).flat_map(|container| container.ports);
        let named = ports.filter(|port| !port.name.is_empty()).map(|port| NamedPort {
            name: port.name,
            protocol: if port.protocol.is_empty() { Str::const_new("TCP") } else { port.protocol },
            port: port.container_port,
        });
        Self {
            node: spec.node_name,
            hostname: spec.hostname,
            subdomain: spec.subdomain,
            ports: named.collect(),
            ..Self::default()
        }
    }
}

fn read<'p, T: Default + Deserialize<'p>>(pod: &'p Stored) -> T {
    pod.json.view().unwrap_or_else(|error| {
        tracing::error!(pod = %Key::of(pod), err = %error, "Read a pod that is none");
        T::default()
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use corten_informer::testutil::object;
    use serde_json::json;

    use super::*;

    #[test]
    fn facts_are_the_same_whether_the_version_before_is_known_or_not() {
        let spec = |node: &str, port: u16| {
            json!({"nodeName": node, "hostname": "h", "subdomain": "s", "containers": [
                {"name": "c", "ports": [{"name": "web", "containerPort": port}]}]})
        };
        let status = |phase: &str, ready: &str| {
            json!({"phase": phase, "podIP": "10.0.0.1", "conditions": [
                {"type": "Ready", "status": ready, "lastTransitionTime": "2026-01-01T00:00:00Z"}]})
        };
        let mut before: Option<Projection<PodFacts>> = None;
        for (spec, status) in [
            (spec("", 80), json!({})),
            (spec("n", 80), json!({})),
            (spec("n", 80), status("Running", "True")),
            (spec("n", 80), status("Running", "False")),
            (spec("n", 81), status("Running", "False")),
            (spec("n", 81), status("Failed", "False")),
            (json!({}), status("Failed", "False")),
        ] {
            let pod = object("ns/p", 1).json(&json!({"spec": spec, "status": status}).to_string()).build();
            let value = PodFacts::of(&pod, before.as_ref());
            assert_eq!(value, PodFacts::of(&pod, None), "{spec} {status}");
            before = Some(Projection { object: Arc::clone(&pod), value });
        }
        assert!(before.is_some_and(|last| last.value.is_terminal && last.value.ports.is_empty()));
    }
}
