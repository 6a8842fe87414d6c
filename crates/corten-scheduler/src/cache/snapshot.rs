//! `Snapshot`: the cluster as a scheduling cycle sees it, kept up to date by the events of the informers.
//!
//! Upstream copies its cache before each cycle, because events and bindings change it from other threads. Here one task
//! owns it and runs whole cycles, so that the cache is its own snapshot and nothing is copied.
//! Upstream: pkg/scheduler/backend/cache (v1.35).

use std::{collections::BTreeMap, sync::Arc};

use corten_apimachinery::{selector::label::Selector, value::Str};

use super::{ClaimFacts, Labels, NodeFacts, NodeInfo, PodInfo, VolumeFacts};

/// The place of a node in the arrays; it stays while the node or pods on it exist.
pub type NodeIndex = usize;

/// A namespace and a name.
type Key = (Str, Str);

#[derive(Debug, Clone)]
struct PodEntry {
    pod: Arc<PodInfo>,
    at: NodeIndex,
    is_assumed: bool,
}

/// All nodes and the pods on them.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    nodes: Vec<NodeInfo>,
    /// Whether the slot holds a node that exists; otherwise pods are there whose node is not known, or nothing.
    exists: Vec<bool>,
    by_name: BTreeMap<Str, NodeIndex>,
    free: Vec<NodeIndex>,
    /// Existing nodes, taken from all zones in turn.
    order: Vec<NodeIndex>,
    pods: BTreeMap<Key, PodEntry>,
    /// On how many nodes each image is.
    images: BTreeMap<Str, usize>,
    namespaces: BTreeMap<Str, Labels>,
    services: BTreeMap<Key, Selector>,
    /// By kind, namespace and name.
    workloads: BTreeMap<(Str, Str, Str), Selector>,
    claims: BTreeMap<Key, ClaimFacts>,
    volumes: BTreeMap<Str, Arc<VolumeFacts>>,
    /// Whether claims of a class are bound only once a pod uses them.
    classes: BTreeMap<Str, bool>,
    /// How many pods on nodes use each claim.
    claim_users: BTreeMap<Key, usize>,
    /// Waiting pods that room was made for, by node.
    nominated: BTreeMap<Str, Vec<Arc<PodInfo>>>,
    generation: u64,
}

impl Snapshot {
    /// Nodes in the order in which they are tried.
    #[must_use]
    pub fn order(&self) -> &[NodeIndex] {
        &self.order
    }

