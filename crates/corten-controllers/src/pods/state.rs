//! `PodState`: the facts of one version of a pod.

use std::{
    collections::HashSet,
    net::IpAddr,
    sync::{Arc, LazyLock},
    time::Duration,
};

use corten_apimachinery::{stored::Stored, validation::parse_ip_sloppy, value::Str};
use corten_informer::{Key, Projection};
use jiff::Timestamp;
use serde::Deserialize;

use super::wire;
use crate::objects::has_same;

/// Where a pod is in its life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum Phase {
    /// Not all containers have started, or none is on a node yet.
    #[default]
    Pending,
    /// At least one container runs.
    Running,
    /// All ended well.
    Succeeded,
    /// All ended, at least one badly.
    Failed,
    /// Its node is silent, or a word that this version does not know.
    #[serde(other)]
    Unknown,
}

/// A container's port that has a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedPort {
    /// The name.
    pub name: Str,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: Str,
    /// The number.
    pub port: i32,
}

/// What the spec of most pods says nothing of. Versions of the same pod share theirs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rare {
    /// `spec.hostname`.
    pub hostname: Str,
    /// `spec.subdomain`.
    pub subdomain: Str,
    /// The ports that have names, in the order in which they are searched: sidecars last.
    pub ports: Box<[NamedPort]>,
    /// The names of its sidecars.
    pub sidecars: Box<[Str]>,
}

/// The facts of one version of a pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PodState {
    /// Its node; empty while it has none.
    pub node: Str,
    /// What few pods have: `rare()` reads it.
    pub few: Option<Arc<Rare>>,
    /// `status.phase`.
    pub phase: Phase,
    /// `status.podIPs`.
    pub ips: Box<[IpAddr]>,
    /// Whether its condition `Ready` is true.
    pub is_ready: bool,
    /// Since when that condition is what it is; `None` if nobody wrote it down.
    pub ready_since: Option<Timestamp>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// When its deletion is due; `None` unless that has begun.
    pub deletion: Option<Timestamp>,
    /// The value of the annotation; 0 if there is none, or a bad one.
    pub deletion_cost: i32,
    /// The restarts of the container that restarted most, first of the regular ones, then of the sidecars.
    pub restarts: (i32, i32),
}

impl PodState {
    /// Reads them from a pod as it is served, of which there may have been a version before: what a pod is meant to be hardly
    /// changes, and is not read again. A pod that is no JSON of a pod, which no server sends, has none.
    #[must_use]
    pub fn of(pod: &Stored, before: Option<&Projection<Self>>) -> Self {
        match before.filter(|before| has_same(&before.object, pod, &[&["spec"]])) {
            Some(before) => {
                let wire::Head { metadata, status } = read(pod);
                before.value.clone().with(&metadata, &status)
            }
            None => {
                let wire::Pod { metadata, spec, status } = read(pod);
                Self::of_spec(spec).with(&metadata, &status)
            }
        }
    }

    /// What its spec says and that of most pods does not.
    #[must_use]
    pub fn rare(&self) -> &Rare {
        static NONE: LazyLock<Rare> = LazyLock::new(Rare::default);
        self.few.as_deref().unwrap_or(&NONE)
    }

    fn of_spec(spec: wire::Spec<'_>) -> Self {
        let sidecars = || spec.init_containers.iter().filter(|container| container.is_sidecar());
        let ports = spec.containers.iter().chain(sidecars()).flat_map(|container| &container.ports);
        let named = ports.filter(|port| !port.name.is_empty()).map(|port| NamedPort {
            name: port.name.as_ref().into(),
            protocol: if port.protocol.is_empty() { "TCP".into() } else { port.protocol.as_ref().into() },
            port: port.container_port,
        });
        let rare = Rare {
            ports: named.collect(),
            sidecars: sidecars().map(|container| container.name.as_ref().into()).collect(),
            hostname: spec.hostname.into(),
            subdomain: spec.subdomain.into(),
        };
        Self { node: spec.node_name.into(), few: (rare != Rare::default()).then(|| Arc::new(rare)), ..Self::default() }
    }

    /// The same with everything else from these.
    fn with(self, metadata: &wire::Meta<'_>, status: &wire::Status<'_>) -> Self {
        let ready = status.conditions.iter().find(|condition| condition.kind == "Ready");
        let mut ips: Vec<IpAddr> = status.pod_ips.iter().filter_map(|entry| parse_ip_sloppy(&entry.ip)).collect();
        if ips.is_empty() {
            ips.extend(parse_ip_sloppy(&status.pod_ip));
        }
        let max = |statuses: &[wire::ContainerStatus<'_>], only: Option<&HashSet<&str>>| {
            let counted = statuses.iter().filter(|status| only.is_none_or(|names| names.contains(&*status.name)));
            counted.map(|status| status.restart_count).max().unwrap_or_default()
        };
        let restarts = {
            let sidecars: HashSet<&str> = self.rare().sidecars.iter().map(Str::as_str).collect();
            (max(&status.container_statuses, None), max(&status.init_container_statuses, Some(&sidecars)))
        };
        Self {
            phase: status.phase,
            ips: ips.into(),
            is_ready: ready.is_some_and(|condition| condition.status == "True"),
            ready_since: ready.and_then(|condition| condition.last_transition_time),
            created: metadata.creation_timestamp,
            deletion: metadata.deletion_timestamp,
            deletion_cost: metadata.annotations.deletion_cost.as_deref().and_then(parse_cost).unwrap_or(0),
            restarts,
            ..self
        }
    }

