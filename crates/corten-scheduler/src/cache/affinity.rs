//! Rules in pods and nodes about each other, parsed once: affinity, taints, tolerations, spreading.

use corten_apimachinery::{
    codec::json::Outlined,
    selector::label::{Operator, Requirement, Selector},
    value::Str,
};

use super::{FactsError, Labels, wire};

/// One alternative of a node selector: all its requirements hold.
#[derive(Debug, Clone, Default)]
pub struct NodeSelectorTerm {
    /// About labels.
    labels: Vec<Requirement>,
    /// About `metadata.name`.
    names: Vec<Requirement>,
    /// Whether it matches at all: an empty term and one with a broken requirement match nothing.
    is_valid: bool,
}

impl NodeSelectorTerm {
    pub(super) fn read(term: &wire::NodeSelectorTerm) -> Self {
        let read = |expressions: &[wire::Expression]| -> Option<Vec<Requirement>> {
            expressions.iter().map(|expression| requirement(expression).ok()).collect()
        };
        let is_empty = term.match_expressions.is_empty() && term.match_fields.is_empty();
        let by_name = term.match_fields.iter().all(|expression| expression.key == "metadata.name");
        match (read(&term.match_expressions), read(&term.match_fields)) {
            (Some(labels), Some(names)) => Self { labels, names, is_valid: !is_empty && by_name },
            _ => Self::default(),
        }
    }

    /// Whether a node with this name and these labels is meant.
    #[must_use]
    pub fn matches(&self, name: &str, labels: &Labels) -> bool {
        self.is_valid
            && self.labels.iter().all(|requirement| requirement.matches(labels.get(&requirement.key)))
            && self.names.iter().all(|requirement| requirement.matches(Some(name)))
    }

    /// The names it allows, if it says so by names.
    #[must_use]
    pub fn node_names(&self) -> Option<Vec<Str>> {
        let mut named = self.names.iter().filter(|requirement| requirement.operator == Operator::In);
        let first = named.next()?.values.clone();
        Some(named.fold(first, |mut names, other| {
            names.retain(|name| other.values.contains(name));
            names
        }))
    }
}

fn requirement(expression: &wire::Expression) -> Result<Requirement, FactsError> {
    let operator = match expression.operator.as_str() {
        "In" => Operator::In,
        "NotIn" => Operator::NotIn,
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        "Gt" => Operator::GreaterThan,
        "Lt" => Operator::LessThan,
        // Refused like a requirement without key: the caller's selector then matches nothing.
        _ => return Requirement::new("", Operator::In, Vec::new()).map_err(FactsError::Selector),
    };
    Requirement::new(&expression.key, operator, expression.values.clone()).map_err(FactsError::Selector)
}

/// Reads a label selector: absent selects nothing, the empty one everything.
pub(super) fn selector(selector: Option<&wire::LabelSelector>) -> Result<Selector, FactsError> {
    let Some(selector) = selector else { return Ok(Selector::nothing()) };
    let equal = selector
        .match_labels
        .iter()
        .map(|(key, value)| Requirement::new(key, Operator::Equals, vec![value.clone()]).map_err(FactsError::Selector));
    Ok(Selector::new(equal.chain(selector.match_expressions.iter().map(requirement)).collect::<Result<_, _>>()?))
}

/// The selector of a Service or ReplicationController; `None` if it selects nothing.
///
/// Errors: JSON that is none of both.
pub fn map_selector(json: &Outlined) -> Result<Option<Selector>, FactsError> {
    let object: wire::Service = json.view().map_err(|source| FactsError::Decode { kind: "Service", source })?;
    let selector = object.spec.selector;
    let entries = selector.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    Ok((!selector.is_empty()).then(|| Selector::from_map(entries)))
}

/// The selector of an object of this kind: a ReplicaSet or StatefulSet.
///
/// Errors: JSON that is none.
pub fn label_selector(kind: &'static str, json: &Outlined) -> Result<Selector, FactsError> {
    let object: wire::Set = json.view().map_err(|source| FactsError::Decode { kind, source })?;
    selector(object.spec.selector.as_ref())
}

