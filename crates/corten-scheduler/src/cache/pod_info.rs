//! `PodInfo`: what scheduling needs of a pod.

use corten_apimachinery::{
    codec::json::{self, Outlined, ViewError},
    meta::parse_time,
    value::Str,
};
use jiff::Timestamp;

use super::{
    FactsError, HostPort, Labels, PodClaim, Resources, SpreadConstraint, Toleration, affinity::Affinity, resources,
    wire,
};

/// Who schedules a pod that does not say who.
const DEFAULT_SCHEDULER: &str = "default-scheduler";

/// The owner that manages a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Controller {
    /// The kind, such as `ReplicaSet`.
    pub kind: Str,
    /// The name.
    pub name: Str,
}

/// The pod's condition `PodScheduled` while it is not scheduled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unscheduled {
    /// Why, in a word.
    pub reason: Str,
    /// Why, in a sentence.
    pub message: Str,
    /// The generation that it was tried at.
    pub generation: i64,
    /// Since when, as it is written.
    pub since: Str,
}

/// What scheduling needs of a pod.
#[derive(Debug, Clone, Default)]
pub struct PodInfo {
    /// The namespace.
    pub namespace: Str,
    /// The name.
    pub name: Str,
    /// The UID.
    pub uid: Str,
    /// The version that was read.
    pub resource_version: Str,
    /// The generation of its spec, which conditions say they have looked at.
    pub generation: i64,
    /// The node it is bound to; empty for none.
    pub node_name: Str,
    /// The node that preemption made room on; empty for none.
    pub nominated_node_name: Str,
    /// What its status says about not being scheduled.
    pub unscheduled: Option<Box<Unscheduled>>,
    /// Who schedules it.
    pub scheduler_name: Str,
    /// Higher goes first.
    pub priority: i32,
    /// Whether it may push out others.
    pub may_preempt: bool,
    /// Whether it is being deleted.
    pub is_deleting: bool,
    /// Whether it is being deleted because the scheduler made room for another.
    pub is_preempted: bool,
    /// When it was started, if its node has said so.
    pub started: Option<Timestamp>,
    /// Whether it has run to its end.
    pub is_finished: bool,
    /// What has to go before it may be scheduled.
    pub gates: Box<[Str]>,
    /// The labels.
    pub labels: Labels,
    /// What it asks for.
    pub requests: Resources,
    /// CPU and memory that scoring counts, with assumed amounts where none are stated.
    pub non_zero: (i64, i64),
    /// Ports of the node that it takes.
    pub host_ports: Box<[HostPort]>,
    /// Labels that the node must have.
    pub node_selector: Labels,
    /// What it says about nodes and pods.
    pub affinity: Option<Box<Affinity>>,
    /// What it tolerates.
    pub tolerations: Box<[Toleration]>,
    /// How it is spread.
    pub spread: Box<[SpreadConstraint]>,
    /// The images of its containers and init containers, with a tag.
    pub images: Box<[Str]>,
    /// The claims of storage that it uses.
    pub claims: Box<[PodClaim]>,
    /// Who manages it.
    pub controller: Option<Box<Controller>>,
}

impl PodInfo {
    /// Reads a pod's JSON.
    ///
    /// Errors: not a pod, or one that validation does not let through.
    pub fn from_json(json: &Outlined) -> Result<Self, FactsError> {
        let wire::Pod { metadata, spec, status } = json.view().map_err(decode)?;
        Ok(Self::of_spec(spec, &metadata)?.with(metadata, status))
    }

    /// Reads the next version of the pod, of which this one is `old`: what it wants is not read again unless it has changed.
    ///
    /// Errors: as `from_json`.
    pub fn changed(&self, old: &Outlined, new: &Outlined) -> Result<Self, FactsError> {
        if !wants_the_same(old, new) {
            return Self::from_json(new);
        }
        let wire::PodHead { metadata, spec, status } = new.view().map_err(decode)?;
        Ok(Self { node_name: spec.node_name, ..self.clone() }.with(metadata, status))
    }

    /// Who is to schedule a pod that waits; `None` for one that counts whoever does, being on a node or having room there.
    ///
    /// Errors: as `from_json`.
    pub fn addressee(json: &Outlined) -> Result<Option<Str>, FactsError> {
        // Everybody's pods come by here, and of most nothing else is read.
        let [node, scheduler] = json.fields(&["spec"], ["nodeName", "schedulerName"]);
        let [nominated] = json.fields(&["status"], ["nominatedNodeName"]);
        let is_waiting = [node, nominated].into_iter().all(|name| name.is_none_or(|name| name == b"\"\""));
        if !is_waiting {
            return Ok(None);
        }
        let scheduler: Str = scheduler.map_or(Ok(Str::default()), json::view).map_err(decode)?;
        Ok(Some(or(&scheduler, DEFAULT_SCHEDULER)))
    }

