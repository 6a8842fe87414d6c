//! Puts pods near pods they want near, and away from those they do not, for both sides of such rules.
//!
//! Upstream: pkg/scheduler/framework/plugins/interpodaffinity (v1.35).

use std::collections::BTreeMap;

use corten_apimachinery::value::{Str, Value};

use super::domains::{Domains, add};
use crate::{
    cache::{NodeFacts, NodeIndex, NodeInfo, PodAffinityTerm, PodInfo, Snapshot, affinity::Affinity},
    framework::{
        CycleState, EventObjects, Extensions, FilterPlugin, Interest, MAX_NODE_SCORE, NodeSet, PluginDescriptor,
        PreFilterPlugin, PreScorePlugin, QueueingHint, ScorePlugin, Status,
        cluster_event::{Action, EventResource},
        plugin::ArgsError,
    },
};

/// The plugin.
pub(super) static PLUGIN: PluginDescriptor = PluginDescriptor {
    name: "InterPodAffinity",
    default_weight: 2,
    build: |args| {
        static INTERESTS: &[Interest] = &[
            Interest::when(
                EventResource::AssignedPod,
                Action::ADD.or(Action::DELETE).or(Action::UPDATE_POD_LABEL),
                concerns,
            ),
            Interest::any(EventResource::UnscheduledPod, Action::UPDATE_POD_LABEL),
            Interest::any(EventResource::Node, Action::ADD.or(Action::UPDATE_NODE_LABEL)),
        ];
        let plugin = InterPodAffinity::new(args)?;
        Ok(Extensions::new()
            .pre_filter(plugin.clone())
            .filter(plugin.clone())
            .pre_score(plugin.clone())
            .score(plugin)
            .requeue_on(INTERESTS))
    },
};

#[derive(Debug, Clone)]
struct InterPodAffinity {
    /// The weight of other pods' required affinity when nodes are scored for a pod that it matches.
    hard_pod_affinity_weight: i64,
    ignores_preferences_of_others: bool,
}

/// Counts by topology key and value.
type Counts = BTreeMap<Str, Domains>;

#[derive(Debug, Default)]
struct FilterState {
    /// Pods there that do not want the pod near.
    refusals: Counts,
    /// Pods there that match all of the pod's required affinity terms; per term.
    affinity: Vec<Domains>,
    /// Pods there that match the pod's required anti-affinity; per term.
    anti_affinity: Vec<Domains>,
    /// Whether the pod matches its own affinity terms: the first of a group may go anywhere.
    matches_itself: bool,
}

#[derive(Debug)]
struct ScoreState(Counts);

impl InterPodAffinity {
    fn new(args: &Value) -> Result<Self, ArgsError> {
        let weight = args.i64_at(&["hardPodAffinityWeight"]).unwrap_or(1);
        if !(0..=100).contains(&weight) {
            let path = "hardPodAffinityWeight".to_owned();
            return Err(ArgsError { path, problem: "not in valid range [0-100]".to_owned() });
        }
        Ok(Self {
            hard_pod_affinity_weight: weight,
            ignores_preferences_of_others: args.bool_at(&["ignorePreferredTermsOfExistingPods"]).unwrap_or(false),
        })
    }
}

fn add_at(counts: &mut Counts, term: &PodAffinityTerm, node: &NodeFacts, amount: i64) {
    let Some(value) = node.label(&term.topology_key).filter(|_| amount != 0) else { return };
    if !counts.contains_key(&term.topology_key) {
        counts.insert(term.topology_key.clone(), Domains::new());
    }
    add(counts.get_mut(&term.topology_key).expect("it was just put there"), value, amount);
}

fn terms(pod: &PodInfo, of: fn(&Affinity) -> &Vec<PodAffinityTerm>) -> &[PodAffinityTerm] {
    pod.affinity.as_ref().map(|affinity| of(affinity).as_slice()).unwrap_or_default()
}

fn matches(term: &PodAffinityTerm, pod: &PodInfo, snapshot: &Snapshot) -> bool {
    term.matches(&pod.namespace, snapshot.namespace_labels(&pod.namespace), &pod.labels)
}

impl PreFilterPlugin for InterPodAffinity {
    fn pre_filter(&self, state: &mut CycleState, pod: &PodInfo, snapshot: &Snapshot) -> Result<NodeSet, Status> {
        let affinity = terms(pod, |affinity| &affinity.required_pods);
        let anti_affinity = terms(pod, |affinity| &affinity.required_anti);
        let mut counted = FilterState {
            affinity: vec![Domains::new(); affinity.len()],
            anti_affinity: vec![Domains::new(); anti_affinity.len()],
            ..FilterState::default()
        };
        for node in snapshot.nodes() {
            if node.pods_with_required_anti_affinity > 0 {
                for other in &node.pods {
                    let refusing = terms(other, |affinity| &affinity.required_anti).iter();
                    refusing
                        .filter(|term| matches(term, pod, snapshot))
                        .for_each(|term| add_at(&mut counted.refusals, term, &node.facts, 1));
                }
            }
            if affinity.is_empty() && anti_affinity.is_empty() {
                continue;
            }
            for other in &node.pods {
                if !affinity.is_empty() && affinity.iter().all(|term| matches(term, other, snapshot)) {
                    for (term, counts) in affinity.iter().zip(&mut counted.affinity) {
                        if let Some(value) = node.facts.label(&term.topology_key) {
                            add(counts, value, 1);
                        }
                    }
                }
                for (term, counts) in anti_affinity.iter().zip(&mut counted.anti_affinity) {
                    if let Some(value) = node.facts.label(&term.topology_key)
                        && matches(term, other, snapshot)
                    {
                        add(counts, value, 1);
                    }
                }
            }
        }
        if affinity.is_empty() && anti_affinity.is_empty() && counted.refusals.is_empty() {
            return Err(Status::skip());
        }
        counted.matches_itself = affinity.iter().all(|term| matches(term, pod, snapshot));
        state.write(counted);
        Ok(None)
    }
}

