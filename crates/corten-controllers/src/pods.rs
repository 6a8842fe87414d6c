//! What controllers of pods need to know of each: read once per version, kept small, shared by all of them.
//!
//! Upstream: pkg/api/v1/pod/util.go and pkg/controller/controller_utils.go (v1.35).

use std::{collections::HashSet, sync::Arc, time::Duration};

use corten_apimachinery::{gvk::GroupVersionResource, stored::Stored, value::Str};
use corten_informer::{Indexer, InformerFactory, InformerId, Key, Lister, Projected, SharedInformer};
use jiff::Timestamp;
use serde::Deserialize;

/// The annotation that says how much the deletion of a pod costs its set.
pub const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// The resource.
#[must_use]
pub fn resource() -> GroupVersionResource {
    GroupVersionResource::new("", "v1", "pods")
}

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

/// The facts of one version of a pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PodState {
    /// Its node; empty while it has none.
    pub node: Str,
    /// `status.phase`.
    pub phase: Phase,
    /// Whether its condition `Ready` is true.
    pub is_ready: bool,
    /// Since when; `None` if not ready, or if nobody wrote it down.
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
    /// Reads them from a pod as it is served. A pod that is no JSON of a pod, which no server sends, has none.
    #[must_use]
    pub fn of(pod: &Stored) -> Self {
        pod.json.view::<wire::Pod<'_>>().map(Self::from_wire).unwrap_or_default()
    }

    fn from_wire(pod: wire::Pod<'_>) -> Self {
        let ready = pod.status.conditions.iter().find(|condition| condition.kind == "Ready");
        let is_ready = ready.is_some_and(|condition| condition.status == "True");
        let sidecars: HashSet<&str> =
            pod.spec.init_containers.iter().filter(|c| c.is_sidecar()).map(|c| &*c.name).collect();
        let max = |statuses: &[wire::ContainerStatus<'_>], only: Option<&HashSet<&str>>| {
            let counted = statuses.iter().filter(|status| only.is_none_or(|names| names.contains(&*status.name)));
            counted.map(|status| status.restart_count).max().unwrap_or_default()
        };
        Self {
            node: pod.spec.node_name.into(),
            phase: pod.status.phase,
            is_ready,
            ready_since: ready.filter(|_| is_ready).and_then(|condition| condition.last_transition_time),
            created: pod.metadata.creation_timestamp,
            deletion: pod.metadata.deletion_timestamp,
            deletion_cost: pod.metadata.annotations.deletion_cost.as_deref().and_then(parse_cost).unwrap_or(0),
            restarts: (
                max(&pod.status.container_statuses, None),
                max(&pod.status.init_container_statuses, Some(&sidecars)),
            ),
        }
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

/// Upstream accepts neither a plus sign nor leading zeros.
fn parse_cost(text: &str) -> Option<i32> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_canonical = text == "0" || !digits.starts_with(['0', '+']);
    if is_canonical { text.parse().ok() } else { None }
}

/// The pods of a cluster, with their facts, indexed by controlling owner.
#[derive(Debug, Clone)]
pub struct Pods {
    /// The informer, for handlers.
    pub informer: Arc<SharedInformer>,
    /// Read access.
    pub lister: Lister,
    /// The facts, for handlers.
    pub states: Arc<Projected<PodState>>,
}

impl Pods {
    /// Asks `informers` for all pods.
    #[must_use]
    pub fn new(informers: &InformerFactory) -> Self {
        let id = InformerId::all(&resource());
        let informer = informers.informer_of(&id);
        informer.add_index(Indexer::by_controller());
        Self { lister: informer.lister(), informer, states: informers.projected(&id, |pod, _| PodState::of(pod)) }
    }

    /// The facts of this version of a pod.
    #[must_use]
    pub fn state(&self, pod: &Stored) -> PodState {
        // Under the same revision and UID it is the same version; the projection may be one event behind or ahead.
        match self.states.get(&Key::of(pod)) {
            Some(state) if state.object.revision == pod.revision && state.object.uid == pod.uid => state.value.clone(),
            _ => PodState::of(pod),
        }
    }
}

/// The few fields that are read.
mod wire {
    use std::borrow::Cow;

    use super::{Deserialize, Phase, Timestamp};

    #[derive(Deserialize)]
    pub(super) struct Pod<'a> {
        #[serde(borrow)]
        pub(super) metadata: Meta<'a>,
        #[serde(borrow)]
        pub(super) spec: Spec<'a>,
        #[serde(default, borrow)]
        pub(super) status: Status<'a>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct Meta<'a> {
        pub(super) creation_timestamp: Option<Timestamp>,
        pub(super) deletion_timestamp: Option<Timestamp>,
        #[serde(default, borrow)]
        pub(super) annotations: Annotations<'a>,
    }

    #[derive(Default, Deserialize)]
    pub(super) struct Annotations<'a> {
        /// Named as `DELETION_COST` says.
        #[serde(default, borrow, rename = "controller.kubernetes.io/pod-deletion-cost")]
        pub(super) deletion_cost: Option<Cow<'a, str>>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct Spec<'a> {
        #[serde(default, borrow)]
        pub(super) node_name: Cow<'a, str>,
        #[serde(default, borrow)]
        pub(super) init_containers: Vec<Container<'a>>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct Container<'a> {
        #[serde(borrow)]
        pub(super) name: Cow<'a, str>,
        #[serde(default, borrow)]
        pub(super) restart_policy: Cow<'a, str>,
    }

    impl Container<'_> {
        pub(super) fn is_sidecar(&self) -> bool {
            self.restart_policy == "Always"
        }
    }

    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct Status<'a> {
        #[serde(default)]
        pub(super) phase: Phase,
        #[serde(default, borrow)]
        pub(super) conditions: Vec<Condition<'a>>,
        #[serde(default, borrow)]
        pub(super) container_statuses: Vec<ContainerStatus<'a>>,
        #[serde(default, borrow)]
        pub(super) init_container_statuses: Vec<ContainerStatus<'a>>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct Condition<'a> {
        #[serde(rename = "type", borrow)]
        pub(super) kind: Cow<'a, str>,
        #[serde(borrow)]
        pub(super) status: Cow<'a, str>,
        pub(super) last_transition_time: Option<Timestamp>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct ContainerStatus<'a> {
        #[serde(borrow)]
        pub(super) name: Cow<'a, str>,
        #[serde(default)]
        pub(super) restart_count: i32,
    }
}

#[cfg(test)]
mod tests {
    use corten_informer::testutil::object;

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
        let state = PodState::of(&object("ns/a", 1).json(json).build());
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
        use serde_json::{Value, json};

        let each = |of: fn(usize) -> Value| (0..200_000).map(of).collect::<Vec<_>>();
        let containers = each(|n| json!({"name": format!("s{n}"), "restartPolicy": "Always"}));
        let statuses = each(|n| json!({"name": format!("s{n}"), "restartCount": n}));
        let json = json!({"metadata": {}, "spec": {"initContainers": containers}, "status": {"initContainerStatuses": statuses}});
        let state = PodState::of(&object("ns/a", 1).json(&json.to_string()).build());
        assert_eq!(state.restarts, (0, 199_999));
    }

    #[test]
    fn costs_are_plain_numbers() {
        let costs = ["12", "-3", "0", "+4", "007", "-0", "1.5", "2147483648"].map(parse_cost);
        assert_eq!(costs, [Some(12), Some(-3), Some(0), None, None, None, None, None]);
    }
}