    /// What the spec says, and what names and labels have to do with that.
    fn of_spec(spec: wire::PodSpec, metadata: &wire::Metadata) -> Result<Self, FactsError> {
        let requests = resources::requests(&spec)?;
        let labels: Labels = metadata.labels.iter().collect();
        let containers = || spec.init_containers.iter().chain(&spec.containers);
        // Ports of init containers that end are free again before the others start.
        let with_ports = containers()
            .enumerate()
            .filter(|(at, container)| *at >= spec.init_containers.len() || container.restart_policy == "Always");
        let host_ports = with_ports.flat_map(|(_, container)| &container.ports).filter(|port| port.host_port > 0);
        Ok(Self {
            priority: spec.priority.unwrap_or_default(),
            may_preempt: spec.preemption_policy != "Never",
            claims: spec.volumes.iter().filter_map(|volume| claim_of(&metadata.name, volume)).collect(),
            gates: spec.scheduling_gates.iter().map(|gate| gate.name.clone()).collect(),
            requests: requests.exact,
            non_zero: (requests.non_zero.cpu_millis, requests.non_zero.memory_bytes),
            host_ports: host_ports
                .map(|port| HostPort {
                    ip: or(&port.host_ip, "0.0.0.0"),
                    protocol: or(&port.protocol, "TCP"),
                    port: port.host_port,
                })
                .collect(),
            affinity: Affinity::read(&spec.affinity, &metadata.namespace)?,
            tolerations: spec.tolerations.iter().filter_map(Toleration::read).collect(),
            spread: spec
                .topology_spread_constraints
                .iter()
                .map(|constraint| SpreadConstraint::read(constraint, &labels))
                .collect::<Result<_, _>>()?,
            images: containers().map(|container| normalized_image(&container.image)).collect(),
            scheduler_name: or(&spec.scheduler_name, DEFAULT_SCHEDULER),
            node_selector: spec.node_selector.into_iter().collect(),
            node_name: spec.node_name,
            labels,
            ..Self::default()
        })
    }

    /// The same with everything else from these.
    fn with(self, metadata: wire::Metadata, status: wire::PodStatus) -> Self {
        let is_deleting = metadata.deletion_timestamp.is_some();
        let preempted = |condition: &wire::Condition| {
            condition.ty == "DisruptionTarget"
                && condition.status == "True"
                && condition.reason == "PreemptionByScheduler"
        };
        Self {
            is_deleting,
            is_preempted: is_deleting && status.conditions.iter().any(preempted),
            started: parse_time(&status.start_time),
            is_finished: matches!(status.phase.as_str(), "Succeeded" | "Failed"),
            controller: metadata
                .owner_references
                .into_iter()
                .find(|owner| owner.controller)
                .map(|owner| Box::new(Controller { kind: owner.kind, name: owner.name })),
            unscheduled: status
                .conditions
                .into_iter()
                .find(|condition| condition.ty == "PodScheduled" && condition.status == "False")
                .map(|condition| {
                    Box::new(Unscheduled {
                        reason: condition.reason,
                        message: condition.message,
                        generation: condition.observed_generation,
                        since: condition.last_transition_time,
                    })
                }),
            nominated_node_name: status.nominated_node_name,
            namespace: metadata.namespace,
            name: metadata.name,
            uid: metadata.uid,
            resource_version: metadata.resource_version,
            generation: metadata.generation,
            ..self
        }
    }

    /// `namespace/name`.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// The same pod, bound to a node.
    #[must_use]
    pub fn on_node(&self, node_name: &str) -> Self {
        Self { node_name: node_name.into(), ..self.clone() }
    }

    /// The same pod, with room made for it on a node; the empty name for nowhere.
    #[must_use]
    pub fn nominated_to(&self, node_name: &str) -> Self {
        Self { nominated_node_name: node_name.into(), ..self.clone() }
    }

    /// Whether it keeps other pods away from where it runs.
    #[must_use]
    pub fn has_required_anti_affinity(&self) -> bool {
        self.affinity.as_ref().is_some_and(|affinity| !affinity.required_anti.is_empty())
    }

    /// Whether it says anything about other pods.
    #[must_use]
    pub fn has_pod_affinity(&self) -> bool {
        self.affinity.as_ref().is_some_and(|affinity| affinity.has_pod_terms())
    }
}

fn decode(source: ViewError) -> FactsError {
    FactsError::Decode { kind: "Pod", source }
}

fn or(text: &Str, default: &str) -> Str {
    if text.is_empty() { default.into() } else { text.clone() }
}

/// Whether two versions say the same of what the pod wants, as can be seen without reading them. A binding changes the spec, but
/// nothing of that.
fn wants_the_same(old: &Outlined, new: &Outlined) -> bool {
    /// The fields of `wire::PodSpec` but `nodeName`.
    const WANTED: [&str; 13] = [
        "schedulerName",
        "priority",
        "preemptionPolicy",
        "schedulingGates",
        "containers",
        "initContainers",
        "overhead",
        "resources",
        "nodeSelector",
        "affinity",
        "tolerations",
        "topologySpreadConstraints",
        "volumes",
    ];
    old.fields(&["metadata"], ["labels"]) == new.fields(&["metadata"], ["labels"])
        && (old.fields(&[], ["spec"]) == new.fields(&[], ["spec"])
            || old.fields(&["spec"], WANTED) == new.fields(&["spec"], WANTED))
}

/// The claim behind a volume of the pod of this name.
fn claim_of(pod: &str, volume: &wire::Volume) -> Option<PodClaim> {
    match (&volume.persistent_volume_claim, &volume.ephemeral) {
        (Some(source), _) => Some(PodClaim { name: source.claim_name.clone(), is_ephemeral: false }),
        (None, Some(_)) => Some(PodClaim { name: format!("{pod}-{}", volume.name).into(), is_ephemeral: true }),
        (None, None) => None,
    }
}

/// The image's name with a tag, as nodes report it.
#[must_use]
pub(super) fn normalized_image(image: &str) -> Str {
    let name = image.rsplit('/').next().unwrap_or(image);
    if name.contains(':') { image.into() } else { format!("{image}:latest").into() }
}