impl FilterState {
    fn satisfies_affinity(&self, pod: &PodInfo, node: &NodeFacts) -> bool {
        let terms = terms(pod, |affinity| &affinity.required_pods);
        let values: Option<Vec<_>> = terms.iter().map(|term| node.label(&term.topology_key)).collect();
        let Some(values) = values else { return false };
        let all_there = values.iter().zip(&self.affinity).all(|(value, counts)| counts.contains_key(*value));
        all_there || (self.matches_itself && self.affinity.iter().all(BTreeMap::is_empty))
    }

    fn satisfies_anti_affinity(&self, pod: &PodInfo, node: &NodeFacts) -> bool {
        let terms = terms(pod, |affinity| &affinity.required_anti);
        terms
            .iter()
            .zip(&self.anti_affinity)
            .all(|(term, counts)| node.label(&term.topology_key).is_none_or(|value| !counts.contains_key(value)))
    }

    fn is_refused(&self, node: &NodeFacts) -> bool {
        self.refusals.iter().any(|(key, counts)| node.label(key).is_some_and(|value| counts.contains_key(value)))
    }
}

impl FilterPlugin for InterPodAffinity {
    fn filter(&self, state: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Status {
        let state: &FilterState = state.read().expect("pre_filter of this plugin ran");
        if !state.satisfies_affinity(pod, &node.facts) {
            return Status::unresolvable("node(s) didn't match pod affinity rules");
        }
        if !state.satisfies_anti_affinity(pod, &node.facts) {
            return Status::unschedulable("node(s) didn't match pod anti-affinity rules");
        }
        if state.is_refused(&node.facts) {
            return Status::unschedulable("node(s) didn't satisfy existing pods anti-affinity rules");
        }
        Status::success()
    }
}

impl PreScorePlugin for InterPodAffinity {
    fn pre_score(&self, state: &mut CycleState, pod: &PodInfo, snapshot: &Snapshot, _nodes: &[NodeIndex]) -> Status {
        let wanted = terms(pod, |affinity| &affinity.preferred_pods);
        let unwanted = terms(pod, |affinity| &affinity.preferred_anti);
        let has_preferences = !wanted.is_empty() || !unwanted.is_empty();
        if !has_preferences && self.ignores_preferences_of_others {
            return Status::skip();
        }
        let mut scores = Counts::new();
        for node in snapshot.nodes().filter(|node| has_preferences || node.pods_with_affinity > 0) {
            let mut count = |term: &PodAffinityTerm, target: &PodInfo, weight: i64| {
                if matches(term, target, snapshot) {
                    add_at(&mut scores, term, &node.facts, weight);
                }
            };
            for other in &node.pods {
                wanted.iter().for_each(|term| count(term, other, i64::from(term.weight)));
                unwanted.iter().for_each(|term| count(term, other, -i64::from(term.weight)));
                if !other.has_pod_affinity() {
                    continue;
                }
                let required = terms(other, |affinity| &affinity.required_pods);
                required.iter().for_each(|term| count(term, pod, self.hard_pod_affinity_weight));
                if !self.ignores_preferences_of_others {
                    let wanted = terms(other, |affinity| &affinity.preferred_pods);
                    wanted.iter().for_each(|term| count(term, pod, i64::from(term.weight)));
                    let unwanted = terms(other, |affinity| &affinity.preferred_anti);
                    unwanted.iter().for_each(|term| count(term, pod, -i64::from(term.weight)));
                }
            }
        }
        if scores.is_empty() {
            return Status::skip();
        }
        state.write(ScoreState(scores));
        Status::success()
    }
}

impl ScorePlugin for InterPodAffinity {
    fn score(&self, state: &CycleState, _pod: &PodInfo, _snapshot: &Snapshot, node: &NodeInfo) -> i64 {
        let ScoreState(scores) = state.read().expect("pre_score of this plugin ran");
        let here = scores.iter().filter_map(|(key, scores)| scores.get(node.facts.label(key)?));
        here.sum()
    }

    fn normalize_score(&self, _state: &CycleState, _snapshot: &Snapshot, _nodes: &[NodeIndex], scores: &mut [i64]) {
        let (lowest, highest) = (scores.iter().min().copied(), scores.iter().max().copied());
        let (lowest, highest) = (lowest.unwrap_or_default(), highest.unwrap_or_default());
        let range = highest - lowest;
        for score in scores {
            *score = if range > 0 { MAX_NODE_SCORE * (*score - lowest) / range } else { 0 };
        }
    }
}

fn concerns(pod: &PodInfo, objects: EventObjects<'_>) -> QueueingHint {
    let EventObjects::Pod { old, new } = objects else { return QueueingHint::Queue };
    // Labels of namespaces are not known here: a namespace selector counts as met.
    let meets = |term: &PodAffinityTerm, other: &PodInfo| {
        term.selector.matches(&other.labels)
            && (term.namespaces.contains(&other.namespace)
                || !term.namespace_selector.requirements().is_empty()
                || term.namespace_selector.is_empty())
    };
    let others = || old.into_iter().chain(new);
    let of_pod = |of| terms(pod, of).iter().any(|term| others().any(|other| meets(term, other)));
    let of_others =
        others().any(|other| terms(other, |affinity| &affinity.required_anti).iter().any(|term| meets(term, pod)));
    QueueingHint::queue_if(
        of_pod(|affinity| &affinity.required_pods) || of_pod(|affinity| &affinity.required_anti) || of_others,
    )
}