/// Pods that a pod wants near or far.
#[derive(Debug, Clone)]
pub struct PodAffinityTerm {
    /// The label of nodes that says what is near.
    pub topology_key: Str,
    /// Which pods.
    pub selector: Selector,
    /// In which namespaces.
    pub namespaces: Box<[Str]>,
    /// And in namespaces with these labels.
    pub namespace_selector: Selector,
    /// The weight of a preference; zero for what is required.
    pub weight: i32,
}

impl PodAffinityTerm {
    pub(super) fn read(term: &wire::PodAffinityTerm, weight: i32, own_namespace: &Str) -> Result<Self, FactsError> {
        let is_own = term.namespaces.is_empty() && term.namespace_selector.is_none();
        let namespaces = if is_own { vec![own_namespace.clone()] } else { term.namespaces.clone() };
        Ok(Self {
            topology_key: term.topology_key.clone(),
            selector: selector(term.label_selector.as_ref())?,
            namespaces: namespaces.into(),
            namespace_selector: selector(term.namespace_selector.as_ref())?,
            weight,
        })
    }

    /// Whether a pod in `namespace`, which has `namespace_labels`, with these labels is meant.
    #[must_use]
    pub fn matches(&self, namespace: &str, namespace_labels: &Labels, labels: &Labels) -> bool {
        (self.namespaces.iter().any(|name| name == namespace) || self.namespace_selector.matches(namespace_labels))
            && self.selector.matches(labels)
    }
}

/// What a pod says about nodes and other pods.
#[derive(Debug, Clone, Default)]
pub struct Affinity {
    /// One of these must match the node; `None` for no such rule.
    pub required_nodes: Option<Vec<NodeSelectorTerm>>,
    /// Preferred nodes, with weights.
    pub preferred_nodes: Vec<(i32, NodeSelectorTerm)>,
    /// Pods that must be near.
    pub required_pods: Vec<PodAffinityTerm>,
    /// Pods that should be near.
    pub preferred_pods: Vec<PodAffinityTerm>,
    /// Pods that must not be near.
    pub required_anti: Vec<PodAffinityTerm>,
    /// Pods that should not be near.
    pub preferred_anti: Vec<PodAffinityTerm>,
}

impl Affinity {
    pub(super) fn read(affinity: &wire::Affinity, namespace: &Str) -> Result<Option<Box<Self>>, FactsError> {
        let required = |group: &wire::PodAffinity| -> Result<Vec<_>, FactsError> {
            let terms = group.required_during_scheduling_ignored_during_execution.iter();
            terms.map(|term| PodAffinityTerm::read(term, 0, namespace)).collect()
        };
        let preferred = |group: &wire::PodAffinity| -> Result<Vec<_>, FactsError> {
            let terms = group.preferred_during_scheduling_ignored_during_execution.iter();
            terms.map(|term| PodAffinityTerm::read(&term.pod_affinity_term, term.weight, namespace)).collect()
        };
        let nodes = &affinity.node_affinity;
        let result = Self {
            required_nodes: nodes
                .required_during_scheduling_ignored_during_execution
                .as_ref()
                .map(|selector| selector.node_selector_terms.iter().map(NodeSelectorTerm::read).collect()),
            preferred_nodes: nodes
                .preferred_during_scheduling_ignored_during_execution
                .iter()
                .map(|term| (term.weight, NodeSelectorTerm::read(&term.preference)))
                .collect(),
            required_pods: required(&affinity.pod_affinity)?,
            preferred_pods: preferred(&affinity.pod_affinity)?,
            required_anti: required(&affinity.pod_anti_affinity)?,
            preferred_anti: preferred(&affinity.pod_anti_affinity)?,
        };
        let is_empty = result.required_nodes.is_none() && result.preferred_nodes.is_empty() && !result.has_pod_terms();
        Ok((!is_empty).then(|| Box::new(result)))
    }

    /// Whether it says anything about other pods.
    #[must_use]
    pub fn has_pod_terms(&self) -> bool {
        let terms = [&self.required_pods, &self.preferred_pods, &self.required_anti, &self.preferred_anti];
        terms.iter().any(|terms| !terms.is_empty())
    }
}

/// What a taint does to pods that do not tolerate it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaintEffect {
    /// They are not put there.
    NoSchedule,
    /// They are put elsewhere if possible.
    PreferNoSchedule,
    /// They are not put there, and those there are evicted.
    NoExecute,
}