    /// Whether services make the same endpoints of both.
    pub(crate) fn is_same_endpoint(&self, other: &Self) -> bool {
        let facts = |pod: &Self| (pod.is_ready, pod.ready_since, pod.deletion.is_some(), pod.is_terminal());
        facts(self) == facts(other) && (&self.ips, &self.node) == (&other.ips, &other.node) && self.few == other.few
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        matches!(self.phase, Phase::Succeeded | Phase::Failed)
    }

    /// Whether it counts as a replica: neither ended nor being deleted.
    #[must_use]
    pub fn is_active(&self) -> bool {
        !self.is_terminal() && self.deletion.is_none()
    }

    /// Whether it is on its way out, but still there.
    #[must_use]
    pub fn is_terminating(&self) -> bool {
        !self.is_terminal() && self.deletion.is_some()
    }

    /// Whether it has been ready for `min_ready`.
    #[must_use]
    pub fn is_available(&self, min_ready: Duration, now: Timestamp) -> bool {
        self.is_ready && self.available_in(min_ready, now).is_some_and(|rest| rest.is_zero())
    }

    /// How long it has to stay ready to be available; `None` if it is not ready, or nobody knows since when.
    #[must_use]
    pub fn available_in(&self, min_ready: Duration, now: Timestamp) -> Option<Duration> {
        if !self.is_ready {
            return None;
        }
        if min_ready.is_zero() {
            return Some(Duration::ZERO);
        }
        let ready_for = now.duration_since(self.ready_since?);
        // A clock that went back makes the wait longer, never shorter.
        let ready_for = Duration::try_from(ready_for).unwrap_or_default();
        Some(min_ready.saturating_sub(ready_for))
    }
}

fn read<'p, T: Default + Deserialize<'p>>(pod: &'p Stored) -> T {
    pod.json.view().unwrap_or_else(|error| {
        tracing::error!(pod = %Key::of(pod), err = %error, "Read a pod that is none");
        T::default()
    })
}

/// Upstream accepts neither a plus sign nor leading zeros.
fn parse_cost(text: &str) -> Option<i32> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_canonical = text == "0" || !digits.starts_with(['0', '+']);
    if is_canonical { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use corten_informer::testutil::object;
    use serde_json::json;

    use super::*;

    #[test]
    fn facts_are_read_from_the_served_object() {
        let json = r#"{"apiVersion":"v1","kind":"Pod",
            "metadata":{"name":"a","creationTimestamp":"2026-01-01T00:00:00Z",
                "annotations":{"controller.kubernetes.io/pod-deletion-cost":"-7","a":"line\nbreak"}},
            "spec":{"nodeName":"n1","containers":[{"name":"c"}],
                "initContainers":[{"name":"i"},{"name":"s","restartPolicy":"Always"}]},
            "status":{"phase":"Running",
                "conditions":[{"type":"Ready","status":"True","lastTransitionTime":"2026-01-01T00:00:10Z"}],
                "containerStatuses":[{"name":"c","restartCount":3}],
                "initContainerStatuses":[{"name":"i","restartCount":9},{"name":"s","restartCount":2}]}}"#;
        let state = PodState::of(&object("ns/a", 1).json(json).build(), None);
        assert_eq!((&*state.node, state.phase, state.deletion_cost), ("n1", Phase::Running, -7));
        assert_eq!(state.restarts, (3, 2));
        assert!(state.is_ready && state.is_active() && !state.is_terminating());
        let now = "2026-01-01T00:00:15Z".parse().unwrap();
        assert_eq!(state.available_in(Duration::from_secs(8), now), Some(Duration::from_secs(3)));
        assert!(state.is_available(Duration::from_secs(5), now));
        assert!(!state.is_available(Duration::from_secs(6), now));
    }

    /// Each status of an init container was looked for among all sidecars.
    #[test]
    fn very_many_sidecars_are_looked_up() {
        use serde_json::Value;

        let each = |of: fn(usize) -> Value| (0..200_000).map(of).collect::<Vec<_>>();
        let containers = each(|n| json!({"name": format!("s{n}"), "restartPolicy": "Always"}));
        let statuses = each(|n| json!({"name": format!("s{n}"), "restartCount": n}));
        let json = json!({"metadata": {}, "spec": {"initContainers": containers}, "status": {"initContainerStatuses": statuses}});
        let state = PodState::of(&object("ns/a", 1).json(&json.to_string()).build(), None);
        assert_eq!(state.restarts, (0, 199_999));
    }

    #[test]
    fn costs_are_plain_numbers() {
        let costs = ["12", "-3", "0", "+4", "007", "-0", "1.5", "2147483648"].map(parse_cost);
        assert_eq!(costs, [Some(12), Some(-3), Some(0), None, None, None, None, None]);
    }

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
        let mut before: Option<Projection<PodState>> = None;
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
            let value = PodState::of(&pod, before.as_ref());
            assert_eq!(value, PodState::of(&pod, None), "{spec} {status}");
            before = Some(Projection { object: Arc::clone(&pod), value });
        }
        assert!(before.is_some_and(|last| last.value.is_terminal() && last.value.rare().ports.is_empty()));
    }
}