    /// Existing nodes.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeInfo> {
        self.order.iter().map(|at| &self.nodes[*at])
    }

    /// One node.
    #[must_use]
    pub fn node(&self, at: NodeIndex) -> &NodeInfo {
        &self.nodes[at]
    }

    /// An existing node by its name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<NodeIndex> {
        self.by_name.get(name).copied().filter(|at| self.exists[*at])
    }

    /// Counts all changes.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// On how many nodes an image is.
    #[must_use]
    pub fn nodes_with_image(&self, image: &str) -> usize {
        self.images.get(image).copied().unwrap_or_default()
    }

    /// The labels of a namespace; none if it is not known.
    #[must_use]
    pub fn namespace_labels(&self, namespace: &str) -> &Labels {
        self.namespaces.get(namespace).unwrap_or(Labels::none())
    }

    /// What selects the group that a pod belongs to: the services that select it, and its controller. `None` for none.
    ///
    /// Source: pkg/scheduler/framework/plugins/helper, DefaultSelector.
    #[must_use]
    pub fn group_selector(&self, pod: &PodInfo) -> Option<Selector> {
        let start = (pod.namespace.clone(), Str::default());
        let services = self.services.range(start..).take_while(|((namespace, _), _)| *namespace == pod.namespace);
        let mut requirements: Vec<_> = services
            .filter(|(_, selector)| !selector.is_empty() && selector.matches(&pod.labels))
            .flat_map(|(_, selector)| selector.requirements().iter().cloned())
            .collect();
        if let Some(controller) = &pod.controller {
            let key = (controller.kind.clone(), pod.namespace.clone(), controller.name.clone());
            let owned = self.workloads.get(&key).map(Selector::requirements).unwrap_or_default();
            requirements.extend(owned.iter().cloned());
        }
        (!requirements.is_empty()).then(|| Selector::new(requirements))
    }

    /// A claim by namespace and name.
    #[must_use]
    pub fn claim(&self, namespace: &str, name: &str) -> Option<&ClaimFacts> {
        self.claims.get(&(namespace.into(), name.into()))
    }

    /// A volume by its name.
    #[must_use]
    pub fn volume(&self, name: &str) -> Option<&Arc<VolumeFacts>> {
        self.volumes.get(name)
    }

    /// Whether claims of this class are bound only once a pod uses them; not for a class that is not known.
    #[must_use]
    pub fn class_binds_late(&self, class: &str) -> bool {
        self.classes.get(class).copied().unwrap_or_default()
    }

    /// Whether a pod on a node uses the claim.
    #[must_use]
    pub fn is_claim_used(&self, namespace: &str, name: &str) -> bool {
        self.claim_users.contains_key(&(namespace.into(), name.into()))
    }

    /// Waiting pods that room was made for on a node.
    #[must_use]
    pub fn nominated_on(&self, node: &str) -> &[Arc<PodInfo>] {
        self.nominated.get(node).map(Vec::as_slice).unwrap_or_default()
    }

    /// A waiting pod counts on its nominated node from now on, and only there.
    pub fn nominate(&mut self, pod: Arc<PodInfo>) {
        self.forget_nomination(&pod.namespace, &pod.name);
        if !pod.nominated_node_name.is_empty() {
            self.nominated.entry(pod.nominated_node_name.clone()).or_default().push(pod);
        }
    }

    /// A pod waits no more.
    pub fn forget_nomination(&mut self, namespace: &str, name: &str) {
        self.nominated.retain(|_, pods| {
            pods.retain(|pod| pod.namespace != namespace || pod.name != name);
            !pods.is_empty()
        });
    }

    /// Takes in a claim; `None` for one that is gone. Returns what it was before.
    pub fn set_claim(&mut self, namespace: Str, name: Str, claim: Option<ClaimFacts>) -> Option<ClaimFacts> {
        put(&mut self.claims, (namespace, name), claim)
    }

    /// Takes in a volume; `None` for one that is gone. Returns what it was before.
    pub fn set_volume(&mut self, name: Str, volume: Option<VolumeFacts>) -> Option<Arc<VolumeFacts>> {
        put(&mut self.volumes, name, volume.map(Arc::new))
    }

    /// Takes in whether a class binds late; `None` for one that is gone. Returns what it was before.
    pub fn set_class(&mut self, name: Str, binds_late: Option<bool>) -> Option<bool> {
        put(&mut self.classes, name, binds_late)
    }

    /// Takes in a namespace's labels; `None` for a namespace that is gone.
    pub fn set_namespace(&mut self, name: Str, labels: Option<Labels>) {
        drop(put(&mut self.namespaces, name, labels));
    }

    /// Takes in a service's selector; `None` for a service that is gone.
    pub fn set_service(&mut self, namespace: Str, name: Str, selector: Option<Selector>) {
        drop(put(&mut self.services, (namespace, name), selector));
    }

    /// Takes in the selector of a ReplicaSet, StatefulSet or ReplicationController; `None` for one that is gone.
    pub fn set_workload(&mut self, kind: Str, namespace: Str, name: Str, selector: Option<Selector>) {
        drop(put(&mut self.workloads, (kind, namespace, name), selector));
    }

    /// Takes in a node and returns what it was before.
    pub fn set_node(&mut self, facts: NodeFacts) -> Option<Arc<NodeFacts>> {
        let at = self.slot(&facts.name);
        let (facts, before) = (Arc::new(facts), Arc::clone(&self.nodes[at].facts));
        let existed = std::mem::replace(&mut self.exists[at], true);
        self.nodes[at].facts = Arc::clone(&facts);
        if existed {
            self.count_images(&before, false);
        }
        self.count_images(&facts, true);
        self.touch(at);
        if !existed || before.zone() != facts.zone() {
            self.reorder();
        }
        existed.then_some(before)
    }

    /// Forgets a node; the pods on it stay until they are gone themselves.
    pub fn remove_node(&mut self, name: &str) -> Option<Arc<NodeFacts>> {
        let at = self.find(name)?;
        let before = Arc::clone(&self.nodes[at].facts);
        self.exists[at] = false;
        self.count_images(&before, false);
        self.touch(at);
        self.reorder();
        self.release(at);
        Some(before)
    }

    /// The pod of this name on a node, assumed or not.
    #[must_use]
    pub fn pod(&self, namespace: &Str, name: &Str) -> Option<&Arc<PodInfo>> {
        self.pods.get(&(namespace.clone(), name.clone())).map(|entry| &entry.pod)
    }

    /// Whether the pod is on a node by this scheduler's decision only.
    #[must_use]
    pub fn is_assumed(&self, pod: &PodInfo) -> bool {
        let entry = self.pods.get(&(pod.namespace.clone(), pod.name.clone()));
        entry.is_some_and(|entry| entry.is_assumed && entry.pod.uid == pod.uid)
    }

    /// Puts a pod on the node it names before the binding is written.
    pub fn assume(&mut self, pod: Arc<PodInfo>) {
        self.place(pod, true);
    }

    /// Takes in a bound pod: a new one, a change, or the confirmation of an assumed one. Returns what it was before.
    pub fn set_pod(&mut self, pod: Arc<PodInfo>) -> Option<Arc<PodInfo>> {
        self.place(pod, false)
    }

    /// Takes back an assumption whose binding failed; a pod that was confirmed meanwhile stays.
    pub fn forget(&mut self, pod: &PodInfo) {
        if self.is_assumed(pod) {
            self.remove_pod(&pod.namespace, &pod.name);
        }
    }

    /// Takes a pod off its node; `None` if it is on none.
    pub fn remove_pod(&mut self, namespace: &Str, name: &Str) -> Option<Arc<PodInfo>> {
        let entry = self.pods.remove(&(namespace.clone(), name.clone()))?;
        self.nodes[entry.at].remove_pod(&entry.pod.uid).expect("a pod's entry names the node it is on");
        self.touch(entry.at);
        self.release(entry.at);
        self.count_claims(&entry.pod, false);
        Some(entry.pod)
    }

    fn place(&mut self, pod: Arc<PodInfo>, is_assumed: bool) -> Option<Arc<PodInfo>> {
        let before = self.remove_pod(&pod.namespace, &pod.name);
        let at = self.slot(&pod.node_name);
        self.nodes[at].add_pod(Arc::clone(&pod));
        self.count_claims(&pod, true);
        self.touch(at);
        self.pods.insert((pod.namespace.clone(), pod.name.clone()), PodEntry { pod, at, is_assumed });
        before
    }

    fn slot(&mut self, name: &Str) -> NodeIndex {
        if let Some(at) = self.by_name.get(name) {
            return *at;
        }
        let info = NodeInfo::new(Arc::new(NodeFacts { name: name.clone(), ..NodeFacts::default() }));
        let at = match self.free.pop() {
            Some(at) => {
                self.nodes[at] = info;
                at
            }
            None => {
                self.nodes.push(info);
                self.exists.push(false);
                self.nodes.len() - 1
            }
        };
        self.by_name.insert(name.clone(), at);
        at
    }

    fn release(&mut self, at: NodeIndex) {
        if !self.exists[at] && self.nodes[at].pods.is_empty() {
            self.by_name.remove(self.nodes[at].name());
            self.free.push(at);
        }
    }

    fn touch(&mut self, at: NodeIndex) {
        self.generation += 1;
        self.nodes[at].generation = self.generation;
    }

    fn count_images(&mut self, facts: &NodeFacts, is_there: bool) {
        for (image, _) in &facts.images {
            let nodes = self.images.entry(image.clone()).or_default();
            *nodes = nodes.saturating_add_signed(if is_there { 1 } else { -1 });
            if *nodes == 0 {
                self.images.remove(image);
            }
        }
    }

    fn count_claims(&mut self, pod: &PodInfo, is_there: bool) {
        for claim in &pod.claims {
            let key = (pod.namespace.clone(), claim.name.clone());
            let users = self.claim_users.entry(key.clone()).or_default();
            *users = users.saturating_add_signed(if is_there { 1 } else { -1 });
            if *users == 0 {
                self.claim_users.remove(&key);
            }
        }
    }

    fn reorder(&mut self) {
        let mut zones: BTreeMap<_, Vec<NodeIndex>> = BTreeMap::new();
        for at in self.by_name.values().filter(|at| self.exists[**at]) {
            zones.entry(self.nodes[*at].facts.zone()).or_default().push(*at);
        }
        let longest = zones.values().map(Vec::len).max().unwrap_or_default();
        self.order =
            (0..longest).flat_map(|round| zones.values().filter_map(move |zone| zone.get(round))).copied().collect();
    }
}

/// Sets or removes an entry, and gives what it was.
fn put<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) -> Option<V> {
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    }
}