impl TaintEffect {
    fn read(text: &str) -> Option<Self> {
        match text {
            "NoSchedule" => Some(Self::NoSchedule),
            "PreferNoSchedule" => Some(Self::PreferNoSchedule),
            "NoExecute" => Some(Self::NoExecute),
            _ => None,
        }
    }
}

/// A mark on a node that keeps pods away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taint {
    /// The key.
    pub key: Str,
    /// The value.
    pub value: Str,
    /// What it does.
    pub effect: TaintEffect,
}

impl Taint {
    pub(super) fn read(taint: &wire::Taint) -> Option<Self> {
        let effect = TaintEffect::read(&taint.effect)?;
        Some(Self { key: taint.key.clone(), value: taint.value.clone(), effect })
    }

    /// Whether it keeps pods off the node.
    #[must_use]
    pub fn forbids_scheduling(&self) -> bool {
        self.effect != TaintEffect::PreferNoSchedule
    }
}

/// Which taints a pod tolerates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toleration {
    /// The key; empty for all.
    pub key: Str,
    /// The value, `None` for any.
    pub value: Option<Str>,
    /// The effect, `None` for all.
    pub effect: Option<TaintEffect>,
}

impl Toleration {
    pub(super) fn read(toleration: &wire::Toleration) -> Option<Self> {
        let value = match toleration.operator.as_str() {
            "" | "Equal" => Some(toleration.value.clone()),
            "Exists" => None,
            _ => return None,
        };
        let effect = match toleration.effect.as_str() {
            "" => None,
            text => Some(TaintEffect::read(text)?),
        };
        Some(Self { key: toleration.key.clone(), value, effect })
    }

    /// Whether `taint` is tolerated.
    #[must_use]
    pub fn tolerates(&self, taint: &Taint) -> bool {
        self.effect.is_none_or(|effect| effect == taint.effect)
            && (self.key.is_empty() || self.key == taint.key)
            && self.value.as_ref().is_none_or(|value| *value == taint.value)
    }
}

/// The first of `taints` that keeps away pods with these tolerations.
#[must_use]
pub fn untolerated<'t>(taints: &'t [Taint], tolerations: &[Toleration]) -> Option<&'t Taint> {
    let mut forbidding = taints.iter().filter(|taint| taint.forbids_scheduling());
    forbidding.find(|taint| !tolerations.iter().any(|toleration| toleration.tolerates(taint)))
}

/// How evenly pods are spread over a topology.
#[derive(Debug, Clone)]
pub struct SpreadConstraint {
    /// By how many pods domains may differ.
    pub max_skew: i32,
    /// The label of nodes whose values are the domains.
    pub topology_key: Str,
    /// Whether the rule must be kept (`DoNotSchedule`), or only should.
    pub is_required: bool,
    /// Which pods count.
    pub selector: Selector,
    /// With fewer domains than this, an empty one is assumed.
    pub min_domains: i32,
    /// Whether nodes that the pod's node affinity excludes do not count.
    pub honors_affinity: bool,
    /// Whether nodes with taints that the pod does not tolerate do not count.
    pub honors_taints: bool,
}

impl SpreadConstraint {
    pub(super) fn read(constraint: &wire::SpreadConstraint, pod_labels: &Labels) -> Result<Self, FactsError> {
        let mut selector = selector(constraint.label_selector.as_ref())?;
        let mut keyed = Vec::new();
        for key in &constraint.match_label_keys {
            if let Some(value) = pod_labels.get(key) {
                let requirement = Requirement::new(key, Operator::In, vec![value.into()]);
                keyed.push(requirement.map_err(FactsError::Selector)?);
            }
        }
        if !keyed.is_empty() {
            // Upstream's merged selector also takes no notice of one that selects nothing.
            keyed.extend(selector.requirements().iter().cloned());
            selector = Selector::new(keyed);
        }
        Ok(Self {
            max_skew: constraint.max_skew,
            topology_key: constraint.topology_key.clone(),
            is_required: constraint.when_unsatisfiable == "DoNotSchedule",
            selector,
            min_domains: constraint.min_domains.unwrap_or(1),
            honors_affinity: constraint.node_affinity_policy != "Ignore",
            honors_taints: constraint.node_taints_policy == "Honor",
        })
    }
}
