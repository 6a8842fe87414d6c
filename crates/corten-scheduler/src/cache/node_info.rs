//! `NodeInfo`: a node, the pods on it, and their sums.

use std::sync::Arc;

use corten_apimachinery::{codec::json::Outlined, value::Str};

use super::{FactsError, HostPorts, Labels, PodInfo, Resources, Sums, Taint, pod_info::normalized_image, wire};

/// What scheduling needs of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeFacts {
    /// The name.
    pub name: Str,
    /// The labels.
    pub labels: Labels,
    /// Marks that keep pods away.
    pub taints: Box<[Taint]>,
    /// Whether it is cordoned.
    pub is_unschedulable: bool,
    /// What pods may use.
    pub allocatable: Resources,
    /// The images it has, under each of their names with tag, and their size in bytes.
    pub images: Box<[(Str, i64)]>,
}

impl NodeFacts {
    /// Reads a node's JSON.
    ///
    /// Errors: not a node, or one that validation does not let through.
    pub fn from_json(json: &Outlined) -> Result<Self, FactsError> {
        let node: wire::Node = json.view().map_err(|source| FactsError::Decode { kind: "Node", source })?;
        let images = node.status.images.iter();
        let mut images: Vec<(Str, i64)> = images
            .flat_map(|image| image.names.iter().map(|name| (normalized_image(name), image.size_bytes)))
            .collect();
        images.sort();
        Ok(Self {
            name: node.metadata.name,
            labels: node.metadata.labels.into_iter().collect(),
            taints: node.spec.taints.iter().filter_map(Taint::read).collect(),
            is_unschedulable: node.spec.unschedulable,
            allocatable: Resources::read(&node.status.allocatable)?,
            images: images.into(),
        })
    }

    /// Whether two versions of a node have the same facts, as can be seen without reading them.
    #[must_use]
    pub fn is_same(old: &Outlined, new: &Outlined) -> bool {
        let read = |json| {
            let (metadata, status) = (["name", "labels"], ["allocatable", "images"]);
            (
                Outlined::fields(json, &["metadata"], metadata),
                json.fields(&[], ["spec"]),
                json.fields(&["status"], status),
            )
        };
        read(old) == read(new)
    }

    /// One label.
    #[must_use]
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key)
    }

    /// Where it stands: region and zone, for taking nodes from all zones in turn. Empty if it does not say.
    #[must_use]
    pub fn zone(&self) -> (Str, Str) {
        let get = |key| self.label(key).map(Str::from).unwrap_or_default();
        (get("topology.kubernetes.io/region"), get("topology.kubernetes.io/zone"))
    }
}

/// A node with the pods on it.
#[derive(Debug, Clone, Default)]
pub struct NodeInfo {
    /// The node itself.
    pub facts: Arc<NodeFacts>,
    /// The pods on it, assumed ones included.
    pub pods: Vec<Arc<PodInfo>>,
    /// How many of them say something about other pods.
    pub pods_with_affinity: usize,
    /// How many of them keep other pods away.
    pub pods_with_required_anti_affinity: usize,
    /// The sum of their requests.
    pub requested: Sums,
    /// The sum of CPU and memory that scoring counts.
    pub non_zero_requested: (i128, i128),
    /// The ports of it that they take; shared, since a node is copied to try things out.
    pub host_ports: Arc<HostPorts>,
    /// Counts changes of the node and of the pods on it, over all nodes: equal generation, equal content.
    pub generation: u64,
}

impl NodeInfo {
    /// A node without pods.
    #[must_use]
    pub fn new(facts: Arc<NodeFacts>) -> Self {
        Self { facts, ..Self::default() }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &Str {
        &self.facts.name
    }

    /// Puts a pod on it.
    pub fn add_pod(&mut self, pod: Arc<PodInfo>) {
        self.requested.add(&pod.requests);
        self.non_zero_requested.0 += i128::from(pod.non_zero.0);
        self.non_zero_requested.1 += i128::from(pod.non_zero.1);
        self.pods_with_affinity += usize::from(pod.has_pod_affinity());
        self.pods_with_required_anti_affinity += usize::from(pod.has_required_anti_affinity());
        if !pod.host_ports.is_empty() {
            let taken = Arc::make_mut(&mut self.host_ports);
            pod.host_ports.iter().for_each(|port| taken.add(port));
        }
        self.pods.push(pod);
    }

    /// Takes a pod off it; `None` if it is not there.
    pub fn remove_pod(&mut self, uid: &str) -> Option<Arc<PodInfo>> {
        let at = self.pods.iter().position(|pod| pod.uid == uid)?;
        let pod = self.pods.swap_remove(at);
        self.requested.take_off(&pod.requests);
        self.non_zero_requested.0 -= i128::from(pod.non_zero.0);
        self.non_zero_requested.1 -= i128::from(pod.non_zero.1);
        self.pods_with_affinity -= usize::from(pod.has_pod_affinity());
        self.pods_with_required_anti_affinity -= usize::from(pod.has_required_anti_affinity());
        if !pod.host_ports.is_empty() {
            let taken = Arc::make_mut(&mut self.host_ports);
            pod.host_ports.iter().for_each(|port| taken.remove(port));
        }
        Some(pod)
    }
}
